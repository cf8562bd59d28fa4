//! Whoever reads a run checks its seal: the digest of its record stands in the journal, a record that was
//! edited counts as missing, and what was copied to another place is no run of that place.

mod study;

use std::fs;
use std::path::{Path, PathBuf};

use runner::store::journal::What;
use runner::store::{Store, set_aside};
use serde_json::Value;

use study::{Manifest, Study};

/// Two cells with two runs each, a hypothesis and a published number.
fn measured() -> Study {
    let study = Study::new(&Manifest {
        defaults: "repeats = 2\nmax_tokens = 8",
        axes: r#", throttle = ["off", "400 tok/s"]"#,
        experiment: "baseline = { throttle = \"off\" }",
        tables: "[claim.speed]\nvalue = 1.0\nmetric = \"ttft_ms\"\ntolerance = 0.01\nsource = \"here\"",
        ..Manifest::default()
    });
    study.expect(0, &["exec"]);
    study
}

/// Folders of all runs, sorted.
fn runs(study: &Study) -> Vec<PathBuf> {
    let store = Store::open_as_found(&study.results, "demo").unwrap();
    let cells: Vec<&str> = store.cells();
    let of = |cell: &str| {
        let repeats = store.runs(cell).keys().copied().collect::<Vec<u32>>();
        repeats
            .into_iter()
            .filter_map(|r| Some(store.folder(cell, r)?.to_owned()))
            .collect::<Vec<_>>()
    };
    let mut folders: Vec<PathBuf> = cells.into_iter().flat_map(of).collect();
    folders.sort();
    folders
}

/// Makes a run four times as fast as it was.
fn edit(run: &Path) {
    let path = run.join("run.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let ttft = record["metrics"]["ttft_ms"].as_f64().unwrap();
    record["metrics"]["ttft_ms"] = (ttft / 4.0).into();
    fs::write(&path, serde_json::to_vec_pretty(&record).unwrap()).unwrap();
}

/// The run's folder as messages name it.
fn named(study: &Study, run: &Path) -> String {
    run.strip_prefix(study.layout().root()).unwrap().display().to_string()
}

fn copy(from: &Path, to: &Path) {
    for file in study::files(from) {
        let place = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(&file, &place).unwrap();
    }
}

/// Takes the lines of which this holds out of the journal.
fn forget(study: &Study, which: impl Fn(&Value) -> bool) {
    let path = study.layout().journal();
    let text = fs::read_to_string(&path).unwrap();
    let kept = text.lines().filter(|line| !which(&serde_json::from_str(line).unwrap()));
    let kept = kept.collect::<Vec<_>>().join("\n") + "\n";
    fs::write(&path, kept).unwrap();
}

#[test]
fn an_edited_record_is_named_by_whoever_reads_it_and_counts_as_missing() {
    let study = measured();
    let place = runs(&study).remove(0);
    let name = named(&study, &place);
    edit(&place);

    let changed = format!("{name}: its run.json");
    for (code, arguments) in [
        (0, &["plan"][..]),
        (0, &["status"]),
        (0, &["export"]),
        (0, &["report", "--partial"]),
        (6, &["check-claims"]),
        (1, &["report"]),
        (1, &["report", "--stdout"]),
    ] {
        let said = study.expect(code, arguments);
        assert!(said.contains(&changed), "{arguments:?}: {said}");
        assert!(said.contains("is not the one that was sealed"), "{arguments:?}: {said}");
    }
    assert!(study.expect(0, &["plan"]).contains("3 done, 1 to do"));
    assert!(study.expect(0, &["status", "--json"]).contains("\"missing\": 1"));
    let failed = study.expect(1, &["report"]);
    assert!(failed.contains("1 run(s) of 1 cell(s) are missing"), "{failed}");
    assert!(failed.contains("runner exec"), "{failed}");
    let partial = study.expect(0, &["report", "--partial", "--stdout"]);
    assert!(partial.contains("not the one that was sealed"), "{partial}");
    // Not a figure of it is in a table.
    let table = study.run(&["export", "--table", "runs"]).stdout;
    assert_eq!(String::from_utf8(table).unwrap().lines().count(), 1 + 3);

    let compared = study.command(&["compare"]);
    let mut compare = std::process::Command::new(compared.get_program());
    let root = study.layout().root().to_owned();
    let compared = compare.arg("compare").arg(&root).arg(&root).output().unwrap();
    let said = study::text(&compared);
    assert!(compared.status.success() && said.contains(&changed), "{said}");

    // It is moved aside, never deleted, and made again.
    let edited = fs::read(place.join("run.json")).unwrap();
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("a damaged run was moved to failed/"), "{said}");
    let kept = study::files(&study.layout().failed());
    assert!(
        kept.iter().any(|file| file.ends_with("run.json") && fs::read(file).unwrap() == edited)
    );
    study.expect(0, &["report"]);
    study.expect(0, &["verify"]);
}

