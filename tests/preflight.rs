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
    assert!(findings[0]["message"].as_str().unwrap().contains("cannot connect"), "{findings:?}");
}

/// Another address is another server, which nobody chose.
#[test]
fn redirects_are_not_followed() {
    let good = ollama();
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}/api/version\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        good.base_url()
    );
    let url = answering(moved.leak().as_bytes());
    let study = study(&format!("moved = {{ ollama = \"{url}\" }}\n"), &["moved"], "simulated", "");
    let findings = findings(&study, 0);
    let said = findings.iter().map(|one| one["message"].to_string()).collect::<String>();
    assert!(said.contains("does not say which server it is"), "{said}");
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
    assert!(blocking[3]["message"].as_str().unwrap().contains("a web page"), "{}", blocking[3]);
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
fn skipping_preflight_fails_the_doomed_cells_at_once_and_makes_the_others() {
    let server = ollama();
    let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoints = format!(
        "good = {{ ollama = \"{}\" }}\ngone = {{ ollama = \"http://{down}\" }}\n",
        server.base_url()
    );
    let retry = "retry = { max = 5, on = [\"connect\", \"timeout\"] }\nrepeats = 2";
    let study = study(&endpoints, &["good", "gone"], "simulated", retry);
    let said = study.expect(5, &["exec"]);
    assert!(said.contains("endpoint `gone`") && said.contains("1 cell cannot be made"), "{said}");
    assert!(study.sealed().is_empty());

    let said = study.expect(3, &["exec", "--skip-preflight"]);
    assert!(said.contains("2 runs made, 2 failed"), "{said}");
    assert_eq!(study.sealed().len(), 2);
    let failures = study.failures();
    assert_eq!(failures.len(), 2, "each once, without its retries");
    for (kept, failure) in &failures {
        assert_eq!(failure.cause, "preflight");
        assert!(failure.message.contains("endpoint `gone`: no server answers"), "{failure:?}");
        assert!(failure.cell.is_some() && kept.join("failure.json").is_file());
    }
    assert!(study.layout().partials().is_empty());
    // Once it is there, the rest is made.
    let back = Server::start(Pacing { rate: 1000.0, ..Pacing::default() }, down).unwrap();
    study.expect(0, &["exec"]);
    assert_eq!(study.sealed().len(), 4);
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
