//! The program under check as a process with a deadline.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use formats::protocol::{AgentRecord, Event, RECORD_FILE, Spec};

use super::ConformanceError;

/// No case takes longer than a few seconds; a program that does hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at whether the program has ended.
const LOOK: Duration = Duration::from_millis(5);
/// Between the two halves of a spec.
const PAUSE: Duration = Duration::from_millis(100);

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

impl Finished {
    /// Why it refused to start, if it did.
    pub(super) fn refusal(&self) -> Option<&str> {
        let message = self.events.iter().find_map(|event| match event {
            Event::Error { message } => Some(message.as_str()),
            _ => None,
        });
        message.filter(|_| self.code != Some(0))
    }
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
    let stdout = child.stdout.take();
    let listener = stdout.map(Listener::start).ok_or(ConformanceError::NoOutput)?;
    let early = feed(&mut child, &spec, &listener.spoken);
    let code = wait(&mut child).map_err(ConformanceError::Wait)?;
    let output = listener.thread.join().unwrap_or_default();
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

/// Standard output, read beside everything else, so that the program never waits for its reader.
struct Listener {
    /// Something was said.
    spoken: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u8>>,
}

impl Listener {
    fn start(mut stdout: impl Read + Send + 'static) -> Self {
        let spoken = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&spoken);
        let thread = thread::spawn(move || {
            let (mut output, mut piece) = (Vec::new(), [0; 4096]);
            // What was read before an error is still worth looking at.
            while let Ok(bytes @ 1..) = stdout.read(&mut piece) {
                output.extend_from_slice(&piece[..bytes]);
                heard.store(true, Ordering::Relaxed);
            }
            output
        });
        Self { spoken, thread }
    }
}

/// Writes the spec over several lines in two halves; says whether the program spoke between them.
fn feed(child: &mut Child, spec: &Spec, spoken: &AtomicBool) -> bool {
    let text = serde_json::to_string_pretty(spec).unwrap_or_default();
    let (first, second) = text.as_bytes().split_at(text.len() / 2);
    let Some(mut stdin) = child.stdin.take() else { return false };
    // A program that ends early closes its end; its exit code and events tell the rest.
    let _ = stdin.write_all(first);
    let _ = stdin.flush();
    thread::sleep(PAUSE);
    let early = spoken.load(Ordering::Relaxed);
    let _ = stdin.write_all(second);
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