#[test]
fn an_edited_record_flips_no_verdict() {
    let study = Study::new(&Manifest {
        defaults: "repeats = 3\nmax_tokens = 8",
        tables: "[experiment.t.hypothesis.slow]\nclaim = \"It takes its time\"\n\
                 threshold = { metric = \"ttft_ms\", stat = \"mean\", above = 1 }\n",
        ..Manifest::default()
    });
    study.expect(0, &["exec"]);
    let verdict = || {
        let table = study.run(&["export", "--table", "verdicts", "--format", "json"]).stdout;
        let rows: Vec<Value> = serde_json::from_slice(&table).unwrap();
        rows[0]["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(verdict(), "supported");
    let all = runs(&study);
    let sealed: Vec<Vec<u8>> =
        all.iter().map(|run| fs::read(run.join("run.json")).unwrap()).collect();
    for run in &all {
        for _ in 0..6 {
            edit(run);
        }
    }
    // Of figures that nobody measured nothing follows.
    assert_eq!(verdict(), "no data");
    for (run, sealed) in all.iter().zip(sealed) {
        fs::write(run.join("run.json"), sealed).unwrap();
    }
    assert_eq!(verdict(), "supported");
}

#[test]
fn a_line_that_a_kill_kept_out_of_the_journal_is_added_once_the_files_are_as_sealed() {
    let study = measured();
    let all = runs(&study);
    let ids = |run: &Path| {
        let record: Value =
            serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap();
        (record["cell"].clone(), record["repeat"].clone())
    };
    let lost = [ids(&all[0]), ids(&all[3])];
    forget(&study, |line| {
        line["event"] == "finished"
            && lost.contains(&(line["cell"].clone(), line["repeat"].clone()))
    });
    // A file of the second was edited after the kill.
    fs::write(all[3].join("agent.json"), "{}").unwrap();

    for (code, arguments) in [(0, ["plan"]), (0, ["status"]), (0, ["report"]), (0, ["export"])] {
        let said = study.expect(code, &arguments);
        let name = named(&study, &all[0]);
        assert!(
            said.contains(&format!("{name}: the journal lacks the line")),
            "{arguments:?}: {said}"
        );
    }
    assert!(study.expect(0, &["report", "--stdout"]).contains("Of 2 of the stored runs"));
    let verified = study.expect(6, &["verify"]);
    assert!(verified.contains(&format!("unsealed: {}", named(&study, &all[0]))), "{verified}");

    let said = study.expect(0, &["exec"]);
    let (first, second) = (named(&study, &all[0]), named(&study, &all[3]));
    assert!(
        said.contains(&format!("{first}: the journal did not say that it was sealed")),
        "{said}"
    );
    assert!(
        said.contains(&format!("{second}: ")) && said.contains("agent.json is not as"),
        "{said}"
    );
    let finished = study.journal().into_iter().filter(|what| matches!(what, What::Finished { .. }));
    assert_eq!(finished.count(), 3);
    let verified = study.expect(6, &["verify"]);
    assert!(
        !verified.contains(&first) && verified.contains(&format!("changed: {second}/agent.json"))
    );
    // From then on the first is held to it.
    edit(&all[0]);
    assert!(study.expect(1, &["report"]).contains("is not the one that was sealed"));
}

#[test]
fn a_run_that_is_made_again_after_a_kill_is_not_held_to_the_one_before() {
    let study = measured();
    let all = runs(&study);
    // As if the first had been moved aside, made again, and killed before the line of its end.
    let record: Value =
        serde_json::from_slice(&fs::read(all[0].join("run.json")).unwrap()).unwrap();
    edit(&all[0]);
    let mut journal = runner::store::journal::Journal::open(&study.layout()).unwrap();
    let (cell, repeat) = (record["cell"].as_str().unwrap().to_owned(), 1);
    journal.write(What::Started { cell, repeat, attempt: 1, pid: 1, mark: None }).unwrap();
    assert!(study.expect(0, &["status"]).contains("the journal lacks the line"));
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("the line was added"), "{said}");
    study.expect(0, &["verify"]);
}

#[test]
fn results_without_their_journal_stay_readable_with_a_warning() {
    let study = measured();
    fs::remove_file(study.layout().journal()).unwrap();
    for arguments in [["plan"], ["status"], ["report"], ["export"], ["verify"]] {
        let said = study.expect(0, &arguments);
        assert!(said.contains("journal"), "{arguments:?}: {said}");
    }
    // Exec takes them as they are, once their files are as their records say.
    study.expect(0, &["exec"]);
    assert!(!study.expect(0, &["status"]).contains("journal"));
    study.expect(0, &["verify"]);
}

#[test]
fn a_journal_that_was_begun_after_the_runs_does_not_know_them() {
    let study = measured();
    let path = study.layout().journal();
    for arguments in [&["gc", "--delete"][..], &["recompute"]] {
        fs::remove_file(&path).unwrap();
        study.expect(0, arguments);
        drop(runner::store::journal::Journal::open(&study.layout()).unwrap());
        for arguments in [["plan"], ["status"], ["verify"]] {
            let said = study.expect(0, &arguments);
            assert!(said.contains("no journal of "), "{arguments:?}: {said}");
            assert!(!said.contains("elsewhere"), "{arguments:?}: {said}");
        }
        // Killed when it had sealed the first of them.
        study.expect(0, &["exec"]);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("\"incomplete\"") && lines[5].contains("\"settled\""), "{text}");
        fs::write(&path, lines[..2].join("\n") + "\n").unwrap();
        let said = study.expect(0, &["exec"]);
        assert_eq!(said.matches("the line was added").count(), 3, "{said}");
        assert!(!study.expect(0, &["verify"]).contains("journal"));
    }
}

