//! Two bars: the session's runs, and the run that is being made.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::sentence::{instrument, sentence, short};
use super::tally::Tally;
use crate::execute::ExecEvent;
use crate::shown;

/// Between two redraws of a bar that hears nothing.
const TICK: Duration = Duration::from_millis(250);

/// Draws on standard error.
pub(super) struct Bars {
    tally: Tally,
    both: MultiProgress,
    overall: ProgressBar,
    current: ProgressBar,
}

impl Bars {
    pub fn new() -> Self {
        let both = MultiProgress::new();
        let overall = both.add(ProgressBar::new(0));
        let current = both.add(ProgressBar::new_spinner());
        overall.set_style(style("{bar:30} {pos}/{len} runs  {elapsed} passed{msg}"));
        current.set_style(style("{spinner} {prefix}  {wide_msg}"));
        Self { tally: Tally::default(), both, overall, current }
    }

    pub fn hear(&mut self, event: &ExecEvent) {
        let now = Instant::now();
        self.tally.hear(event, now);
        if let Some(line) = sentence(event, &self.tally) {
            let _ = self.both.println(line);
        }
        match event {
            ExecEvent::Started { todo, .. } if *todo > 0 => {
                self.overall.set_length(self.tally.todo as u64);
                self.overall.enable_steady_tick(TICK);
                self.current.enable_steady_tick(TICK);
            }
            ExecEvent::Calibrating { runtime, settings, .. } => {
                self.current.set_prefix("calibration");
                self.current.set_message(shown::line(&instrument(runtime, settings)).into_owned());
            }
            ExecEvent::Finished { .. } => {
                self.current.finish_and_clear();
                self.overall.finish_and_clear();
                return;
            }
            _ => {}
        }
        self.overall.set_position(self.tally.ended as u64);
        if let Some(left) = self.tally.left(now) {
            self.overall.set_message(format!(", about {} left", short(left)));
        }
        if let Some(run) = &self.tally.run {
            self.current.set_prefix(shown::line(&run.label).into_owned());
            self.current.set_message(shown::line(&self.tally.run_line(now)).into_owned());
        }
    }
}

/// Without colours, so that there is nothing for `NO_COLOR` to turn off.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
