//! The Python runtime: its program, which ships inside this one, and where it runs.
//!
//! The program is plain Python under `program/`; here is only what starts it. [`interpreter`] finds
//! out which Python there is, [`environment`] gives it what it stands on. What it measures is its own
//! business, through the protocol.

mod environment;
mod interpreter;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

pub use self::interpreter::Interpreter;

/// The oldest Python that the program runs on.
pub const OLDEST: (u32, u32) = (3, 10);

/// Files of the program that makes calls, by their paths.
const PROGRAM: [(&str, &str); 24] = [
    ("__main__.py", include_str!("program/__main__.py")),
    ("runner_agent/__init__.py", include_str!("program/runner_agent/__init__.py")),
    ("runner_agent/artifacts.py", include_str!("program/runner_agent/artifacts.py")),
    ("runner_agent/call.py", include_str!("program/runner_agent/call.py")),
    ("runner_agent/client.py", include_str!("program/runner_agent/client.py")),
    ("runner_agent/decoding.py", include_str!("program/runner_agent/decoding.py")),
    ("runner_agent/events.py", include_str!("program/runner_agent/events.py")),
    ("runner_agent/loop.py", include_str!("program/runner_agent/loop.py")),
    ("runner_agent/main.py", include_str!("program/runner_agent/main.py")),
    ("runner_agent/ollama.py", include_str!("program/runner_agent/ollama.py")),
    ("runner_agent/openai.py", include_str!("program/runner_agent/openai.py")),
    ("runner_agent/parent.py", include_str!("program/runner_agent/parent.py")),
    ("runner_agent/pieces.py", include_str!("program/runner_agent/pieces.py")),
    ("runner_agent/probes.py", include_str!("program/runner_agent/probes.py")),
    ("runner_agent/processes.py", include_str!("program/runner_agent/processes.py")),
    ("runner_agent/request.py", include_str!("program/runner_agent/request.py")),
    ("runner_agent/scan.py", include_str!("program/runner_agent/scan.py")),
    ("runner_agent/socket_stream.py", include_str!("program/runner_agent/socket_stream.py")),
    ("runner_agent/spec.py", include_str!("program/runner_agent/spec.py")),
    ("runner_agent/stream.py", include_str!("program/runner_agent/stream.py")),
    ("runner_agent/summary.py", include_str!("program/runner_agent/summary.py")),
    ("runner_agent/taker.py", include_str!("program/runner_agent/taker.py")),
    ("runner_agent/throttle.py", include_str!("program/runner_agent/throttle.py")),
    ("runner_agent/workflow.py", include_str!("program/runner_agent/workflow.py")),
];

/// Its packages with their digests, for pip.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// Files of the program that does tokenizer work. It is one of its own, as its packages are: neither
/// changes what is known of runs of the other.
const TOKENIZE_PROGRAM: [(&str, &str); 7] = [
    ("__main__.py", include_str!("tokenize/__main__.py")),
    ("runner_tokenize/__init__.py", include_str!("tokenize/runner_tokenize/__init__.py")),
    ("runner_tokenize/artifacts.py", include_str!("tokenize/runner_tokenize/artifacts.py")),
    ("runner_tokenize/main.py", include_str!("tokenize/runner_tokenize/main.py")),
    ("runner_tokenize/parent.py", include_str!("program/runner_agent/parent.py")),
    ("runner_tokenize/spec.py", include_str!("tokenize/runner_tokenize/spec.py")),
    ("runner_tokenize/work.py", include_str!("tokenize/runner_tokenize/work.py")),
];

const TOKENIZE_REQUIREMENTS: &str = include_str!("tokenize/requirements.txt");

/// Which Python to use and where to keep what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// A path, or a name on the search path.
    pub interpreter: PathBuf,
    /// Folder of the virtual environments; `None`: the environment names no place for caches.
    pub cache: Option<PathBuf>,
    /// Content of the requirements file.
    pub requirements: String,
    pub program: Program,
}

/// Which of the programs is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// Makes calls.
    Calls,
    /// Encodes text.
    Tokenize,
}

