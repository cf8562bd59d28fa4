//! The runtime under test here: the Python one in its real environment, made once for all tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use runner::python::{PythonRuntime, Setup};

pub const NAME: &str = "python";

/// What the machine offers, with a cache that outlives the tests.
pub fn setup() -> Setup {
    let mut setup = Setup::from_environment(&|name| std::env::var_os(name));
    setup.python.cache = Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("python"));
    setup
}

/// The runtime. A test that cannot have it fails: one that ended quietly would have shown nothing.
pub fn python() -> &'static PythonRuntime {
    static RUNTIME: OnceLock<Result<PythonRuntime, String>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        let made = setup().prepare(&mut |message| eprintln!("{message}"));
        made.map_err(|error| error.to_string())
    });
    made.as_ref().unwrap_or_else(|error| panic!("this test needs the Python runtime: {error}"))
}

/// The command, not yet started.
pub fn command() -> Command {
    python().command()
}

/// The same program with parts of a file replaced, in a folder of its own.
pub fn changed(folder: &Path, file: &str, from: &str, to: &str) -> PythonRuntime {
    let runtime = python();
    for entry in walkdir::WalkDir::new(&runtime.program).into_iter().map(Result::unwrap) {
        let place = folder.join(entry.path().strip_prefix(&runtime.program).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(&place).unwrap();
        } else if place.extension().is_some_and(|extension| extension == "py") {
            let mut text = std::fs::read_to_string(entry.path()).unwrap();
            if place.ends_with(file) {
                assert_eq!(text.matches(from).count(), 1, "{from}");
                text = text.replace(from, to);
            }
            std::fs::write(place, text).unwrap();
        }
    }
    PythonRuntime { python: runtime.python.clone(), program: folder.to_owned() }
}
