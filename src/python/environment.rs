//! A private virtual environment.
//!
//! It lies in a cache folder whose name holds the digest of everything that shapes it, so another
//! Python or other packages make a new one and never a mixture. What appears under its name is whole:
//! it is made beside and renamed, under a lock. Nothing outside the cache folder is touched.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;

use sha2::{Digest, Sha256};

use super::{Found, Interpreter, Packages, Python, PythonError};

/// Digits of a digest in a folder's name.
const DIGITS: usize = 12;
/// How pip puts it when it cannot reach an index.
const UNREACHABLE: [&str; 6] = [
    "connection broken",
    "ConnectionError",
    "Max retries",
    "timed out",
    "Failed to establish a new connection",
    "Name or service not known",
];

/// How lines of pip begin that tell how far it is.
const NEWS: [&str; 4] = ["Collecting ", "Downloading ", "Installing ", "WARNING: Retrying"];
/// Longest line of pip that is told, characters.
const SHOWN: usize = 120;

/// A virtual environment, by what is in it once it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Everything of it.
    pub folder: PathBuf,
    /// Its interpreter.
    pub python: PathBuf,
}

impl Environment {
    fn at(folder: PathBuf) -> Self {
        let python = scripts(&folder).join(format!("python{}", env::consts::EXE_SUFFIX));
        Self { folder, python }
    }

    /// A program that a package brought.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        scripts(&self.folder).join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }

    /// Held by whoever changes something in the folder, until it is dropped.
    pub fn lock(&self, say: &mut dyn FnMut(String)) -> Result<File, PythonError> {
        lock(&self.folder.with_extension("lock"), say)
    }
}

fn scripts(home: &Path) -> PathBuf {
    home.join("venv").join(if cfg!(windows) { "Scripts" } else { "bin" })
}

pub(super) fn prepare(
    python: &Python,
    packages: &Packages<'_>,
    say: &mut dyn FnMut(String),
) -> Result<Environment, PythonError> {
    let (interpreter, environment) = place(python, packages)?;
    if is_whole(&environment) {
        return Ok(environment);
    }
    let cache = environment.folder.parent().unwrap_or(&environment.folder);
    fs::create_dir_all(cache).map_err(PythonError::io("make", cache))?;
    let _lock = environment.lock(say)?;
    if !is_whole(&environment) {
        make(&interpreter, packages, &environment, say)?;
    }
    Ok(environment)
}

/// Looks without making anything.
pub(super) fn look(python: &Python, packages: &Packages<'_>) -> Result<Found, PythonError> {
    let (interpreter, environment) = place(python, packages)?;
    let ready = is_whole(&environment);
    if !ready {
        let python = &interpreter.path;
        let output =
            run(Command::new(python).args(["-I", "-c", "import venv, ensurepip"]), python)?;
        if !output.status.success() {
            return Err(PythonError::Venv {
                interpreter: python.clone(),
                said: last_words(&output),
            });
        }
    }
    Ok(Found { interpreter, environment, ready })
}

/// Through the link to the interpreter: if that was removed, the environment is none any more.
fn is_whole(environment: &Environment) -> bool {
    environment.python.exists()
}

/// Which interpreter, and where the environment is or will be.
fn place(
    python: &Python,
    packages: &Packages<'_>,
) -> Result<(Interpreter, Environment), PythonError> {
    let interpreter = python.interpreter()?;
    let cache = python.cache.as_deref().ok_or(PythonError::NoCache)?;
    let cache = std::path::absolute(cache).map_err(PythonError::io("find", cache))?;
    let mut digest = Sha256::new();
    digest.update(packages.requirements);
    digest.update(interpreter.identity());
    let digest = formats::digest::hex(&digest.finalize());
    let home = cache.join(format!("python-{}", digest.get(..DIGITS).unwrap_or(&digest)));
    Ok((interpreter, Environment::at(home)))
}

/// Two first starts at once make one environment.
fn lock(path: &Path, say: &mut dyn FnMut(String)) -> Result<File, PythonError> {
    let file = File::create(path).map_err(PythonError::io("make", path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            say("waiting for another start that sets up the same environment".to_owned());
        }
        Err(TryLockError::Error(source)) => return Err(PythonError::io("lock", path)(source)),
    }
    file.lock().map_err(PythonError::io("lock", path))?;
    Ok(file)
}

