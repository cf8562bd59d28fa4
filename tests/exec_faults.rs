//! Runtimes, servers and folders that do not do their part: each failure has its own words, nothing
//! is lost, and the next exec goes on.

mod study;

use std::fs;
use std::time::{Duration, Instant};

use runner::execute::{ExecEvent, Limits};
use runner::os::process;
use runner::store::journal::What;

use study::{Manifest, Study};

const READY: &str =
    r#"echo '{"event":"ready","t_ns":1,"protocol":2,"runtime":{"name":"x","version":"1"}}'"#;
const DONE: &str = r#"echo '{"event":"done","t_ns":2}'"#;
/// Lets the Rust runtime do the work, then continues the script.
const WORK: &str = r#"spec=$(cat); printf '%s' "$spec" | "$RUNNER" agent"#;
/// Sets `$folder` to where the artifacts are.
const FOLDER: &str = r#"folder=$(printf '%s' "$spec" | sed -n 's/.*"artifacts": "\(.*\)".*/\1/p')"#;

/// Short, so that hanging takes no time.
fn limits() -> Limits {
    Limits {
        startup: Duration::from_millis(400),
        slack: Duration::from_millis(300),
        after_done: Duration::from_millis(200),
        grace: Duration::from_millis(100),
        log_bytes: 100_000,
        unload: Duration::from_millis(300),
        connect_backoff: Duration::from_millis(1),
        absence: Duration::ZERO,
    }
}

