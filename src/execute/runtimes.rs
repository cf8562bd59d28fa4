//! How the runtimes are started.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::plan::{CellSpec, CellWork};
use crate::python::PythonRuntime;

/// The name of the Python runtime in manifests.
pub const PYTHON: &str = "python";

/// The runtimes that ship, as far as they are ready.
#[derive(Debug, Clone)]
pub struct Runtimes {
    /// This program; it knows `agent`.
    pub rust: PathBuf,
    /// `None`: no cell needs it.
    pub python: Option<PythonRuntime>,
    /// Its program for tokenizer work; `None`: no cell needs it.
    pub python_tokenize: Option<PythonRuntime>,
}

impl Runtimes {
    /// How to start the cell's runtime. A user's starts in the study's folder.
    #[must_use]
    pub fn command(&self, cell: &CellSpec, study_folder: &Path) -> Command {
        let python = match &cell.work {
            CellWork::Tokenize(_) => &self.python_tokenize,
            CellWork::Scenario(_) | CellWork::Command(_) | CellWork::Import(_) => &self.python,
        };
        match (&cell.command, python) {
            (Some(command), _) => users(&command.command, study_folder),
            (None, Some(python)) if cell.runtime == PYTHON => python.command(),
            (None, _) => {
                let mut command = Command::new(&self.rust);
                command.arg("agent");
                command
            }
        }
    }
}

/// A program with a folder in its name is found from the study's folder, like every path in a
/// manifest; a bare name on the search path.
fn users(words: &[String], study_folder: &Path) -> Command {
    let folder = std::path::absolute(study_folder).unwrap_or_else(|_| study_folder.to_owned());
    let (first, arguments) =
        words.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
    let mut command = if first.contains(['/', '\\']) {
        Command::new(folder.join(first))
    } else {
        Command::new(first)
    };
    command.args(arguments).current_dir(folder);
    command
}
