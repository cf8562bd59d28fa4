//! The state of a session, counted from its events.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::sentence::short;
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
    /// A measured call has begun; what came before was warm-up and is not shown.
    measuring: bool,
    /// First token of any measured call.
    first: Option<Instant>,
    /// Chunks of the measured calls so far, by agent and call.
    chunks: HashMap<(String, u32), u64>,
    /// The pass that a tokenizer is at, in words.
    pass: Option<String>,
}

impl Tally {
    pub fn hear(&mut self, event: &ExecEvent, now: Instant) {
        match event {
            // said again when the data ask for further runs
            ExecEvent::Started { todo, .. } => self.todo = self.ended + *todo,
            ExecEvent::RunStarted { name, repeat, attempt, .. } => {
                let again =
                    if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                self.run = Some(Run {
                    label: format!("{name} repeat {repeat}{again}"),
                    started: now,
                    measuring: false,
                    first: None,
                    chunks: HashMap::new(),
                    pass: None,
                });
            }
            ExecEvent::PassStarted { mode, pass, passes, warmup } => {
                if let Some(run) = &mut self.run {
                    let warmup = if *warmup { ", warming up" } else { "" };
                    let mode = mode.name();
                    run.pass = Some(format!("pass {} of {passes}: {mode}{warmup}", pass + 1));
                }
            }
            ExecEvent::CallStarted { warmup: false, .. } => {
                if let Some(run) = &mut self.run {
                    run.measuring = true;
                }
            }
            ExecEvent::FirstToken { .. } => {
                if let Some(run) = self.run.as_mut().filter(|run| run.measuring) {
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
            // The run goes on with another cell.
            ExecEvent::FellBack { measured: false, .. } => {
                self.ended = self.ended.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn count(&mut self, agent: &str, call: u32, chunks: u64) {
        if let Some(run) = self.run.as_mut().filter(|run| run.measuring) {
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

    /// The current run's progress: `120 tok, 99.8 tok/s, about 3s left`, `pass 2 of 6: lines`.
    pub fn run_line(&self, now: Instant) -> String {
        let Some(run) = &self.run else { return String::new() };
        let tokens: u64 = run.chunks.values().sum();
        let mut line = match &run.pass {
            Some(pass) => pass.clone(),
            None if run.measuring => format!("{tokens} tok"),
            None => "warming up".to_owned(),
        };
        let passed = run.first.map_or(0.0, |first| (now - first).as_secs_f64());
        if passed > 0.2 {
            let _ = write!(line, ", {:.1} tok/s", tokens as f64 / passed);
        }
        if let Some(left) = self.run_left(now) {
            let _ = write!(line, ", about {} left", short(left));
        }
        line
    }
}
