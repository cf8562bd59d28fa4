//! The check of runtimes passes, in every variant.

use std::path::Path;
use std::process::Command;

use crate::runtime::{changed, python};

fn check(program: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(["agent", "--conformance"])
        .arg(&python().python)
        .arg("-I")
        .arg(program)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_python_runtime_meets_every_requirement() {
    let (code, findings) = check(&python().program);
    assert_eq!(code, Some(0), "{findings}");
}

/// The check asks for no variant, so the defaults are exchanged.
#[test]
fn every_variant_meets_every_requirement() {
    for (name, from, to) in [
        ("uvloop", "event_loop: str = \"asyncio\"", "event_loop: str = \"uvloop\""),
        ("orjson", "json: str = \"stdlib\"", "json: str = \"orjson\""),
        ("thread", "parse: str = \"inline\"", "parse: str = \"thread\""),
        ("processes", "processes: str = \"scenario\"", "processes: str = \"agent\""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let runtime = changed(folder.path(), "spec.py", from, to);
        let (code, findings) = check(&runtime.program);
        assert_eq!(code, Some(0), "{name}: {findings}");
    }
}
