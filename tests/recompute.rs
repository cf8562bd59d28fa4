//! Metrics follow from raw artifacts: computed again they are the same, and what is changed in an artifact
//! shows in the table of its run and nowhere else.

mod study;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use runner::store::Store;
use runner::store::record::RunRecord;
use serde_json::Value;

use study::{Manifest, Study, files};

/// Everything below a folder but what may come and go.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(folder)
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name != ".lock"))
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect()
}

fn records(study: &Study) -> Vec<(PathBuf, RunRecord)> {
    let store = Store::open(&study.results, "demo").unwrap();
    let cells: Vec<String> = store.cells().into_iter().map(str::to_owned).collect();
    let of_cell = |cell: &String| {
        let runs = store.runs(cell).iter();
        let own = |(repeat, run): (&u32, &RunRecord)| {
            (store.folder(cell, *repeat).unwrap().to_owned(), run.clone())
        };
        runs.map(own).collect::<Vec<_>>()
    };
    cells.iter().flat_map(of_cell).collect()
}

/// Nothing differs, and nothing is written.
#[track_caller]
fn is_as_stored(study: &Study, runs: usize) {
    let before = contents(&study.results);
    let said = study.expect(0, &["recompute", "--check"]);
    assert_eq!(said, format!("demo: {runs} runs, {runs} as stored\n"));
    assert_eq!(study.expect(0, &["recompute"]), said);
    assert!(contents(&study.results) == before);
}

/// Rounds a number in a stored metric off; what recomputing must put right.
fn spoil(folder: &Path) {
    let path = folder.join("run.json");
    let mut record: RunRecord = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut known = record.metrics.values_mut().flatten();
    *known.next().expect("a known metric") += 1.0;
    let text = serde_json::to_string_pretty(&record).unwrap() + "\n";
    fs::write(&path, text).unwrap();
}

const PROBED: &str = "probes = { loop_lag = \"2ms\", chunks = true, host = { interval = \"20ms\" } }\n\
                      controls = [\"idle\"]";

#[test]
fn runs_with_calls_and_every_probe_follow_from_their_artifacts() {
    let study = Study::new(&Manifest {
        defaults: "repeats = 2\nwarmup = 1\nmax_tokens = 20",
        axes: r#", throttle = ["off", "300 tok/s"]"#,
        experiment: PROBED,
        ..Manifest::default()
    });
    study.expect(0, &["exec"]);
    is_as_stored(&study, 4);
    let found = records(&study);
    for name in ["loop_lag_p99_ms", "idle_loop_lag_p99_ms", "host_cpu_percent", "itl_p99_ms"] {
        assert!(found.iter().all(|(_, run)| run.metrics[name].is_some()), "{name}");
    }
    // A throttle changes how gaps are read, which the record must tell.
    let throttled = |run: &RunRecord| run.identity.get("throttle").is_some();
    for (_, run) in &found {
        assert_eq!(run.metrics["gap_error_p99_ms"].is_none(), throttled(run));
    }
}

#[test]
fn runs_of_the_python_runtime_follow_from_their_artifacts() {
    let test = "runs_of_the_python_runtime_follow_from_their_artifacts";
    let Some(cache) = study::python_cache(test) else { return };
    let study = Study::new(&Manifest {
        defaults: "repeats = 1\nmax_tokens = 20",
        axes: r#", processes = ["scenario", "agent"]"#,
        experiment: &format!("runtime = \"python\"\n{PROBED}"),
        ..Manifest::default()
    });
    let made = study.command(&["exec"]).env("RUNNER_CACHE", &cache).output().unwrap();
    assert!(made.status.success(), "{}", study::text(&made));
    is_as_stored(&study, 2);
}

#[test]
fn runs_of_a_tokenizer_follow_from_their_artifacts() {
    let study = Study::new(&Manifest::default());
    let place = study.folder.path().join("tokenizers/byte_level");
    fs::create_dir_all(&place).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers");
    fs::copy(fixture.join("byte_level.json"), place.join("tokenizer.json")).unwrap();
    let text = r#"
        schema = 1
        name = "demo"
        [defaults]
        repeats = 2
        timeout = "60s"
        [experiment.race]
        tokenize = { corpus = { generate = "20 kB", seed = 7 }, iterations = 2 }
        matrix = { tokenizer = ["byte_level"] }
    "#;
    fs::write(study.manifest(), text).unwrap();
    study.expect(0, &["exec"]);
    is_as_stored(&study, 2);
    let (folder, before) = records(&study).remove(0);
    let table = folder.join("tokenize_parts.csv");
    let rows = fs::read_to_string(&table).unwrap();
    // The first measured row: its last column is the time.
    let row = rows.lines().find(|row| row.starts_with("whole,1,")).unwrap();
    let (start, _) = row.rsplit_once(',').unwrap();
    fs::write(&table, rows.replacen(row, &format!("{start},123456789"), 1)).unwrap();
    study.expect(6, &["recompute"]);
    study.expect(0, &["recompute", "--accept-changed"]);
    let (_, after) = records(&study).remove(0);
    assert!(after.metrics["tokenizer_latency_ms"] > before.metrics["tokenizer_latency_ms"]);
    assert_eq!(after.tokens, before.tokens);
}

