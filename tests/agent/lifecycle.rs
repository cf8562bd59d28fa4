//! The process: what it refuses, what it never tells, how it ends.

use std::io::Read;
use std::io::{BufRead, BufReader};
use std::thread;
use std::time::{Duration, Instant};

use formats::endpoint::HeaderText;
use formats::protocol::{AgentRecord, AgentSpec, Event, Outcome};
use serde_json::json;

use crate::answers::{NDJSON, answer, last, line};
use crate::process::{agent, command, finished, run, run_with, spec, start};
use crate::scripted::Scripted;

#[test]
fn a_reader_that_sleeps_does_not_hold_up_the_calls() {
    let server = Scripted::start(|_, reply| {
        reply.head(200, NDJSON);
        for _ in 0..300 {
            reply.chunk(line("a"));
            thread::sleep(Duration::from_millis(2));
        }
        reply.chunk(last(300));
        reply.end();
    });
    let long = "n".repeat(200);
    let agents = (0..40).map(|index| {
        let mut agent = agent(&server.url);
        agent.name = format!("{long}-{index}");
        agent
    });
    let mut spec = spec(agents.collect());
    let dir = tempfile::tempdir().unwrap();
    spec.artifacts = dir.path().to_owned();
    // More than a pipe holds; nobody reads until the record is there.
    let mut child = start(command(), &serde_json::to_string(&spec).unwrap());
    let limit = Instant::now() + Duration::from_secs(20);
    while !dir.path().join("agent.json").exists() {
        assert!(Instant::now() < limit, "the calls wait for the reader");
        thread::sleep(Duration::from_millis(5));
    }
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(output.len() > 70_000, "{} bytes would fit into the pipe", output.len());
    assert_eq!(output.matches("call_finished").count(), 40);
    let record: AgentRecord =
        serde_json::from_slice(&std::fs::read(dir.path().join("agent.json")).unwrap()).unwrap();
    assert!(record.calls.iter().all(|call| call.outcome == Outcome::Ok));
}

