//! Preflight and doctor as commands: real servers that are there, lie, hang or die.

mod study;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use runner::manifest::study::Pacing;
use runner::store::Store;
use runner::store::record::RunRecord;
use serde_json::Value;
use simulator::Server;

use study::{Manifest, RUNNER, Study};

/// A paced endpoint that plays a real Ollama server with the model `simulated`.
fn ollama() -> Server {
    let pacing = Pacing { ttft: Duration::from_millis(5), rate: 1000.0, ..Pacing::default() };
    Server::start(pacing, "127.0.0.1:0".parse().unwrap()).unwrap()
}

/// A study whose endpoints are `endpoints` (TOML) and whose cells are `scenarios`, one agent each on
/// the endpoint of that name, and called like it: an address alone makes no cell of its own.
fn study(endpoints: &str, scenarios: &[&str], model: &str, experiment: &str) -> Study {
    let study = Study::new(&Manifest { experiment, ..Manifest::default() });
    let text = fs::read_to_string(study.manifest()).unwrap();
    let agents: Vec<String> = scenarios
        .iter()
        .map(|name| {
            format!("{name} = [{{ agent = \"{name}\", endpoint = \"{name}\", prompt = \"p\" }}]\n")
        })
        .collect();
    let text: Vec<String> = text
        .lines()
        .map(|line| match line {
            line if line.starts_with("a = {") => endpoints.to_owned(),
            line if line.starts_with("one = [") => agents.concat(),
            line => line
                .replace(r#"["one"]"#, &format!("{scenarios:?}"))
                .replace(r#"["m"]"#, &format!("[\"{model}\"]")),
        })
        .collect();
    fs::write(study.manifest(), text.join("\n")).unwrap();
    study
}

/// Answers every request with these bytes.
fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(bytes);
        }
    });
    url
}

const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n<html>It works</html>";
const SSH: &[u8] = b"SSH-2.0-OpenSSH_9.6\r\n";

fn findings(study: &Study, code: i32) -> Vec<Value> {
    let text = study.expect(code, &["plan", "--preflight", "--json"]);
    let overview: Value = serde_json::from_str(&text).unwrap();
    overview["preflight"].as_array().unwrap().clone()
}

/// A proxy that nobody chose would be measured as the server.
#[test]
fn proxies_that_the_environment_names_are_not_used() {
    let good = ollama();
    let study = study(
        &format!("good = {{ ollama = \"{}\" }}\n", good.base_url()),
        &["good"],
        "simulated",
        "",
    );
    for command in [&["plan", "--preflight"][..], &["exec"]] {
        let mut command = study.command(command);
        for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env(name, "http://127.0.0.1:9");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", study::text(&output));
    }
    // One that the manifest names is.
    let through =
        format!("good = {{ ollama = \"{}\", proxy = \"http://127.0.0.1:9\" }}\n", good.base_url());
    let study = self::study(&through, &["good"], "simulated", "");
    let findings = findings(&study, 5);
    let said = findings[0]["message"].as_str().unwrap();
    assert!(said.contains("cannot connect through the proxy http://127.0.0.1:9"), "{findings:?}");
    assert!(findings[0]["advice"].as_str().unwrap().contains("the proxy"), "{findings:?}");
}

#[test]
fn addresses_that_lead_into_an_api_are_named_with_the_right_ones() {
    let good = ollama();
    let address = good.base_url();
    let empty = tempfile::NamedTempFile::new().unwrap();
    let endpoints = format!(
        "a = {{ anthropic = \"{address}/v1\" }}\nb = {{ ollama = \"{address}/api\" }}\n\
         c = {{ ollama = \"{address}/v1\" }}\nd = {{ openai = \"{address}\" }}\n\
         e = {{ openai = \"{https}/v1\" }}\n\
         f = {{ openai = \"{https}/v1\", ca_file = \"{file}\" }}\n",
        https = address.replace("http:", "https:"),
        file = empty.path().display(),
    );
    let study = study(&endpoints, &["a", "b", "c", "d", "e", "f"], "simulated", "max_tokens = 9");
    let found = findings(&study, 5);
    let said = |index: usize| found[index]["message"].as_str().unwrap();
    for index in 0..3 {
        assert!(said(index).ends_with(&format!("its API begins at {address}")), "{}", said(index));
    }
    assert!(said(3).ends_with(&format!("its API is at {address}/v1")), "{}", said(3));
    assert!(said(4).contains("it does not speak TLS"), "{}", said(4));
    assert!(said(5).starts_with("cannot read the certificates in"), "{}", said(5));
    assert!(found[5]["advice"].as_str().unwrap().contains("`ca_file`"), "{}", found[5]);
}

