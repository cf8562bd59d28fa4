//! The clock that every timestamp is of, the time of day that goes with it, and waking on time by it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds of the machine's monotonic clock, shared by all processes (`CLOCK_MONOTONIC`).
#[cfg(unix)]
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Nanoseconds on a clock that never goes back within a process. Untested: Windows has no shared
/// monotonic clock in the standard library, so processes agree only as far as the wall clock held
/// still between their starts.
#[cfg(not(unix))]
#[must_use]
pub fn monotonic_ns() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<(Instant, u64)> = OnceLock::new();
    let (start, base) = START.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (Instant::now(), u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    });
    base + u64::try_from(start.elapsed().as_nanos()).unwrap_or(0)
}

/// The same moment on the monotonic clock and by the time of day, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    pub monotonic: u64,
    pub day: u64,
}

/// Seconds and nanoseconds of a stamp as nanoseconds; `None` before 1970.
#[must_use]
pub fn nanoseconds(seconds: i64, nanoseconds: i64) -> Option<u64> {
    let seconds = u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?;
    seconds.checked_add(u64::try_from(nanoseconds).ok()?)
}

/// Reads both clocks as close together as they can be read.
#[must_use]
pub fn pair() -> Pair {
    /// The closest of so many counts.
    const ATTEMPTS: usize = 8;
    let read = || {
        let before = monotonic_ns();
        let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let after = monotonic_ns();
        let day = u64::try_from(day.as_nanos()).unwrap_or(u64::MAX);
        (after - before, Pair { monotonic: before + (after - before) / 2, day })
    };
    let mut best = read();
    for _ in 1..ATTEMPTS {
        let next = read();
        if next.0 < best.0 {
            best = next;
        }
    }
    best.1
}

/// Now, RFC 3339, UTC, milliseconds.
#[must_use]
pub fn utc_now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Seconds from one date of HTTP (`Sun, 06 Nov 1994 08:49:37 GMT`) to another, from now if there is none;
/// 0 for one that is past. `None`: the later one is no such date.
#[must_use]
pub fn seconds_between(from: Option<&str>, until: &str) -> Option<u64> {
    let now = jiff::Timestamp::now().as_second();
    let until = http_date(until, now)?;
    let from = from.and_then(|from| http_date(from, now)).unwrap_or(now);
    Some(u64::try_from(until - from).unwrap_or(0))
}

/// Seconds since 1970 of a date in any of the three forms of RFC 9110, section 5.6.7. The day of the week
/// follows from the others, so nothing is made of it.
fn http_date(text: &str, now: i64) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let text = text.to_ascii_lowercase();
    let parts: Vec<&str> = text.split([' ', ',', '-']).filter(|part| !part.is_empty()).collect();
    let ([_, day, month, year, time, "gmt" | "utc"] | [_, month, day, time, year]) = parts[..]
    else {
        return None;
    };
    let number = |text: &str, lengths: &[usize]| -> Option<i16> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let text = Some(text).filter(|text| is_number && lengths.contains(&text.len()));
        text?.parse().ok()
    };
    let month = 1 + (0..).zip(MONTHS).find(|(_, name)| *name == month)?.0;
    let day = i8::try_from(number(day, &[1, 2])?).ok()?;
    let mut full = number(year, &[2, 4])?;
    if year.len() == 2 {
        let this = jiff::Timestamp::from_second(now).ok()?.to_zoned(jiff::tz::TimeZone::UTC).year();
        full += this - this % 100;
        // So far ahead it is one of the last century.
        full -= if full > this + 50 { 100 } else { 0 };
    }
    let midnight = jiff::civil::Date::new(full, month, day).ok()?;
    let mut time = time.split(':').map(|part| number(part, &[2]));
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if time.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let midnight = midnight.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    let in_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(midnight + in_day)
}

/// Lets the calling thread, and threads it starts, wake from a sleep as close to the deadline as the
/// kernel can: Linux otherwise groups wake-ups within 50 µs. Elsewhere nothing needs to be asked for.
pub fn wake_on_time() {
    #[cfg(target_os = "linux")]
    {
        // A kernel that refuses leaves sleeps 50 µs coarser, which the logs of who sleeps show.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_between_dates_of_http() {
        let from = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(seconds_between(from, "Sun, 06 Nov 1994 08:50:00 GMT"), Some(23));
        assert_eq!(seconds_between(from, "Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        assert_eq!(seconds_between(None, "Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        assert!(seconds_between(Some("?"), "Fri, 31 Dec 2399 23:59:59 GMT") > Some(3600));
        for same in [
            "Sunday, 06-Nov-94 08:49:40 GMT",
            "Sun Nov  6 08:49:40 1994",
            "Mon, 6 nov 1994 08:49:40 gmt",
        ] {
            assert_eq!(seconds_between(from, same), Some(3), "{same}");
        }
        for wrong in [
            "soon",
            "",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37 +0100",
        ] {
            assert_eq!(seconds_between(from, wrong), None, "{wrong}");
        }
    }
}