#[test]
fn a_key_is_sent_and_stays_nowhere_though_the_server_repeats_it() {
    const KEY: &str = "sk-secret/4711";
    // `me:my-password`
    const BASIC: &str = "bWU6bXktcGFzc3dvcmQ=";
    let server = Scripted::start(|request, reply| match request.headers["x-request-id"].as_str() {
        "run-1/a/0" => answer(reply, &["key ", KEY, " or my-password", &KEY.replace('/', "\\/")]),
        "run-1/b/0" => reply.whole(401, &format!(r#"{{"error": "not {KEY} nor {BASIC}"}}"#)),
        _ => {
            let named = |line: String| line.replace("\"m\"", &format!("\"{KEY}\""));
            reply.head(200, NDJSON);
            reply.chunk(named(line("a")) + &named(last(1)));
            reply.end();
        }
    });
    let mut agent = agent(&server.url);
    agent.api_key_env = Some("THE_KEY".to_owned());
    agent.headers.insert("x-basic".to_owned(), HeaderText::Env("BASIC".to_owned()));
    let mut with_key = command();
    with_key.env("THE_KEY", KEY).env("BASIC", format!("Basic {BASIC}"));
    let agents = ["a", "b", "c"].map(|name| AgentSpec { name: name.to_owned(), ..agent.clone() });
    let done = run_with(with_key, spec(agents.to_vec()));
    for request in server.requests.lock().unwrap().iter() {
        assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"));
        assert_eq!(request.headers["x-basic"], format!("Basic {BASIC}"));
    }
    assert_eq!(done.response("a", 0), "key ************** or **************************");
    let error = |agent: &str| {
        let calls = &done.record.as_ref().unwrap().calls;
        calls.iter().find(|call| call.agent == agent).unwrap().error.clone().unwrap()
    };
    assert_eq!(error("b"), "not ************** nor ********************");
    assert!(error("c").contains("**************"), "{}", error("c"));
    let repeats =
        |text: &str| [KEY, "sk-secret", BASIC, "my-password"].iter().any(|key| text.contains(key));
    assert!(!repeats(&format!("{:?}{}", done.events, done.stderr)));
    for file in walkdir::WalkDir::new(done.dir.path()).into_iter().map(Result::unwrap) {
        if file.file_type().is_file() {
            let content = std::fs::read_to_string(file.path()).unwrap();
            assert!(!repeats(&content), "{}: {content}", file.path().display());
        }
    }

    agent.headers.clear();
    let without = run(spec(vec![agent]));
    assert_eq!(without.code, Some(2));
    let message = "agent \"a\": the environment variable THE_KEY with its API key is not set";
    assert_eq!(without.events, [Event::Error { message: message.to_owned() }]);
    assert_eq!(server.requests.lock().unwrap().len(), 3, "nothing was asked without the key");
}

#[test]
fn specs_that_cannot_be_carried_out_are_refused_before_the_first_call() {
    let dir = tempfile::tempdir().unwrap();
    let mut good = spec(vec![agent("http://127.0.0.1:9")]);
    good.artifacts = dir.path().to_owned();
    let good = serde_json::to_value(good).unwrap();
    let changed = |pointer: &str, value: serde_json::Value| {
        let mut spec = good.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        spec.pointer_mut(parent).unwrap()[key] = value;
        spec.to_string()
    };
    let twice = json!([good["agents"][0], good["agents"][0]]);
    let mut late_warm_up = good["agents"][0].clone();
    late_warm_up["calls"] = json!([{ "prompt": "a" }, { "prompt": "b", "warmup": true }]);
    let mut half_a_job = good["agents"][0].clone();
    half_a_job["calls"] = json!([{ "prompt": "a", "stage": "analysis" }]);
    half_a_job["workflow"] = json!({ "scan": {
        "folder": dir.path(), "extensions": ["csv"], "max_files": 1, "max_bytes": 1
    } });
    for (text, words) in [
        ("{".to_owned(), "JSON"),
        (String::new(), "JSON"),
        (changed("/protocol", json!(3)), "protocol 3"),
        (changed("/surprise", json!(1)), "surprise"),
        (changed("/artifacts", json!("/nowhere/at/all")), "/nowhere/at/all"),
        (changed("/throttle", json!(0)), "throttle"),
        (changed("/throttle", json!("fast")), ""),
        (changed("/throttle", json!(true)), ""),
        (changed("/timeout_ns", json!(true)), ""),
        (changed("/agents/0/calls/0/prompt", json!(7)), ""),
        (changed("/agents/0/calls/0/warmup", json!("no")), ""),
        (changed("/read_buffer", json!(0)), "read_buffer"),
        (changed("/variant", json!({ "colour": "red" })), "colour"),
        (changed("/run", json!("a\nb")), "x-request-id"),
        (changed("/agents", twice), "two agents"),
        (changed("/agents", json!([late_warm_up])), "warm-up"),
        (changed("/agents/0/name", json!("../x")), "letters"),
        (changed("/agents", json!([half_a_job])), "in turn"),
        (changed("/agents/0/url", json!("localhost:1")), "http://"),
    ] {
        let child = start(command(), &text);
        let output = child.wait_with_output().unwrap();
        let finished = finished(output, tempfile::tempdir().unwrap());
        assert_eq!(finished.code, Some(2), "{text}: {}", finished.stderr);
        let [Event::Error { message }] = finished.events.as_slice() else {
            panic!("{text}: {:?}", finished.events)
        };
        assert!(message.contains(words), "{text}: {message}");
        assert!(!finished.stderr.is_empty());
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn artifacts_that_cannot_be_written_are_an_error() {
    let server = Scripted::start(|_, reply| answer(reply, &["a"]));
    let mut spec = spec(vec![agent(&server.url)]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("responses"), "in the way").unwrap();
    spec.artifacts = dir.path().to_owned();
    let child = start(command(), &serde_json::to_string(&spec).unwrap());
    let finished = finished(child.wait_with_output().unwrap(), dir);
    assert_eq!(finished.code, Some(1));
    assert!(finished.record.is_none());
    assert!(
        matches!(finished.events.last(), Some(Event::Error { message }) if message.contains("responses"))
    );
}

#[cfg(unix)]
#[test]
fn an_agent_that_is_terminated_while_idle_ends_at_once() {
    let server = Scripted::start(|_, reply| answer(reply, &["a"]));
    let mut spec = spec(vec![agent(&server.url)]);
    spec.probes.idle_ns = Some(20_000_000_000);
    let dir = tempfile::tempdir().unwrap();
    spec.artifacts = dir.path().to_owned();
    let mut child = start(command(), &serde_json::to_string(&spec).unwrap());
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(events.any(|line| line.unwrap().contains("ready")));
    let asked = Instant::now();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let record: AgentRecord =
        serde_json::from_slice(&std::fs::read(dir.path().join("agent.json")).unwrap()).unwrap();
    assert!(record.calls.is_empty() && record.idle.is_some(), "{record:?}");
}

#[cfg(unix)]
#[test]
fn a_terminated_agent_writes_what_it_has() {
    let server = Scripted::start(|_, reply| {
        reply.head(200, NDJSON);
        reply.chunk(line("a"));
        reply.wait_for_client_to_leave();
    });
    let mut agent = agent(&server.url);
    agent.calls.extend(agent.calls.clone());
    let mut spec = spec(vec![agent]);
    let dir = tempfile::tempdir().unwrap();
    spec.artifacts = dir.path().to_owned();
    let mut child = start(command(), &serde_json::to_string(&spec).unwrap());
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(events.any(|line| line.unwrap().contains("first_token")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let record: AgentRecord =
        serde_json::from_slice(&std::fs::read(dir.path().join("agent.json")).unwrap()).unwrap();
    let outcomes: Vec<Outcome> = record.calls.iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, [Outcome::Cancelled], "the second call never began");
    assert_eq!(record.calls[0].text_offsets_ns.len(), 1);
    assert_eq!(std::fs::read_to_string(dir.path().join("responses/a-0.txt")).unwrap(), "a");
}
