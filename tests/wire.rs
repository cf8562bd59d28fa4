//! The packet capture as the witness of runs: every call is found, in every runtime; what a client delays
//! shows in its own figures and not in the server's; without the privilege a run says so.

mod study;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use runner::probe::wire::{self, WIRE_FILE};
use serde_json::Value;

use study::{Manifest, RUNNER, Study, python_cache, python_is_there};

/// Whether packets can be captured here; a test that needs it says that it was skipped.
fn captures(test: &str) -> bool {
    match wire::available() {
        Ok(()) => true,
        Err(reason) => {
            eprintln!("skipped: {test}: {reason}");
            false
        }
    }
}

/// The only sealed run, and its folder.
fn only_run(study: &Study) -> (Value, PathBuf) {
    let files = study::files(&study.layout().runs());
    let mut sealed = files.iter().filter(|path| path.ends_with("run.json"));
    let (Some(path), None) = (sealed.next(), sealed.next()) else { panic!("{files:?}") };
    let record = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    (record, path.parent().unwrap().to_owned())
}

fn metric(run: &Value, name: &str) -> f64 {
    run["metrics"][name].as_f64().unwrap_or_else(|| panic!("{name} in {}", run["metrics"]))
}

const FOUR: &str =
    "[scenario]\nfour = [{ agent = \"left\", endpoint = \"a\", prompt = \"p\", count = 4 }]";

fn four(runtime: &str, protocol: &str) -> Study {
    let experiment = format!(
        "[experiment.t]\nruntime = \"{runtime}\"\nprobes = {{ wire = {{ required = true }} }}\n\
         matrix = {{ model = [\"m\"], scenario = [\"four\"] }}"
    );
    let study = Study::new(&Manifest {
        defaults: "max_tokens = 20\nwarmup = 1",
        pacing: &format!("protocol = \"{protocol}\", ttft = \"20ms\", rate = \"200 tok/s\""),
        ..Manifest::default()
    });
    let text = fs::read_to_string(study.manifest()).unwrap();
    let text = text.split("[scenario]").next().unwrap();
    fs::write(study.manifest(), format!("{text}{FOUR}\n{experiment}\n")).unwrap();
    study
}

fn is_witnessed(run: &Value, folder: &Path) {
    assert_eq!(run["probes"]["wire"], "ok", "{run}");
    assert_eq!((&run["wire"]["calls"], &run["wire"]["dropped"]), (&8.into(), &0.into()), "{run}");
    assert!(run["files"][WIRE_FILE].is_object(), "it is sealed with the run");
    let calls = wire::read(&folder.join(WIRE_FILE)).unwrap();
    assert_eq!(calls.len(), 8);
    assert!(calls.iter().all(|call| call.chunks.len() == 20), "{calls:?}");
    // The server begins 20 ms after it has read the request, whatever the client does.
    assert!((20.0..60.0).contains(&metric(run, "wire_ttft_ms")), "{run}");
    assert!(metric(run, "client_send_delay_ms") > 0.0);
    // Bytes cannot be taken before they are there, as far as clocks can be compared.
    assert!(metric(run, "client_delay_p50_ms") > -0.05, "{run}");
    assert!(metric(run, "client_delay_p50_ms") <= metric(run, "client_delay_max_ms"));
}

#[test]
fn every_call_of_the_rust_runtime_is_found_in_every_protocol() {
    if !captures("every_call_of_the_rust_runtime_is_found_in_every_protocol") {
        return;
    }
    for protocol in ["ollama", "ollama_chat", "openai_chat", "openai_completions", "anthropic"] {
        let study = four("rust", protocol);
        study.expect(0, &["exec"]);
        let (run, folder) = only_run(&study);
        is_witnessed(&run, &folder);
        // The kernel's stamps and the capture tell of the same delays.
        let delays = ["read_delay_p50_ms", "client_delay_p50_ms"].map(|name| metric(&run, name));
        assert!((delays[0] - delays[1]).abs() < 1.0, "{protocol}: {delays:?}");
        study.expect(0, &["verify"]);
        study.expect(0, &["recompute", "--check"]);
    }
}

#[test]
fn every_call_of_the_python_runtime_is_found() {
    let test = "every_call_of_the_python_runtime_is_found";
    let Some(cache) = python_cache(test) else { return };
    if !captures(test) {
        return;
    }
    let study = four("python", "ollama");
    let output = study.command(&["exec"]).env("RUNNER_CACHE", cache).output().unwrap();
    assert!(output.status.success(), "{}", study::text(&output));
    let (run, folder) = only_run(&study);
    is_witnessed(&run, &folder);
}

/// A run of a runtime that holds its loop up for `block` milliseconds after each chunk.
fn blocking(block: &str) -> Value {
    let study = Study::new(&Manifest {
        defaults: "max_tokens = 20",
        pacing: r#"ttft = "50ms", rate = "100 tok/s""#,
        tables: &study::blocking_runtime(block),
        experiment: "runtime = \"blocking\"\nprobes = { loop_lag = \"1ms\", wire = true }\n\
                     controls = [\"idle\"]",
        ..Manifest::default()
    });
    study.expect(0, &["exec"]);
    only_run(&study).0
}

#[test]
fn a_loop_that_is_held_up_shows_in_the_client_and_not_on_the_wire() {
    let test = "a_loop_that_is_held_up_shows_in_the_client_and_not_on_the_wire";
    if !captures(test) || !python_is_there(test) {
        return;
    }
    let (free, blocked) = (blocking("0"), blocking("20"));
    // Chunks come every 10 ms and are taken every 20: they lie there longer and longer.
    let grown = |name: &str| metric(&blocked, name) - metric(&free, name);
    assert!(grown("client_delay_p50_ms") > 20.0, "{blocked} {free}");
    assert!(grown("wire_gap_error_p50_ms") > 5.0, "{blocked} {free}");
    // The server's own time is what it was.
    assert!((50.0..70.0).contains(&metric(&blocked, "wire_ttft_ms")), "{blocked}");
}

#[cfg(target_os = "linux")]
#[test]
fn without_the_privilege_a_run_is_made_without_it_unless_it_is_required() {
    let without = |study: &Study, arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--inh-caps=-all", "--bounding-set=-all", RUNNER]);
        command.arg(arguments[0]).arg(study.manifest()).args(&arguments[1..]);
        command.arg("--results").arg(&study.results).output()
    };
    let wanted =
        Study::new(&Manifest { experiment: "probes = { wire = true }", ..Manifest::default() });
    let Ok(output) = without(&wanted, &["exec"]) else {
        eprintln!("skipped: there is no setpriv");
        return;
    };
    let said = study::text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("cap_net_raw"), "{said}");
    let (run, folder) = only_run(&wanted);
    let outcome = run["probes"]["wire"].as_str().unwrap();
    assert!(outcome.starts_with("unavailable: ") && outcome.contains("setcap"), "{outcome}");
    assert!(run["metrics"]["wire_ttft_ms"].is_null(), "{run}");
    assert!(!folder.join(WIRE_FILE).exists());

    let experiment = "probes = { wire = { required = true } }";
    let required = Study::new(&Manifest { experiment, ..Manifest::default() });
    let refused = without(&required, &["exec"]).unwrap();
    assert_eq!(refused.status.code(), Some(5), "{}", study::text(&refused));
    let tried = without(&required, &["exec", "--skip-preflight"]).unwrap();
    assert_eq!(tried.status.code(), Some(3), "{}", study::text(&tried));
    assert!(required.sealed().is_empty());
}
