//! Where py-spy comes from: named by the user, found on the search path, or installed once into a
//! private environment whose name holds the digest of what it is made from.
//!
//! Only its program is needed afterwards; attaching it is left to [`super::flamegraph`].

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the program to use.
const OWN: &str = "RUNNER_PYSPY";
const REQUIREMENTS: &str = include_str!("requirements.txt");
/// Written last: without it, whatever lies there is started over.
const COMPLETE: &str = "complete";
const LOG: &str = "pip.log";
/// What it is installed with.
const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };

/// Why there is no py-spy, with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPySpy {
    #[error("{OWN} names {}, which is no file", .0.display())]
    NamedNothing(PathBuf),
    #[error("there is no folder for caches; set {OWN} to a py-spy, or XDG_CACHE_HOME")]
    NoCache,
    #[error(
        "py-spy is not installed and there is no Python to install it with ({0}); put py-spy or \
         python3 on the search path, or set {OWN}"
    )]
    NoPython(String),
    #[error(
        "py-spy could not be installed: {reason}; `pip install py-spy` puts it on the search path, \
         {OWN} names another (all that pip said: {})", log.display()
    )]
    Install { reason: String, log: PathBuf },
    #[error("cannot set up {}: {reason}", folder.display())]
    Folder { folder: PathBuf, reason: String },
}

/// Looks for the program without installing it; `None`: it can be installed, as far as can be seen.
pub fn look() -> Result<Option<PathBuf>, NoPySpy> {
    if let Some(found) = there()? {
        return Ok(Some(found));
    }
    let home = home()?;
    let program = program_in(&scripts_in(&home));
    if home.join(COMPLETE).is_file() && program.is_file() {
        return Ok(Some(program));
    }
    let mut python = Command::new(PYTHON);
    let answer = python.arg("--version").stdin(Stdio::null()).output();
    answer.map_err(|error| NoPySpy::NoPython(format!("{PYTHON}: {error}")))?;
    Ok(None)
}

/// The program. `say` hears of what takes a while.
pub fn find(say: &mut dyn FnMut(String)) -> Result<PathBuf, NoPySpy> {
    match there()? {
        Some(found) => Ok(found),
        None => installed(&home()?, say),
    }
}

/// Named by the user, or on the search path.
fn there() -> Result<Option<PathBuf>, NoPySpy> {
    if let Some(own) = env::var_os(OWN).filter(|own| !own.is_empty()) {
        let own = PathBuf::from(own);
        return if own.is_file() { Ok(Some(own)) } else { Err(NoPySpy::NamedNothing(own)) };
    }
    Ok(on_search_path())
}

/// Where it is installed.
fn home() -> Result<PathBuf, NoPySpy> {
    Ok(cache().ok_or(NoPySpy::NoCache)?.join("runner").join(format!("py-spy-{}", digest())))
}

fn scripts_in(home: &Path) -> PathBuf {
    home.join("venv").join(if cfg!(windows) { "Scripts" } else { "bin" })
}

fn program_in(scripts: &Path) -> PathBuf {
    scripts.join(format!("py-spy{}", env::consts::EXE_SUFFIX))
}

fn on_search_path() -> Option<PathBuf> {
    let name = format!("py-spy{}", env::consts::EXE_SUFFIX);
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(&name)).find(|program| program.is_file())
}

fn cache() -> Option<PathBuf> {
    let named = |variable: &str| env::var_os(variable).filter(|folder| !folder.is_empty());
    let folder = named("XDG_CACHE_HOME").or_else(|| named("LOCALAPPDATA")).map(PathBuf::from);
    folder.or_else(|| Some(env::home_dir()?.join(".cache")))
}

fn digest() -> String {
    let machine = format!("{} {} {REQUIREMENTS}", env::consts::OS, env::consts::ARCH);
    let mut digest = crate::digest::of_bytes(machine.as_bytes());
    digest.truncate(12);
    digest
}

/// Installs under a lock, so that two sessions at once install once.
fn installed(home: &Path, say: &mut dyn FnMut(String)) -> Result<PathBuf, NoPySpy> {
    let folder = |error: std::io::Error| NoPySpy::Folder {
        folder: home.to_owned(),
        reason: error.to_string(),
    };
    fs::create_dir_all(home).map_err(folder)?;
    let lock = File::create(home.join("lock")).map_err(folder)?;
    lock.lock().map_err(folder)?;
    let scripts = scripts_in(home);
    let program = program_in(&scripts);
    if home.join(COMPLETE).is_file() && program.is_file() {
        return Ok(program);
    }
    say(format!("installing py-spy for the flamegraph probe in {} (once)", home.display()));
    let requirements = home.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(folder)?;
    install(home, &scripts, &requirements)?;
    if !program.is_file() {
        let reason = "its package holds no program".to_owned();
        return Err(NoPySpy::Install { reason, log: home.join(LOG) });
    }
    fs::write(home.join(COMPLETE), "").map_err(folder)?;
    Ok(program)
}

fn install(home: &Path, scripts: &Path, requirements: &Path) -> Result<(), NoPySpy> {
    let log = home.join(LOG);
    let failed = |reason: String| NoPySpy::Install { reason, log: log.clone() };
    let mut venv = Command::new(PYTHON);
    venv.args(["-m", "venv", "--clear"]).arg(home.join("venv"));
    match logged(&mut venv, &log) {
        Err(error) => return Err(NoPySpy::NoPython(format!("{PYTHON}: {error}"))),
        Ok(false) => {
            let advice = "on Debian and Ubuntu: apt-get install python3-venv";
            return Err(failed(format!("{PYTHON} cannot make a virtual environment ({advice})")));
        }
        Ok(true) => {}
    }
    let mut pip = Command::new(scripts.join(format!("python{}", env::consts::EXE_SUFFIX)));
    pip.args(["-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"])
        .args(["--retries", "1", "--require-hashes", "--no-deps", "--only-binary", ":all:"])
        .arg("--requirement")
        .arg(requirements);
    match logged(&mut pip, &log) {
        Err(error) => Err(failed(format!("pip does not start: {error}"))),
        Ok(true) => Ok(()),
        Ok(false) => Err(failed(reason(&fs::read_to_string(&log).unwrap_or_default()))),
    }
}

/// Runs it with its output in the log; whether it succeeded.
fn logged(command: &mut Command, log: &Path) -> std::io::Result<bool> {
    let output = File::create(log)?;
    let errors = output.try_clone()?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    Ok(command.status()?.success())
}

/// What pip's words mean.
fn reason(said: &str) -> String {
    let says = |sign: &str| said.contains(sign);
    let unreachable = ["connection broken", "ConnectionError", "Max retries", "timed out"];
    if says("DO NOT MATCH THE HASHES") {
        "a downloaded package is not the pinned one (checksum mismatch)".to_owned()
    } else if says("No space left") {
        "the disk is full".to_owned()
    } else if unreachable.iter().any(|sign| says(sign)) {
        "the package index cannot be reached; check the network, or pip's index and proxy"
            .to_owned()
    } else if says("No matching distribution") {
        "the package index has no build of it for this machine, or cannot be reached".to_owned()
    } else {
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no words");
        format!("pip failed: {}", last.trim())
    }
}
