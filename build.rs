//! Computes the digests of the Rust agent's code, so that runs made by other code show as stale.
//!
//! That of calls covers the sources that the agent process runs (`src/agent`, `src/endpoint`,
//! `src/os`) and the locked versions of the libraries that move and decode its bytes. That of
//! tokenizer work has its own source and libraries besides, which say nothing of calls. Line endings
//! are normalised: a checkout on Windows gives the same digest.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const SOURCES: [&str; 3] = ["src/agent", "src/endpoint", "src/os"];
const LIBRARIES: [&str; 8] =
    ["bytes", "csv", "http-body-util", "hyper", "ryu-js", "serde_json", "tokio", "walkdir"];
/// What tokenizer work has of its own.
const TOKENIZE_SOURCE: &str = "src/agent/runtime/tokenize.rs";
const TOKENIZE_LIBRARIES: [&str; 3] = ["onig", "onig_sys", "tokenizers"];

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

    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let (own, files): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| file.ends_with(TOKENIZE_SOURCE));
    let calls = digest(&root, &files, &lock, &LIBRARIES);
    let tokenize = digest(&root, &own, &lock, &TOKENIZE_LIBRARIES);
    let tokenize = hex(&Sha256::digest(format!("{calls}\n{tokenize}\n")));
    println!("cargo:rustc-env=RUNNER_AGENT_DIGEST={calls}");
    println!("cargo:rustc-env=RUNNER_TOKENIZE_DIGEST={tokenize}");
    for (_, version) in locked(&lock, &["tokenizers"]) {
        println!("cargo:rustc-env=RUNNER_TOKENIZERS_VERSION={version}");
    }
}

fn digest(root: &Path, files: &[PathBuf], lock: &str, libraries: &[&str]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(file).unwrap_or_default().replace("\r\n", "\n");
        hash.update(format!("{name}\0{}\0{text}", text.len()));
    }
    for (name, version) in locked(lock, libraries) {
        hash.update(format!("{name} {version}\n"));
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
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

/// Name and version of each of these libraries, in the order of the lock file. In it the version
/// follows the name.
fn locked<'l>(lock: &'l str, libraries: &[&str]) -> Vec<(&'l str, &'l str)> {
    let lines: Vec<&str> = lock.lines().collect();
    lines
        .windows(2)
        .filter(|pair| pair[0].starts_with("name = ") && pair[1].starts_with("version = "))
        .filter_map(|pair| Some((quoted(pair[0])?, quoted(pair[1])?)))
        .filter(|(name, _)| libraries.contains(name))
        .collect()
}

fn quoted(line: &str) -> Option<&str> {
    line.split('"').nth(1)
}
