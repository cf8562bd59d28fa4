//! Numbers as people read them. The same on every machine: no locale.

/// Numbers smaller than this are rounding noise or need an exponent to be read.
const SMALLEST_PLAIN: f64 = 1e-6;

/// With this many significant digits (`0.01234`, `98.73`, `1235`, `1.2e-9`).
#[must_use]
pub fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    if value.is_nan() {
        return "unknown".to_owned();
    }
    let digits = digits.clamp(1, 17);
    // the exponent after rounding: 9.999 with two digits is 10
    let rounded = format!("{value:.*e}", digits - 1);
    let exponent: i32 = rounded.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    if value.abs() < SMALLEST_PLAIN {
        return rounded;
    }
    let decimals = i32::try_from(digits).unwrap_or(1) - 1 - exponent;
    format!("{value:.*}", usize::try_from(decimals).unwrap_or(0))
}

/// A duration in the unit that needs no fraction (`50 ms`, `2 min`, `1.5 s`).
#[must_use]
pub fn duration(duration: std::time::Duration) -> String {
    let nanos = duration.as_nanos();
    let units = [(60_000_000_000, "min"), (1_000_000_000, "s"), (1_000_000, "ms"), (1000, "µs")];
    for (length, unit) in units {
        if nanos >= length && nanos.is_multiple_of(length) {
            return format!("{} {unit}", nanos / length);
        }
    }
    format!("{} s", duration.as_secs_f64())
}
