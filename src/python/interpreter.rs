//! Which Python a name stands for, in its own words.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{OLDEST, PythonError};

/// Understood by every Python, also by those that are too old.
const QUESTION: &str = "import platform as p; print(' '.join(['python', p.python_version(), \
                        p.python_implementation(), p.system(), p.machine()]))";

/// A Python that is new enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    pub path: PathBuf,
    /// `3.12.1`.
    pub version: String,
    /// Implementation, system and machine: what packages are built for.
    pub build: String,
}

impl Interpreter {
    /// Asks the program at `path`.
    pub(super) fn ask(path: &Path) -> Result<Self, PythonError> {
        let path = path.to_owned();
        let output = Command::new(&path)
            .args(["-c", QUESTION])
            .stdin(Stdio::null())
            .output()
            .map_err(|source| PythonError::Missing { interpreter: path.clone(), source })?;
        let answer = String::from_utf8_lossy(&output.stdout);
        let words: Vec<&str> = answer.split_whitespace().collect();
        let ["python", version, build @ ..] = words.as_slice() else {
            let errors = String::from_utf8_lossy(&output.stderr);
            let said = errors.lines().last().unwrap_or("nothing").trim().to_owned();
            return Err(PythonError::Unusable { interpreter: path, said });
        };
        let version = (*version).to_owned();
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok());
        let mut parts = version.split('.');
        let release = (number(parts.next()).unwrap_or(0), number(parts.next()).unwrap_or(0));
        if release < OLDEST {
            return Err(PythonError::TooOld { interpreter: path, version });
        }
        Ok(Self { path, version, build: build.join(" ") })
    }

    /// What an environment is made for.
    pub(crate) fn identity(&self) -> String {
        format!("{} {}", self.version, self.build)
    }
}
