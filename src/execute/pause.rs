//! The pause before another attempt: a moment where a server took no connection, since it may be starting
//! again, and what a server asks for that has too much to do. Everything else is tried again at once.

use std::thread;
use std::time::{Duration, Instant};

use formats::protocol::{CallRecord, Outcome};

use super::{Cancel, ExecEvent, Limits};
use crate::manifest::study::RetryOn;

/// A server that will answer later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    status: u16,
    /// What it asks to be waited; `None`: it does not say.
    asked: Option<Duration>,
}

impl Busy {
    /// What the calls of an attempt say: any that tells a time (the longest counts), else any whose status
    /// means no more than that the server is busy: too many requests, unavailable, or overloaded.
    #[must_use]
    pub fn of(calls: &[CallRecord]) -> Option<Self> {
        let refused = calls.iter().filter(|call| call.outcome == Outcome::HttpError);
        let refused = refused.filter_map(|call| {
            let asked = call.retry_after_s.map(Duration::from_secs);
            Some(Self { status: call.http_status?, asked })
        });
        refused
            .filter(|busy| busy.asked.is_some() || matches!(busy.status, 429 | 503 | 529))
            .max_by_key(|busy| busy.asked)
    }
}

/// How long nothing is done, and why, where that is worth a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    pub length: Duration,
    pub because: Option<String>,
}

impl Pause {
    /// The pause after so many attempts of one run.
    #[must_use]
    pub fn after(
        attempts: u32,
        cause: Option<RetryOn>,
        busy: Option<&Busy>,
        limits: &Limits,
    ) -> Self {
        let Some(Busy { status, asked }) = busy else {
            let connect = cause == Some(RetryOn::Connect);
            let length = if connect { limits.connect_backoff } else { Duration::ZERO };
            return Self { length: length.saturating_mul(attempts), because: None };
        };
        let longest = limits.longest_pause;
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        let own = limits.busy_backoff.saturating_mul(doubled);
        // Who rounds less than a second down to 0 would be asked for ever.
        let asked = asked.filter(|asked| !asked.is_zero());
        let length = asked.unwrap_or(own).min(longest);
        let because = match asked {
            Some(asked) if asked > longest => format!(
                "HTTP {status}, and the server asks to be called again in {}; waiting {}, which is \
                 the longest that is waited",
                seconds(asked),
                seconds(longest)
            ),
            Some(asked) => {
                format!("HTTP {status}; waiting {} as the server asks", seconds(asked))
            }
            None => format!(
                "HTTP {status}, and the server does not say when to call again; waiting {}",
                seconds(length)
            ),
        };
        Self { length, because: Some(format!("{because} (ctrl-C ends the wait)")) }
    }

    /// Waits for the sake of the run of this name. `false`: the user wants to stop, and nothing is waited
    /// for any more.
    #[must_use]
    pub fn wait(&self, name: &str, cancel: &Cancel, emit: &mut dyn FnMut(ExecEvent)) -> bool {
        const TICK: Duration = Duration::from_millis(20);
        if let Some(because) = &self.because {
            emit(ExecEvent::Note { message: format!("{name}: {because}") });
        }
        let until = Instant::now() + self.length;
        loop {
            if cancel.is_news() {
                emit(ExecEvent::Stopping);
            }
            let left = until.saturating_duration_since(Instant::now());
            if cancel.is_asked() || left.is_zero() {
                return !cancel.is_asked();
            }
            thread::sleep(left.min(TICK));
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::call;

    fn refused(status: u16, retry_after_s: Option<u64>) -> CallRecord {
        let outcome = Outcome::HttpError;
        CallRecord { outcome, http_status: Some(status), retry_after_s, ..call("a", 0, &[], 1) }
    }

    #[test]
    fn only_a_busy_server_is_waited_for() {
        assert_eq!(Busy::of(&[call("a", 0, &[1], 2), refused(500, None)]), None);
        assert_eq!(Busy::of(&[]), None);
        for status in [429, 503, 529] {
            assert_eq!(Busy::of(&[refused(status, None)]), Some(Busy { status, asked: None }));
        }
        // Whoever asks for a time is heard, and the longest of several counts.
        let calls = [refused(503, Some(2)), refused(429, None), refused(500, Some(9))];
        let asked = Some(Duration::from_secs(9));
        assert_eq!(Busy::of(&calls), Some(Busy { status: 500, asked }));
    }

    #[test]
    fn the_pause_is_what_is_asked_for_or_grows_and_has_an_end() {
        let limits = Limits::default();
        let pause = |attempts, asked: Option<u64>| {
            let busy = Busy { status: 429, asked: asked.map(Duration::from_secs) };
            let pause = Pause::after(attempts, Some(RetryOn::HttpError), Some(&busy), &limits);
            (pause.length.as_secs_f64(), pause.because.unwrap())
        };
        for (attempts, asked, expected, words) in [
            (1, Some(5), 5.0, "HTTP 429; waiting 5 s as the server asks"),
            (3, Some(5), 5.0, "5 s as the server asks"),
            (1, Some(3600), 60.0, "in 3600 s; waiting 60 s, which is the longest"),
            (1, None, 1.0, "does not say when to call again; waiting 1 s"),
            (2, None, 2.0, "waiting 2 s"),
            (4, None, 8.0, "waiting 8 s"),
            (40, None, 60.0, "waiting 60 s"),
            (2, Some(0), 2.0, "waiting 2 s"),
        ] {
            let (length, because) = pause(attempts, asked);
            assert!((length - expected).abs() < 1e-9, "{attempts} {asked:?}: {length}");
            assert!(because.contains(words), "{because}");
        }
        let other = |cause| Pause::after(2, Some(cause), None, &limits);
        assert_eq!(other(RetryOn::Timeout), Pause { length: Duration::ZERO, because: None });
        assert_eq!(other(RetryOn::Connect).length, 2 * limits.connect_backoff);
    }
}
