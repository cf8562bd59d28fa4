//! Recording with `nvidia-smi`: one program that repeats itself, or, when that does not work or ends, a
//! program per look.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use formats::clock;

use super::query::Query;
use super::rows::Rows;
use super::{Smi, polling, repeating};
use crate::probe::gpu::recording::Recorded;
use crate::probe::gpu::{Device, FIRST_LOOK, Selection};
use crate::probe::sampling::{CpuTime, Unavailable};
use crate::probe::schedule::Pace;

/// What the recording thread hears.
#[derive(Debug)]
pub(super) enum Message {
    Stop,
    /// With the time of its arrival.
    Line(u64, String),
    /// The program has closed its output. CPU time of the thread that read it.
    Ended(Option<u64>),
}

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub rows: Rows,
    pub source: &'static str,
    pub pace: Pace,
    pub notes: Vec<String>,
    /// Why it ended before it was asked to.
    pub broken: Option<String>,
    /// Of the programs that were started and of the threads that read them, nanoseconds.
    pub cpu_ns: u64,
}

/// What is asked, how often, and who waits for the first answer.
pub(super) struct Asking {
    pub smi: Smi,
    pub query: Query,
    pub interval: Duration,
    pub messages: Receiver<Message>,
    /// For the thread that reads a program's lines.
    pub own: Sender<Message>,
    /// Is told once there is a first row, or why there is none.
    pub ready: Sender<Result<(), String>>,
}

impl Asking {
    fn record(&self) -> Heard {
        let mut heard = Heard { source: "nvidia-smi -lms", ..Heard::default() };
        if let Some(reason) = repeating::repeat(self, &mut heard) {
            let rows = heard.rows.samples.len();
            let note = format!("`nvidia-smi -lms` ended after {rows} rows ({reason}); polled then");
            heard.notes.push(note);
            heard.source = "nvidia-smi, one program per look";
            polling::poll(self, &mut heard);
        }
        heard
    }
}

/// A recording that is going on.
#[derive(Debug)]
pub struct Recorder {
    watched: Vec<Device>,
    query: Query,
    messages: Sender<Message>,
    /// With the thread's own CPU time.
    thread: JoinHandle<(Heard, Option<u64>)>,
}

impl Recorder {
    /// Returns after the first look.
    pub fn start(
        smi: &Smi,
        selection: &Selection,
        interval: Duration,
    ) -> Result<Self, Unavailable> {
        let query = smi.query(selection)?;
        let mut watched = smi.devices()?;
        if !selection.devices.is_empty() {
            watched.retain(|device| selection.devices.iter().any(|name| device.is(name)));
        }
        let (messages, heard) = channel();
        let (ready, first) = channel();
        let asking = Asking {
            smi: smi.clone(),
            query: query.clone(),
            interval,
            messages: heard,
            own: messages.clone(),
            ready,
        };
        let thread = thread::spawn(move || {
            clock::wake_on_time();
            let cpu = CpuTime::start();
            (asking.record(), cpu.used_ns())
        });
        let failed = match first.recv_timeout(FIRST_LOOK) {
            Ok(Ok(())) => return Ok(Self { watched, query, messages, thread }),
            Ok(Err(reason)) => Unavailable(reason),
            Err(_) => smi.unavailable(&format!("no row within {FIRST_LOOK:?}")),
        };
        // One that has ended need not be told.
        let _ = messages.send(Message::Stop);
        Err(failed)
    }

    /// Looks a last time and ends.
    pub fn finish(self) -> Recorded {
        let _ = self.messages.send(Message::Stop);
        let Ok((heard, own_ns)) = self.thread.join() else {
            return Recorded::nothing(self.watched);
        };
        let rows = heard.rows;
        let mut notes = heard.notes;
        if let Some(first) = &rows.first_garbage {
            notes.push(format!("{} lines were no rows, the first `{first}`", rows.garbage));
        }
        let averaged = self.watched.iter().filter(|_| self.query.averages_power());
        let averaged_power = averaged.map(|device| device.index).collect();
        let mut not_offered = self.query.refused;
        not_offered.insert("processes".to_owned(), "nvidia-smi is not asked for them".to_owned());
        Recorded {
            source: heard.source.to_owned(),
            watched: self.watched,
            samples: rows.samples,
            processes: Vec::new(),
            pace: heard.pace,
            unknown: rows.unknown,
            not_offered,
            silent: rows.silent,
            notes,
            averaged_power,
            cpu_ns: own_ns.map(|own_ns| own_ns + heard.cpu_ns),
            broken: heard.broken,
        }
    }
}
