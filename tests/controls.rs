//! Controls and the loop-lag probe, end to end: what they show, and that they can fail.

mod study;

use std::fs;
use std::path::PathBuf;

use runner::execute::Limits;
use runner::execute::derived::LAG_WINDOWS_FILE;
use runner::store::Store;
use runner::store::record::RunRecord;
use serde_json::Value;

use study::{Manifest, Study, python_cache, python_is_there};

/// The agent `left` of the study, and a second one on the same endpoint.
const PAIR: &str = r#"pair = [
  { agent = "left", endpoint = "a", prompt = "p" },
  { agent = "right", endpoint = "a", prompt = "p" },
]"#;

fn runs(study: &Study) -> Vec<Value> {
    serde_json::from_str(&study.expect(0, &["export", "--format", "json"])).unwrap()
}

#[track_caller]
fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("{name} is unknown in {row}"))
}

#[track_caller]
fn near(row: &Value, name: &str, expected: f64, tolerance: f64) {
    let value = number(row, name);
    assert!((value - expected).abs() <= tolerance, "{name} is {value}, not near {expected}");
}

/// A pair of agents measured again is as balanced as before, and stands beside the same solo runs.
#[test]
fn agents_are_measured_again() {
    let experiment = "[experiment.pair]\nscenario = \"pair\"\ncontrols = [\"aa\", \"solo\"]\n\
                      repeats = 2\nmatrix = { model = [\"m\"] }";
    let study = Study::new(&Manifest { tables: PAIR, experiment, ..Manifest::default() });
    let plan = study.expect(0, &["plan"]);
    assert!(plan.contains("4 cells (1 of them solo controls, 1 replicas), 8 runs"), "{plan}");
    study.expect(0, &["exec"]);
    let runs = runs(&study);
    let again: Vec<&Value> = runs.iter().filter(|run| run["control"] == "aa").collect();
    assert_eq!(again.len(), 2);
    for run in again {
        assert_eq!(run["experiment"], "pair");
        assert!(number(run, "slowdown") > 0.0 && number(run, "efficiency_percent") > 0.0);
    }
    study.expect(0, &["report"]);
    let report = fs::read_to_string(study.layout().root().join("report/demo.md")).unwrap();
    assert!(report.contains("`pair`, 2 of 2 runs measured again; SIMULATED"), "{report}");
}

/// On an endpoint that serves one call at a time the agents are balanced to 75 %, though together
/// they do no more than one after the other. Only the solo control sees that.
#[test]
fn an_endpoint_that_serialises_its_requests() {
    let experiment = "[experiment.pair]\nscenario = \"pair\"\ncontrols = [\"solo\"]\nrepeats = 2\n\
                      matrix = { model = [\"m\"] }";
    let study = Study::new(&Manifest {
        defaults: "max_tokens = 60",
        pacing: r#"ttft = "20ms", rate = "200 tok/s", slots = 1"#,
        tables: PAIR,
        experiment,
        ..Manifest::default()
    });
    let plan = study.expect(0, &["plan"]);
    assert!(plan.contains("3 cells (1 of them solo controls), 6 runs"), "{plan}");
    assert!(plan.contains("_solo-right"), "{plan}");
    study.expect(0, &["exec"]);

    let runs = runs(&study);
    let of = |experiment: &str, control: Option<&str>| -> Vec<&Value> {
        let control = control.map_or(Value::Null, Value::from);
        runs.iter()
            .filter(|run| run["experiment"] == experiment && run["control"] == control)
            .collect()
    };
    // the first experiment's cell is the control of `left`
    assert_eq!((of("t", None).len(), of("pair", Some("solo")).len()), (2, 4));
    let pairs = of("pair", None);
    assert_eq!(pairs.len(), 2);
    for run in pairs {
        near(run, "efficiency_percent", 75.0, 4.0);
        near(run, "efficiency_drop_pp", 25.0, 4.0);
        near(run, "scaling_efficiency_percent", 50.0, 3.0);
        near(run, "slowdown", 1.5, 0.1);
        near(run, "solo_same_repeat", 1.0, 0.0);
        // half of the agents wait for a whole answer of the other
        near(run, "ttft_above_solo_ms", 160.0, 20.0);
    }
    assert!(of("t", None).iter().all(|run| run["slowdown"].is_null()), "{runs:?}");

    let calls = study.expect(0, &["export", "--format", "json", "--table", "calls"]);
    let calls: Vec<Value> = serde_json::from_str(&calls).unwrap();
    let mut slowdowns: Vec<f64> = calls
        .iter()
        .filter(|call| call["experiment"] == "pair" && call["control"].is_null())
        .map(|call| number(call, "slowdown"))
        .collect();
    slowdowns.sort_by(f64::total_cmp);
    assert!(slowdowns[1] < 1.2 && slowdowns[2] > 1.8, "{slowdowns:?}");

    let report = study.expect(0, &["report", "--stdout"]);
    for text in ["against its agents alone", "load balance", "Σ agents' solo aggregate"] {
        assert!(report.contains(text), "{text} is not in\n{report}");
    }
    study.expect(0, &["verify"]);
    let again = study.expect(0, &["exec"]);
    assert!(!again.contains("failed"), "{again}");
    assert_eq!(study.sealed().len(), 6);
}

