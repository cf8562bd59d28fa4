//! The runtime under test here: the Python one in its real environment, made once for all tests.

use std::io::Write as _;
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

/// The runtime. Where it cannot be made the whole test program ends as skipped, in CI as failed.
pub fn python() -> &'static PythonRuntime {
    static RUNTIME: OnceLock<PythonRuntime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        setup().prepare(&mut |message| eprintln!("{message}")).unwrap_or_else(|error| {
            let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            let word = if ci { "FAILED" } else { "SKIPPED" };
            // Past the harness, which hides what tests print.
            let _ = writeln!(std::io::stderr(), "{word}: the Python runtime's tests: {error}");
            std::process::exit(i32::from(ci));
        })
    })
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
