use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::record::*;
use super::*;

const CELL: &str = "0123456789abcdef0123456789abcdef";
/// Another cell with the same short id.
const TWIN: &str = "01234567ffffffffffffffffffffffff";

fn record(cell: &str, repeat: u32) -> RunRecord {
    RunRecord {
        format: RUN_FORMAT,
        cell: cell.to_owned(),
        identity_version: 2,
        levels: Vec::new(),
        cell_name: "cell".to_owned(),
        repeat,
        attempt: 1,
        identity: json!({ "tag": "runner/cell/1" }),
        started: Some("2025-01-01T00:00:00.000Z".to_owned()),
        finished: Some("2025-01-01T00:00:01.000Z".to_owned()),
        imported: None,
        agents: Vec::new(),
        evidence: Evidence::default(),
        process: ProcessUsage::default(),
        machine: None,
        fallback_of: None,
        rerun_of: None,
        command: None,
        calls: Vec::new(),
        metrics: Metrics::new(),
        probes: std::collections::BTreeMap::new(),
        servers: std::collections::BTreeMap::new(),
        serving: std::collections::BTreeMap::new(),
        tokens: None,
        sampling: std::collections::BTreeMap::new(),
        wire: None,
        recomputed: Vec::new(),
        files: std::collections::BTreeMap::new(),
    }
}

/// Seals a run with two files, as exec would; returns its folder.
fn seal_run(results: &Path, cell: &str, name: &str, repeat: u32) -> PathBuf {
    let store = Store::open(results, "study").unwrap();
    let folder = store.cell_folder(cell, name).unwrap();
    let partial = partial_folder(&folder, repeat);
    fs::create_dir_all(partial.join("responses")).unwrap();
    fs::write(partial.join("agent.json"), "{}").unwrap();
    fs::write(partial.join("responses/a-0.txt"), format!("answer {repeat}")).unwrap();
    let place = folder.join(repeat.to_string());
    let sha256 = seal::seal(&partial, &place, &mut record(cell, repeat)).unwrap();
    let mut journal = journal::Journal::open(store.layout()).unwrap();
    let cell = cell.to_owned();
    journal.write(journal::What::Finished { cell, repeat, attempt: 1, sha256 }).unwrap();
    place
}

