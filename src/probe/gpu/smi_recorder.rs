//! Recording with `nvidia-smi`: one program that repeats itself (`-lms`), or, when that does not work
//! or ends, a program per look.
//!
//! `-lms` sleeps between looks, so its interval is the one asked for and what a look takes. The rows
//! carry the program's own time stamps, which tell when it looked; a pipe can only make lines late.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use wait4::Wait4 as _;

use super::smi::{Query, Rows, Smi};
use crate::os::{self, process};
use crate::probe::schedule::{self, Pace, Spread, intervals_ms};

/// Looks that may fail in a row before there is no point in going on.
const FAILURES: u32 = 3;
/// A program that says nothing for this long, or for ten intervals, hangs.
const SILENCE: Duration = Duration::from_secs(5);
/// How long to wait for the look that encloses what was measured.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// Lines that come later than this after their time stamps: the wall clock may have been set.
const LATE_NS: i128 = 10_000_000_000;

/// What a recorder hears.
#[derive(Debug)]
pub enum Message {
    Stop,
    /// With the time of its arrival.
    Line(u64, String),
    /// The program has closed its output. CPU time of the thread that read it.
    Ended(Option<u64>),
}

/// What was recorded.
#[derive(Debug, Default)]
pub struct Recorded {
    pub rows: Rows,
    pub source: String,
    pub pace: Pace,
    pub notes: Vec<String>,
    /// Why it ended before it was asked to.
    pub broken: Option<String>,
    /// Of the programs that were started and of the threads that read them, nanoseconds.
    pub cpu_ns: u64,
}

/// Records until it is told to stop. `ready` is told once there is a first row, or why there is none.
pub fn record(
    smi: &Smi,
    query: &Query,
    interval: Duration,
    messages: &Receiver<Message>,
    own: &Sender<Message>,
    ready: &Sender<Result<(), String>>,
) -> Recorded {
    let mut recorded = Recorded::default();
    let ended = repeat(smi, query, interval, messages, own, ready, &mut recorded);
    let Some(reason) = ended else {
        return Recorded { source: "nvidia-smi -lms".to_owned(), ..recorded };
    };
    let rows = recorded.rows.samples.len();
    recorded
        .notes
        .push(format!("`nvidia-smi -lms` ended after {rows} rows ({reason}); polled then"));
    poll(smi, query, interval, messages, ready, &mut recorded);
    Recorded { source: "nvidia-smi, one program per look".to_owned(), ..recorded }
}

