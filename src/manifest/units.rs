//! Quantities with units: durations, rates, sizes. One spelling per value comes out of many.

use std::time::Duration;

/// Parses a duration: `"50ms"`, `"1.5s"`, `"2m"`, `"1h"`, `"100us"`, `"10ns"`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ns" => number * 1e-9,
        "us" | "µs" | "μs" => number * 1e-6,
        "ms" => number * 1e-3,
        "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "" => return Err(format!("`{text}` has no unit: write for example \"{text}s\"")),
        _ => return Err(format!("`{unit}` is not a unit of time: use ns, us, ms, s, m or h")),
    };
    let duration = Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("`{text}` is out of range for a duration"))?;
    // Seconds in f64 carry noise below a nanosecond; whole nanoseconds are the grain.
    Ok(duration)
}

/// Parses a rate in tokens per second: `"60 tok/s"`, `"60"`.
pub fn rate(text: &str) -> Result<f64, String> {
    let (number, unit) = split(text)?;
    match unit {
        "" | "tok/s" | "tokens/s" | "tps" => positive(number, text),
        _ => Err(format!("`{unit}` is not a unit of rate: use tok/s")),
    }
}

/// Parses a size in bytes: `"64 KiB"`, `"10 MB"`, `"512 B"`, `"65536"`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => {
            return Err(format!(
                "`{unit}` is not a unit of size: use B, kB, MB, GB, KiB, MiB or GiB"
            ));
        }
    };
    whole(number * factor).ok_or_else(|| format!("`{text}` is not a whole number of bytes"))
}

/// A number as a count, if it is whole and not negative.
#[must_use]
pub fn whole(number: f64) -> Option<u64> {
    // 2^53: beyond it f64 no longer holds every integer.
    if number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        Some(number as u64)
    } else {
        None
    }
}

/// Writes a duration as people do: `50ms`, `1.5s`, `2m`.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let seconds = duration.as_secs_f64();
    if nanoseconds == 0 {
        "0s".to_owned()
    } else if nanoseconds.is_multiple_of(3_600_000_000_000) {
        format!("{}h", nanoseconds / 3_600_000_000_000)
    } else if nanoseconds.is_multiple_of(60_000_000_000) {
        format!("{}m", nanoseconds / 60_000_000_000)
    } else if nanoseconds >= 1_000_000_000 {
        format!("{seconds}s")
    } else if nanoseconds >= 1_000_000 {
        format!("{}ms", number(seconds * 1e3))
    } else if nanoseconds >= 1_000 {
        format!("{}us", number(seconds * 1e6))
    } else {
        format!("{nanoseconds}ns")
    }
}

/// Writes a size with the largest binary unit that divides it: `64 KiB`, `1000 B`.
#[must_use]
pub fn show_bytes(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{} {unit}", bytes / size);
        }
    }
    format!("{bytes} B")
}

/// Writes a number without a fraction it does not have.
#[must_use]
pub fn number(value: f64) -> String {
    // Twelve digits hide the noise of unit conversion and keep everything a person wrote.
    let rounded = (value * 1e9).round() / 1e9;
    format!("{rounded}")
}

fn positive(number: f64, text: &str) -> Result<f64, String> {
    if number > 0.0 { Ok(number) } else { Err(format!("`{text}` must be more than 0")) }
}

fn split(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | '_')))
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: f64 = digits
        .replace('_', "")
        .parse()
        .map_err(|_| format!("`{text}` is not a number with a unit"))?;
    if number < 0.0 {
        return Err(format!("`{text}` must not be negative"));
    }
    Ok((number, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_value_are_one_value() {
        assert_eq!(bytes("64 KiB"), bytes("65536"));
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(duration("2m"), duration("120s"));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(rate("60 tok/s"), Ok(60.0));
        assert_eq!(rate("60.0"), rate("60"));
    }

    #[test]
    fn wrong_units_say_which_are_right() {
        assert!(bytes("64 KB/s").unwrap_err().contains("KiB"));
        assert!(duration("5 parsecs").unwrap_err().contains("ms"));
        assert!(duration("5").unwrap_err().contains("no unit"));
        assert!(rate("60 MB").unwrap_err().contains("tok/s"));
        assert!(rate("-1").is_err());
        assert!(rate("0").is_err());
        assert!(bytes("1.5 B").is_err());
    }

    #[test]
    fn values_are_shown_as_people_write_them() {
        for text in ["50ms", "2m", "1h", "1.5s", "100us", "10ns"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
        assert_eq!(show_bytes(65_536), "64 KiB");
        assert_eq!(show_bytes(1000), "1000 B");
    }
}
