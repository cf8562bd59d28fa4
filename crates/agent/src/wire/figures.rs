//! Counts and durations as servers write them. What is no figure is unknown, and decides nothing.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::Field;

/// The largest count that is one: above it a double no longer tells whole numbers apart.
const COUNT_LIMIT: u64 = 1 << 53;
/// An object whose figures may be told; what is none tells nothing.
pub(super) fn figures<'a, T: Deserialize<'a>>(told: Field<&'a RawValue>) -> Option<T> {
    serde_json::from_str(told.known()?.get()).ok()
}

/// A count or duration; servers write `1000`, some `1e3`. What is no number from 0 to 2^53 is unknown.
pub(super) fn count(told: Field<&RawValue>) -> Option<u64> {
    let text = number(told)?;
    match text.parse() {
        Ok(count) => Some(count).filter(|count| *count <= COUNT_LIMIT),
        Err(_) => text.parse().ok().and_then(rounded),
    }
}

/// Milliseconds with a fraction as whole nanoseconds.
pub(super) fn milliseconds(told: Field<&RawValue>) -> Option<u64> {
    let ms: f64 = number(told)?.parse().ok()?;
    rounded(ms * 1e6)
}

/// The sum of counts, as a count; unknown where the first is.
pub(super) fn sum([first, second, third]: [Option<u64>; 3]) -> Option<u64> {
    let sum = first?.checked_add(second.unwrap_or(0))?.checked_add(third.unwrap_or(0))?;
    (sum <= COUNT_LIMIT).then_some(sum)
}

/// Whether it is a number other than 0.
pub(super) fn is_other_than_zero(told: Field<&RawValue>) -> bool {
    let number = number(told).and_then(|text| text.parse::<f64>().ok());
    number.is_some_and(|number| number != 0.0)
}

/// Whatever is written like a number.
fn number(told: Field<&RawValue>) -> Option<&str> {
    let text = told.known()?.get();
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then_some(text)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is negative or too large is refused before"
)]
fn rounded(value: f64) -> Option<u64> {
    let rounded = (value + 0.5).floor();
    (value >= 0.0 && rounded <= COUNT_LIMIT as f64).then_some(rounded as u64)
}
