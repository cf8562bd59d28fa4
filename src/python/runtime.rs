//! The Python runtime: its program, which ships inside this one, and where it runs.
//!
//! The program is plain Python under `runtimes/`; here is only what puts it into the environment that
//! [`super`] makes, and starts it. What it measures is its own business, through the protocol.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::{Environment, Interpreter, Packages, Python, PythonError};

/// Digits of a digest in a folder's name.
const DIGITS: usize = 12;

/// Files of the program that makes calls, by their paths.
const PROGRAM: [(&str, &str); 38] = [
    ("__main__.py", include_str!("../../runtimes/python/__main__.py")),
    ("runner_agent/__init__.py", include_str!("../../runtimes/python/runner_agent/__init__.py")),
    ("runner_agent/artifacts.py", include_str!("../../runtimes/python/runner_agent/artifacts.py")),
    ("runner_agent/call.py", include_str!("../../runtimes/python/runner_agent/call.py")),
    ("runner_agent/client.py", include_str!("../../runtimes/python/runner_agent/client.py")),
    (
        "runner_agent/descriptors.py",
        include_str!("../../runtimes/python/runner_agent/descriptors.py"),
    ),
    ("runner_agent/dose.py", include_str!("../../runtimes/python/runner_agent/dose.py")),
    ("runner_agent/events.py", include_str!("../../runtimes/python/runner_agent/events.py")),
    ("runner_agent/fields.py", include_str!("../../runtimes/python/runner_agent/fields.py")),
    ("runner_agent/headers.py", include_str!("../../runtimes/python/runner_agent/headers.py")),
    ("runner_agent/loop.py", include_str!("../../runtimes/python/runner_agent/loop.py")),
    ("runner_agent/main.py", include_str!("../../runtimes/python/runner_agent/main.py")),
    ("runner_agent/outcome.py", include_str!("../../runtimes/python/runner_agent/outcome.py")),
    ("runner_agent/parent.py", include_str!("../../runtimes/python/runner_agent/parent.py")),
    ("runner_agent/pieces.py", include_str!("../../runtimes/python/runner_agent/pieces.py")),
    ("runner_agent/probes.py", include_str!("../../runtimes/python/runner_agent/probes.py")),
    ("runner_agent/processes.py", include_str!("../../runtimes/python/runner_agent/processes.py")),
    ("runner_agent/scan.py", include_str!("../../runtimes/python/runner_agent/scan.py")),
    ("runner_agent/secrets.py", include_str!("../../runtimes/python/runner_agent/secrets.py")),
    (
        "runner_agent/socket_stream.py",
        include_str!("../../runtimes/python/runner_agent/socket_stream.py"),
    ),
    ("runner_agent/spec.py", include_str!("../../runtimes/python/runner_agent/spec.py")),
    ("runner_agent/stream.py", include_str!("../../runtimes/python/runner_agent/stream.py")),
    ("runner_agent/summary.py", include_str!("../../runtimes/python/runner_agent/summary.py")),
    ("runner_agent/taker.py", include_str!("../../runtimes/python/runner_agent/taker.py")),
    ("runner_agent/target.py", include_str!("../../runtimes/python/runner_agent/target.py")),
    ("runner_agent/throttle.py", include_str!("../../runtimes/python/runner_agent/throttle.py")),
    ("runner_agent/warmup.py", include_str!("../../runtimes/python/runner_agent/warmup.py")),
    (
        "runner_agent/wire/__init__.py",
        include_str!("../../runtimes/python/runner_agent/wire/__init__.py"),
    ),
    (
        "runner_agent/wire/anthropic.py",
        include_str!("../../runtimes/python/runner_agent/wire/anthropic.py"),
    ),
    ("runner_agent/wire/body.py", include_str!("../../runtimes/python/runner_agent/wire/body.py")),
    (
        "runner_agent/wire/decoding.py",
        include_str!("../../runtimes/python/runner_agent/wire/decoding.py"),
    ),
    (
        "runner_agent/wire/errors.py",
        include_str!("../../runtimes/python/runner_agent/wire/errors.py"),
    ),
    (
        "runner_agent/wire/ollama.py",
        include_str!("../../runtimes/python/runner_agent/wire/ollama.py"),
    ),
    (
        "runner_agent/wire/openai.py",
        include_str!("../../runtimes/python/runner_agent/wire/openai.py"),
    ),
    (
        "runner_agent/wire/payload.py",
        include_str!("../../runtimes/python/runner_agent/wire/payload.py"),
    ),
    (
        "runner_agent/wire/refusal.py",
        include_str!("../../runtimes/python/runner_agent/wire/refusal.py"),
    ),
    ("runner_agent/wire/sse.py", include_str!("../../runtimes/python/runner_agent/wire/sse.py")),
    ("runner_agent/workflow.py", include_str!("../../runtimes/python/runner_agent/workflow.py")),
];

/// Its packages with their digests, for pip.
const REQUIREMENTS: &str = include_str!("../../runtimes/python/requirements.txt");

