//! The house as it is drawn in `src/lib.rs`: what may not know what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Which folders (or files) at the top of a crate's sources name which others.
fn imports(sources: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut known = BTreeMap::new();
    for entry in walkdir::WalkDir::new(sources).into_iter().map(Result::unwrap) {
        let path = entry.path().strip_prefix(sources).unwrap();
        let Some(top) = path.components().next() else { continue };
        let top = top.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        let is_test = path.to_str().unwrap().contains("tests");
        if !is_source || is_test || ["lib", "main"].contains(&&*top) {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = code.collect::<Vec<_>>().join("\n");
        let named: &mut BTreeSet<String> = known.entry(top.clone()).or_default();
        for after in code.split("crate::").skip(1) {
            // `crate::a::b`, or `crate::{a, b::c}`.
            for part in after.strip_prefix('{').map_or_else(|| vec![after], parts) {
                let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
                let name: String = part.trim().chars().take_while(|c| is_name(*c)).collect();
                if name != top {
                    named.insert(name);
                }
            }
        }
    }
    known
}

/// The parts of a group of imports, without what stands in groups inside it.
fn parts(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 1, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                parts.extend(group.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            parts.extend(group.get(start..at));
            break;
        }
    }
    parts
}

/// A way from a folder back to itself.
fn cycle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn follow<'i>(
        at: &'i str,
        imports: &'i BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<&'i str>,
        done: &mut BTreeSet<&'i str>,
    ) -> bool {
        if way.contains(&at) {
            way.push(at);
            return true;
        }
        if !done.insert(at) {
            return false;
        }
        way.push(at);
        for next in imports.get(at).into_iter().flatten() {
            if follow(next, imports, way, done) {
                return true;
            }
        }
        way.pop();
        false
    }
    let mut done = BTreeSet::new();
    for top in imports.keys() {
        let mut way = Vec::new();
        if follow(top, imports, &mut way, &mut done) {
            return Some(way.into_iter().map(str::to_owned).collect());
        }
    }
    None
}

#[test]
fn no_folder_imports_itself_by_way_of_another() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for part in ["src", "crates/agent/src", "crates/simulator/src"] {
        let imports = imports(&root.join(part));
        assert!(imports.len() > 5, "{part}: {imports:?}");
        assert_eq!(cycle(&imports), None, "{part}");
    }
    assert_eq!(parts("a, b::{c, d}, e} rest, f"), ["a", " b::{c, d}", " e"]);
    // The check sees a cycle where there is one.
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let wrong = BTreeMap::from([("a".to_owned(), names(&["b"])), ("b".to_owned(), names(&["a"]))]);
    assert!(cycle(&wrong).is_some());
}

/// Stored runs are read where no server is.
#[test]
fn what_reads_stored_runs_knows_no_server() {
    let imports = imports(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    for part in ["store", "stats", "metrics", "verdict", "report", "recompute"] {
        for outside in ["server", "preflight", "execute"] {
            assert!(!imports[part].contains(outside), "{part} imports {outside}");
        }
    }
}

/// Everything that a package depends on, its tests included, as cargo resolves it.
fn tree(package: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "all", "--package", package])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_paced_endpoint_shares_no_decoder_with_what_it_checks() {
    let simulator = tree("runner-simulator");
    assert!(simulator.contains("runner-formats"), "{simulator}");
    assert!(!simulator.contains("runner-agent"), "{simulator}");
    // Nor does the client know the endpoint that it is checked against, or the rest of the program.
    let agent = tree("runner-agent");
    assert!(!agent.contains("runner-simulator") && !agent.contains("reqwest"), "{agent}");
}
