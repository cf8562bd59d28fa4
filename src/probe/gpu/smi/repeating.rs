//! One program that looks again and again (`-lms`) until it is killed.
//!
//! It sleeps between looks, so its interval is the one asked for and what a look takes. Its rows carry
//! its own time stamps, which tell when it looked.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use formats::clock;
use wait4::Wait4 as _;

use super::placing::{parse_stamp, place};
use super::recorder::{Asking, Heard, Message};
use crate::os::{orphans, process};
use crate::probe::sampling::CpuTime;
use crate::probe::schedule::{Pace, Spread, intervals_ms};

/// A program that says nothing for this long, or for ten intervals, hangs.
const SILENCE: Duration = Duration::from_secs(5);
/// How long to wait for the look that encloses what was measured.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Records until it is asked to stop; why the program ended by itself, if it did.
pub(super) fn repeat(asking: &Asking, heard: &mut Heard) -> Option<String> {
    let mut child = match start(asking) {
        Ok(child) => child,
        Err(error) => return Some(error.to_string()),
    };
    if let Some(stdout) = child.stdout.take() {
        let own = asking.own.clone();
        thread::spawn(move || read(stdout, &own));
    }
    let mut stamps = Vec::new();
    let end = listen(asking, heard, &mut stamps);
    let reason = reap(child, end, heard, stamps.is_empty());
    heard.notes.extend(place(&mut heard.rows, &stamps));
    heard.pace = pace(asking, heard);
    reason
}

fn start(asking: &Asking) -> io::Result<Child> {
    let query = &asking.query;
    let mut command =
        asking.smi.command(&format!("timestamp,{}", query.fields()), &query.selection);
    command.args(["-lms", &asking.interval.as_millis().max(1).to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    process::lead_group(&mut command);
    orphans::start(&mut command)
}

fn read(stdout: ChildStdout, own: &Sender<Message>) {
    let cpu = CpuTime::start();
    for line in BufReader::new(stdout).split(b'\n') {
        let Ok(line) = line else { break };
        let time_ns = clock::monotonic_ns();
        let line = String::from_utf8_lossy(&line).into_owned();
        if own.send(Message::Line(time_ns, line)).is_err() {
            return;
        }
    }
    let _ = own.send(Message::Ended(cpu.used_ns()));
}

/// Why no more lines are listened to.
enum End {
    /// It was asked for, also if the program was ending then.
    Asked,
    Closed,
    Silent(Duration),
}

/// Takes lines, and the program's stamp of each that is a row.
fn listen(asking: &Asking, heard: &mut Heard, stamps: &mut Vec<Option<i128>>) -> End {
    let mut stopping: Option<Instant> = None;
    // GPUs that were told of, and those of them after all was over.
    let (mut told, mut enclosed) = (BTreeSet::new(), BTreeSet::new());
    let mut last_heard = Instant::now();
    let silence = SILENCE.max(asking.interval * 10);
    loop {
        let wait = match stopping {
            Some(since) => LAST_LOOK.max(asking.interval * 3).saturating_sub(since.elapsed()),
            None => silence.saturating_sub(last_heard.elapsed()),
        };
        match asking.messages.recv_timeout(wait) {
            Ok(Message::Stop) => stopping = Some(Instant::now()),
            Ok(Message::Line(time_ns, line)) => {
                last_heard = Instant::now();
                let (stamp, row) = line.split_once(',').unwrap_or(("", &line));
                if !heard.rows.hear(&asking.query, row, time_ns) {
                    continue;
                }
                stamps.push(parse_stamp(stamp));
                // Only the first is waited for.
                let _ = asking.ready.send(Ok(()));
                let gpu = heard.rows.samples.last().map(|sample| sample.gpu);
                told.extend(gpu);
                if stopping.is_some() {
                    enclosed.extend(gpu);
                    if enclosed == told {
                        return End::Asked;
                    }
                }
            }
            Ok(Message::Ended(cpu_ns)) => {
                heard.cpu_ns += cpu_ns.unwrap_or(0);
                return if stopping.is_some() { End::Asked } else { End::Closed };
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return if stopping.is_some() { End::Asked } else { End::Silent(silence) };
            }
        }
    }
}

/// Ends the program; why it ended by itself, in its own words if it said nothing else.
fn reap(child: Child, end: End, heard: &mut Heard, no_row: bool) -> Option<String> {
    // Not reaped yet, so the group is still its own.
    process::kill_group(child.id());
    let ended = child.wait4().ok();
    if let Some(ended) = &ended {
        let cpu = ended.rusage.utime + ended.rusage.stime;
        heard.cpu_ns += u64::try_from(cpu.as_nanos()).unwrap_or(0);
    }
    match (end, ended) {
        (End::Asked, _) => None,
        (End::Silent(silence), _) => Some(format!("it said nothing for {silence:?}")),
        (End::Closed, None) => Some("it closed its output".to_owned()),
        (End::Closed, Some(ended)) => {
            let said = heard.rows.first_garbage.as_ref().filter(|_| no_row);
            let said = said.map_or_else(String::new, |said| format!(": {said}"));
            Some(format!("{}{said}", ended.status))
        }
    }
}

/// By the rows of the first GPU; the program keeps its own time.
fn pace(asking: &Asking, heard: &Heard) -> Pace {
    let samples = &heard.rows.samples;
    let first = samples.first().map(|sample| sample.gpu);
    let of_first = samples.iter().filter(|sample| Some(sample.gpu) == first);
    let times: Vec<u64> = of_first.map(|sample| sample.time_ns).collect();
    Pace {
        asked_ms: asking.interval.as_secs_f64() * 1e3,
        ticks: times.len() as u64,
        missed: 0,
        interval_ms: Spread::of(intervals_ms(&times)),
        late_ms: None,
    }
}
