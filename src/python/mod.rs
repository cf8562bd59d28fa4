//! A Python of the user's, and private environments of pinned packages on it.
//!
//! [`interpreter`] finds out which Python there is, [`environment`] gives it packages, and [`runtime`] is
//! the bundled runtime on it. py-spy ([`crate::probe::py_spy`]) uses an environment of its own, too.

mod environment;
mod interpreter;
mod runtime;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

pub use self::environment::Environment;
pub use self::interpreter::Interpreter;
pub use self::runtime::{Program, PythonRuntime, Setup};

/// The oldest Python that is used.
pub const OLDEST: (u32, u32) = (3, 10);

/// Which Python to use and where to keep what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// A path, or a name on the search path.
    pub interpreter: PathBuf,
    /// Folder of the environments; `None`: the environment names no place for caches.
    pub cache: Option<PathBuf>,
}

/// Packages that stand in an environment of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packages<'a> {
    /// Whom they are for, as people are told: "the Python runtime".
    pub purpose: &'a str,
    /// Content of pip's requirements file: every package with its digests.
    pub requirements: &'a str,
    /// What they weigh, for people who wait.
    pub download: &'a str,
}

/// What an environment would stand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub interpreter: Interpreter,
    pub environment: Environment,
    /// The environment is there.
    pub ready: bool,
}

/// Why there is no Python with its packages.
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
    #[error(
        "the packages of {purpose} cannot be installed: {reason}; pip said: {said} (all of it: {})",
        log.display()
    )]
    Install {
        purpose: String,
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

impl PythonError {
    /// For a system error while something is done to a path.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl Python {
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
        }
    }

    /// Asks the interpreter what it is. Makes nothing.
    pub fn interpreter(&self) -> Result<Interpreter, PythonError> {
        Interpreter::ask(&self.interpreter)
    }

    /// Looks what there is and whether the environment can be made; makes nothing.
    pub fn look(&self, packages: &Packages<'_>) -> Result<Found, PythonError> {
        environment::look(self, packages)
    }

    /// Makes the environment where it is missing, telling `say` about it; quick when nothing is.
    pub fn prepare(
        &self,
        packages: &Packages<'_>,
        say: &mut dyn FnMut(String),
    ) -> Result<Environment, PythonError> {
        environment::prepare(self, packages, say)
    }
}
