//! When a server that refuses a call asks to be called again: RFC 9110, section 10.2.3.

use formats::clock;
use hyper::HeaderMap;
use hyper::header::{DATE, RETRY_AFTER};

/// More than anybody waits for, seconds.
const GREATEST_S: u64 = 1_000_000_000;

/// The header `Retry-After` in whole seconds. A date counts from the answer's own `Date`,
/// since the clocks of two machines differ. `None`: it is not there, or neither a number nor a date.
pub fn retry_after_s(headers: &HeaderMap) -> Option<u64> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let asked = text(RETRY_AFTER)?.trim();
    let is_number = !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if is_number {
        asked.parse().unwrap_or(GREATEST_S)
    } else {
        clock::seconds_between(text(DATE), asked)?
    };
    Some(seconds.min(GREATEST_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let asked = |retry_after: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
            headers.extend(date.map(|date| (DATE, date.parse().unwrap())));
            retry_after_s(&headers)
        };
        assert_eq!(retry_after_s(&HeaderMap::new()), None);
        assert_eq!(asked("5", None), Some(5));
        assert_eq!(asked("0", None), Some(0));
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:40 GMT", date), Some(3));
        assert_eq!(asked("1234567890123456", None), Some(GREATEST_S));
        assert_eq!(asked(&"9".repeat(30), None), Some(GREATEST_S));
        for wrong in ["-1", "+5", "1.5", "soon", ""] {
            assert_eq!(asked(wrong, None), None, "{wrong}");
        }
    }
}
