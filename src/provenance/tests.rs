use std::path::Path;

use super::*;
use crate::manifest::study::RuntimeCommand;
use crate::python::Program;

#[test]
fn this_machine_has_cores_and_memory() {
    let machine = machine();
    assert!(machine.cores.is_some_and(|cores| cores > 0));
    assert!(machine.memory_mb.is_some_and(|memory| memory > 0));
}

#[test]
fn the_agents_digest_is_that_of_its_code() {
    let digest = agent("rust", Program::Calls, None, Path::new("."), None)
        .digest
        .expect("known at build time");
    assert_eq!(digest.len(), 64);
    assert_eq!(agent("python", Program::Calls, None, Path::new("."), None).digest, None);
}

#[test]
fn a_users_runtime_changes_with_its_script_only() {
    let folder = tempfile::tempdir().unwrap();
    let digest = |script: &str| {
        std::fs::write(folder.path().join("agent.sh"), script).unwrap();
        let command = RuntimeCommand { command: vec!["sh".into(), "agent.sh".into(), "-v".into()] };
        agent("mine", Program::Calls, Some(&command), folder.path(), None)
            .digest
            .expect("sh is on the search path")
    };
    let first = digest("exit 0");
    assert_ne!(first, digest("exit 1"));
    assert_eq!(first, digest("exit 0"));
}

#[test]
fn a_folder_outside_any_repository_has_no_commit() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(repository(folder.path()), None);
}