impl Program {
    /// Files by their paths.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Program::Calls => &PROGRAM,
            Program::Tokenize => &TOKENIZE_PROGRAM,
        }
    }

    fn digest(self) -> String {
        let mut hash = Sha256::new();
        for (path, text) in self.files() {
            // A checkout on Windows may have other line ends.
            let text = text.replace("\r\n", "\n");
            hash.update(format!("{path}\0{}\0{text}", text.len()));
        }
        crate::digest::hex(&hash.finalize())
    }

    /// What its packages weigh, for people who wait.
    fn download(self) -> &'static str {
        match self {
            Program::Calls => "10 MB",
            Program::Tokenize => "3 MB",
        }
    }
}

/// Why the Python runtime cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    #[error(
        "there is no Python: `{}` cannot be started ({source}); install Python {} or newer, or name \
         one by RUNNER_PYTHON",
        interpreter.display(), oldest()
    )]
    Missing { interpreter: PathBuf, source: io::Error },
    #[error(
        "`{}` does not say which Python it is: {said}; name another one by RUNNER_PYTHON",
        interpreter.display()
    )]
    Unusable { interpreter: PathBuf, said: String },
    #[error(
        "`{}` is Python {version}, {} or newer is needed; name one by RUNNER_PYTHON",
        interpreter.display(), oldest()
    )]
    TooOld { interpreter: PathBuf, version: String },
    #[error(
        "there is no place for Python's virtual environment: set RUNNER_CACHE, XDG_CACHE_HOME or HOME"
    )]
    NoCache,
    #[error(
        "`{}` cannot make a virtual environment: {said}; on Debian and Ubuntu: apt-get install \
         python3-venv",
        interpreter.display()
    )]
    Venv { interpreter: PathBuf, said: String },
    #[error("the packages of the Python runtime cannot be installed: {reason}; pip said: {said}{}", kept(.log))]
    Install {
        reason: &'static str,
        /// Its last error.
        said: String,
        /// Everything it said.
        log: PathBuf,
    },
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

fn oldest() -> String {
    format!("{}.{}", OLDEST.0, OLDEST.1)
}

fn kept(log: &Path) -> String {
    format!(" (all of it: {})", log.display())
}

impl PythonError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// The program in its environment, ready to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonRuntime {
    /// The virtual environment's interpreter.
    pub python: PathBuf,
    /// Folder of the program.
    pub program: PathBuf,
}

impl PythonRuntime {
    /// A new process of the runtime, not yet started. Neither the user's own packages nor variables
    /// such as `PYTHONPATH` reach it.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.arg("-I").arg(&self.program);
        command
    }
}

impl Setup {
    /// As the environment says: `RUNNER_PYTHON` names the interpreter, otherwise `python3` on the
    /// search path; `RUNNER_CACHE` the folder, otherwise `runner` in the user's folder for caches.
    #[must_use]
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let folder =
            |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // Untested on Windows.
        let usual = if cfg!(windows) { "python" } else { "python3" };
        let caches = folder("XDG_CACHE_HOME")
            .or_else(|| folder("LOCALAPPDATA").filter(|_| cfg!(windows)))
            .or_else(|| folder("HOME").map(|home| home.join(".cache")));
        Self {
            interpreter: folder("RUNNER_PYTHON").unwrap_or_else(|| usual.into()),
            cache: folder("RUNNER_CACHE").or_else(|| caches.map(|caches| caches.join("runner"))),
            requirements: REQUIREMENTS.to_owned(),
            program: Program::Calls,
        }
    }

    /// The same Python and cache for tokenizer work.
    #[must_use]
    pub fn for_tokenizers(&self) -> Self {
        Self {
            requirements: TOKENIZE_REQUIREMENTS.to_owned(),
            program: Program::Tokenize,
            ..self.clone()
        }
    }

    /// Asks the interpreter what it is. Makes nothing.
    pub fn interpreter(&self) -> Result<Interpreter, PythonError> {
        Interpreter::ask(&self.interpreter)
    }

    /// Digest of the code that would measure: the program, its packages and the interpreter.
    pub fn digest(&self) -> Result<String, PythonError> {
        let mut hash = Sha256::new();
        hash.update(self.program.digest());
        hash.update(&self.requirements);
        hash.update(self.interpreter()?.identity());
        Ok(crate::digest::hex(&hash.finalize()))
    }

    /// Makes the environment where it is missing, telling `say` about it; quick when nothing is.
    pub fn prepare(&self, say: &mut dyn FnMut(String)) -> Result<PythonRuntime, PythonError> {
        environment::prepare(self, say)
    }
}
