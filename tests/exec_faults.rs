//! Runtimes, servers and folders that do not do their part: each failure has its own words, nothing
//! is lost, and the next exec goes on.

mod study;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
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
        busy_backoff: Duration::from_millis(1),
        longest_pause: Duration::from_millis(300),
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
fn events_that_do_not_belong_where_they_stand() {
    let started =
        r#"echo '{"event":"call_started","t_ns":1,"agent":"left","call":0,"warmup":false}'"#;
    let foreign = started.replace("left", "other");
    let finished = r#"echo '{"event":"call_finished","t_ns":1,"agent":"left","call":0,"outcome":"ok","tokens":1}'"#;
    for (script, message) in [
        (format!("{DONE}; sleep 60"), "`done` before `ready`"),
        (format!("{started}; sleep 60"), "`call_started` before `ready`"),
        // Each would begin the time anew that it may take.
        (format!("while :; do {READY}; sleep 0.05; done"), "`ready` a second time"),
        (format!("{READY}; while :; do {DONE}; sleep 0.05; done"), "`done` after it said"),
        (format!("{READY}; {foreign}; sleep 60"), "of agent `other` which was not asked for"),
        (format!("{READY}; {finished}; sleep 60"), "before it had started"),
        (format!("{READY}; {started}; {started}; sleep 60"), "`call_started` of call 0"),
        (format!("{READY}; {started}; {finished}; {finished}; sleep 60"), "a second time"),
    ] {
        fails(&script, "agent", message);
    }
}