fn make(
    interpreter: &Interpreter,
    packages: &Packages<'_>,
    environment: &Environment,
    say: &mut dyn FnMut(String),
) -> Result<(), PythonError> {
    let home = &environment.folder;
    say(format!(
        "setting up {} in {} with Python {} (once; {} to download)",
        packages.purpose,
        home.display(),
        interpreter.version,
        packages.download
    ));
    let partial = Environment::at(home.with_extension("partial"));
    for leftover in [&partial.folder, home] {
        remove(leftover)?;
    }
    fs::create_dir(&partial.folder).map_err(PythonError::io("make", &partial.folder))?;
    make_venv(interpreter, &partial.folder.join("venv"))?;
    install(packages, &partial, &home.with_extension("log"), say)?;
    fs::rename(&partial.folder, home).map_err(PythonError::io("make", home))
}

fn remove(folder: &Path) -> Result<(), PythonError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(PythonError::io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

fn make_venv(interpreter: &Interpreter, path: &Path) -> Result<(), PythonError> {
    let python = &interpreter.path;
    let output = run(Command::new(python).args(["-I", "-m", "venv"]).arg(path), python)?;
    if output.status.success() {
        return Ok(());
    }
    Err(PythonError::Venv { interpreter: python.clone(), said: last_words(&output) })
}

/// Has pip install the packages, from the index that it is configured for. It says what it does, and
/// gives a network that does not answer up after a minute: silence would look like a hang.
fn install(
    packages: &Packages<'_>,
    environment: &Environment,
    log: &Path,
    say: &mut dyn FnMut(String),
) -> Result<(), PythonError> {
    let Environment { folder, python } = environment;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, packages.requirements)
        .map_err(PythonError::io("write", &requirements))?;
    let mut pip = Command::new(python);
    pip.args(["-I", "-u", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"])
        .args(["--retries", "1", "--timeout", "15", "--progress-bar", "off"])
        .args(["--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement"])
        .arg(requirements);
    let output = follow(&mut pip, python, say)?;
    if output.status.success() {
        return Ok(());
    }
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    fs::write(log, &all).map_err(PythonError::io("write", log))?;
    let reason = reason(&String::from_utf8_lossy(&all));
    Err(PythonError::Install {
        purpose: packages.purpose.to_owned(),
        reason,
        said: last_words(&output),
        log: log.to_owned(),
    })
}

/// What pip's words mean.
fn reason(said: &str) -> &'static str {
    if said.contains("DO NOT MATCH THE HASHES") {
        "a downloaded package is not the pinned one, and nothing was kept"
    } else if said.contains("No space left") {
        "the disk is full"
    } else if UNREACHABLE.iter().any(|sign| said.contains(sign)) {
        "the package index cannot be reached; check the network, or pip's index and proxy"
    } else if said.contains("No matching distribution") {
        "the package index has no build for this Python and machine; CPython 3.10 to 3.13 have one, \
         name it by RUNNER_PYTHON"
    } else {
        "pip failed"
    }
}

fn run(command: &mut Command, program: &Path) -> Result<Output, PythonError> {
    command.stdin(Stdio::null()).output().map_err(PythonError::io("start", program))
}

/// As [`run`], telling what pip does while it does it.
fn follow(
    pip: &mut Command,
    program: &Path,
    say: &mut dyn FnMut(String),
) -> Result<Output, PythonError> {
    pip.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pip.spawn().map_err(PythonError::io("start", program))?;
    let (sender, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        listen(stdout, sender.clone(), false);
    }
    if let Some(stderr) = child.stderr.take() {
        listen(stderr, sender.clone(), true);
    }
    drop(sender);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    for (is_error, mut line) in lines {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if NEWS.iter().any(|news| text.starts_with(news)) {
            say(format!("pip: {}", text.chars().take(SHOWN).collect::<String>()));
        }
        line.push(b'\n');
        if is_error { &mut stderr } else { &mut stdout }.append(&mut line);
    }
    let status = child.wait().map_err(PythonError::io("wait for", program))?;
    Ok(Output { status, stdout, stderr })
}

/// Sends the lines of a stream as they come, until its end.
fn listen(stream: impl Read + Send + 'static, sender: Sender<(bool, Vec<u8>)>, is_error: bool) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if sender.send((is_error, line)).is_err() {
                return;
            }
        }
    });
}

/// The last line of its errors, or of what it said at all.
fn last_words(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    let last = |text: &str| {
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    };
    last(&errors).or_else(|| last(&said)).unwrap_or_else(|| "nothing".to_owned())
}