#[test]
fn a_sealed_run_is_found_by_id_whatever_its_folder_is_called() {
    let results = tempfile::tempdir().unwrap();
    let place = seal_run(results.path(), CELL, "rust/old name", 1);
    assert!(place.ends_with("rust/old name-01234567/1"), "{place:?}");
    let place = seal_run(results.path(), CELL, "new", 2);
    assert!(place.ends_with("rust/old name-01234567/2"), "{place:?}");

    let store = Store::open(results.path(), "study").unwrap();
    assert_eq!(store.runs(CELL).keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(store.runs(CELL)[&1].files["responses/a-0.txt"].bytes, 8);
    assert!(store.runs(TWIN).is_empty());
    assert!(!place.with_file_name(".2.partial").exists());
}

#[test]
fn two_cells_with_one_short_id_stay_apart() {
    let results = tempfile::tempdir().unwrap();
    seal_run(results.path(), CELL, "cell", 1);
    let twin = seal_run(results.path(), TWIN, "cell", 1);
    assert!(twin.ends_with(format!("cell-{TWIN}/1")), "{twin:?}");
    let store = Store::open(results.path(), "study").unwrap();
    assert_eq!((store.runs(CELL).len(), store.runs(TWIN).len()), (1, 1));
    assert_eq!(verify::verify(store.layout()).unwrap().findings, []);
}

#[test]
fn a_moved_results_folder_is_read_and_continued() {
    let old = tempfile::tempdir().unwrap();
    seal_run(old.path(), CELL, "cell", 1);
    let new = tempfile::tempdir().unwrap();
    fs::rename(old.path().join("study"), new.path().join("study")).unwrap();
    seal_run(new.path(), CELL, "cell", 2);
    let store = Store::open(new.path(), "study").unwrap();
    assert_eq!(store.runs(CELL).len(), 2);
    assert_eq!(verify::verify(store.layout()).unwrap().findings, []);
}

#[test]
fn a_sealed_run_is_never_overwritten() {
    let results = tempfile::tempdir().unwrap();
    let place = seal_run(results.path(), CELL, "cell", 1);
    let partial = place.with_file_name(".1.partial");
    fs::create_dir(&partial).unwrap();
    let error = seal::seal(&partial, &place, &mut record(CELL, 1)).unwrap_err();
    assert!(matches!(error, StoreError::Occupied { .. }), "{error}");
    assert!(partial.exists());
}

#[test]
fn names_never_leave_the_folder() {
    let results = tempfile::tempdir().unwrap();
    let store = Store::open(results.path(), "study").unwrap();
    for name in ["../up", "a/../../b", "/etc/x", "a//b", "tab\there", "back\\slash", ".hidden", ""]
    {
        let folder = store.cell_folder(CELL, name);
        let inside = |folder: &PathBuf| folder.starts_with(store.layout().runs());
        let safe = folder.as_ref().is_ok_and(inside) && name.is_empty();
        assert!(folder.is_err() || safe, "{name:?}: {folder:?}");
    }
    for study in ["..", "a/b", "", "a\u{1b}[0m"] {
        assert!(Store::open(results.path(), study).is_err(), "{study:?}");
    }
}

#[test]
fn a_newer_format_is_refused_and_an_unreadable_record_is_reported() {
    let results = tempfile::tempdir().unwrap();
    let first = seal_run(results.path(), CELL, "cell", 1);
    let second = seal_run(results.path(), CELL, "cell", 2);
    fs::write(first.join(RUN_FILE), "{ not json").unwrap();
    let store = Store::open(results.path(), "study").unwrap();
    assert_eq!(store.damaged().len(), 1);
    assert_eq!(store.damaged()[0].folder, first);
    assert_eq!(store.runs(CELL).len(), 1);

    fs::remove_file(first.join(RUN_FILE)).unwrap();
    assert_eq!(Store::open(results.path(), "study").unwrap().damaged().len(), 1);

    fs::write(second.join(RUN_FILE), r#"{ "format": 99, "shape": "unheard of" }"#).unwrap();
    let error = Store::open(results.path(), "study").unwrap_err();
    assert!(error.to_string().contains("has format 99"), "{error}");
}

#[test]
fn a_run_in_a_folder_of_another_repeat_is_damage() {
    let results = tempfile::tempdir().unwrap();
    let place = seal_run(results.path(), CELL, "cell", 1);
    fs::rename(&place, place.with_file_name("7")).unwrap();
    let store = Store::open(results.path(), "study").unwrap();
    assert!(store.runs(CELL).is_empty());
    assert!(store.damaged()[0].reason.contains("repeat 1"), "{:?}", store.damaged());
}

#[test]
fn a_number_is_read_back_to_the_last_digit() {
    // The steps of a linear congruence reach all bits of a fraction.
    let step = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    let values = std::iter::successors(Some(1_u64), step).take(20_000);
    let values = values.map(|bits| f64::from_bits(bits >> 12 | 0x3ff0 << 48) * 123.4);
    let mut written = record(CELL, 1);
    written.metrics = values.enumerate().map(|(i, value)| (i.to_string(), Some(value))).collect();
    let text = serde_json::to_vec(&written).unwrap();
    let read: RunRecord = serde_json::from_slice(&text).unwrap();
    assert!(read.metrics == written.metrics);
}

#[test]
fn a_record_that_is_replaced_is_kept_and_either_is_known() {
    let results = tempfile::tempdir().unwrap();
    let place = seal_run(results.path(), CELL, "cell", 1);
    let layout = Layout::new(results.path(), "study").unwrap();
    let old = fs::read(place.join(RUN_FILE)).unwrap();
    let mut journal = journal::Journal::open(&layout).unwrap();
    let by = || Recomputation {
        before: formats::digest::of_bytes(&fs::read(place.join(RUN_FILE)).unwrap()),
        ..Recomputation::default()
    };
    let mut again = index::load(&place).unwrap();
    again.metrics.insert("m".to_owned(), Some(1.0));
    let again = reseal::reseal(&layout, &mut journal, &place, again, by()).unwrap();
    assert_eq!(verify::verify(&layout).unwrap().findings, []);
    assert_eq!(index::load(&place).unwrap(), again);
    assert_eq!(fs::read(layout.root().join(&again.recomputed[0].kept)).unwrap(), old);
    assert!(again.recomputed[0].kept.starts_with("superseded/cell-01234567/1-run-"));
    // Killed after the journal's line and before the record was replaced.
    let new = fs::read(place.join(RUN_FILE)).unwrap();
    fs::write(place.join(RUN_FILE), &old).unwrap();
    fs::write(place.with_file_name(".1.record"), &new).unwrap();
    assert_eq!(verify::verify(&layout).unwrap().findings, []);
    assert_eq!(Store::open(results.path(), "study").unwrap().runs(CELL).len(), 1);
    reseal::reseal(&layout, &mut journal, &place, again, by()).unwrap();
    assert_eq!(verify::verify(&layout).unwrap().findings, []);
    // A record that nobody sealed is no known one, and one that changed meanwhile is not replaced.
    let stale = by();
    let edited = String::from_utf8(new).unwrap().replace("\"attempt\": 1", "\"attempt\": 2");
    fs::write(place.join(RUN_FILE), edited).unwrap();
    let error = reseal::reseal(&layout, &mut journal, &place, record(CELL, 1), stale).unwrap_err();
    assert!(error.to_string().contains("replaced by somebody else"), "{error}");
    assert_eq!(verify::verify(&layout).unwrap().findings.len(), 1);
}

#[test]
fn verification_names_what_was_changed_missing_added_and_gone() {
    let results = tempfile::tempdir().unwrap();
    let first = seal_run(results.path(), CELL, "cell", 1);
    let second = seal_run(results.path(), CELL, "cell", 2);
    let third = seal_run(results.path(), CELL, "cell", 3);
    let layout = Layout::new(results.path(), "study").unwrap();
    let clean = verify::verify(&layout).unwrap();
    assert_eq!((clean.runs, clean.files, clean.findings.len()), (3, 9, 0));

    fs::write(first.join("responses/a-0.txt"), "Answer 1").unwrap();
    fs::remove_file(first.join("agent.json")).unwrap();
    fs::write(first.join("notes.txt"), "").unwrap();
    let text = fs::read_to_string(second.join(RUN_FILE)).unwrap();
    fs::write(second.join(RUN_FILE), text.replace("\"attempt\": 1", "\"attempt\": 2")).unwrap();
    fs::remove_dir_all(&third).unwrap();

    let found = verify::verify(&layout).unwrap().findings;
    let what: Vec<verify::Wrong> = found.into_iter().map(|finding| finding.what).collect();
    let file = |name: &str| name.to_owned();
    assert_eq!(
        what,
        [
            verify::Wrong::Missing { file: file("agent.json") },
            verify::Wrong::Changed { file: file("responses/a-0.txt") },
            verify::Wrong::Added { file: file("notes.txt") },
            verify::Wrong::Changed { file: file("run.json") },
            verify::Wrong::Gone,
        ]
    );
}

#[test]
fn the_second_lock_names_the_holder_and_a_dropped_one_is_free() {
    let results = tempfile::tempdir().unwrap();
    let layout = Layout::new(results.path(), "study").unwrap();
    assert_eq!(holder(&layout), None);
    let lock = Lock::acquire(&layout).unwrap();
    let error = Lock::acquire(&layout).unwrap_err().to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    assert_eq!(holder(&layout).unwrap().pid, std::process::id());
    drop(lock);
    assert_eq!(holder(&layout), None);
    Lock::acquire(&layout).unwrap();
}

#[test]
fn a_journal_line_that_a_crash_cut_short_spoils_no_other() {
    let results = tempfile::tempdir().unwrap();
    let layout = Layout::new(results.path(), "study").unwrap();
    fs::create_dir_all(layout.root()).unwrap();
    let line = |repeat| journal::What::Retried { cell: CELL.to_owned(), repeat, attempt: 1 };
    journal::Journal::open(&layout).unwrap().write(line(1)).unwrap();
    let text = fs::read(layout.journal()).unwrap();
    fs::write(layout.journal(), [&text[..], &text[..text.len() / 2]].concat()).unwrap();
    journal::Journal::open(&layout).unwrap().write(line(2)).unwrap();
    let read = journal::read(&layout.journal()).unwrap();
    let what: Vec<_> = read.into_iter().map(|entry| entry.what).collect();
    assert_eq!(what, [line(1), line(2)]);
}

#[test]
fn a_journal_that_lost_power_is_repaired_and_kept_as_it_was() {
    let results = tempfile::tempdir().unwrap();
    let layout = Layout::new(results.path(), "study").unwrap();
    fs::create_dir_all(layout.root()).unwrap();
    assert_eq!(journal::repair(&layout).unwrap(), None);
    let line = |repeat| journal::What::Retried { cell: CELL.to_owned(), repeat, attempt: 1 };
    let mut journal = journal::Journal::open(&layout).unwrap();
    for repeat in 1..=3 {
        journal.write(line(repeat)).unwrap();
    }
    assert_eq!(journal::repair(&layout).unwrap(), None);
    let text = fs::read(layout.journal()).unwrap();
    let at = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let later = b"{\"time\":\"t\",\"what\":\"of a later version\"}\n";
    let broken = [&text[..at], b"\0\0\0", &text[at..], later, &text[..20], b"\n\0\0\0\0"].concat();
    fs::write(layout.journal(), &broken).unwrap();
    let what = || -> Vec<_> {
        let read = journal::read(&layout.journal()).unwrap();
        read.into_iter().map(|entry| entry.what).collect()
    };
    assert_eq!(what(), [line(1), line(2), line(3)]);
    let damage = journal::repair(&layout).unwrap().unwrap();
    assert_eq!((damage.lines, damage.first), (3, 2));
    assert_eq!(fs::read(damage.kept).unwrap(), broken);
    // What is gone may have been of runs that are there.
    assert_eq!(what(), [line(1), line(2), line(3), journal::What::Incomplete]);
    assert!(fs::read(layout.journal()).unwrap().starts_with(&[&text[..], later].concat()));
    assert_eq!(journal::repair(&layout).unwrap(), None);
}

#[test]
fn staleness_counts_known_differences_only() {
    let mut stored = Evidence::default();
    stored.agent.runtime = "rust".to_owned();
    stored.agent.digest = Some("aa".to_owned());
    stored.machine.hostname = Some("lab".to_owned());
    let model = |digest: Option<&str>| ModelEvidence {
        digest: digest.map(str::to_owned),
        ..ModelEvidence::default()
    };
    let server = |digest| EndpointEvidence {
        models: [("gemma3".to_owned(), model(digest))].into(),
        ..EndpointEvidence::default()
    };
    stored.endpoints.insert("left".to_owned(), server(Some("sha256:0123456789abcdef")));

    let mut today = stored.clone();
    assert!(staleness(&stored, &today).is_empty());
    today.machine.hostname = None;
    today.agent.digest = None;
    today.endpoints.insert("left".to_owned(), server(None));
    assert!(staleness(&stored, &today).is_empty(), "unknown is no difference");

    today.machine.hostname = Some("laptop".to_owned());
    today.agent.digest = Some("bb".to_owned());
    today.endpoints.insert("left".to_owned(), server(Some("sha256:ffff456789abcdef")));
    today.runner.digest = Some("another build".to_owned());
    assert_eq!(
        staleness(&stored, &today),
        [
            "the code of the runtime `rust` changed",
            "the digest of model `gemma3` on `left` was 0123456789ab, is ffff456789ab",
            "the hostname was lab, is laptop",
        ]
    );

    // what was asked for is no circumstance
    let tokenizer = |name: &str, sha256: &str| TokenizerEvidence {
        name: name.to_owned(),
        bytes: None,
        sha256: Some(sha256.to_owned()),
    };
    let mut other = stored.clone();
    (other.agent.runtime, other.agent.digest) = ("python".to_owned(), Some("bb".to_owned()));
    stored.tokenizer = Some(tokenizer("gemma3", "11"));
    other.tokenizer = Some(tokenizer("qwen2.5", "22"));
    assert!(staleness(&stored, &other).is_empty());
    other.tokenizer = Some(tokenizer("gemma3", "22"));
    let changed = ["the digest of the tokenizer `gemma3` was 11, is 22"];
    assert_eq!(staleness(&stored, &other), changed);
}

#[test]
fn a_hypothesis_keeps_its_first_criterion() {
    let results = tempfile::tempdir().unwrap();
    let layout = Layout::new(results.path(), "study").unwrap();
    fs::create_dir_all(layout.root()).unwrap();
    let plan = |time: &str, above: f64| executed::ExecutedPlan {
        format: executed::PLAN_FORMAT,
        study: "study".to_owned(),
        profile: None,
        executed: time.to_owned(),
        digest: String::new(),
        manifest: String::new(),
        cells: Vec::new(),
        changed: std::collections::BTreeMap::new(),
        repeats: std::collections::BTreeMap::new(),
        hypotheses: [(
            "race/slow".to_owned(),
            executed::Declared::new(time, &json!({ "ratio": { "above": above } }), 0),
        )]
        .into(),
    };
    assert_eq!(executed::read(&layout).unwrap(), None);
    let with_data = |_: &executed::Declared| true;
    executed::write(&layout, plan("first", 2.0), with_data).unwrap();
    executed::write(&layout, plan("second", 1.1), with_data).unwrap();
    executed::write(&layout, plan("second", 2.0), with_data).unwrap();
    let stored = executed::read(&layout).unwrap().unwrap();
    assert_eq!(stored.executed, "second");
    assert_eq!(stored.hypotheses, plan("first", 2.0).hypotheses);
    // what was tried in between is kept, and the return to the first is no news
    let declared: Vec<_> = stored.declared("race/slow").map(|d| d.since.as_str()).collect();
    assert_eq!(declared, ["first", "second"]);
}

#[test]
fn a_criterion_that_left_the_manifest_before_there_were_data_is_forgotten() {
    let results = tempfile::tempdir().unwrap();
    let layout = Layout::new(results.path(), "study").unwrap();
    fs::create_dir_all(layout.root()).unwrap();
    let planned = |repeats, runs_before: usize| executed::PlannedRepeats {
        since: format!("after {runs_before}"),
        repeats,
        looks: Vec::new(),
        until: None,
        order: None,
        runs_before: Some(runs_before),
    };
    let plan = |above: f64, repeats, runs_before| executed::ExecutedPlan {
        format: executed::PLAN_FORMAT,
        study: "study".to_owned(),
        profile: None,
        executed: String::new(),
        digest: String::new(),
        manifest: String::new(),
        cells: Vec::new(),
        changed: std::collections::BTreeMap::new(),
        repeats: [("race".to_owned(), vec![planned(repeats, runs_before)])].into(),
        hypotheses: [(
            "race/slow".to_owned(),
            executed::Declared::new("now", &json!({ "ratio": { "above": above } }), 0),
        )]
        .into(),
    };
    let bounds = || {
        let stored = executed::read(&layout).unwrap().unwrap();
        stored
            .declared("race/slow")
            .map(|declared| declared.criterion["ratio"]["above"].as_f64().unwrap())
            .collect::<Vec<f64>>()
    };
    let repeats = || {
        let stored = executed::read(&layout).unwrap().unwrap();
        stored.repeats["race"].iter().map(|own| own.repeats).collect::<Vec<u32>>()
    };
    executed::write(&layout, plan(1.0, 20, 0), |_| false).unwrap();
    executed::write(&layout, plan(2.0, 3, 0), |_| false).unwrap();
    assert_eq!((bounds(), repeats()), (vec![2.0], vec![3]));
    executed::write(&layout, plan(3.0, 5, 6), |_| true).unwrap();
    executed::write(&layout, plan(3.0, 5, 10), |_| true).unwrap();
    assert_eq!((bounds(), repeats()), (vec![2.0, 3.0], vec![3, 5]));
}

#[test]
fn what_is_set_aside_never_replaces_what_was_set_aside_before() {
    let folder = tempfile::tempdir().unwrap();
    for number in 1..=3 {
        let from = folder.path().join("from");
        fs::create_dir(&from).unwrap();
        fs::write(from.join("n"), number.to_string()).unwrap();
        set_aside(&from, &folder.path().join("to/1-1")).unwrap();
    }
    let read =
        |name: &str| fs::read_to_string(folder.path().join("to").join(name).join("n")).unwrap();
    assert_eq!([read("1-1"), read("1-1.2"), read("1-1.3")], ["1", "2", "3"]);
}

#[test]
fn repeats_are_pairs_only_where_each_began_before_the_next() {
    use super::blocks::{self, Began, OutOfTurn};
    use std::collections::BTreeMap;
    let side = |runs: &[(u32, &'static str)]| runs.iter().copied().collect::<BTreeMap<u32, &str>>();
    let pairs = |one: &[(u32, &'static str)], other: &[(u32, &'static str)]| {
        blocks::pairs(&side(one), &side(other), Began::one)
    };
    let one =
        [(1, "2026-01-01T10:00:00Z"), (2, "2026-01-01T10:02:00Z"), (3, "2026-01-01T10:04:00Z")];
    assert_eq!(
        pairs(&one, &[(1, "2026-01-01T10:01:00Z"), (2, "2026-01-01T10:03:00Z")]),
        Ok(vec![
            ("2026-01-01T10:00:00Z", "2026-01-01T10:01:00Z"),
            ("2026-01-01T10:02:00Z", "2026-01-01T10:03:00Z")
        ])
    );
    // of two that began at the same moment nobody knows which was first
    let same = pairs(&one, &[(1, "2026-01-01T10:02:00Z"), (2, "2026-01-01T10:03:00Z")]);
    assert_eq!(same, Err(OutOfTurn { repeat: 1, next: 2 }));
    assert_eq!(
        pairs(&one, &[(2, "2026-01-01T10:30:00Z"), (3, "2026-01-01T10:05:00Z")]),
        Err(OutOfTurn { repeat: 2, next: 3 })
    );
    assert_eq!(pairs(&one, &[]), Ok(Vec::new()));
}
