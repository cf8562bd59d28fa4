//! Where py-spy comes from: named by the user, found on the search path, or installed once into a
//! private environment.
//!
//! Only its program is needed afterwards; attaching it is left to [`super::flamegraph`].

use std::env;
use std::path::PathBuf;

use crate::python::{Packages, Python, PythonError};

/// Names the program to use.
const OWN: &str = "RUNNER_PYSPY";

const PACKAGES: Packages<'_> = Packages {
    purpose: "py-spy, for the flamegraph probe,",
    requirements: include_str!("requirements.txt"),
    download: "3 MB",
};

/// Why there is no py-spy, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum NoPySpy {
    #[error("{OWN} names {}, which is no file", .0.display())]
    NamedNothing(PathBuf),
    #[error("there is no py-spy: {0}; or put py-spy on the search path, or name one by {OWN}")]
    NotInstalled(#[from] PythonError),
    #[error("py-spy's package holds no program {}", .0.display())]
    Empty(PathBuf),
}

/// Looks for the program without installing it; `None`: it can be installed, as far as can be seen.
pub fn look(python: &Python) -> Result<Option<PathBuf>, NoPySpy> {
    if let Some(found) = there()? {
        return Ok(Some(found));
    }
    let found = python.look(&PACKAGES)?;
    Ok(found.ready.then(|| found.environment.program("py-spy")))
}

/// The program. `say` hears of what takes a while.
pub fn find(python: &Python, say: &mut dyn FnMut(String)) -> Result<PathBuf, NoPySpy> {
    if let Some(found) = there()? {
        return Ok(found);
    }
    let program = python.prepare(&PACKAGES, say)?.program("py-spy");
    if program.is_file() { Ok(program) } else { Err(NoPySpy::Empty(program)) }
}

/// Named by the user, or on the search path.
fn there() -> Result<Option<PathBuf>, NoPySpy> {
    if let Some(own) = env::var_os(OWN).filter(|own| !own.is_empty()) {
        let own = PathBuf::from(own);
        return if own.is_file() { Ok(Some(own)) } else { Err(NoPySpy::NamedNothing(own)) };
    }
    Ok(on_search_path())
}

fn on_search_path() -> Option<PathBuf> {
    let name = format!("py-spy{}", env::consts::EXE_SUFFIX);
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(&name)).find(|program| program.is_file())
}