fn only_run(study: &Study) -> (PathBuf, RunRecord) {
    let store = Store::open(&study.results, "demo").unwrap();
    let cells = store.cells();
    let [cell] = cells.as_slice() else { panic!("{} cells", cells.len()) };
    (store.folder(cell, 1).unwrap().to_owned(), store.runs(cell)[&1].clone())
}

#[test]
fn lag_of_the_rust_runtime_loaded_and_idle() {
    let experiment = "probes = { loop_lag = \"1ms\", chunks = true }\ncontrols = [\"idle\"]";
    let study = Study::new(&Manifest {
        defaults: "max_tokens = 50\nwarmup = 1",
        pacing: r#"ttft = "20ms", rate = "100 tok/s""#,
        experiment,
        ..Manifest::default()
    });
    study.expect(0, &["exec"]);
    let row = &runs(&study)[0];
    for name in ["loop_lag_p50_ms", "loop_lag_p99_ms", "idle_loop_lag_p50_ms", "loop_lag_stalls"] {
        assert!(number(row, name) >= 0.0, "{name}");
    }
    number(row, "loop_lag_p99_ms_above_idle");
    // half a second of calls at about one sample in a millisecond, were the machine not busy
    let samples = number(row, "loop_lag_samples");
    assert!((50.0..=520.0).contains(&samples), "{samples}");
    let cost = number(row, "loop_lag_probe_cost_percent");
    assert!(cost > 0.0 && cost < 50.0, "{cost}");
    assert!(number(row, "chunk_probe_cost_percent") > 0.0);
    #[cfg(target_os = "linux")]
    {
        let cost = number(row, "read_delay_cost_percent");
        assert!(cost > 0.0 && cost < 5.0, "{cost}");
    }

    let (folder, record) = only_run(&study);
    assert!(record.files.contains_key("loop_lag.csv"));
    assert!(record.files.contains_key(LAG_WINDOWS_FILE));
    let windows = fs::read_to_string(folder.join(LAG_WINDOWS_FILE)).unwrap();
    let mut lines = windows.lines();
    assert_eq!(
        lines.next(),
        Some("start_ns,duration_ms,samples,lag_p50_ms,lag_p99_ms,lag_max_ms,chunks,chunks_per_s")
    );
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    // a second of idle, two calls of half a second
    assert!(rows.len() >= 20, "{windows}");
    let total = |column: usize| rows.iter().map(|row| row[column].parse::<u64>().unwrap()).sum();
    let chunks: u64 = total(6);
    assert_eq!(chunks, 100, "warm-up and measured call");
    assert!(rows[..8].iter().all(|row| row[6] == "0"), "the control makes no calls: {windows}");
    let written = fs::read_to_string(folder.join("loop_lag.csv")).unwrap().lines().count() - 1;
    assert_eq!(total(2), written as u64);

    let report = study.expect(0, &["report", "--stdout"]);
    assert!(report.contains("Noise floor of the loop-lag probe"), "{report}");
    assert!(report.contains("Event-loop lag of `t`"), "{report}");
    assert!(report.contains("What the probes inside the process cost in `t`"), "{report}");
}

