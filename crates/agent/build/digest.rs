//! Digests of the Rust client, so that runs made by other code show as stale.
//!
//! They cover what runs in the agent's process and nothing else: the sources of `agent` and `formats`,
//! the locked versions of what these two depend on, and the build profile. What tokenizer work has of its
//! own (its module and the `tokenizers` crate with what only that needs) is left out of the digest of
//! calls. Line ends are normalised, so that a checkout on Windows gives the same digest.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The crates whose sources are covered, relative to the workspace.
const CRATES: [&str; 2] = ["crates/agent", "crates/formats"];
/// The module of tokenizer work.
const TOKENIZE_SOURCE: &str = "crates/agent/src/tokenize";
/// The dependency of tokenizer work.
const TOKENIZERS: &str = "tokenizers";

/// What a stored run says of the client that measured it.
#[derive(Debug, PartialEq, Eq)]
pub struct Digests {
    /// Of the code that makes calls, 64 hex digits.
    pub calls: String,
    /// The same with what tokenizer work has besides.
    pub tokenize: String,
    /// Locked version of the `tokenizers` crate.
    pub tokenizers_version: String,
}

/// Computes the digests from the workspace at `root`. `profile` is whatever tells builds apart.
pub fn digests(root: &Path, profile: &str) -> Digests {
    let sources = CRATES.map(|part| root.join(part).join("src"));
    let mut files = Vec::new();
    for source in &sources {
        collect(source, &mut files);
    }
    files.retain(|file| !is_test(file.strip_prefix(root).unwrap_or(file)));
    files.sort();
    let (own, files): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| file.starts_with(root.join(TOKENIZE_SOURCE)));
    let lock = parsed(&root.join("Cargo.lock"));
    let wanted: BTreeSet<String> = CRATES
        .iter()
        .flat_map(|part| dependencies(&parsed(&root.join(part).join("Cargo.toml")), &lock))
        .collect();
    let of_calls = wanted.iter().filter(|own| own.split(' ').next() != Some(TOKENIZERS));
    let libraries = closure(&lock, of_calls);
    let all = closure(&lock, &wanted);

    let mut hash = Sha256::new();
    hash.update(format!("profile {profile}\n"));
    add_files(&mut hash, root, &files);
    add_libraries(&mut hash, &libraries);
    let calls = hex(&hash.finalize());

    let mut hash = Sha256::new();
    hash.update(format!("{calls}\n"));
    add_files(&mut hash, root, &own);
    add_libraries(&mut hash, &all);
    let tokenize = hex(&hash.finalize());

    let version = all.iter().find(|(name, _)| name == TOKENIZERS);
    let tokenizers_version = version.map(|(_, version)| version.clone()).unwrap_or_default();
    Digests { calls, tokenize, tokenizers_version }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Tests are compiled into no agent; by the habit of this project they stand in files of this name.
fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

fn parsed(path: &Path) -> toml::Table {
    fs::read_to_string(path).unwrap_or_default().parse().unwrap_or_default()
}

/// A package's dependencies as the lock names them (`name`, or `name version` where several are locked),
/// those of single systems included; without what only its tests and its build script need, and without
/// `formats`, whose sources are covered themselves.
fn dependencies(manifest: &toml::Table, lock: &toml::Table) -> BTreeSet<String> {
    let names = |table: Option<&toml::Value>| -> Vec<String> {
        let table = table.and_then(toml::Value::as_table);
        table.into_iter().flat_map(|table| table.keys().cloned()).collect()
    };
    let systems = manifest.get("target").and_then(toml::Value::as_table);
    let of_systems = systems.into_iter().flat_map(toml::Table::values);
    let mut all: BTreeSet<String> = names(manifest.get("dependencies")).into_iter().collect();
    all.extend(of_systems.flat_map(|system| names(system.get("dependencies"))));
    all.remove("formats");
    let name = manifest.get("package").and_then(|package| package.get("name"));
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let own = packages.into_iter().flatten().find(|package| package.get("name") == name);
    let locked = own.and_then(|package| package.get("dependencies")?.as_array());
    let locked = locked.into_iter().flatten().filter_map(toml::Value::as_str);
    let is_own = |entry: &&str| all.contains(entry.split(' ').next().unwrap_or(entry));
    locked.filter(is_own).map(str::to_owned).collect()
}

/// Names and versions of these packages and of everything that they depend on, as they are locked.
fn closure<'n>(
    lock: &toml::Table,
    names: impl IntoIterator<Item = &'n String>,
) -> BTreeSet<(String, String)> {
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let packages: Vec<&toml::Value> = packages.into_iter().flatten().collect();
    let text = |package: &toml::Value, key: &str| {
        package.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
    };
    let mut open: Vec<String> = names.into_iter().cloned().collect();
    let mut found = BTreeSet::new();
    while let Some(wanted) = open.pop() {
        // `name`, or `name version` where several versions are locked.
        let (name, version) = wanted.split_once(' ').unwrap_or((&wanted, ""));
        for package in &packages {
            let (its_name, its_version) = (text(package, "name"), text(package, "version"));
            let is_it = its_name == name && (version.is_empty() || its_version == version);
            if is_it && found.insert((its_name, its_version)) {
                let below = package.get("dependencies").and_then(toml::Value::as_array);
                let below = below.into_iter().flatten().filter_map(toml::Value::as_str);
                open.extend(below.map(str::to_owned));
            }
        }
    }
    found
}

fn add_files(hash: &mut Sha256, root: &Path, files: &[PathBuf]) {
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(file).unwrap_or_default().replace("\r\n", "\n");
        hash.update(format!("{name}\0{}\0{text}", text.len()));
    }
}

fn add_libraries(hash: &mut Sha256, libraries: &BTreeSet<(String, String)>) {
    for (name, version) in libraries {
        hash.update(format!("{name} {version}\n"));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