#[test]
fn once_a_repaired_journal_knows_all_again_a_foreign_run_is_named() {
    let (study, other) = (measured(), measured());
    let path = study.layout().journal();
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let started = lines.iter().position(|line| line.contains("\"started\"")).unwrap();
    let finished = lines.iter().position(|line| line.contains("\"finished\"")).unwrap();
    (lines[started], lines[finished]) = ("\0\0\0", "{\"spoiled");
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("spoiled 2 lines") && said.contains("the line was added"), "{said}");
    study.expect(0, &["verify"]);

    other.edit(&Manifest {
        defaults: "repeats = 3\nmax_tokens = 8",
        axes: r#", throttle = ["off", "400 tok/s"]"#,
        ..Manifest::default()
    });
    other.expect(0, &["exec"]);
    copy(&runs(&other)[0].with_file_name("3"), &runs(&study)[0].with_file_name("3"));
    assert!(study.expect(0, &["exec"]).contains("made elsewhere"));
    study.expect(6, &["verify"]);
}

#[test]
fn a_recomputed_record_is_sealed_before_and_after() {
    let study = measured();
    let place = runs(&study).remove(0);
    let before = fs::read(place.join("run.json")).unwrap();
    edit(&place);
    assert!(study.expect(6, &["recompute"]).contains("run.json is not as it was measured"));
    study.expect(0, &["recompute", "--accept-changed"]);
    study.expect(0, &["report"]);
    assert!(study.expect(6, &["verify"]).starts_with("accepted: "));
    // What was sealed first is not what was sealed last.
    fs::write(place.join("run.json"), before).unwrap();
    assert!(study.expect(0, &["status"]).contains("is not the one that was sealed"));
}