/// A command with figures in its files and on standard output, watched by the host probe.
fn command() -> Study {
    let study = Study::new(&Manifest::default());
    let text = r#"
        schema = 1
        name = "demo"
        [experiment.c]
        repeats = 2
        command = ["sh", "work.sh", "{out}"]
        probes = { host = { interval = "10ms" } }
        [experiment.c.metric]
        rate = { from = "summary.json#/rate" }
        p50 = { from = "rows.csv", column = "ms", stat = "median", unit = "ms", better = "lower" }
        said = { from = "stdout#/v" }
    "#;
    fs::write(study.manifest(), text).unwrap();
    let script = "printf '{\"rate\": 0.1}' > $1/summary.json\n\
                  printf 'ms\\n1.1\\n3.3\\n2.2\\n' > $1/rows.csv\n\
                  echo '{\"v\": 123456.789}'; sleep 0.1\n";
    fs::write(study.folder.path().join("work.sh"), script).unwrap();
    study.expect(0, &["exec"]);
    study
}

#[test]
fn runs_of_a_command_follow_from_their_files() {
    let study = command();
    is_as_stored(&study, 2);
    let (folder, run) = records(&study).remove(0);
    for name in ["process_wall_ms", "host_cpu_percent", "rate", "p50", "said"] {
        assert!(run.metrics[name].is_some(), "{name}");
    }
    // A record of an earlier version does not say when the command ran: what needs it stays.
    let path = folder.join("run.json");
    let mut older = run.clone();
    older.command.as_mut().unwrap().window = None;
    let text = serde_json::to_string_pretty(&older).unwrap() + "\n";
    fs::write(&path, text).unwrap();
    assert!(study.expect(0, &["recompute", "--check"]).contains("2 as stored"));
}

#[test]
fn a_metric_that_is_declared_later_is_computed_again() {
    let study = command();
    let manifest = fs::read_to_string(study.manifest()).unwrap();
    let edited = manifest.replace("stat = \"median\"", "stat = \"max\"")
        + "\nlow = { from = \"rows.csv\", column = \"ms\", stat = \"min\" }\n";
    fs::write(study.manifest(), &edited).unwrap();
    let said = study.expect(6, &["recompute", "--check"]);
    assert!(said.contains("  low: not there → 1.1\n  p50: 2.2 → 3.3\n"), "{said}");
    study.expect(0, &["recompute"]);
    for (_, run) in records(&study) {
        assert_eq!((run.metrics["low"], run.metrics["p50"]), (Some(1.1), Some(3.3)));
    }
    assert!(study.expect(0, &["recompute", "--check"]).contains("2 as stored"));
    // What is declared and nothing else is new, and contradicts nothing.
    let more = edited.clone() + "high = { from = \"rows.csv\", column = \"ms\", stat = \"max\" }\n";
    fs::write(study.manifest(), more).unwrap();
    let said = study.expect(0, &["recompute", "--check"]);
    assert!(said.contains("2 runs, 2 with new metrics\n"), "{said}");
    assert!(said.contains("  high in 2 runs\n"), "{said}");
    // Without the manifest's words nothing is known of it, and nothing is lost.
    fs::write(study.manifest(), manifest.replace("p50 =", "other =")).unwrap();
    study.expect(0, &["recompute"]);
    assert!(records(&study).iter().all(|(_, run)| run.metrics["low"] == Some(1.1)));
    study.expect(0, &["verify"]);
}

/// Three cells on the paced endpoint.
fn measured() -> Study {
    let study = Study::new(&Manifest {
        defaults: "repeats = 3\nmax_tokens = 12",
        axes: r#", throttle = ["off", "500 tok/s", "250 tok/s"]"#,
        experiment: "baseline = { throttle = \"off\" }\ncontrols = [\"solo\"]",
        ..Manifest::default()
    });
    study.expect(0, &["exec"]);
    study
}