/// What a runtime leaves beside good artifacts fails the attempt, harms nothing, and the next exec makes the run.
#[test]
fn odd_files_fail_the_attempt_and_no_exec_after_it() {
    for (leaves, message) in [
        (r#"ln -s "$PWD/victim" "$folder/agent.log2""#, r#""agent.log2", a link"#),
        (r#"ln -s /etc "$folder/etc""#, r#""etc", a link"#),
        (
            r#"rm "$folder/agent.json"; ln -s /dev/zero "$folder/agent.json""#,
            r#""agent.json", a link"#,
        ),
        (r#"rm "$folder/agent.json"; mkfifo "$folder/agent.json""#, "no regular file"),
        (r#"ln -s "$PWD/victim" "$folder/run.json""#, r#""run.json", a name that is kept"#),
        (r#"ln -s "$PWD/victim" "$folder/failure.json"; exit 3"#, "ended with exit status: 3"),
        (r#"mkdir "$folder/run.json""#, r#""run.json", a name that is kept"#),
        (r#"printf x > "$folder/$(printf 'caf\351')""#, r#""caf\xE9", a name that is not UTF-8"#),
        (r#"rm -rf "$folder""#, "removed its folder"),
        (r#"mv "$folder" "$folder.moved""#, "removed its folder"),
        (r#"rm -rf "$folder"; ln -s /etc "$folder""#, "removed its folder"),
    ] {
        let script = format!("{WORK}; {FOLDER}; if [ ! -e odd ]; then touch odd; {leaves}; fi");
        let study = Study::scripted(&script, &Manifest::default());
        let victim = study.folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let (summary, events) = study.execute(limits());
        let summary = summary.unwrap_or_else(|error| panic!("{leaves}: {error}"));
        assert_eq!((summary.made, summary.failed), (0, 1), "{leaves}: {events:?}");
        let failures = study.failures();
        assert_eq!(failures.len(), 1, "{leaves}");
        assert!(failures[0].1.message.contains(message), "{leaves}: {}", failures[0].1.message);
        assert_eq!(fs::read(&victim).unwrap(), b"precious", "{leaves}");
        let (summary, events) = study.execute(limits());
        assert_eq!(summary.unwrap().made, 1, "{leaves}: {events:?}");
        study.expect(0, &["verify"]);
        study.expect(0, &["report"]);
    }
}

/// What a runtime said before it ended is heard, however much of it is still on its way.
#[test]
fn a_flood_of_events_is_heard_to_its_end() {
    let progress = r#"{"event":"progress","t_ns":1,"agent":"left","call":0,"chunks":1}"#;
    let script = format!(
        "spec=$(cat); said=$(printf '%s' \"$spec\" | \"$RUNNER\" agent)
         printf '%s\\n' \"$said\" | sed -n 1,2p
         yes '{progress}' | head -n 200000
         printf '%s\\n' \"$said\" | sed 1,2d"
    );
    let study = Study::scripted(&script, &Manifest::default());
    let patient = Limits { slack: Duration::from_secs(60), ..limits() };
    let (summary, events) = study.execute(patient);
    let failures: Vec<_> =
        events.iter().filter(|e| matches!(e, ExecEvent::AttemptFailed { .. })).collect();
    assert_eq!(summary.unwrap().made, 1, "{failures:?}");
}

#[test]
fn a_flood_of_files_is_ended_and_removed() {
    let script = format!(
        "spec=$(cat); {FOLDER}; {READY}; head -c 5000000 /dev/zero > \"$folder/flood\"; sleep 60"
    );
    let manifest = Manifest { defaults: "max_output = \"1 MB\"", ..Manifest::default() };
    let study = Study::scripted(&script, &manifest);
    let patient = Limits { slack: Duration::from_secs(20), ..limits() };
    let (summary, events) = study.execute(patient);
    assert_eq!(summary.unwrap().failed, 1, "{events:?}");
    let failures = study.failures();
    let (kept, failure) = &failures[0];
    assert!(failure.message.contains("more than the 1000000 allowed"), "{}", failure.message);
    assert!(!kept.join("flood").exists() && kept.join("spec.json").exists());
}

#[test]
fn results_that_are_removed_meanwhile_are_missed() {
    let script = format!("{WORK}; if [ -e odd ]; then rm -rf results; fi; touch odd");
    let manifest = Manifest { defaults: "repeats = 3", ..Manifest::default() };
    let study = Study::scripted(&script, &manifest);
    let said = study.expect(1, &["exec"]);
    assert!(said.contains("is gone, or another lies in its place"), "{said}");

    // One that was made is removed, and all others are there.
    let script =
        format!("{WORK}; if [ -e again ]; then rm -rf results/demo/runs/*/1; fi; touch again");
    study.script(&script);
    let said = study.expect(1, &["exec"]);
    assert!(said.contains("1 is gone, or another lies"), "{said}");
    study.expect(0, &["exec"]);
}

/// The lines of a request's head, and its body. What is left unread at the close would reset the connection.
fn asked(stream: &TcpStream) -> (Vec<String>, String) {
    let mut request = BufReader::new(stream);
    let lines: Vec<String> = request
        .by_ref()
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let length = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    let length = length.map_or(0, |length| length.parse().unwrap());
    let mut body = String::new();
    let _ = request.take(length).read_to_string(&mut body);
    (lines, body)
}

/// A server that repeats the key that it was asked with, wherever it can; its address.
fn indiscreet_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (lines, body) = asked(&stream);
            let field = |name: &str| {
                let mut fields = lines.iter().filter_map(|line| line.split_once(": "));
                fields.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
            };
            let key = field("authorization").unwrap_or_default().to_owned();
            let (status, body) = if !lines[0].contains("completions") {
                (200, format!(r#"{{"data":[{{"id":"m"}},{{"id":"bad"}},{{"id":"{key}"}}]}}"#))
            } else if body.contains("\"bad\"") {
                (401, format!(r#"{{"error":{{"message":"Incorrect API key: {key}"}}}}"#))
            } else {
                let choice =
                    format!(r#"{{"delta":{{"content":"You are {key}"}},"finish_reason":"stop"}}"#);
                let usage = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":3}}"#;
                (
                    200,
                    format!(
                        "data: {{\"choices\":[{choice}]}}\n\ndata: {usage}\n\ndata: [DONE]\n\n"
                    ),
                )
            };
            let kind =
                if body.starts_with("data") { "text/event-stream" } else { "application/json" };
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}

#[test]
fn a_key_that_a_server_repeats_is_neither_shown_nor_kept() {
    const KEY: &str = "sk-a-secret/of-mine";
    let url = indiscreet_server();
    for runtime in ["rust", "python"] {
        let study = Study::new(&Manifest::default());
        let text = fs::read_to_string(study.manifest()).unwrap();
        let paced = text.lines().find(|line| line.starts_with("a = {")).unwrap();
        let endpoint = format!("a = {{ openai = \"{url}\", api_key_env = \"A_KEY\" }}");
        let text = text
            .replace(paced, &endpoint)
            .replace("[\"m\"]", "[\"m\", \"bad\"]")
            .replace("[experiment.t]", &format!("[experiment.t]\nruntime = \"{runtime}\""));
        fs::write(study.manifest(), text).unwrap();
        let run = |arguments: &[&str]| {
            let output = study.command(arguments).env("A_KEY", KEY).output().unwrap();
            let said = study::text(&output);
            assert!(!said.contains(KEY), "{runtime} {arguments:?}: {said}");
            said
        };
        run(&["plan", "--preflight"]);
        let said = run(&["exec"]);
        assert!(said.contains("Incorrect API key: Bearer *******************"), "{said}");
        run(&["report", "--partial"]);
        run(&["export", "--table", "calls"]);
        let mut covered = 0;
        for entry in walkdir::WalkDir::new(&study.results).into_iter().map(Result::unwrap) {
            if entry.file_type().is_file() {
                let kept = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
                assert!(!kept.contains("of-mine"), "{runtime}: {}", entry.path().display());
                covered += usize::from(kept.contains(&"*".repeat(KEY.len())));
            }
        }
        assert!(covered >= 3, "{runtime}: the answer, the record and the reason of the failure");
        study.expect(6, &["verify"]);
    }
}

/// A server that has the model, and too much to do, with these further headers of its answer; its address, and
/// when it was called.
fn busy_server(headers: &'static str) -> (String, Arc<Mutex<Vec<Instant>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (lines, _) = asked(&stream);
            let (status, headers, body) = if lines.iter().any(|line| line.contains("completions")) {
                noted.lock().unwrap().push(Instant::now());
                (429, headers, r#"{"error":{"message":"slow down"}}"#)
            } else {
                (200, "", r#"{"data":[{"id":"m"}]}"#)
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    (url, calls)
}

/// A study of such a server that tries a refused call three times.
fn study_of(url: &str) -> Study {
    let defaults = "retry = { max = 2, on = [\"http_error\"] }";
    let study = Study::new(&Manifest { defaults, ..Manifest::default() });
    let text = fs::read_to_string(study.manifest()).unwrap();
    let paced = text.lines().find(|line| line.starts_with("a = {")).unwrap();
    let text = text.replace(paced, &format!("a = {{ openai = \"{url}\" }}"));
    fs::write(study.manifest(), text).unwrap();
    study
}

#[test]
fn a_busy_server_is_called_again_when_it_asks_for_it() {
    let between = |calls: &Mutex<Vec<Instant>>| -> Vec<Duration> {
        calls.lock().unwrap().windows(2).map(|pair| pair[1] - pair[0]).collect()
    };
    let notes = |events: &[ExecEvent]| -> Vec<String> {
        let note = |event: &ExecEvent| match event {
            ExecEvent::Note { message } if message.contains("HTTP 429") => Some(message.clone()),
            _ => None,
        };
        events.iter().filter_map(note).collect()
    };
    let (url, calls) = busy_server("Retry-After: 1\r\n");
    let (summary, events) = study_of(&url).execute(Limits::default());
    assert_eq!(summary.unwrap().failed, 1);
    let pauses = between(&calls);
    assert!(
        pauses.len() == 2 && pauses.iter().all(|pause| pause.as_secs_f64() >= 1.0),
        "{pauses:?}"
    );
    let said = notes(&events);
    assert!(said.len() == 2 && said[0].contains("waiting 1 s as the server asks"), "{said:?}");

    // No longer than the longest pause, and without a word of the server longer each time.
    let limits = || Limits { busy_backoff: Duration::from_millis(100), ..limits() };
    let (url, calls) = busy_server("Retry-After: 3600\r\n");
    let (_, events) = study_of(&url).execute(limits());
    let pauses = between(&calls);
    assert!(pauses.iter().all(|pause| (0.3..5.0).contains(&pause.as_secs_f64())), "{pauses:?}");
    assert!(notes(&events)[0].contains("called again in 3600 s; waiting 0.3 s"), "{events:?}");
    let (url, calls) = busy_server("");
    study_of(&url).execute(limits()).0.unwrap();
    let pauses = between(&calls);
    assert!(pauses[0].as_millis() >= 100 && pauses[1].as_millis() >= 200, "{pauses:?}");
}

#[cfg(unix)]
#[test]
fn who_waits_for_a_busy_server_can_stop_at_once() {
    let (url, calls) = busy_server("Retry-After: 50\r\n");
    let study = study_of(&url);
    let mut exec = study.start(&[]);
    while !exec.wait_for("note")["message"].as_str().unwrap().contains("waiting 50 s") {}
    let asked = Instant::now();
    exec.signal("-INT");
    let (code, said) = exec.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(calls.lock().unwrap().len(), 1);
    assert!(matches!(study.journal().last(), Some(What::Ended { interrupted: true, .. })));
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
fn a_plan_and_a_journal_that_lost_power_are_said_and_kept() {
    let study = Study::new(&Manifest::default());
    study.expect(0, &["exec"]);
    let (plan, journal) = (study.layout().plan(), study.layout().journal());
    fs::write(&plan, "").unwrap();
    let cut = fs::read(&journal).unwrap().len() as u64 - 5;
    fs::File::options().write(true).open(&journal).unwrap().set_len(cut).unwrap();
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("kept as plan.json.damaged") && said.contains("nothing to do"), "{said}");
    assert!(
        said.contains("1 line of the journal") && said.contains("journal.jsonl.damaged"),
        "{said}"
    );
    assert_eq!(fs::read(journal.with_extension("jsonl.damaged")).unwrap().len() as u64, cut);
    study.expect(0, &["report"]);
    study.expect(0, &["verify"]);
    let said = study.expect(0, &["exec"]);
    assert!(!said.contains("damaged"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error_and_no_panic() {
    let study = Study::new(&Manifest::default());
    let manifest = study.manifest();
    let manifest = manifest.to_str().unwrap();
    for arguments in [&["schema", "metrics"][..], &["check", manifest], &["plan", manifest]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(study::RUNNER);
        let output = command.args(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", study::text(&output));
    }
}

#[test]
fn a_results_folder_that_cannot_be_written_stops_before_the_first_call() {
    let mut study = Study::new(&Manifest::default());
    study.results = "/proc/results".into();
    let said = study.expect(5, &["exec"]);
    assert!(said.contains("the results cannot be written"), "{said}");
}