#[test]
fn a_run_in_another_place_is_found() {
    let study = measured();
    let all = runs(&study);
    let (first, second) = (all[0].parent().unwrap(), all[2].parent().unwrap());
    assert_ne!(first, second);
    let report = || study.run(&["report", "--stdout"]).stdout;
    let pristine = report();

    // Each of these lies beside what was measured, and none of it is a run.
    let another_cell = second.with_file_name("0-00000000").join("1");
    let another_name = second.with_file_name(format!(
        "zz-{}",
        first.file_name().unwrap().to_str().unwrap().rsplit('-').next().unwrap()
    ));
    let copies = [another_cell, first.join("7"), another_name.join("1"), second.join("9")];
    for (place, expected) in copies.iter().zip([
        "its record is of cell",
        "its record is of repeat 1",
        "the same run lies in",
        "its record is of repeat 1",
    ]) {
        copy(&all[0], place);
        let verified = study.expect(6, &["verify"]);
        let found = verified.lines().find(|line| line.starts_with("misplaced: ")).unwrap();
        assert!(found.contains(expected), "{verified}");
        assert!(verified.contains(" 1 findings"), "{verified}");
        assert!(study.expect(0, &["status"]).contains(expected));
        assert!(report() == pristine, "{}", place.display());
        fs::remove_dir_all(place).unwrap();
    }

    // One in the place of another: that one is missing, and made again.
    set_aside(&all[2], &study.folder.path().join("away")).unwrap();
    copy(&all[0], &all[2]);
    let verified = study.expect(6, &["verify"]);
    let name = named(&study, &all[2]);
    assert!(verified.contains(&format!("misplaced: {name}: its record is of cell")), "{verified}");
    assert!(verified.contains("gone: "), "{verified}");
    assert!(study.expect(1, &["report"]).contains("its record is of cell"));
    study.expect(0, &["exec"]);
    study.expect(0, &["verify"]);
}

#[test]
fn a_run_from_another_studys_results_is_found() {
    let (study, other) = (measured(), measured());
    let (own, others) = (runs(&study), runs(&other));
    // The same cell, measured elsewhere, in place of one's own.
    fs::remove_dir_all(&own[0]).unwrap();
    copy(&others[0], &own[0]);
    let verified = study.expect(6, &["verify"]);
    assert!(
        verified.contains(&format!("changed: {}/run.json", named(&study, &own[0]))),
        "{verified}"
    );
    study.expect(0, &["exec"]);
    study.expect(0, &["verify"]);
    // A repeat that this study never made.
    other.edit(&Manifest {
        defaults: "repeats = 3\nmax_tokens = 8",
        axes: r#", throttle = ["off", "400 tok/s"]"#,
        ..Manifest::default()
    });
    other.expect(0, &["exec"]);
    let third = own[0].with_file_name("3");
    copy(&others[0].with_file_name("3"), &third);
    let verified = study.expect(6, &["verify"]);
    assert!(verified.contains("the journal knows nothing of this run"), "{verified}");
    assert!(study.expect(0, &["exec"]).contains("made elsewhere"));
    study.expect(6, &["verify"]);
}

/// Reading commands, each with the code that it ends with while a run is missing.
const READING: [(&[&str], i32); 6] = [
    (&["status"], 0),
    (&["plan"], 0),
    (&["verify"], 6),
    (&["report", "--partial"], 0),
    (&["export"], 0),
    (&["check-claims"], 0),
];