#[track_caller]
fn fails(script: &str, cause: &str, message: &str) {
    let manifest = Manifest { defaults: "timeout = \"400ms\"", ..Manifest::default() };
    let study = Study::scripted(script, &manifest);
    let started = Instant::now();
    let (summary, events) = study.execute(limits());
    let summary = summary.unwrap();
    assert_eq!((summary.made, summary.failed), (0, 1), "{events:?}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    let failures = study.failures();
    assert_eq!(failures.len(), 1);
    let (kept, failure) = &failures[0];
    assert_eq!(failure.cause, cause, "{}", failure.message);
    assert!(failure.message.contains(message), "{}", failure.message);
    assert!(kept.join("agent.log").exists() && kept.join("spec.json").exists());
    assert!(study.sealed().is_empty());
    assert!(study.layout().partials().is_empty());
    let pid = study.last_agent();
    assert_eq!(process::start_mark(pid), None, "process {pid} still runs");
}

#[test]
fn garbage_on_standard_output() {
    fails("echo hello", "agent", "no event of the agent protocol: `hello`");
}

#[test]
fn an_unknown_event() {
    fails(r#"echo '{"event":"party"}'; sleep 60"#, "agent", "unknown variant `party`");
}

#[test]
fn done_without_artifacts() {
    fails(&format!("{READY}; {DONE}"), "artifacts", "left no usable agent.json");
}

#[test]
fn exit_with_0_without_done() {
    fails(READY, "agent", "without the event `done`");
}

#[test]
fn exit_with_another_code() {
    fails("echo 'no module named httpx' >&2; exit 3", "agent", "`no module named httpx`");
}

#[test]
fn failure_after_done() {
    fails(&format!("{READY}; {DONE}; exit 4"), "agent", "said `done` and then ended with");
}

#[test]
fn death_by_a_signal() {
    fails(&format!("{READY}; kill -9 $$"), "agent", "SIGKILL");
}

#[test]
fn another_protocol() {
    fails(&READY.replace("\"protocol\":2", "\"protocol\":99"), "agent", "speaks version 99");
}

#[test]
fn giving_up() {
    let script = r#"echo '{"event":"error","message":"no GPU"}'; exit 1"#;
    fails(script, "agent", "gave up: no GPU");
}

#[test]
fn never_ready() {
    fails("sleep 60", "agent", "not ready after 400ms");
}

#[test]
fn never_done_and_deaf_to_signals() {
    fails(&format!("trap '' TERM; {READY}; sleep 60"), "agent", "still ran after 700ms");
}

#[test]
fn never_ending() {
    fails(&format!("{READY}; {DONE}; sleep 60"), "agent", "after it was done or gave up");
}

#[test]
fn a_flood_on_standard_error() {
    fails(&format!("{READY}; yes >&2"), "agent", "more than 100000 bytes to standard error");
}

#[test]
fn a_flood_on_standard_error_that_ends_by_itself() {
    let script = format!("{READY}; {DONE}; head -c 300000 /dev/zero >&2");
    fails(&script, "agent", "more than 100000 bytes to standard error");
}

#[test]
fn the_kept_log_of_a_flood_is_bounded() {
    let study = Study::scripted(&format!("{READY}; yes >&2"), &Manifest::default());
    study.execute(limits()).0.unwrap();
    let log = study.failures()[0].0.join("agent.log");
    assert_eq!(fs::metadata(log).unwrap().len(), limits().log_bytes);
}

#[test]
fn garbage_after_the_work() {
    fails(&format!("{WORK}; echo bye"), "agent", "no event of the agent protocol: `bye`");
}

#[test]
fn a_flood_of_garbage_on_standard_output() {
    fails("yes", "agent", "no event of the agent protocol: `y`");
}

#[test]
fn a_line_without_an_end() {
    fails("cat /dev/zero", "agent", "no event of the agent protocol");
}

#[test]
fn no_artifacts_after_the_calls_were_told() {
    let script = format!("{WORK}\n{FOLDER}\nrm -r \"$folder/agent.json\" \"$folder/responses\"");
    fails(&script, "artifacts", "left no usable agent.json");
}

#[test]
fn a_probe_that_left_its_header_alone() {
    let cut = r#"sed -i '1!d' "$folder/chunk_metrics.csv""#;
    let script = format!("{WORK}\n{FOLDER}\n{cut}");
    let experiment = "probes = { chunks = true }";
    let study = Study::scripted(&script, &Manifest { experiment, ..Manifest::default() });
    let (summary, _) = study.execute(Limits::default());
    assert_eq!(summary.unwrap().failed, 1);
    let (_, failure) = &study.failures()[0];
    assert_eq!(failure.cause, "artifacts");
    assert!(failure.message.contains("chunk_metrics.csv has 0 rows for"), "{}", failure.message);
    assert_eq!(failure.calls.len(), 1, "the record of the calls is kept: {failure:?}");
}

#[test]
fn a_record_that_no_call_can_have_left() {
    for (change, reason) in [
        ("c['end_ns'] = c['start_ns'] - 1", "lies before its start_ns"),
        ("c['end_ns'] += 10**15", "lies ahead"),
        ("c['start_ns'] = 5", "lies before the run"),
        ("c['text_offsets_ns'].reverse()", "text_offsets_ns are not in order"),
        ("c['text_offsets_ns'][-1] += 10**12", "came after its end"),
        ("c['text_bytes'].pop()", "text_bytes for 5 chunks"),
        ("c['chunks'] = 1", "5 chunks with text among 1 chunks"),
        ("c['sent_ns'] = c['end_ns'] + 1", "sent_ns"),
        ("c['server']['tokens'] = 10**18", "server.tokens of 1000000000000000000"),
        ("c['server']['decode_ns'] = 2**60", "server.decode_ns"),
    ] {
        let edit = format!(
            "import json\np = '$folder/agent.json'\nd = json.load(open(p))\nc = d['calls'][0]\n\
             {change}\njson.dump(d, open(p, 'w'))"
        );
        let script = format!("{WORK}\n{FOLDER}\npython3 -c \"{edit}\"");
        let study = Study::scripted(&script, &Manifest::default());
        assert_eq!(study.execute(Limits::default()).0.unwrap().failed, 1, "{change}");
        let (_, failure) = &study.failures()[0];
        assert_eq!(failure.cause, "artifacts", "{}", failure.message);
        assert!(failure.message.contains("that cannot be"), "{}", failure.message);
        assert!(failure.message.contains(reason), "{reason}: {}", failure.message);
    }
}

#[test]
fn an_answer_that_was_not_written() {
    let script = format!("{WORK}\n{FOLDER}\nrm \"$folder/responses/left-0.txt\"");
    let study = Study::scripted(&script, &Manifest::default());
    study.execute(Limits::default()).0.unwrap();
    let (_, failure) = &study.failures()[0];
    assert!(failure.message.contains("left-0.txt"), "{}", failure.message);
}

#[test]
fn children_left_behind_are_ended_and_the_run_counts() {
    let script = format!("sleep 300 >/dev/null 2>&1 &\necho $! >child\n{WORK}");
    let study = Study::scripted(&script, &Manifest::default());
    let (summary, events) = study.execute(limits());
    assert_eq!(summary.unwrap().made, 1, "{events:?}");
    let child = fs::read_to_string(study.folder.path().join("child")).unwrap();
    gone(child.trim().parse().unwrap());
}

/// It was killed; its new parent reaps it when it gets to it.
#[track_caller]
fn gone(child: u32) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while process::start_mark(child).is_some() {
        assert!(Instant::now() < deadline, "process {child} still runs");
        std::thread::yield_now();
    }
}

#[test]
fn children_of_a_runtime_that_hangs_are_ended_with_it() {
    let deaf = "sh -c \"trap '' TERM; echo \\$\\$ >child; while :; do sleep 1; done\"";
    let script = format!(
        "{deaf} >/dev/null 2>&1 &\nuntil [ -s child ]; do :; done\n{READY}\n{DONE}\nsleep 60"
    );
    let study = Study::scripted(&script, &Manifest::default());
    let (summary, events) = study.execute(limits());
    assert_eq!(summary.unwrap().failed, 1, "{events:?}");
    let child = fs::read_to_string(study.folder.path().join("child")).unwrap();
    gone(child.trim().parse().unwrap());
}

#[test]
fn a_child_that_holds_the_output_open_does_not_hold_the_run() {
    let script = format!("{WORK}\nsetsid sleep 20 2>/dev/null &");
    let study = Study::scripted(&script, &Manifest::default());
    let started = Instant::now();
    let (summary, events) = study.execute(limits());
    assert_eq!(summary.unwrap().made, 1, "{events:?}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[test]
fn a_failed_call_is_tried_again_as_the_policy_says() {
    let manifest = Manifest {
        defaults: "retry = { max = 1, on = [\"http_error\"] }",
        pacing: r#"ttft = "5ms", rate = "1000 tok/s", faults = [{ status = 503, first = 1 }]"#,
        ..Manifest::default()
    };
    let study = Study::new(&manifest);
    let (summary, events) = study.execute(Limits::default());
    let summary = summary.unwrap();
    assert_eq!((summary.made, summary.failed), (1, 0));
    let retried = events.iter().filter(|event| {
        matches!(event, ExecEvent::AttemptFailed { retry: true, reason, .. }
            if reason.contains("http_error"))
    });
    assert_eq!(retried.count(), 1);
    let (kept, failure) = &study.failures()[0];
    assert!(kept.ends_with("1-1"), "{kept:?}");
    assert_eq!((failure.cause.as_str(), failure.attempt), ("http_error", Some(1)));
    assert_eq!(failure.calls[0].outcome.name(), "http_error");
    assert!(study.journal().iter().any(|what| matches!(what, What::Retried { attempt: 1, .. })));
    assert!(study.journal().iter().any(|what| matches!(what, What::Finished { attempt: 2, .. })));
    study.expect(0, &["verify"]);
}

#[test]
fn a_cause_that_the_policy_does_not_name_is_final_and_exec_can_be_run_again() {
    let manifest = Manifest {
        defaults: "retry = { max = 3, on = [\"timeout\"] }",
        pacing: r#"ttft = "5ms", rate = "1000 tok/s", faults = [{ status = 503 }]"#,
        ..Manifest::default()
    };
    let study = Study::new(&manifest);
    let text = study.expect(3, &["exec"]);
    assert!(text.contains("http_error"), "{text}");
    study.expect(3, &["exec"]);
    let kept: Vec<_> = study.failures().into_iter().map(|(kept, _)| kept).collect();
    assert_eq!(kept.len(), 2);
    assert!(kept[0].ends_with("1-1") && kept[1].ends_with("1-1.2"), "{kept:?}");
    let status = study.expect(0, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["total"]["failed"], 1);
    assert_eq!(status["total"]["missing"], 0);
    study.expect(6, &["verify"]);
}

#[test]
fn everything_that_is_missing_is_said_at_once_before_the_first_call() {
    let down = r#"
[endpoint.b]
ollama = "http://127.0.0.1:9"
[endpoint.c]
openai = "http://127.0.0.1:9/v1"
api_key_env = "RUNNER_TEST_NO_SUCH_KEY"
"#;
    let study = Study::new(&Manifest::default());
    let text = fs::read_to_string(study.manifest()).unwrap();
    let agents = r#"one = [{ agent = "left", endpoint = "b", prompt = "p" }, { agent = "right", endpoint = "c", prompt = "p" }]"#;
    let text = text.replace(r#"one = [{ agent = "left", endpoint = "a", prompt = "p" }]"#, agents);
    fs::write(study.manifest(), format!("{text}\n{down}")).unwrap();
    let said = study.expect(5, &["exec"]);
    assert!(said.contains("endpoint `b`") && said.contains("127.0.0.1:9"), "{said}");
    assert!(said.contains("RUNNER_TEST_NO_SUCH_KEY"), "{said}");
    assert!(study.journal().is_empty());
}

#[test]
fn a_results_folder_that_cannot_be_written_stops_before_the_first_call() {
    let mut study = Study::new(&Manifest::default());
    study.results = "/proc/results".into();
    let said = study.expect(5, &["exec"]);
    assert!(said.contains("the results cannot be written"), "{said}");
}