#[test]
fn a_kept_connection_without_an_earlier_call_is_warned_of() {
    let experiment = |warmup| format!("fixed = {{ connection = \"keep\" }}\nwarmup = {warmup}");
    for (warmup, warned) in [(0, true), (1, false)] {
        let study = study(
            "good = { ollama = \"http://127.0.0.1:9\" }\n",
            &["good"],
            "simulated",
            &experiment(warmup),
        );
        let output = Command::new(RUNNER).arg("check").arg(study.manifest()).output().unwrap();
        let said = study::text(&output);
        assert_eq!(said.contains("connection `keep` has none to keep"), warned, "{said}");
    }
}

/// Another address is another server, which nobody chose.
#[test]
fn redirects_are_not_followed() {
    let good = ollama();
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}/api/generate\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        good.base_url()
    );
    let url = answering(moved.leak().as_bytes());
    let study = study(&format!("moved = {{ ollama = \"{url}\" }}\n"), &["moved"], "simulated", "");
    let findings = findings(&study, 5);
    let said = findings[0]["message"].as_str().unwrap();
    assert!(said.contains(&format!("put {} into the manifest", good.base_url())), "{said}");
    // A call says the same.
    let said = study.expect(3, &["exec", "--skip-preflight"]);
    assert!(said.contains("ended with http_error, HTTP 302: the server redirects to"), "{said}");
}

#[test]
fn everything_is_found_at_once_in_bounded_time_and_nothing_is_written() {
    let good = ollama();
    let endpoints = format!(
        "good = {{ ollama = \"{}\" }}\npage = {{ ollama = \"{}\" }}\nssh = {{ openai = \"{}\" }}\n",
        good.base_url(),
        answering(PAGE),
        answering(SSH)
    );
    // Three that accept and never answer: asked one after the other they would take 6 s.
    let hanging: Vec<TcpListener> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let hang: Vec<String> = hanging
        .iter()
        .enumerate()
        .map(|(i, listener)| {
            format!("hang{i} = {{ ollama = \"http://{}\" }}\n", listener.local_addr().unwrap())
        })
        .collect();
    let scenarios = ["good", "page", "ssh", "hang0", "hang1", "hang2"];
    let study = study(&(endpoints + &hang.concat()), &scenarios, "simulated", "");
    let began = Instant::now();
    let found = findings(&study, 5);
    assert!(began.elapsed() < Duration::from_millis(4500), "{:?}", began.elapsed());
    let blocking: Vec<&Value> =
        found.iter().filter(|finding| finding["severity"] == "blocking").collect();
    let subjects: Vec<&str> =
        blocking.iter().map(|finding| finding["subject"].as_str().unwrap()).collect();
    let expected = [
        "endpoint `hang0`",
        "endpoint `hang1`",
        "endpoint `hang2`",
        "endpoint `page`",
        "endpoint `ssh`",
    ];
    assert_eq!(subjects, expected);
    for finding in &blocking {
        assert_eq!(finding["cells"].as_array().unwrap().len(), 1, "{finding}");
        assert_ne!(finding["advice"], "", "{finding}");
    }
    assert!(blocking[3]["message"].as_str().unwrap().contains("an HTML page"), "{}", blocking[3]);
    assert!(!study.results.exists(), "plan --preflight writes nothing");
    let said = study.expect(5, &["plan", "--preflight"]);
    assert!(said.contains("endpoint `good`: ollama 0.0.0-simulated"), "{said}");
    let model =
        "  simulated: parameters simulated, quantisation simulated, context unknown, digest ";
    assert!(said.contains(model), "{said}");
}

#[test]
fn a_missing_model_names_those_that_are_there_and_the_nearest() {
    let server = ollama();
    let endpoint = format!("one = {{ ollama = \"{}\" }}", server.base_url());
    let study = study(&endpoint, &["one"], "simulatd", "");
    let said = study.expect(5, &["plan", "--preflight"]);
    assert!(said.contains("model `simulatd` on `one`"), "{said}");
    assert!(
        said.contains("it has simulated") && said.contains("did you mean `simulated`?"),
        "{said}"
    );
    assert!(said.contains("1 cell cannot be made"), "{said}");
    let said = study.expect(5, &["exec"]);
    assert!(said.contains("did you mean `simulated`?"), "{said}");
    assert!(said.contains("--skip-preflight"), "{said}");
    assert!(study.journal().is_empty());
}

