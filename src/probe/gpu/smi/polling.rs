//! A program per look, on an absolute schedule.

use formats::clock;

use super::recorder::{Asking, Heard, Message};
use crate::probe::schedule;

/// Looks that may fail in a row before there is no point in going on.
const FAILURES: u32 = 3;

/// Records until it is asked to stop, or until looks fail.
pub(super) fn poll(asking: &Asking, heard: &mut Heard) {
    // What a program that was killed still said.
    let mut stopped = false;
    while let Ok(message) = asking.messages.try_recv() {
        stopped |= matches!(message, Message::Stop);
    }
    if stopped {
        return;
    }
    let mut failures = 0;
    let before = heard.rows.samples.len();
    let mut tick = |_: u64| {
        heard.broken = look(asking, heard).err();
        match heard.broken {
            None => {
                failures = 0;
                // Only the first is waited for.
                let _ = asking.ready.send(Ok(()));
            }
            Some(_) => failures += 1,
        }
        failures < FAILURES
    };
    let kept = schedule::sample(asking.interval, &asking.messages, |_| true, &mut tick);
    // The figures are of the part that made most of the rows.
    if heard.rows.samples.len() - before > before {
        heard.pace = kept.pace();
    }
    if heard.rows.samples.is_empty() {
        let _ = asking.ready.send(Err(heard.broken.clone().unwrap_or_default()));
    }
}

fn look(asking: &Asking, heard: &mut Heard) -> Result<(), String> {
    let query = &asking.query;
    let ran = asking.smi.ask(&query.fields(), &query.selection).map_err(|reason| reason.0)?;
    heard.cpu_ns += u64::try_from(ran.cpu.as_nanos()).unwrap_or(0);
    // When it looked lies between its start and its end; the end is what is known best.
    let time_ns = clock::monotonic_ns();
    let mut told = false;
    for line in ran.stdout.lines() {
        told |= heard.rows.hear(query, line, time_ns);
    }
    if told { Ok(()) } else { Err("nvidia-smi told of no GPU".to_owned()) }
}
