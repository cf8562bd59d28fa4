//! What makes stored runs of the Rust client stale, and what does not.

#[path = "../build/digest.rs"]
mod digest;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use walkdir::WalkDir;

/// A copy of what could count: all sources, manifests and the lock.
fn workspace() -> TempDir {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let copy = tempfile::tempdir().unwrap();
    for part in ["Cargo.toml", "Cargo.lock", "src", "crates", "runtimes"] {
        for entry in WalkDir::new(root.join(part)).into_iter().map(Result::unwrap) {
            let to = copy.path().join(entry.path().strip_prefix(&root).unwrap());
            if entry.file_type().is_dir() {
                fs::create_dir_all(&to).unwrap();
            } else {
                fs::copy(entry.path(), &to).unwrap();
            }
        }
    }
    copy
}

fn digests(root: &Path) -> digest::Digests {
    digest::digests(root, "release, opt-level 3")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let files = WalkDir::new(folder).into_iter().map(|entry| entry.unwrap().into_path());
    files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// The digests after an edit of a file, which is then undone.
fn after(root: &Path, path: &Path, edit: impl Fn(&str) -> String) -> digest::Digests {
    let text = fs::read_to_string(path).unwrap();
    let edited = edit(&text);
    assert_ne!(edited, text, "nothing was edited in {}", path.display());
    fs::write(path, edited).unwrap();
    let found = digests(root);
    fs::write(path, text).unwrap();
    found
}

#[test]
fn this_build_says_the_digest_of_its_own_tree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let level = if cfg!(debug_assertions) { "debug, opt-level 0" } else { "release, opt-level 3" };
    let found = digest::digests(&root, level);
    assert_eq!(found.calls, agent::DIGEST);
    assert_eq!(found.tokenize, agent::TOKENIZE_DIGEST);
}

#[test]
fn only_what_runs_in_the_agents_process_counts() {
    let copy = workspace();
    let root = copy.path();
    let edit = |text: &str| format!("{text}\n// edited\n");
    let before = digests(root);
    for (folder, extension) in [("src", "rs"), ("crates/simulator", "rs"), ("runtimes", "py")] {
        let sources = files(&root.join(folder), extension);
        assert!(sources.len() > 10, "{folder}");
        for path in sources {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, edit(&text)).unwrap();
        }
        assert_eq!(digests(root), before, "{folder}");
    }
    for folder in ["crates/agent/src", "crates/formats/src"] {
        let mut sources = files(&root.join(folder), "rs");
        sources.sort();
        // One file of each folder, and every file of tests.
        let mut met = BTreeSet::new();
        sources.retain(|path| {
            path.ends_with("tests.rs") || met.insert(path.parent().map(Path::to_owned))
        });
        for path in sources {
            let (found, shown) = (after(root, &path, edit), path.display());
            let test = path.ends_with("tests.rs");
            let of_tokenizers = path.starts_with(root.join("crates/agent/src/tokenize"));
            assert_eq!(found.calls == before.calls, test || of_tokenizers, "{shown}");
            assert_eq!(found.tokenize == before.tokenize, test, "{shown}");
        }
    }
}

#[test]
fn line_ends_do_not_count() {
    let copy = workspace();
    let before = digests(copy.path());
    let path = copy.path().join("crates/agent/src/lib.rs");
    let found = after(copy.path(), &path, |text| text.replace('\n', "\r\n"));
    assert_eq!(found, before);
}

#[test]
fn a_debug_build_is_another_client() {
    let copy = workspace();
    let debug = digest::digests(copy.path(), "debug, opt-level 0");
    let release = digests(copy.path());
    assert_ne!(debug.calls, release.calls);
    assert_ne!(debug.tokenize, release.tokenize);
}

#[test]
fn only_locked_versions_of_what_the_agent_links_count() {
    let copy = workspace();
    let root = copy.path();
    let before = digests(root);
    let lock = root.join("Cargo.lock");
    let bump = |package: &str| {
        after(root, &lock, |text| {
            let at = text.find(&format!("name = \"{package}\"")).unwrap();
            let (head, tail) = text.split_at(at);
            let mut lines: Vec<String> = tail.lines().map(str::to_owned).collect();
            lines[1] = "version = \"99.0.0\"".to_owned();
            format!("{head}{}\n", lines.join("\n"))
        })
    };
    for linked in ["hyper", "tokio", "serde_json", "mio"] {
        assert_ne!(bump(linked).calls, before.calls, "{linked}");
    }
    // What only other parts of the workspace use, and what only tests use.
    for other in ["minijinja", "miette", "proptest", "tempfile", "insta"] {
        assert_eq!(bump(other), before, "{other}");
    }
    let tokenizers = bump("tokenizers");
    assert_eq!(tokenizers.calls, before.calls);
    assert_ne!(tokenizers.tokenize, before.tokenize);
    assert_eq!(tokenizers.tokenizers_version, "99.0.0");
}