#[test]
fn skipping_preflight_tries_what_requests_can_be_made_for_and_makes_the_others() {
    let server = ollama();
    let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = server.base_url();
    let endpoints = format!(
        "good = {{ ollama = \"{url}\" }}\ngone = {{ ollama = \"http://{down}\" }}\n\
         keyless = {{ ollama = \"{url}\", api_key_env = \"RUNNER_TESTS_NO_SUCH_KEY\" }}\n"
    );
    let study = study(&endpoints, &["good", "gone", "keyless"], "simulated", "repeats = 2");
    let said = study.expect(5, &["exec"]);
    assert!(said.contains("endpoint `gone`") && said.contains("1 cell cannot be made"), "{said}");
    assert!(said.contains("tries what requests can be made for"), "{said}");
    assert!(study.sealed().is_empty());

    let said = study.expect(3, &["exec", "--skip-preflight"]);
    assert!(said.contains("(tried all the same: 1 cell of the plan)"), "{said}");
    assert!(said.contains("2 runs made, 4 failed"), "{said}");
    assert_eq!(study.sealed().len(), 2);
    let failures = study.failures();
    let of = |cause: &str| failures.iter().filter(|(_, one)| one.cause == cause).count();
    assert_eq!((failures.len(), of("connect"), of("preflight")), (4, 2, 2), "{failures:?}");
    for (kept, failure) in failures.iter().filter(|(_, failure)| failure.cause == "preflight") {
        assert!(failure.message.contains("RUNNER_TESTS_NO_SUCH_KEY"), "{failure:?}");
        assert!(failure.cell.is_some() && kept.join("failure.json").is_file());
    }
    assert!(study.layout().partials().is_empty());
    // Once all is there, the rest is made.
    let back = Server::start(Pacing { rate: 1000.0, ..Pacing::default() }, down).unwrap();
    let output =
        study.command(&["exec"]).env("RUNNER_TESTS_NO_SUCH_KEY", "k\r\n").output().unwrap();
    assert!(output.status.success(), "{}", study::text(&output));
    assert_eq!(study.sealed().len(), 6);
    drop(back);
}

#[test]
fn without_python_its_cells_are_doomed_and_the_others_are_made() {
    let experiment =
        "[experiment.p]\nruntime = \"python\"\nmatrix = { model = [\"m\"], scenario = [\"one\"] }";
    let study = Study::new(&Manifest { experiment, ..Manifest::default() });
    let run = |arguments: &[&str]| {
        let output = study.command(arguments).env("RUNNER_PYTHON", "./no-such-python").output();
        let output = output.unwrap();
        (output.status.code(), study::text(&output))
    };
    let (code, said) = run(&["exec"]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("runtime `python`") && said.contains("RUNNER_PYTHON"), "{said}");
    let (code, said) = run(&["exec", "--skip-preflight"]);
    assert_eq!(code, Some(3), "{said}");
    assert_eq!((study.sealed().len(), study.failures().len()), (1, 1), "{said}");
}

#[test]
fn a_runtime_whose_program_is_not_there_is_found_before_it_is_started() {
    let study = Study::scripted("", &Manifest::default());
    let text = fs::read_to_string(study.manifest()).unwrap();
    fs::write(study.manifest(), text.replace("\"sh\"", "\"./no-such-agent\"")).unwrap();
    let said = study.expect(5, &["exec"]);
    assert!(said.contains("runtime `scripted`: cannot start the runtime"), "{said}");
}

/// Passes connections on to a server, as many as it is told to, then refuses them.
fn mortal(server: &Server, connections: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (to, left) = (server.address(), Arc::new(AtomicUsize::new(connections)));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if left.fetch_sub(1, Ordering::SeqCst) == 0 {
                return;
            }
            let server = TcpStream::connect(to).unwrap();
            let (mut from_client, mut to_server) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
            let (mut from_server, mut to_client) = (server, client);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from_server, &mut to_client);
                let _ = to_client.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    url
}