/// Files of the program that does tokenizer work. It is one of its own, as its packages are: neither
/// changes what is known of runs of the other.
const TOKENIZE_PROGRAM: [(&str, &str); 7] = [
    ("__main__.py", include_str!("../../runtimes/python-tokenize/__main__.py")),
    (
        "runner_tokenize/__init__.py",
        include_str!("../../runtimes/python-tokenize/runner_tokenize/__init__.py"),
    ),
    (
        "runner_tokenize/artifacts.py",
        include_str!("../../runtimes/python-tokenize/runner_tokenize/artifacts.py"),
    ),
    (
        "runner_tokenize/main.py",
        include_str!("../../runtimes/python-tokenize/runner_tokenize/main.py"),
    ),
    ("runner_tokenize/parent.py", include_str!("../../runtimes/python/runner_agent/parent.py")),
    (
        "runner_tokenize/spec.py",
        include_str!("../../runtimes/python-tokenize/runner_tokenize/spec.py"),
    ),
    (
        "runner_tokenize/work.py",
        include_str!("../../runtimes/python-tokenize/runner_tokenize/work.py"),
    ),
];

const TOKENIZE_REQUIREMENTS: &str = include_str!("../../runtimes/python-tokenize/requirements.txt");

/// What one of the programs stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    pub python: Python,
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
    pub(super) fn files(self) -> &'static [(&'static str, &'static str)] {
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
        formats::digest::hex(&hash.finalize())
    }

    /// What its packages weigh, for people who wait.
    fn download(self) -> &'static str {
        match self {
            Program::Calls => "10 MB",
            Program::Tokenize => "3 MB",
        }
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

/// What the runtime would stand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub interpreter: Interpreter,
    /// Of the virtual environment.
    pub folder: PathBuf,
    /// The environment is there, with the program in it.
    pub ready: bool,
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

    fn of(program: Program, environment: &Environment) -> Self {
        let folder = format!("program-{}", program.digest().get(..DIGITS).unwrap_or_default());
        Self { python: environment.python.clone(), program: environment.folder.join(folder) }
    }

    /// Writes the program and compiles it, so that the first start is as quick as every other.
    fn write(&self, program: Program) -> Result<(), PythonError> {
        let partial = self.program.with_extension("partial");
        match fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PythonError::io("remove", &partial)(error));
            }
            _ => {}
        }
        for (path, text) in program.files() {
            let path = partial.join(path);
            let folder = path.parent().unwrap_or(&partial);
            fs::create_dir_all(folder).map_err(PythonError::io("make", folder))?;
            fs::write(&path, text).map_err(PythonError::io("write", &path))?;
        }
        let mut compile = Command::new(&self.python);
        compile.args(["-I", "-m", "compileall", "-q"]).arg(&partial).stdin(Stdio::null());
        let output = compile.output().map_err(PythonError::io("start", &self.python))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout);
            let said = said.lines().last().unwrap_or("nothing").to_owned();
            return Err(PythonError::Unusable { interpreter: self.python.clone(), said });
        }
        fs::rename(&partial, &self.program).map_err(PythonError::io("make", &self.program))
    }
}

impl Setup {
    /// As the environment says: see [`Python::from_environment`].
    #[must_use]
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        Self {
            python: Python::from_environment(variable),
            requirements: REQUIREMENTS.to_owned(),
            program: Program::Calls,
        }
    }

    /// The same Python for tokenizer work.
    #[must_use]
    pub fn for_tokenizers(&self) -> Self {
        Self {
            python: self.python.clone(),
            requirements: TOKENIZE_REQUIREMENTS.to_owned(),
            program: Program::Tokenize,
        }
    }

    /// The same Python for this program.
    #[must_use]
    pub fn with(&self, program: Program) -> Self {
        match program {
            Program::Calls => self.clone(),
            Program::Tokenize => self.for_tokenizers(),
        }
    }

    fn packages(&self) -> Packages<'_> {
        Packages {
            purpose: "the Python runtime",
            requirements: &self.requirements,
            download: self.program.download(),
        }
    }

    /// Digest of the code that would measure: the program, its packages and the interpreter.
    pub fn digest(&self) -> Result<String, PythonError> {
        let mut hash = Sha256::new();
        hash.update(self.program.digest());
        hash.update(&self.requirements);
        hash.update(self.python.interpreter()?.identity());
        Ok(formats::digest::hex(&hash.finalize()))
    }

    /// Looks what there is and whether the environment can be made; makes nothing.
    pub fn look(&self) -> Result<Found, PythonError> {
        let found = self.python.look(&self.packages())?;
        let runtime = PythonRuntime::of(self.program, &found.environment);
        Ok(Found {
            interpreter: found.interpreter,
            folder: found.environment.folder,
            ready: found.ready && runtime.program.exists(),
        })
    }

    /// Makes what is missing, telling `say` about it; quick when nothing is.
    pub fn prepare(&self, say: &mut dyn FnMut(String)) -> Result<PythonRuntime, PythonError> {
        let environment = self.python.prepare(&self.packages(), say)?;
        let runtime = PythonRuntime::of(self.program, &environment);
        if !runtime.program.exists() {
            let _lock = environment.lock(say)?;
            // Another start may have written it in the meantime.
            if !runtime.program.exists() {
                runtime.write(self.program)?;
            }
        }
        Ok(runtime)
    }
}
