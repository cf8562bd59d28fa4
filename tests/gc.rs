//! What an edit of the manifest leaves behind is shown, and removed only where a user asks for it.

mod study;

use std::fs;

use runner::store::journal::What;
use serde_json::Value;
use study::{Manifest, Study};

fn with_axes(axes: &str) -> Manifest<'_> {
    Manifest { axes, ..Manifest::default() }
}

const THREE: &str = ", max_tokens = [3, 4, 6]";
const ONE: &str = ", max_tokens = [4]";

/// Three cells with runs, of which the manifest asks for one.
fn edited() -> Study {
    let study = Study::new(&with_axes(THREE));
    study.expect(0, &["exec"]);
    study.expect(0, &["report"]);
    study.edit(&with_axes(ONE));
    study
}

fn listed(study: &Study) -> Value {
    serde_json::from_str(&study.expect(0, &["gc", "--json"])).unwrap()
}

#[test]
fn what_no_cell_asks_for_is_listed_and_removed_when_asked() {
    let study = edited();
    let plan = study.expect(0, &["plan"]);
    assert!(
        plan.contains("2 stored runs that no cell of the manifest asks for any more"),
        "{plan}"
    );
    let json: Value = serde_json::from_str(&study.expect(0, &["plan", "--json"])).unwrap();
    assert_eq!(json["left_behind"], 2);

    let before = study.sealed();
    let text = study.expect(0, &["gc"]);
    assert!(text.contains("2 stored runs that no cell of the manifest asks for"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("runs/")).count(), 2, "{text}");
    assert_eq!(study.sealed(), before, "listing removes nothing");

    // The manifest as it was asks for all.
    study.edit(&with_axes(THREE));
    assert!(study.expect(0, &["gc", "--delete"]).contains("every stored run is asked for"));
    assert_eq!(study.sealed(), before);

    study.edit(&with_axes(ONE));
    // Killed between the journal's line and the removal: it is there as it was sealed, and removed the next time.
    let mut journal = runner::store::journal::Journal::open(&study.layout()).unwrap();
    let cell = listed(&study)["runs"][0]["cell"].as_str().unwrap().to_owned();
    journal.write(What::Collected { cell, repeat: 1 }).unwrap();
    study.expect(0, &["verify"]);

    let kept = study.plan().id(0).short() + "/1";
    let text = study.expect(0, &["gc", "--delete"]);
    assert!(text.contains("2 stored runs removed"), "{text}");
    assert_eq!(study.sealed(), [kept]);
    let collected = study.journal().into_iter();
    assert_eq!(collected.filter(|what| matches!(what, What::Collected { .. })).count(), 3);
    let folders = fs::read_dir(study.layout().runs()).unwrap().count();
    assert_eq!(folders, 1, "no empty folder and no summary stays behind");
    assert!(!study.layout().collected().exists());
    study.expect(0, &["verify"]);
    assert!(!study.expect(0, &["plan"]).contains("runner gc"));

    // What was removed can be measured again.
    study.edit(&with_axes(THREE));
    study.expect(0, &["exec"]);
    study.expect(0, &["verify"]);
    assert_eq!(study.sealed(), before);
}

#[test]
fn filters_and_fewer_repeats_leave_nothing_behind() {
    let study = Study::new(&Manifest { defaults: "repeats = 2", ..with_axes(THREE) });
    study.expect(0, &["exec"]);
    let before = study.sealed();
    study.edit(&with_axes(THREE));
    let filter = ["--filter", "max_tokens=4"];
    let plan = study.expect(0, &[&["plan"], &filter[..]].concat());
    assert!(!plan.contains("runner gc"), "{plan}");
    let refused = study.expect(2, &[&["gc", "--delete"], &filter[..]].concat());
    assert!(refused.contains("looks at the whole manifest"), "{refused}");
    assert!(study.expect(0, &["gc", "--delete"]).contains("every stored run is asked for"));
    assert_eq!(study.sealed(), before);
}

#[test]
fn runs_of_version_1_are_never_collected() {
    let study = edited();
    // The journal knows the digests of the records as they were.
    fs::remove_file(study.layout().journal()).unwrap();
    let records = study::files(&study.layout().runs()).into_iter();
    for path in records.filter(|path| path.ends_with("run.json")) {
        let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        record.as_object_mut().unwrap().remove("identity_version");
        fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
    }
    let before = study.sealed();
    let left = listed(&study);
    assert_eq!((left["runs"].as_array().unwrap().len(), &left["identity_1"]), (0, &2.into()));
    let text = study.expect(0, &["gc", "--delete"]);
    assert!(
        text.contains("2 runs of identity 1 that cannot be told to be of one cell: kept"),
        "{text}"
    );
    assert_eq!(study.sealed(), before);
}

#[test]
fn what_a_kill_left_of_a_collection_is_removed_by_the_next() {
    let study = edited();
    let left = study.layout().collected().join("half");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("chunk_metrics.csv"), "").unwrap();
    study.expect(0, &["verify"]);
    study.expect(0, &["gc", "--delete"]);
    assert!(!study.layout().collected().exists());
}

#[test]
fn runs_that_may_stand_in_for_others_are_asked_for() {
    let study = Study::new(&with_axes(THREE));
    study.expect(0, &["exec"]);
    let experiment = "fallback = [{ max_tokens = 3 }]";
    study.edit(&Manifest { experiment, ..with_axes(ONE) });
    let left = listed(&study);
    assert_eq!(left["runs"].as_array().unwrap().len(), 1, "{left}");
}