#[cfg(unix)]
#[test]
fn pipes_and_links_in_place_of_stored_files_hold_nobody_up() {
    use std::os::unix::fs::symlink;

    type Damage = fn(&Path) -> std::io::Result<()>;
    let cases: [Damage; 5] = [
        |run| {
            fs::remove_file(run.join("run.json"))?;
            assert!(
                std::process::Command::new("mkfifo").arg(run.join("run.json")).status()?.success()
            );
            Ok(())
        },
        |run| {
            fs::remove_file(run.join("run.json"))?;
            symlink("/dev/zero", run.join("run.json"))
        },
        |run| {
            fs::remove_file(run.join("run.json"))?;
            fs::create_dir(run.join("run.json"))
        },
        |run| {
            fs::remove_dir_all(run)?;
            symlink("nowhere", run)
        },
        |run| {
            fs::remove_dir_all(run)?;
            symlink("..", run)
        },
    ];
    let study = measured();
    let sound = study.folder.path().join("sound");
    copy(&study.results, &sound);
    for (number, damage) in cases.into_iter().enumerate() {
        fs::remove_dir_all(&study.results).unwrap();
        copy(&sound, &study.results);
        let run = runs(&study).remove(0);
        damage(&run).unwrap();
        for (arguments, code) in READING {
            let output = study.run(arguments);
            let said = study::text(&output);
            // The published number is contradicted in any case.
            let code = if arguments[0] == "check-claims" { 6 } else { code };
            assert_eq!(output.status.code(), Some(code), "{number} {arguments:?}: {said}");
        }
        study.expect(0, &["exec"]);
        study.expect(0, &["verify"]);
    }
}

#[cfg(unix)]
#[test]
fn links_to_nowhere_below_runs_are_passed_over() {
    let study = measured();
    let runs = study.layout().runs();
    // As an editor locks a file, and a link that leads in a circle.
    std::os::unix::fs::symlink("me@host.1234:5678", runs.join(".#summary.md")).unwrap();
    std::os::unix::fs::symlink("nowhere", runs.join("dangling")).unwrap();
    std::os::unix::fs::symlink("..", runs.join("circle")).unwrap();
    for command in ["status", "verify", "exec", "report", "export"] {
        study.expect(0, &[command]);
    }
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    use std::os::unix::fs::symlink;

    for name in [".lock", "journal.jsonl", "failed", "calibration", "superseded"] {
        let study = Study::new(&Manifest::default());
        fs::create_dir_all(study.layout().root()).unwrap();
        let outside = study.folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let target = if name.contains('.') { outside.join("file") } else { outside.clone() };
        if name.contains('.') {
            fs::write(&target, "precious").unwrap();
        }
        let link = study.layout().root().join(name);
        symlink(&target, &link).unwrap();
        let said =
            study.expect(if name == ".lock" || !name.contains('.') { 5 } else { 1 }, &["exec"]);
        assert!(said.contains(name), "{name}: {said}");
        if name.contains('.') {
            assert_eq!(fs::read(&target).unwrap(), b"precious", "{name}");
        } else {
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{name}");
        }
        fs::remove_file(&link).unwrap();
        study.expect(0, &["exec"]);
    }
    // What a crash may leave half written is replaced.
    let study = Study::new(&Manifest::default());
    fs::create_dir_all(study.layout().root()).unwrap();
    let victim = study.folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, study.layout().root().join("plan.json.partial")).unwrap();
    study.expect(0, &["exec"]);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn a_plan_that_cannot_be_read_is_no_dead_end() {
    type Damage = fn(&Path) -> std::io::Result<()>;
    let cases: [Damage; 3] = [
        |plan| fs::write(plan, ""),
        |plan| fs::write(plan, "{\"format\":"),
        |plan| {
            fs::remove_file(plan)?;
            fs::create_dir(plan)
        },
    ];
    let study = measured();
    let sound = study.folder.path().join("sound");
    copy(&study.results, &sound);
    for damage in cases {
        fs::remove_dir_all(&study.results).unwrap();
        copy(&sound, &study.results);
        damage(&study.layout().plan()).unwrap();
        for command in ["status", "plan", "verify", "export"] {
            study.expect(0, &[command]);
        }
        study.expect(0, &["report"]);
        let page = study.layout().root().join("report/demo.md");
        let said = fs::read_to_string(page).unwrap();
        assert!(said.contains("count as declared after the data"), "{said}");
        let said = study.expect(0, &["exec"]);
        assert!(said.contains("plan.json cannot be read"), "{said}");
        study.expect(0, &["report"]);
        let page = study.layout().root().join("report/demo.md");
        assert!(!fs::read_to_string(page).unwrap().contains("cannot be read"));
    }
}