/// The program that repeats itself; why it ended by itself, if it did.
fn repeat(
    smi: &Smi,
    query: &Query,
    interval: Duration,
    messages: &Receiver<Message>,
    own: &Sender<Message>,
    ready: &Sender<Result<(), String>>,
    recorded: &mut Recorded,
) -> Option<String> {
    let mut command = smi.command(&format!("timestamp,{}", query.fields()), &query.selection);
    command.args(["-lms", &interval.as_millis().max(1).to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    process::lead_group(&mut command);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Some(error.to_string()),
    };
    if let Some(stdout) = child.stdout.take() {
        let own = own.clone();
        thread::spawn(move || read(stdout, &own));
    }
    let mut stamps: Vec<Option<i128>> = Vec::new();
    let mut stopping: Option<Instant> = None;
    // GPUs that were told of, and those of them after all was over.
    let (mut told, mut enclosed) = (BTreeSet::new(), BTreeSet::new());
    let mut last_heard = Instant::now();
    let silence = SILENCE.max(interval * 10);
    let mut reason = None;
    loop {
        let wait = match stopping {
            Some(since) => (LAST_LOOK.max(interval * 3)).saturating_sub(since.elapsed()),
            None => silence.saturating_sub(last_heard.elapsed()),
        };
        match messages.recv_timeout(wait) {
            Ok(Message::Stop) => stopping = Some(Instant::now()),
            Ok(Message::Line(time_ns, line)) => {
                last_heard = Instant::now();
                let (stamp, row) = line.split_once(',').unwrap_or(("", &line));
                if recorded.rows.hear(query, row, time_ns) {
                    stamps.push(parse_stamp(stamp));
                    let _ = ready.send(Ok(()));
                    let gpu = recorded.rows.samples.last().map(|sample| sample.gpu);
                    told.extend(gpu);
                    if stopping.is_some() {
                        enclosed.extend(gpu);
                        if enclosed == told {
                            break;
                        }
                    }
                }
            }
            Ok(Message::Ended(cpu_ns)) => {
                recorded.cpu_ns += cpu_ns.unwrap_or(0);
                reason = Some("it closed its output".to_owned());
                break;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                if stopping.is_none() {
                    reason = Some(format!("it said nothing for {silence:?}"));
                }
                break;
            }
        }
    }
    // Not reaped yet, so the group is still its own.
    process::kill_group(child.id());
    if let Ok(ended) = child.wait4() {
        let cpu = ended.rusage.utime + ended.rusage.stime;
        recorded.cpu_ns += u64::try_from(cpu.as_nanos()).unwrap_or(0);
        if reason.as_deref() == Some("it closed its output") {
            let said = recorded.rows.first_garbage.as_ref().filter(|_| stamps.is_empty());
            let said = said.map_or_else(String::new, |said| format!(": {said}"));
            reason = Some(format!("{}{said}", ended.status));
        }
    }
    recorded.notes.extend(place(&mut recorded.rows, &stamps));
    let first = recorded.rows.samples.first().map(|sample| sample.gpu);
    let of_first = recorded.rows.samples.iter().filter(|sample| Some(sample.gpu) == first);
    let times: Vec<u64> = of_first.map(|sample| sample.time_ns).collect();
    recorded.pace = Pace {
        asked_ms: interval.as_secs_f64() * 1e3,
        ticks: times.len() as u64,
        missed: 0,
        interval_ms: Spread::of(intervals_ms(&times)),
        late_ms: None,
    };
    // Asked to stop while it was ending: nothing more is to be recorded.
    if stopping.is_some() { None } else { reason }
}

fn read(stdout: ChildStdout, own: &Sender<Message>) {
    let began_ns = os::thread_cpu_ns();
    for line in BufReader::new(stdout).split(b'\n') {
        let Ok(line) = line else { break };
        let time_ns = os::monotonic_ns();
        let line = String::from_utf8_lossy(&line).into_owned();
        if own.send(Message::Line(time_ns, line)).is_err() {
            return;
        }
    }
    let used_ns = os::thread_cpu_ns().zip(began_ns).map(|(now, began)| now.saturating_sub(began));
    let _ = own.send(Message::Ended(used_ns));
}

/// A program per look, on an absolute schedule.
fn poll(
    smi: &Smi,
    query: &Query,
    interval: Duration,
    messages: &Receiver<Message>,
    ready: &Sender<Result<(), String>>,
    recorded: &mut Recorded,
) {
    // What the program that was killed still said.
    let mut stopped = false;
    while let Ok(message) = messages.try_recv() {
        stopped |= matches!(message, Message::Stop);
    }
    if stopped {
        return;
    }
    let mut failures = 0;
    let before = recorded.rows.samples.len();
    let mut look = |_: u64| {
        match smi.ask(&query.fields(), &query.selection) {
            Ok(ran) => {
                recorded.cpu_ns += u64::try_from(ran.cpu.as_nanos()).unwrap_or(0);
                // When it looked lies between its start and its end; the end is what is known best.
                let time_ns = os::monotonic_ns();
                let mut heard = false;
                for line in ran.stdout.lines() {
                    heard |= recorded.rows.hear(query, line, time_ns);
                }
                failures = if heard { 0 } else { failures + 1 };
                if heard {
                    let _ = ready.send(Ok(()));
                } else {
                    recorded.broken = Some("nvidia-smi told of no GPU".to_owned());
                }
            }
            Err(reason) => {
                failures += 1;
                recorded.broken = Some(reason.0);
            }
        }
        failures < FAILURES
    };
    let kept = schedule::sample(interval, messages, |_| true, &mut look);
    if failures == 0 {
        recorded.broken = None;
    }
    // The figures are of the part that made most of the rows.
    if recorded.rows.samples.len() - before > before {
        recorded.pace = kept.pace();
    }
    if recorded.rows.samples.is_empty() {
        let reason = recorded.broken.clone().unwrap_or_default();
        let _ = ready.send(Err(reason));
    }
}

/// Nanoseconds of the program's own time stamp on a clock of its own (its wall clock).
fn parse_stamp(text: &str) -> Option<i128> {
    let time = jiff::civil::DateTime::strptime("%Y/%m/%d %H:%M:%S%.f", text.trim()).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(time.timestamp().as_nanosecond())
}

/// Moves rows from the times of their arrival to those of the program's stamps: the line that came
/// soonest after its stamp ties the two clocks. What the stamps cannot tell stays as it arrived, with
/// a note.
fn place(rows: &mut Rows, stamps: &[Option<i128>]) -> Option<String> {
    let by_arrival = |why: &str| Some(format!("times are those at which the lines arrived: {why}"));
    let stamps: Option<Vec<i128>> = stamps.iter().copied().collect();
    let Some(stamps) = stamps.filter(|stamps| !stamps.is_empty()) else {
        return by_arrival("the program gave none of its own");
    };
    let delays: Vec<i128> = rows
        .samples
        .iter()
        .zip(&stamps)
        .map(|(sample, stamp)| i128::from(sample.time_ns) - stamp)
        .collect();
    let (least, most) = (delays.iter().min()?, delays.iter().max()?);
    if !stamps.is_sorted() || most - least > LATE_NS {
        return by_arrival("the wall clock was set meanwhile");
    }
    for (sample, stamp) in rows.samples.iter_mut().zip(&stamps) {
        sample.time_ns = u64::try_from(stamp + least).unwrap_or(sample.time_ns);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::gpu::sample::GpuSample;

    const MS: u64 = 1_000_000;

    fn rows(times_ms: &[u64]) -> Rows {
        let samples = times_ms.iter().map(|time| GpuSample {
            time_ns: time * MS,
            power_w: Some(1.0),
            ..GpuSample::default()
        });
        Rows { samples: samples.collect(), ..Rows::default() }
    }

    fn stamps(texts: &[&str]) -> Vec<Option<i128>> {
        texts.iter().map(|text| parse_stamp(text)).collect()
    }

    fn times_ms(rows: &Rows) -> Vec<u64> {
        rows.samples.iter().map(|sample| sample.time_ns / MS).collect()
    }

    #[test]
    fn lines_that_a_pipe_held_back_get_their_own_times() {
        // Three lines came at once, the last of them at once after its stamp.
        let mut rows = rows(&[5000, 5000, 5000, 5103]);
        let stamps = stamps(&[
            "2025/11/27 23:59:59.900",
            "2025/11/28 00:00:00.000",
            "2025/11/28 00:00:00.100",
            "2025/11/28 00:00:00.200",
        ]);
        assert_eq!(place(&mut rows, &stamps), None);
        assert_eq!(times_ms(&rows), [4800, 4900, 5000, 5100]);
    }

    #[test]
    fn stamps_that_cannot_be_trusted_are_not_used() {
        let back = ["2025/11/27 17:00:00.100", "2025/11/27 16:00:00.200"];
        let forth = ["2025/11/27 17:00:00.100", "2025/11/27 17:01:00.200"];
        for texts in [back, forth, ["2025/11/27 17:00:00.100", "yesterday"]] {
            let mut rows = rows(&[1000, 1100]);
            let note = place(&mut rows, &stamps(&texts)).unwrap();
            assert!(note.contains("arrived"), "{note}");
            assert_eq!(times_ms(&rows), [1000, 1100]);
        }
    }
}