/// One loop for both agents, and one for each: shares of time stay shares.
#[test]
fn lag_of_the_python_runtime_loaded_and_idle() {
    let Some(cache) = python_cache("lag_of_the_python_runtime_loaded_and_idle") else { return };
    let experiment = "[experiment.pair]\nscenario = \"pair\"\nruntime = \"python\"\n\
                      probes = { loop_lag = \"3ms\", chunks = true }\ncontrols = [\"idle\"]\n\
                      matrix = { model = [\"m\"], processes = [\"scenario\", \"agent\"] }";
    let study = Study::new(&Manifest {
        defaults: "max_tokens = 50",
        pacing: r#"ttft = "20ms", rate = "100 tok/s""#,
        tables: PAIR,
        experiment,
        ..Manifest::default()
    });
    let mut exec = study.command(&["exec", "--filter", "experiment=pair"]);
    let output = exec.env("RUNNER_CACHE", cache).output().unwrap();
    assert!(output.status.success(), "{}", study::text(&output));
    let runs = runs(&study);
    let of = |processes: &str| {
        let of = |run: &&Value| run["experiment"] == "pair" && run["processes"] == processes;
        runs.iter().find(of).unwrap_or_else(|| panic!("{processes} in {runs:?}"))
    };
    for (run, loops) in [(of("scenario"), 1.0), (of("agent"), 2.0)] {
        near(run, "loop_lag_loops", loops, 0.0);
        for name in ["idle_loop_lag_p50_ms", "idle_loop_lag_p99_ms", "loop_lag_p99_ms_above_idle"] {
            number(run, name);
        }
        assert!(number(run, "loop_lag_p50_ms") > 0.0, "{run}");
        let stalled = number(run, "loop_lag_stalled_percent");
        assert!((0.0..=100.0).contains(&stalled), "{stalled}");
        // Half a second of calls, a sample in 3 ms at the most often.
        let samples = number(run, "loop_lag_samples") / loops;
        assert!((20.0..=180.0).contains(&samples), "{samples}");
        for name in ["loop_lag_probe_cost_percent", "chunk_probe_cost_percent"] {
            let cost = number(run, name);
            assert!(cost > 0.0 && cost < 50.0, "{name}: {cost}");
        }
        assert!(number(run, "startup_ms") > 10.0, "{run}");
        assert!(number(run, "cpu_s") > 0.05, "{run}");
    }
    assert!(number(of("scenario"), "peak_rss_mb") > 10.0);
    assert!(of("agent")["peak_rss_mb"].is_null(), "the system tells the largest process only");
}

/// A runtime that blocks its loop `block` milliseconds after each chunk.
fn blocking(block: &str) -> Value {
    let tables = format!("{PAIR}\n{}", study::blocking_runtime(block));
    let experiment = "[experiment.pair]\nscenario = \"pair\"\nruntime = \"blocking\"\n\
                      probes = { loop_lag = \"1ms\" }\ncontrols = [\"idle\"]\nmatrix = { model = [\"m\"] }";
    let study = Study::new(&Manifest {
        defaults: "max_tokens = 20",
        pacing: r#"ttft = "50ms", rate = "100 tok/s""#,
        tables: &tables,
        experiment,
        ..Manifest::default()
    });
    study.expect(0, &["exec", "--filter", "experiment=pair"]);
    runs(&study).into_iter().find(|run| run["experiment"] == "pair").unwrap()
}

#[test]
fn a_loop_that_is_blocked_after_each_chunk_is_found() {
    if !python_is_there("a_loop_that_is_blocked_after_each_chunk_is_found") {
        return;
    }
    let (free, blocked) = (blocking("0"), blocking("20"));
    assert!(number(&blocked, "loop_lag_p99_ms_above_idle") > 10.0, "{blocked}");
    assert!(number(&blocked, "loop_lag_stalls_above_idle") > 3.0, "{blocked}");
    // Two agents keep the loop from everything else nearly all the time.
    assert!(number(&blocked, "loop_lag_stalled_percent") > 60.0, "{blocked}");
    assert!(number(&free, "loop_lag_stalled_percent") < 40.0, "{free}");
    // What the probe finds is what the streams suffer from.
    let grown = |name: &str| number(&blocked, name) - number(&free, name);
    assert!(grown("ttft_error_ms") > 5.0, "{blocked} {free}");
    assert!(grown("gap_error_p50_ms") > 5.0, "{blocked} {free}");
}

