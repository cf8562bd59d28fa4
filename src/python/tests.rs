//! What ships, and what the environment says of it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Program, Setup};

const PROGRAMS: [(Program, &str); 2] =
    [(Program::Calls, "python"), (Program::Tokenize, "python-tokenize")];

fn setup(program: Program) -> Setup {
    let calls = Setup::from_environment(&|_| None);
    match program {
        Program::Calls => calls,
        Program::Tokenize => calls.for_tokenizers(),
    }
}

#[test]
fn every_file_of_a_program_ships() {
    for (program, folder) in PROGRAMS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("runtimes").join(folder);
        let mut files: BTreeSet<String> = walkdir::WalkDir::new(&folder)
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "py"))
            .map(|entry| entry.path().strip_prefix(&folder).unwrap().to_str().unwrap().to_owned())
            .collect();
        if program == Program::Tokenize {
            files.insert("runner_tokenize/parent.py".to_owned());
        }
        let shipped: BTreeSet<String> =
            program.files().iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(files, shipped);
    }
}

#[test]
fn the_programs_have_the_version_of_this_one() {
    let version = format!("VERSION = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    for (program, _) in PROGRAMS {
        assert!(program.files().iter().any(|(_, text)| text.contains(&version)));
    }
}

#[test]
fn every_package_is_pinned_by_content_and_no_index_is_named() {
    for (program, least) in [(Program::Calls, 8), (Program::Tokenize, 1)] {
        let requirements = setup(program).requirements;
        let mut pinned = 0;
        let lines = requirements.replace("\\\n", "");
        for line in lines.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.contains("==") && line.contains("--hash=sha256:"), "{line}");
            pinned += 1;
        }
        assert!(pinned >= least);
        assert!(!requirements.contains("index") || !requirements.contains("://"));
    }
}

/// What the two runtimes race with must be of one version, or the race is one of versions.
#[test]
fn both_runtimes_have_the_same_tokenizers() {
    let version = agent::TOKENIZERS_VERSION;
    let requirements = setup(Program::Tokenize).requirements;
    assert!(requirements.contains(&format!("tokenizers=={version} ")), "{version}");
}

#[test]
fn the_environment_names_the_interpreter_and_the_cache() {
    let setup = |variables: &[(&str, &str)]| {
        let variables = variables.to_vec();
        Setup::from_environment(&move |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    };
    let usual = setup(&[("HOME", "/home/u")]);
    assert_eq!(usual.python.cache, Some(PathBuf::from("/home/u/.cache/runner")));
    let named = setup(&[
        ("HOME", "/home/u"),
        ("XDG_CACHE_HOME", "/c"),
        ("RUNNER_PYTHON", "/opt/python"),
        ("RUNNER_CACHE", ""),
    ]);
    assert_eq!(named.python.interpreter, PathBuf::from("/opt/python"));
    assert_eq!(named.python.cache, Some(PathBuf::from("/c/runner")));
    assert_eq!(setup(&[("RUNNER_CACHE", "/r")]).python.cache, Some(PathBuf::from("/r")));
    assert_eq!(setup(&[]).python.cache, None);
}
