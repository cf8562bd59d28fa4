//! The runtime under test here: the Python one in its real environment, made once for all tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use runner::agent::python::{PythonRuntime, Setup};

pub const NAME: &str = "python";

/// What the machine offers, with a cache that outlives the tests.
pub fn setup() -> Setup {
    let mut setup = Setup::from_environment(&|name| std::env::var_os(name));
    setup.cache = Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("python"));
    setup
}

/// `None`: this machine cannot make it, which in CI is a failure.
pub fn python() -> Option<&'static PythonRuntime> {
    static RUNTIME: OnceLock<Option<PythonRuntime>> = OnceLock::new();
    let made = || match setup().prepare(&mut |message| eprintln!("{message}")) {
        Ok(runtime) => Some(runtime),
        Err(error) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => panic!("{error}"),
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            None
        }
    };
    RUNTIME.get_or_init(made).as_ref()
}

/// The command, not yet started.
pub fn command() -> Command {
    python().expect("tests that need it ask before").command()
}

/// The same program with parts of a file replaced, in a folder of its own.
pub fn changed(folder: &Path, file: &str, from: &str, to: &str) -> PythonRuntime {
    let runtime = python().expect("tests that need it ask before");
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