/// Lets the Rust runtime do the work, then spoils what it left in `$folder`.
fn spoiled(spoil: &str) -> String {
    let script = format!(
        r#"spec=$(cat); printf '%s' "$spec" | "$RUNNER" agent
folder=$(printf '%s' "$spec" | sed -n 's/.*"artifacts": "\(.*\)".*/\1/p')
{spoil}"#
    );
    let experiment = "probes = { loop_lag = \"1ms\" }\ncontrols = [\"idle\"]";
    let study = Study::scripted(&script, &Manifest { experiment, ..Manifest::default() });
    let (summary, _) = study.execute(Limits::default());
    assert_eq!(summary.unwrap().failed, 1);
    let (_, failure) = &study.failures()[0];
    assert_eq!(failure.cause, "artifacts");
    failure.message.clone()
}

#[test]
fn a_lag_probe_that_did_not_measure_fails_the_run() {
    let header_alone = spoiled("sed -i '1!d' \"$folder/loop_lag.csv\"");
    assert!(header_alone.contains("loop_lag.csv has 0 wake-ups"), "{header_alone}");
    let few = spoiled("sed -i '20,$d' \"$folder/loop_lag.csv\"");
    assert!(few.contains("at least"), "{few}");
    let columns = spoiled("sed -i 's/lag_ms/lag/' \"$folder/loop_lag.csv\"");
    assert!(columns.contains("must be `time_ns,lag_ms`"), "{columns}");
    let order = spoiled(
        "{ sed -n 1p \"$folder/loop_lag.csv\"; sed 1d \"$folder/loop_lag.csv\" | sort -r; } > \"$folder/x\"\n\
         mv \"$folder/x\" \"$folder/loop_lag.csv\"",
    );
    assert!(order.contains("not in order"), "{order}");
    let none = spoiled("rm \"$folder/loop_lag.csv\"");
    assert!(none.contains("no usable loop_lag.csv"), "{none}");
}

/// As if each of two agents had a loop of its own; `$folder` as in [`spoiled`].
fn of_two_loops(spoil: &str) -> Option<String> {
    let script = format!(
        r#"spec=$(cat); printf '%s' "$spec" | "$RUNNER" agent
folder=$(printf '%s' "$spec" | sed -n 's/.*"artifacts": "\(.*\)".*/\1/p')
awk '{spoil}' "$folder/loop_lag.csv" > "$folder/x"; mv "$folder/x" "$folder/loop_lag.csv""#
    );
    let experiment = "[experiment.pair]\nscenario = \"pair\"\nruntime = \"scripted\"\n\
                      probes = { loop_lag = \"1ms\" }\ncontrols = [\"idle\"]\n\
                      matrix = { model = [\"m\"] }\n[experiment.rest]\nscenario = \"one\"\n\
                      matrix = { model = [\"m\"] }";
    let study =
        Study::scripted(&script, &Manifest { tables: PAIR, experiment, ..Manifest::default() });
    study.run(&["exec", "--filter", "experiment=pair"]);
    match study.failures().as_slice() {
        [] => {
            let run = runs(&study).into_iter().find(|run| run["experiment"] == "pair").unwrap();
            near(&run, "loop_lag_loops", 2.0, 0.0);
            None
        }
        failures => Some(failures[0].1.message.clone()),
    }
}

#[test]
fn every_loop_must_have_been_probed() {
    let named = r#"NR == 1 { print $0 ",loop"; next } "#;
    let both = format!(r#"{named} {{ print $0 (NR % 2 ? ",left" : ",right") }}"#);
    assert_eq!(of_two_loops(&both), None);
    let dead = of_two_loops(&format!(r#"{named} {{ print $0 ",left" }}"#)).unwrap();
    assert!(dead.contains("0 wake-ups") && dead.contains("on the loop of \"right\""), "{dead}");
    let short = format!(r#"{named} {{ print $0 (NR > 9 ? ",left" : ",right") }}"#);
    let short = of_two_loops(&short).unwrap();
    assert!(short.contains("8 wake-ups") && short.contains("on the loop of \"right\""), "{short}");
    let foreign = of_two_loops(&format!(r#"{named} {{ print $0 ",other" }}"#)).unwrap();
    assert!(foreign.contains("\"other\" is no agent"), "{foreign}");
}

#[test]
fn an_idle_control_that_was_not_made_fails_the_run() {
    let gone = spoiled(r#"sed -i 's/"idle":{[^}]*},//' "$folder/agent.json""#);
    assert!(gone.contains("the idle control was asked for, but it is not recorded"), "{gone}");
}
