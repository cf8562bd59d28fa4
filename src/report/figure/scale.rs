//! Values → places on an axis, and ticks at round values.

/// How an axis places its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// The distance of its ticks.
    Linear(f64),
    /// In powers of ten.
    Log,
}

/// A tick: its value and its text.
pub type Tick = (f64, String);

/// Ticks of a linear axis, about.
const TICKS: f64 = 6.0;
const FEW_TICKS: f64 = 3.0;
/// Values below this share of the largest are better seen from zero.
const FROM_ZERO: f64 = 0.5;
/// From here on numbers are easier to read with an exponent.
const LARGE: f64 = 1e7;
const SMALL_STEP: f64 = 1e-4;
/// Parts of a step that are errors of rounding.
const ROUNDING: f64 = 1e-6;

impl Scale {
    /// From round value to round value around all that is given; from 0 where that is near enough.
    #[must_use]
    pub fn linear(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (mut low, mut high) = range(values)?;
        if low > 0.0 && low < FROM_ZERO * high {
            low = 0.0;
        } else if high < 0.0 && high > FROM_ZERO * low {
            high = 0.0;
        }
        Some(Self::between(low, high, TICKS))
    }

    /// As [`Scale::linear`], and 0 is on it.
    #[must_use]
    pub fn from_zero(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (low, high) = range(values)?;
        Some(Self::between(low.min(0.0), high.max(0.0), TICKS))
    }

    /// As [`Scale::from_zero`], for an axis with room for few ticks.
    #[must_use]
    pub fn short_from_zero(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (low, high) = range(values)?;
        Some(Self::between(low.min(0.0), high.max(0.0), FEW_TICKS))
    }

    /// All values with some room beyond the first and the last.
    #[must_use]
    pub fn with_room(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (low, high) = range(values)?;
        let room = if high > low { (high - low) * 0.06 } else { low.abs().max(1.0) * 0.1 };
        Some(Self::exactly(low - room, high + room))
    }

    /// Exactly from one value to another, with ticks between.
    #[must_use]
    pub fn exactly(low: f64, high: f64) -> Self {
        let wide = if high > low { high } else { low + 1.0 };
        Self { low, high: wide, kind: Kind::Linear(step(wide - low, TICKS)) }
    }

    fn between(low: f64, high: f64, ticks: f64) -> Self {
        let (low, high) = if high > low {
            (low, high)
        } else {
            let half = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low - half, high + half)
        };
        let step = step(high - low, ticks);
        // 0.011 is 55 steps of 0.0002 and not a hair less
        let first = (low / step + ROUNDING).floor() * step;
        let last = (high / step - ROUNDING).ceil() * step;
        // so far from zero that a step is lost in rounding
        if !(first < last && first.is_finite() && last.is_finite()) {
            return Self { low, high, kind: Kind::Linear(high - low) };
        }
        Self { low: first, high: last, kind: Kind::Linear(step) }
    }

    /// Decades around all values above 0; `None` where there is none.
    #[must_use]
    pub fn log(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (low, high) = range(values.into_iter().filter(|value| *value > 0.0))?;
        let (first, last) = (low.log10().floor(), high.log10().ceil());
        let last = if last > first { last } else { first + 1.0 };
        Some(Self { low: power(first), high: power(last), kind: Kind::Log })
    }

    /// Where a value is: 0 at the start of the axis, 1 at its end. Never beyond.
    #[must_use]
    pub fn place(&self, value: f64) -> f64 {
        let share = match self.kind {
            Kind::Linear(_) => (value - self.low) / (self.high - self.low),
            Kind::Log if value <= 0.0 => 0.0,
            Kind::Log => {
                let low = self.low.log10();
                (value.log10() - low) / (self.high.log10() - low)
            }
        };
        share.clamp(0.0, 1.0)
    }

    /// The value at the start of the axis.
    #[must_use]
    pub fn low(&self) -> f64 {
        self.low
    }

    /// Whether the axis reaches this value.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        let slack = (self.high - self.low) * ROUNDING;
        (self.low - slack..=self.high + slack).contains(&value)
    }

    #[must_use]
    pub fn ticks(&self) -> Vec<Tick> {
        match self.kind {
            Kind::Linear(step) => self.linear_ticks(step),
            Kind::Log => self.log_ticks(),
        }
    }

    fn linear_ticks(&self, step: f64) -> Vec<Tick> {
        let largest = self.low.abs().max(self.high.abs());
        let text = |value: f64| {
            if value == 0.0 {
                "0".to_owned()
            } else if largest >= LARGE || step < SMALL_STEP {
                let digits = (largest / step).log10().ceil().clamp(0.0, 6.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "0 to 6"
                )]
                short_exponent(&format!("{value:.*e}", digits as usize))
            } else {
                let decimals = (-step.log10().floor()).clamp(0.0, 6.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "0 to 6"
                )]
                let text = format!("{value:.*}", decimals as usize);
                text.replace('-', "−")
            }
        };
        let first = (self.low / step - ROUNDING).ceil();
        let mut ticks = Vec::new();
        for index in 0..=40 {
            let value = (first + f64::from(index)) * step;
            // the last one may be beyond by a rounding error
            if value > self.high + step * ROUNDING {
                break;
            }
            ticks.push((value, text(value)));
        }
        ticks
    }

    fn log_ticks(&self) -> Vec<Tick> {
        let (first, last) = (self.low.log10().round(), self.high.log10().round());
        let decades = last - first;
        let within: &[f64] = match decades {
            d if d <= 1.0 => &[1.0, 2.0, 3.0, 5.0],
            d if d <= 3.0 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let skip = (decades / 8.0).ceil().max(1.0);
        let mut ticks = Vec::new();
        let mut exponent = first;
        while exponent <= last {
            for factor in within {
                let value = factor * power(exponent);
                if value <= self.high * (1.0 + 1e-9) {
                    ticks.push((value, log_text(*factor, exponent)));
                }
            }
            exponent += skip;
        }
        ticks
    }
}

fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|value| value.is_finite()).fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// 1, 2 or 5 times a power of ten, so that a span has about so many of them.
fn step(span: f64, ticks: f64) -> f64 {
    let raw = span / ticks;
    let unit = power(raw.log10().floor());
    let times = raw / unit;
    let round = [1.0, 2.0, 5.0].into_iter().find(|round| times <= round * 1.001);
    round.unwrap_or(10.0) * unit
}

/// A power of ten as it is read, not as it is multiplied: 1e-3 is 0.001.
fn power(exponent: f64) -> f64 {
    format!("1e{exponent}").parse().unwrap_or(f64::MIN_POSITIVE)
}

fn log_text(factor: f64, exponent: f64) -> String {
    if (-4.0..6.0).contains(&exponent) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 4")]
        let decimals = (-exponent).max(0.0) as usize;
        format!("{:.decimals$}", factor * power(exponent))
    } else {
        format!("{factor}e{exponent}").replace('-', "−")
    }
}

/// `2.00e9` → `2e9`.
fn short_exponent(text: &str) -> String {
    let Some((digits, exponent)) = text.split_once('e') else { return text.to_owned() };
    let digits = match digits.split_once('.') {
        Some(_) => digits.trim_end_matches('0').trim_end_matches('.'),
        None => digits,
    };
    format!("{digits}e{exponent}").replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn linear_ticks_are_round_and_hold_all_values() {
        let scale = Scale::linear([87.2, 98.9]).unwrap();
        assert_eq!(texts(&scale), ["86", "88", "90", "92", "94", "96", "98", "100"]);
        assert_eq!(texts(&Scale::linear([1.0, 9.0]).unwrap())[0], "0");
        let small = Scale::linear([0.011, 0.012]).unwrap();
        assert_eq!(texts(&small)[..2], ["0.0110", "0.0112"]);
        for values in [[3.0, 3.0], [0.0, 0.0], [-5.0, 7.0], [1e9, 1e9 + 1.0], [1e-12, 2e-12]] {
            let scale = Scale::linear(values).unwrap();
            assert!(values.iter().all(|value| scale.holds(*value)), "{values:?} {scale:?}");
            let ticks = scale.ticks();
            assert!((2..=12).contains(&ticks.len()), "{ticks:?}");
            assert!(ticks.is_sorted_by(|a, b| a.0 < b.0), "{ticks:?}");
        }
        let outlier = Scale::linear([1.0, 1e9]).unwrap();
        assert_eq!(texts(&outlier), ["0", "2e8", "4e8", "6e8", "8e8", "1e9"]);
    }

    #[test]
    fn logarithmic_ticks_are_decades() {
        let scale = Scale::log([0.02, 130.0]).unwrap();
        assert_eq!(texts(&scale), ["0.01", "0.1", "1", "10", "100", "1000"]);
        assert!((scale.place(1.0) - 0.4).abs() < 1e-12);
        assert!(scale.place(0.0) == 0.0 && scale.place(-1.0) == 0.0);
        assert_eq!(Scale::log([0.0, -1.0]), None);
        assert_eq!(texts(&Scale::log([2.0, 7.0]).unwrap()), ["1", "2", "3", "5", "10"]);
    }
}