#[test]
fn a_server_that_answers_preflight_and_dies_fails_its_runs_and_loses_nothing() {
    let server = ollama();
    // Version, tags, ps, show; then the call of one run and a look at its memory.
    let endpoint = format!("one = {{ ollama = \"{}\" }}", mortal(&server, 6));
    let study = study(&endpoint, &["one"], "simulated", "repeats = 3");
    let began = Instant::now();
    let said = study.expect(3, &["exec"]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(said.contains("1 run made, 2 failed"), "{said}");
    assert_eq!(study.sealed().len(), 1);
    for (_, failure) in study.failures() {
        assert_eq!(failure.cause, "connect", "{failure:?}");
    }
    study.expect(6, &["verify"]);
    // The next exec finds out before it starts.
    study.expect(5, &["exec"]);
}

fn doctor(arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(RUNNER);
    command.arg("doctor").args(arguments).current_dir(folder.path());
    // As on a bare machine.
    command.env("PATH", folder.path()).env("RUNNER_PYTHON", "./no-such-python");
    command.env("XDG_CACHE_HOME", folder.path()).env_remove("RUNNER_PYSPY");
    let output = command.output().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it writes nothing");
    (output.status.code(), study::text(&output))
}

#[test]
fn doctor_never_fails_for_an_absence() {
    let (code, said) = doctor(&["--json"]);
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<Value> = serde_json::from_str(&said).unwrap();
    let state = |name: &str| {
        let line = lines.iter().find(|line| line["name"] == name);
        line.unwrap_or_else(|| panic!("{name}: {said}"))["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("python"), "unavailable");
    assert_eq!(state("py-spy"), "unavailable");
    assert_eq!((state("cpu"), state("memory").as_str() != "unavailable"), ("ok".into(), true));
    for name in ["governor", "clock", "timer", "disk", "gpu", "swap", "load", "ptrace"] {
        assert!(["ok", "warning", "unavailable"].contains(&state(name).as_str()), "{name}");
    }
    let (code, said) = doctor(&[]);
    assert_eq!(code, Some(0));
    assert!(
        said.contains("python") && said.contains("unavailable") && said.contains("→"),
        "{said}"
    );
}

/// `runner` with the study under a limit of open files that nothing may raise.
#[cfg(unix)]
fn limited(study: &Study, limit: u32, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("ulimit -n {limit} && exec \"$@\""), "bash", RUNNER]);
    command.args(&arguments[..1]).arg(study.manifest()).args(&arguments[1..]);
    command.arg("--results").arg(&study.results).output().unwrap()
}

/// One cell of a few streams and one of a hundred, to the paced endpoint or to a server.
#[cfg(unix)]
fn crowded(endpoint: Option<&str>) -> Study {
    let study = Study::new(&Manifest::default());
    let mut text = fs::read_to_string(study.manifest()).unwrap();
    let agent = "agent = \"left\", endpoint = \"a\", prompt = \"p\"";
    text = text.replace(
        &format!("one = [{{ {agent} }}]"),
        &format!("few = [{{ {agent}, count = 4 }}]\nmany = [{{ {agent}, count = 100 }}]"),
    );
    text = text.replace(r#"["one"]"#, r#"["few", "many"]"#).replace(r#"["m"]"#, r#"["simulated"]"#);
    if let Some(url) = endpoint {
        let paced = text.lines().find(|line| line.starts_with("a = {")).unwrap().to_owned();
        text = text.replace(&paced, &format!("a = {{ ollama = \"{url}\" }}"));
    }
    fs::write(study.manifest(), text).unwrap();
    study
}

#[cfg(unix)]
#[test]
fn streams_beyond_the_limit_of_open_files_are_refused() {
    let server = ollama();
    for endpoint in [None, Some(server.base_url())] {
        let study = crowded(endpoint.as_deref());
        let output = limited(&study, 64, &["exec"]);
        let said = study::text(&output);
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains("open files: 100 streams do not fit"), "{said}");
        assert!(said.contains("hard limit is 64") && said.contains("`ulimit -n 132`"), "{said}");
        // The others are made, and nothing of these is even started.
        let output = limited(&study, 64, &["exec", "--skip-preflight"]);
        let said = study::text(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("1 run made, 1 failed") && said.contains("ulimit"), "{said}");
        assert!(!said.contains("connect_error"), "{said}");
        assert_eq!((study.sealed().len(), study.failures()[0].1.cause.as_str()), (1, "preflight"));
    }
}

#[cfg(unix)]
#[test]
fn a_low_limit_of_open_files_that_may_be_raised_is_no_obstacle() {
    let study = crowded(None);
    let text = fs::read_to_string(study.manifest()).unwrap();
    fs::write(study.manifest(), text.replace("ttft = \"5ms\"", "ttft = \"1s\"")).unwrap();
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -Sn 40 && exec \"$@\"", "bash", RUNNER, "exec"]);
    command.arg(study.manifest()).arg("--results").arg(&study.results);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", study::text(&output));
    let store = Store::open(&study.results, "demo").unwrap();
    let runs: Vec<&RunRecord> =
        store.cells().iter().flat_map(|cell| store.runs(cell).values()).collect();
    assert_eq!(runs.len(), 2);
    // Without room the paced endpoint would serve them some after the others.
    for run in runs {
        assert!(run.metrics["wall_ms"].unwrap() < 2500.0, "{:?}", run.metrics["wall_ms"]);
    }
}

#[cfg(unix)]
#[test]
fn doctor_tells_the_limit_of_open_files() {
    let doctor = "ulimit -Sn 50 && ulimit -Hn 60 && exec \"$@\"";
    let output =
        Command::new("bash").args(["-c", doctor, "bash", RUNNER, "doctor"]).output().unwrap();
    let said = study::text(&output);
    assert!(said.contains("50 in a process") && said.contains("raise that to 60"), "{said}");
}
