//! Computes the digest of the Rust agent's code, so that runs made by other code show as stale.
//!
//! It covers the sources that the agent process runs (`src/agent`, `src/endpoint`, `src/os`) and the
//! locked versions of the libraries that move and decode its bytes. Line endings are normalised: a
//! checkout on Windows gives the same digest.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const SOURCES: [&str; 3] = ["src/agent", "src/endpoint", "src/os"];
const LIBRARIES: [&str; 8] =
    ["bytes", "csv", "http-body-util", "hyper", "ryu-js", "serde_json", "tokio", "walkdir"];

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files = Vec::new();
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
        collect(&root.join(source), &mut files);
    }
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rerun-if-changed=build.rs");
    files.sort();

    let mut hash = Sha256::new();
    for file in &files {
        let name = file.strip_prefix(&root).unwrap_or(file).to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(file).unwrap_or_default().replace("\r\n", "\n");
        hash.update(format!("{name}\0{}\0{text}", text.len()));
    }
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    for (name, version) in locked(&lock) {
        hash.update(format!("{name} {version}\n"));
    }
    let hex = hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    println!("cargo:rustc-env=RUNNER_AGENT_DIGEST={hex}");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.ends_with("src/agent/python") {
            // Another runtime, with a digest of its own.
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Name and version of each library of [`LIBRARIES`], in the order of the lock file. In it the
/// version follows the name.
fn locked(lock: &str) -> Vec<(&str, &str)> {
    let lines: Vec<&str> = lock.lines().collect();
    lines
        .windows(2)
        .filter(|pair| pair[0].starts_with("name = ") && pair[1].starts_with("version = "))
        .filter_map(|pair| Some((quoted(pair[0])?, quoted(pair[1])?)))
        .filter(|(name, _)| LIBRARIES.contains(name))
        .collect()
}

fn quoted(line: &str) -> Option<&str> {
    line.split('"').nth(1)
}
