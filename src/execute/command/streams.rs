//! What a command prints, kept as files up to a limit. Everything is read, so that a full pipe never
//! holds the command, but a flood does not fill the disk.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::shown;
use crate::store::record::StreamRecord;

/// Bytes of the end that are held for messages.
const TAIL: usize = 8 * 1024;

/// One stream on its way into its file.
#[derive(Debug)]
pub struct Kept {
    state: Arc<Mutex<State>>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    /// `None` when nothing may be written any more.
    file: Option<File>,
    limit: u64,
    record: StreamRecord,
    tail: Vec<u8>,
    error: Option<io::Error>,
}

impl Kept {
    /// Reads the stream to its end, keeping the first `limit` bytes in the file.
    pub fn start(stream: Option<impl Read + Send + 'static>, file: File, limit: u64) -> Self {
        let state = Arc::new(Mutex::new(State {
            file: Some(file),
            limit,
            record: StreamRecord::default(),
            tail: Vec::new(),
            error: None,
        }));
        let shared = Arc::clone(&state);
        let reader = stream.map(|stream| thread::spawn(move || read(stream, &shared)));
        Self { state, reader }
    }

    /// Waits for the end of the stream, `patience` at most: something that the command started and
    /// that left its group may hold it open. Nothing is written afterwards.
    pub fn finish(self, patience: Duration) -> Finished {
        let deadline = Instant::now() + patience;
        while self.reader.as_ref().is_some_and(|reader| !reader.is_finished())
            && Instant::now() < deadline
        {
            thread::sleep(Duration::from_millis(1));
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.file = None;
        Finished {
            record: state.record.clone(),
            tail: String::from_utf8_lossy(&state.tail).into_owned(),
            error: state.error.take(),
        }
    }
}

/// A stream whose file is complete.
#[derive(Debug)]
pub struct Finished {
    pub record: StreamRecord,
    /// Its last bytes.
    pub tail: String,
    /// What could not be written.
    pub error: Option<io::Error>,
}

impl Finished {
    /// The last lines in one, fit for a message; `None`: nothing was said.
    pub fn last_lines(&self) -> Option<String> {
        const LINES: usize = 5;
        const LONGEST: usize = 200;
        let lines: Vec<&str> =
            self.tail.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
        let last: Vec<String> = lines[lines.len().saturating_sub(LINES)..]
            .iter()
            .map(|line| shown::excerpt(line, LONGEST))
            .collect();
        (!last.is_empty()).then(|| last.join(" | "))
    }
}

fn read(mut stream: impl Read, shared: &Mutex<State>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
        state.take(&buffer[..read]);
    }
}

impl State {
    fn take(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        self.record.bytes += bytes.len() as u64;
        let room = usize::try_from(self.limit - self.record.kept).unwrap_or(usize::MAX);
        let kept = &bytes[..bytes.len().min(room)];
        if self.error.is_none() {
            match file.write_all(kept) {
                Ok(()) => self.record.kept += kept.len() as u64,
                Err(error) => self.error = Some(error),
            }
        }
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL)..]);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
    }
}