/// Tables of a report: the line above each, and its cells.
type Tables = Vec<(String, Vec<Vec<String>>)>;

fn tables(report: &str) -> Tables {
    let mut tables = Tables::new();
    let (mut title, mut rows) = (String::new(), Vec::new());
    for line in report.lines().chain([""]) {
        if let Some(row) = line.strip_prefix('|') {
            rows.push(row.split('|').map(|cell| cell.trim().to_owned()).collect());
        } else {
            if !rows.is_empty() {
                tables.push((std::mem::take(&mut title), std::mem::take(&mut rows)));
            }
            if !line.trim().is_empty() {
                line.clone_into(&mut title);
            }
        }
    }
    tables
}

fn report(study: &Study) -> String {
    study.expect(0, &["report", "--stdout"])
}

/// Changes one number of `agent.json` in place, the first that reads so after the first `key`; returns what
/// `recompute --check --json` says of it.
fn mutate(study: &Study, folder: &Path, key: &str, from: u64, to: u64) -> Value {
    let path = folder.join("agent.json");
    let text = fs::read_to_string(&path).unwrap();
    let (before, after) = text.split_at(text.find(&format!("\"{key}\"")).unwrap());
    let changed = after.replacen(&from.to_string(), &to.to_string(), 1);
    assert_ne!(changed, after);
    fs::write(&path, format!("{before}{changed}")).unwrap();
    let said = study.expect(6, &["recompute", "--check", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["results"].as_array().unwrap().len(), 1, "{said}");
    said["results"][0].clone()
}

#[test]
fn one_changed_number_changes_the_figures_of_its_run_and_nothing_else() {
    let study = measured();
    let of = |level: f64| {
        let found = records(&study).into_iter();
        let own = found.filter(|(_, run)| run.identity["throttle"].as_f64() == Some(level));
        own.map(|(folder, run)| (run.repeat, (folder, run))).collect::<BTreeMap<_, _>>()
    };
    let (folder, run) = of(250.0).remove(&2).unwrap();
    let short = run.cell[..8].to_owned();
    let (first, pristine) = (report(&study), contents(&study.results));
    is_as_stored(&study, 9);

    // A chunk in the middle is said to have come 7 ms later.
    let record: Value =
        serde_json::from_slice(&fs::read(folder.join("agent.json")).unwrap()).unwrap();
    let offset = record["calls"][0]["text_offsets_ns"][5].as_u64().unwrap();
    let said = mutate(&study, &folder, "text_offsets_ns", offset, offset + 7_000_000);
    let changed: BTreeSet<&str> = said["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["metric"].as_str().unwrap())
        .collect();
    assert!(changed.contains("itl_p99_ms") && !changed.contains("ttft_ms"), "{changed:?}");

    // Verification finds it, and nobody computes from it unasked.
    let verified = study.expect(6, &["verify"]);
    let place = folder.strip_prefix(study.layout().root()).unwrap().display().to_string();
    assert!(verified.starts_with(&format!("changed: {place}/agent.json\n")), "{verified}");
    assert!(verified.contains(" 1 findings"), "{verified}");
    let refused = study.expect(6, &["recompute"]);
    assert!(refused.contains(&format!("{place}: refused\n  agent.json is not as")), "{refused}");
    assert_eq!(report(&study), first);

    let said = study.expect(0, &["recompute", "--accept-changed"]);
    assert!(said.contains("demo: 9 runs, 8 as stored, 1 recomputed"), "{said}");
    let second = report(&study);
    assert!(second.contains("**Not as measured.**"), "{second}");
    let (before, after) = (tables(&first), tables(&second));
    assert_eq!(before.len(), after.len());
    let mut found = 0;
    for ((title, old), (_, new)) in before.iter().zip(&after) {
        assert_eq!(old.len(), new.len(), "{title}");
        for (old_row, new_row) in old.iter().zip(new) {
            for (column, (old_cell, new_cell)) in old_row.iter().zip(new_row).enumerate() {
                if old_cell == new_cell {
                    continue;
                }
                found += 1;
                let head = &old[0][column];
                let of_metric = changed.iter().any(|name| {
                    (*name == "itl_p99_ms" && head.starts_with("ITL p99"))
                        || title.contains(&format!("`{name}`"))
                        || head.contains(name)
                        || old_row.iter().any(|cell| cell.starts_with(&format!("`{name}`")))
                });
                let of_run = old_row.iter().any(|cell| cell.contains(&short));
                // the family is the whole experiment: one p takes the others with it
                let of_family = head.contains("FDR") || head.contains("judgement");
                let of_success = title.contains("Success rate");
                assert!(
                    of_metric && (of_run || of_success) || of_family,
                    "{title}\n{head}: {old_cell} → {new_cell}\n{old_row:?}"
                );
            }
        }
    }
    assert!(found >= 4, "{found}");

    // What is known of the change outlasts it.
    let verified = study.expect(6, &["verify"]);
    assert!(verified.starts_with(&format!("accepted: {place}/agent.json")), "{verified}");
    let stored = of(250.0).remove(&2).unwrap().1;
    assert_eq!(stored.files, run.files);
    let [by] = stored.recomputed.as_slice() else { panic!("{:?}", stored.recomputed) };
    assert_eq!(by.runner.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(by.accepted.keys().collect::<Vec<_>>(), ["agent.json"]);
    let kept = study.layout().root().join(&by.kept);
    assert_eq!(fs::read(&kept).unwrap(), pristine[&folder.join("run.json")]);
    let untouched = |path: &&PathBuf| {
        !path.starts_with(&folder)
            && !path.ends_with("journal.jsonl")
            && !path.ends_with("plan.json")
    };
    let now = contents(&study.results);
    assert!(pristine.keys().filter(untouched).all(|path| now[path] == pristine[path]));

    // Once accepted it is as stored; put back, the metrics follow it back.
    study.expect(0, &["recompute", "--check"]);
    fs::write(folder.join("agent.json"), &pristine[&folder.join("agent.json")]).unwrap();
    assert!(study.expect(6, &["verify"]).starts_with("restored: "));
    study.expect(0, &["recompute"]);
    study.expect(0, &["verify"]);
    let stored = of(250.0).remove(&2).unwrap().1;
    assert_eq!((stored.recomputed.len(), &stored.metrics), (2, &run.metrics));
    let rows = |tables: Tables| tables.into_iter().map(|(_, rows)| rows).collect::<Vec<_>>();
    assert!(rows(tables(&report(&study))) == rows(before));
}

#[test]
fn one_changed_token_count_changes_what_is_per_token() {
    let study = measured();
    let (folder, run) = records(&study).remove(0);
    let said = mutate(&study, &folder, "tokens", 12, 24);
    let changes = said["changes"].as_array().unwrap();
    let own = |name: &str| {
        let of_run = |change: &&Value| change["metric"] == name && change.get("call").is_none();
        changes.iter().find(of_run).cloned()
    };
    assert_eq!(own("tokens").map(|change| change["after"].clone()), Some(24.0.into()));
    assert!(own("client_tokens_per_s").is_some() && own("itl_p99_ms").is_none(), "{said}");
    study.expect(0, &["recompute", "--accept-changed"]);
    let after = records(&study).into_iter().find(|(place, _)| *place == folder).unwrap().1;
    assert_eq!(after.metrics["tokens"], Some(24.0));
    assert_ne!(after.metrics["client_tokens_per_s"], run.metrics["client_tokens_per_s"]);
}

#[test]
fn an_edited_record_is_named_for_ever() {
    let study = measured();
    let (folder, run) = records(&study).remove(0);
    spoil(&folder);
    assert!(study.expect(6, &["verify"]).starts_with("changed: "));
    let said = study.expect(6, &["recompute", "--check"]);
    assert!(said.contains("run.json is not as it was measured"), "{said}");
    assert!(study.expect(6, &["recompute"]).contains("1 refused"));
    study.expect(0, &["recompute", "--accept-changed"]);
    let after = records(&study).into_iter().find(|(place, _)| *place == folder).unwrap().1;
    assert_eq!(after.metrics, run.metrics);
    let verified = study.expect(6, &["verify"]);
    assert!(verified.starts_with("accepted: ") && verified.contains("/run.json"), "{verified}");
    assert!(report(&study).contains("`run.json`"));
}

/// Replaces a record, with the journal's word for it, as if this had been sealed.
fn seal_anew(study: &Study, folder: &Path, edit: impl Fn(&mut RunRecord)) {
    let path = folder.join("run.json");
    let digest = || runner::store::digest::of_file(&path).unwrap().sha256;
    let before = digest();
    let mut record: RunRecord = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut record);
    fs::write(&path, serde_json::to_string_pretty(&record).unwrap() + "\n").unwrap();
    let journal = study.layout().journal();
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(journal, text.replace(&before, &digest())).unwrap();
}

#[test]
fn what_an_earlier_version_did_not_count_is_new_and_contradicts_nothing() {
    let study = measured();
    let earlier = |record: &mut RunRecord| {
        record.evidence.runner.digest = Some("0".repeat(64));
        record.metrics.remove("ttft_ms").unwrap();
        *record.metrics.get_mut("itl_p99_ms").unwrap() = None;
        for call in &mut record.calls {
            call.metrics.remove("ttft_ms").unwrap();
        }
    };
    let found = records(&study);
    for (folder, _) in &found[..4] {
        seal_anew(&study, folder, earlier);
    }
    let said = study.expect(0, &["recompute", "--check"]);
    assert!(said.contains("9 runs, 5 as stored, 4 with new metrics\n"), "{said}");
    for line in ["ttft_ms in 4 runs", "ttft_ms of calls in 4 runs", "itl_p99_ms in 4 runs"] {
        assert!(said.contains(&format!("\n  {line}\n")), "{said}");
    }
    // One figure that it did count and that does not follow is what decides.
    seal_anew(&study, &found[0].0, |record| {
        *record.metrics.get_mut("tokens").unwrap() = Some(1.0);
    });
    let said = study.expect(6, &["recompute", "--check", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    let results = said["results"].as_array().unwrap();
    let ends: Vec<&str> = results.iter().map(|own| own["result"].as_str().unwrap()).collect();
    assert_eq!(ends.iter().filter(|end| **end == "new").count(), 3, "{ends:?}");
    let differs = results.iter().find(|own| own["result"] == "differs").unwrap();
    for change in differs["changes"].as_array().unwrap() {
        let kind = if change["metric"] == "tokens" { "contradicted" } else { "new" };
        assert_eq!(change["kind"], kind, "{change}");
    }
    // This version counts it: a record of its own that lacks it does not follow.
    seal_anew(&study, &found[5].0, |record| {
        record.metrics.remove("ttft_ms").unwrap();
    });
    let said = study.expect(6, &["recompute", "--check"]);
    assert!(said.contains("2 differ") && said.contains("ttft_ms: not there → "), "{said}");
    study.expect(0, &["recompute"]);
    for (folder, before) in found {
        let path = folder.join("run.json");
        let after: RunRecord = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(after.metrics, before.metrics);
    }
    study.expect(0, &["verify"]);
}

#[test]
fn what_was_taken_out_of_a_record_is_not_new() {
    let study = measured();
    let (folder, _) = records(&study).remove(0);
    let path = folder.join("run.json");
    let mut record: RunRecord = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record.evidence.runner.digest = None;
    record.metrics.remove("ttft_ms");
    fs::write(&path, serde_json::to_string_pretty(&record).unwrap()).unwrap();
    assert!(study.expect(6, &["recompute", "--check"]).contains("1 differ"));
}

/// What is shipped with the program follows from its artifacts.
#[test]
fn the_shipped_sample_is_as_stored() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_runner"));
    command.args(["recompute", "--check"]).arg(root.join("experiments/sample.toml"));
    let output = command.arg("--results").arg(root.join("results")).output().unwrap();
    assert!(output.status.success(), "{}", study::text(&output));
}

#[test]
fn what_cannot_be_read_is_said_and_left_as_it_is() {
    let study = measured();
    let mut found = records(&study);
    let (gone, _) = found.remove(0);
    let (cut, _) = found.remove(0);
    fs::remove_file(gone.join("agent.json")).unwrap();
    fs::write(cut.join("agent.json"), "{\"format\": 1, \"calls\": [").unwrap();
    let before = contents(&study.results);
    let said = study.expect(6, &["recompute", "--accept-changed"]);
    assert!(said.contains("demo: 9 runs, 7 as stored, 2 unreadable"), "{said}");
    assert!(said.contains("agent.json: "), "{said}");
    assert!(contents(&study.results) == before);
    // Nothing to compute is an error, and so is an exec that works there.
    let lock = runner::store::Lock::acquire(&study.layout()).unwrap();
    assert!(study.expect(1, &["recompute"]).contains("in use by another"));
    study.expect(6, &["recompute", "--check"]);
    drop(lock);
    fs::remove_dir_all(&study.results).unwrap();
    assert!(study.expect(1, &["recompute"]).contains("there are no runs"));
    assert!(!study.results.exists());
}
