//! The state of a session, counted from its events, and the sentences that say it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::execute::ExecEvent;

/// What is known so far.
#[derive(Debug, Default)]
pub struct Tally {
    pub todo: usize,
    /// Runs of this session that ended, well or not.
    pub ended: usize,
    /// Duration of all sealed runs of this session, and their number.
    walls: (Duration, u32),
    pub run: Option<Run>,
}

/// The run that is being made.
#[derive(Debug)]
pub struct Run {
    /// Name, repeat and, from the second on, attempt.
    pub label: String,
    pub started: Instant,
    /// First token of any call.
    first: Option<Instant>,
    /// Chunks so far by agent and call.
    chunks: HashMap<(String, u32), u64>,
}

impl Tally {
    pub fn hear(&mut self, event: &ExecEvent, now: Instant) {
        match event {
            ExecEvent::Started { todo, .. } => self.todo = *todo,
            ExecEvent::RunStarted { name, repeat, attempt, .. } => {
                let again =
                    if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                self.run = Some(Run {
                    label: format!("{name} repeat {repeat}{again}"),
                    started: now,
                    first: None,
                    chunks: HashMap::new(),
                });
            }
            ExecEvent::FirstToken { .. } => {
                if let Some(run) = &mut self.run {
                    run.first.get_or_insert(now);
                }
            }
            ExecEvent::Progress { agent, call, chunks } => self.count(agent, *call, *chunks),
            ExecEvent::CallFinished { agent, call, tokens: Some(tokens), .. } => {
                self.count(agent, *call, *tokens);
            }
            ExecEvent::RunFinished { wall, .. } => {
                self.ended += 1;
                self.walls = (self.walls.0 + *wall, self.walls.1 + 1);
                self.run = None;
            }
            ExecEvent::AttemptFailed { retry, .. } => {
                self.ended += usize::from(!*retry);
                self.run = None;
            }
            _ => {}
        }
    }

    fn count(&mut self, agent: &str, call: u32, chunks: u64) {
        if let Some(run) = &mut self.run {
            run.chunks.insert((agent.to_owned(), call), chunks);
        }
    }

    fn mean(&self) -> Option<Duration> {
        (self.walls.1 > 0).then(|| self.walls.0 / self.walls.1)
    }

    /// Expected time of all runs that are left, the current one included.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let mean = self.mean()?;
        let runs = u32::try_from(self.todo.saturating_sub(self.ended)).unwrap_or(u32::MAX);
        let passed = self.run.as_ref().map_or(Duration::ZERO, |run| now - run.started);
        Some(mean.saturating_mul(runs).saturating_sub(passed.min(mean)))
    }

    /// Expected time of the current run, if earlier ones tell.
    pub fn run_left(&self, now: Instant) -> Option<Duration> {
        let run = self.run.as_ref()?;
        self.mean().map(|mean| mean.saturating_sub(now - run.started))
    }

    /// The current run's progress: `120 tok, 99.8 tok/s, about 3s left`.
    pub fn run_line(&self, now: Instant) -> String {
        let Some(run) = &self.run else { return String::new() };
        let tokens: u64 = run.chunks.values().sum();
        let mut line = format!("{tokens} tok");
        let passed = run.first.map_or(0.0, |first| (now - first).as_secs_f64());
        if passed > 0.2 {
            line += &format!(", {:.1} tok/s", tokens as f64 / passed);
        }
        if let Some(left) = self.run_left(now) {
            line += &format!(", about {} left", short(left));
        }
        line
    }
}

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

/// What is worth a line of its own, for people; `None`: nothing.
#[must_use]
pub fn sentence(event: &ExecEvent, tally: &Tally) -> Option<String> {
    let count = |number: usize| if number == 1 { "run" } else { "runs" };
    Some(match event {
        ExecEvent::Started { study, done, todo: 0 } => {
            format!("{study}: {done} {} done, nothing to do", count(*done))
        }
        ExecEvent::Started { study, done, todo } => {
            format!("{study}: {done} {} done, {todo} to do", count(*done))
        }
        ExecEvent::Note { message } => format!("note: {message}"),
        ExecEvent::Calibrating { runtime } => format!("calibrating the runtime {runtime}"),
        ExecEvent::Calibrated { calibration } => format!(
            "calibrated {}: error of TTFT {:.3} ms (p50), {:.3} ms (p99); of gaps {:.3} ms (p50), \
             {:.3} ms (p99)",
            calibration.runtime,
            calibration.ttft_error_ms.p50,
            calibration.ttft_error_ms.p99,
            calibration.gap_error_ms.p50,
            calibration.gap_error_ms.p99
        ),
        ExecEvent::RunFinished { name, repeat, wall, metrics } => {
            let figure = |metric: &str| metrics.get(metric).copied().flatten();
            let mut line = format!(
                "[{}/{}] {name} repeat {repeat}: {:.2} s",
                tally.ended,
                tally.todo,
                wall.as_secs_f64()
            );
            if let Some(rate) = figure("aggregate_tokens_per_s") {
                line += &format!(", {rate:.1} tok/s");
            }
            if let Some(ttft) = figure("ttft_ms") {
                line += &format!(", TTFT {ttft:.1} ms");
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
        ExecEvent::NotBuilt { name, runs, reason } => {
            format!("not yet built: {name} ({runs} {}): {reason}", count(*runs))
        }
        ExecEvent::Stopping => {
            "stopping after the current run; press ctrl-C again to abandon it".to_owned()
        }
        // Said at the start already.
        ExecEvent::Finished { made: 0, failed: 0, not_built: 0, interrupted: false } => {
            return None;
        }
        ExecEvent::Finished { made, failed, not_built, interrupted } => {
            let mut line = format!("{made} {} made", count(*made));
            if *failed > 0 {
                line += &format!(", {failed} failed");
            }
            if *not_built > 0 {
                line += &format!(", {not_built} not yet built");
            }
            if *interrupted {
                line += ", interrupted: run exec again to go on";
            }
            line
        }
        ExecEvent::RunStarted { .. }
        | ExecEvent::CallStarted { .. }
        | ExecEvent::FirstToken { .. }
        | ExecEvent::Progress { .. }
        | ExecEvent::CallFinished { .. } => return None,
    })
}
