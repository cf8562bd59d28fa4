//! Events in words, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::tally::Tally;
use crate::execute::ExecEvent;
use crate::metrics::machine::BUSY_PERCENT;
use crate::preflight::Severity;
use crate::shown;
use crate::store::record::ErrorSummary;

/// `75s`, `4m10s`, `3h05m`.
#[must_use]
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    match seconds {
        0..90 => format!("{seconds}s"),
        90..5400 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// What is worth a line of its own, for people; `None`: nothing. Words of servers and agents may be
/// in it: what could steer a terminal is taken out.
#[must_use]
pub fn sentence(event: &ExecEvent, tally: &Tally) -> Option<String> {
    words(event, tally).map(|line| shown::line(&line).into_owned())
}

fn cells(count: usize) -> String {
    if count == 1 { "1 cell".to_owned() } else { format!("{count} cells") }
}

fn words(event: &ExecEvent, tally: &Tally) -> Option<String> {
    let count = |number: usize| if number == 1 { "run" } else { "runs" };
    Some(match event {
        ExecEvent::Started { study, done, todo: 0 } => {
            format!("{study}: {done} {} done, nothing to do", count(*done))
        }
        ExecEvent::Started { study, done, todo } => {
            format!("{study}: {done} {} done, {todo} to do", count(*done))
        }
        ExecEvent::Note { message } => format!("note: {message}"),
        ExecEvent::Found { finding } => match finding.severity {
            Severity::Blocking => {
                let cells = cells(finding.cells.len());
                let comes = if finding.can_be_tried {
                    format!("tried all the same: {cells} of the plan")
                } else {
                    format!("{cells} of the plan will fail")
                };
                format!("preflight: {} ({comes})", finding.sentence())
            }
            Severity::Warning => format!("warning: {}", finding.sentence()),
        },
        ExecEvent::Calibrating { runtime, settings, streams, rate_tok_s } => format!(
            "calibrating the runtime {} with {streams} {} at {rate_tok_s} tok/s",
            instrument(runtime, settings),
            if *streams == 1 { "stream" } else { "streams" }
        ),
        ExecEvent::Calibrated { calibration } => format!(
            "calibrated {}: error of TTFT {}; of gaps {}",
            instrument(&calibration.runtime, &calibration.settings),
            error(calibration.ttft_error_ms),
            error(calibration.gap_error_ms),
        ),
        ExecEvent::RunFinished { name, repeat, wall, metrics } => {
            let figure = |metric: &str| metrics.get(metric).copied().flatten();
            let mut line = format!(
                "[{}/{}] {name}/{repeat}: {:.2} s",
                tally.ended,
                tally.todo,
                wall.as_secs_f64()
            );
            if let Some(rate) = figure("aggregate_tokens_per_s") {
                let _ = write!(line, ", {rate:.1} tok/s");
            }
            if let Some(ttft) = figure("ttft_ms") {
                let _ = write!(line, ", TTFT {ttft:.1} ms");
            }
            if let Some(rate) = figure("tokenizer_mb_per_s") {
                let _ = write!(line, ", {rate:.2} MB/s");
            }
            if let Some(share) = figure("others_cpu_percent").filter(|share| *share > BUSY_PERCENT)
            {
                let _ = write!(line, " (other processes took {share:.0} % of the machine)");
            }
            line
        }
        ExecEvent::AttemptFailed { name, repeat, attempt, reason, kept, retry } => {
            let next = if *retry { "trying again" } else { "not tried again" };
            let kept = kept.display();
            format!(
                "failed: {name} repeat {repeat} attempt {attempt}: {reason}; {next}; see {kept}"
            )
        }
        ExecEvent::FellBack { name, repeat, step, to, measured } => {
            let next = if *measured { "is measured already" } else { "is measured instead" };
            format!("fallback {step} of {name} repeat {repeat}: {to} {next}")
        }
        ExecEvent::TooManyFailures { failed } => format!(
            "stopped: {failed} {} failed, which is what `on_failure` allows; run exec again to go on",
            count(*failed)
        ),
        ExecEvent::EndpointGone { endpoint, url } => format!(
            "gone: endpoint `{endpoint}` takes no connections at {url}; runs that need it are not tried \
             until it does, and stay missing"
        ),
        ExecEvent::EndpointBack { endpoint } => format!("endpoint `{endpoint}` is there again"),
        ExecEvent::Stopping => {
            "stopping after the current run; press ctrl-C again to abandon it".to_owned()
        }
        // Said at the start already.
        ExecEvent::Finished { made: 0, failed: 0, not_tried: 0, interrupted: false } => {
            return None;
        }
        ExecEvent::Finished { made, failed, not_tried, interrupted } => {
            let made = format!("{made} {} made", count(*made));
            let failed = (*failed > 0).then(|| format!("{failed} failed"));
            let not_tried = (*not_tried > 0).then(|| {
                format!("{not_tried} not tried: run exec again once the endpoint is back")
            });
            let stopped = interrupted.then(|| "interrupted: run exec again to go on".to_owned());
            let parts = [Some(made), failed, not_tried, stopped];
            parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
        }
        ExecEvent::RunStarted { .. }
        | ExecEvent::CallStarted { .. }
        | ExecEvent::FirstToken { .. }
        | ExecEvent::Progress { .. }
        | ExecEvent::CallFinished { .. }
        | ExecEvent::PassStarted { .. } => return None,
    })
}

/// `python`, or `python (batch 0.05, json orjson)`.
pub(super) fn instrument(runtime: &str, settings: &BTreeMap<String, Value>) -> String {
    if settings.is_empty() {
        return runtime.to_owned();
    }
    let settings = settings.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name} {text}"),
        value => format!("{name} {value}"),
    });
    format!("{runtime} ({})", settings.collect::<Vec<_>>().join(", "))
}

/// Typical and large errors of an instrument.
fn error(error: ErrorSummary) -> String {
    match error.p99 {
        Some(p99) => format!("{:.3} ms (p50), {p99:.3} ms (p99)", error.p50),
        None => format!("{:.3} ms (p50), {:.3} ms (largest)", error.p50, error.max),
    }
}
