//! The program under check as a process with a deadline.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::ConformanceError;
use crate::agent::protocol::{AgentRecord, Event, RECORD_FILE, Spec};

/// No case takes longer than a few seconds; a program that does hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at whether the program has ended.
const LOOK: Duration = Duration::from_millis(5);
/// Between the two halves of a spec.
const PAUSE: Duration = Duration::from_millis(200);

/// What the program said and left.
#[derive(Debug)]
pub(super) struct Finished {
    /// `None`: it had to be killed, or a signal ended it.
    pub(super) code: Option<i32>,
    /// Lines of standard output that are no events.
    pub(super) strange: Vec<String>,
    pub(super) events: Vec<Event>,
    /// It said something before its spec had ended.
    pub(super) early: bool,
    /// The record, or why there is none.
    pub(super) record: Result<AgentRecord, String>,
    pub(super) folder: Folder,
}

/// A temporary folder that goes away with its owner.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self, ConformanceError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("runner-conformance-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        match fs::create_dir(&path) {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(ConformanceError::Folder { path, source }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays in the temporary directory harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the program on a spec, which it gets in two halves.
pub(super) fn run(command: &[String], mut spec: Spec) -> Result<Finished, ConformanceError> {
    let folder = Folder::new()?;
    folder.path().clone_into(&mut spec.artifacts);
    let (program, arguments) = command.split_first().ok_or(ConformanceError::NoCommand)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| ConformanceError::Start { program: program.clone(), source })?;
    let output = collect(&mut child);
    let early = feed(&mut child, &spec, output.as_ref());
    let code = wait(&mut child).map_err(ConformanceError::Pipe)?;
    let output = output.and_then(|thread| thread.join().ok()).unwrap_or_default();
    let (mut events, mut strange) = (Vec::new(), Vec::new());
    for line in String::from_utf8_lossy(&output).lines() {
        match serde_json::from_str(line) {
            Ok(event) => events.push(event),
            Err(error) => strange.push(format!("{line:?} ({error})")),
        }
    }
    let record = fs::read(folder.path().join(RECORD_FILE))
        .map_err(|error| error.to_string())
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
    Ok(Finished { code, strange, events, early, record, folder })
}

/// Reads standard output beside everything else, so that the program never waits for it.
fn collect(child: &mut Child) -> Option<JoinHandle<Vec<u8>>> {
    let mut stdout = child.stdout.take()?;
    Some(thread::spawn(move || {
        let mut output = Vec::new();
        // What was read before an error is still worth looking at.
        let _ = stdout.read_to_end(&mut output);
        output
    }))
}

/// Writes the spec over several lines in two halves; says whether the program ended between them.
fn feed(child: &mut Child, spec: &Spec, output: Option<&JoinHandle<Vec<u8>>>) -> bool {
    let text = serde_json::to_string_pretty(spec).unwrap_or_default();
    let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let Some(mut stdin) = child.stdin.take() else { return false };
    // A program that ends early closes its end; its exit code and events tell the rest.
    let _ = stdin.write_all(first.as_bytes());
    let _ = stdin.flush();
    thread::sleep(PAUSE);
    let early = output.is_some_and(JoinHandle::is_finished);
    let _ = stdin.write_all(second.as_bytes());
    early
}

/// Waits for the program's end; kills it when it takes too long.
fn wait(child: &mut Child) -> io::Result<Option<i32>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}
