//! Making the environment, and what is said when it cannot be made.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use runner::python::Setup;
use runner::python::{Python, PythonError};

use crate::runtime::{python, setup};

/// A cache that is empty.
fn fresh(folder: &Path) -> Setup {
    on(setup().python.interpreter, folder)
}

fn on(interpreter: PathBuf, folder: &Path) -> Setup {
    let python = Python { interpreter, cache: Some(folder.join("cache")) };
    Setup { python, ..setup() }
}

/// A program that behaves like an interpreter in one respect.
fn fake(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("python");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn refused(setup: &Setup) -> PythonError {
    setup.prepare(&mut |_| {}).unwrap_err()
}

#[test]
fn no_python_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let setup = on("no-such-python".into(), folder.path());
    let error = refused(&setup);
    assert!(matches!(error, PythonError::Missing { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("no-such-python") && text.contains("RUNNER_PYTHON"), "{text}");
    assert!(!folder.path().join("cache").exists(), "nothing was made");
}

#[test]
fn a_python_that_is_too_old_is_said_with_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let interpreter = fake(folder.path(), "echo python 3.9.18 CPython Linux x86_64");
    let error = refused(&on(interpreter, folder.path()));
    assert!(matches!(&error, PythonError::TooOld { version, .. } if version == "3.9.18"));
    assert!(error.to_string().contains("3.10 or newer"), "{error}");
}

#[test]
fn a_program_that_is_no_python_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let interpreter = fake(folder.path(), "echo 'pyenv: no version is set' >&2; exit 127");
    let error = refused(&on(interpreter, folder.path()));
    assert!(matches!(error, PythonError::Unusable { .. }));
    assert!(error.to_string().contains("pyenv: no version is set"), "{error}");
}

#[test]
fn a_python_without_venv_is_said_with_the_package_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let script = "case \"$*\" in *venv*) echo 'No module named venv' >&2; exit 1;; esac\n\
                  echo python 3.12.1 CPython Linux x86_64";
    let interpreter = fake(folder.path(), script);
    let error = refused(&on(interpreter, folder.path()));
    assert!(matches!(error, PythonError::Venv { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("No module named venv") && text.contains("python3-venv"), "{text}");
}

#[test]
fn requirements_that_do_not_resolve_leave_nothing_half_made() {
    python();
    let folder = tempfile::tempdir().unwrap();
    let requirements = format!("httpx==0.0.0.dev999 \\\n    --hash=sha256:{}\n", "0".repeat(64));
    let error = refused(&Setup { requirements, ..fresh(folder.path()) });
    let PythonError::Install { log, .. } = &error else { panic!("{error}") };
    assert!(fs::read_to_string(log).unwrap().contains("httpx==0.0.0.dev999"));
    let homes = fs::read_dir(folder.path().join("cache")).unwrap();
    let homes: Vec<String> =
        homes.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let whole = |name: &String| name.starts_with("python-") && !name.contains('.');
    assert!(!homes.iter().any(whole), "{homes:?}");
}

#[test]
fn pip_says_how_far_it_is_and_does_not_wait_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "here={}\n\
         case \"$*\" in\n\
         *' pip '*) echo \"$*\" > \"$here/asked\"; echo 'Collecting httpx==1'; echo 'chatter'\n\
         echo 'WARNING: Retrying (Retry(total=0)) after connection broken' >&2; exit 1;;\n\
         *venv*) for last; do :; done; mkdir -p \"$last/bin\"; cp \"$0\" \"$last/bin/python\";;\n\
         *) echo python 3.12.1 CPython Linux x86_64;;\n\
         esac",
        folder.path().display()
    );
    let setup = on(fake(folder.path(), &script), folder.path());
    let mut said = Vec::new();
    let error = setup.prepare(&mut |message| said.push(message)).unwrap_err();
    assert!(matches!(error, PythonError::Install { .. }), "{error}");
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    let asked = fs::read_to_string(folder.path().join("asked")).unwrap();
    assert!(asked.contains("--retries 1 --timeout 15"), "{asked}");
    let [setting_up, told @ ..] = said.as_slice() else { panic!("silent") };
    assert!(setting_up.contains("setting up"), "{setting_up}");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().any(|line| line == "pip: Collecting httpx==1"), "{told:?}");
    assert!(told.iter().any(|line| line.contains("Retrying")), "{told:?}");
}

#[test]
fn no_place_for_caches_is_said() {
    let error = refused(&Setup { python: Python { cache: None, ..setup().python }, ..setup() });
    assert!(error.to_string().contains("RUNNER_CACHE"), "{error}");
}

#[test]
fn two_first_starts_make_one_environment_and_the_next_makes_none() {
    python();
    let folder = tempfile::tempdir().unwrap();
    let setup = fresh(folder.path());
    let first = |_| {
        let mut said = Vec::new();
        let runtime = setup.prepare(&mut |message| said.push(message)).unwrap();
        (runtime, said)
    };
    let made: Vec<_> = thread::scope(|scope| {
        let starts: Vec<_> = [1, 2].map(|number| scope.spawn(move || first(number))).into();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert_eq!(made[0].0, made[1].0);
    let making = made.iter().flat_map(|(_, said)| said).filter(|said| said.contains("setting up"));
    assert_eq!(making.count(), 1, "{made:?}");
    let (again, said) = first(3);
    assert_eq!((again, said), (made[0].0.clone(), Vec::new()));
}
