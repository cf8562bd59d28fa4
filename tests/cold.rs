//! The life of models: cold runs on a server that really unloads, and what servers held afterwards.

mod study;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use formats::endpoint::Api;
use runner::manifest::study::Pacing;
use runner::store::Store;
use runner::store::record::RunRecord;
use simulator::Server;

use study::{Manifest, Study};

const LOAD: Duration = Duration::from_millis(120);

/// A paced endpoint that plays a real Ollama server, whose models take a while to load.
fn ollama() -> Server {
    let pacing =
        Pacing { ttft: Duration::from_millis(10), rate: 1000.0, load: LOAD, ..Pacing::default() };
    Server::start(pacing, "127.0.0.1:0".parse().unwrap()).unwrap()
}

fn study(endpoint: &str, axes: &str, defaults: &str) -> Study {
    let study = Study::new(&Manifest { defaults, axes, ..Manifest::default() });
    let text = fs::read_to_string(study.manifest()).unwrap();
    let text: Vec<&str> =
        text.lines().map(|line| if line.starts_with("a = {") { endpoint } else { line }).collect();
    let text = text.join("\n").replace(r#"["m"]"#, r#"["simulated"]"#);
    fs::write(study.manifest(), text).unwrap();
    study
}

fn records(study: &Study) -> Vec<RunRecord> {
    let store = Store::open(&study.results, "demo").unwrap();
    let cells: Vec<String> = store.cells().into_iter().map(str::to_owned).collect();
    cells.iter().flat_map(|cell| store.runs(cell).values().cloned().collect::<Vec<_>>()).collect()
}

fn known(record: &RunRecord, metric: &str) -> Option<f64> {
    record.metrics.get(metric).copied().flatten()
}

#[test]
fn a_cold_run_finds_its_server_empty_and_a_warm_one_does_not() {
    let server = ollama();
    let endpoint = format!("a = {{ ollama = \"{}\" }}", server.base_url());
    let study = study(&endpoint, ", cold = [false, true]", "repeats = 3\nwarmup = 1");
    let plan = study.expect(0, &["plan"]);
    assert!(plan.contains("model loads that `cold` asks for: 3"), "{plan}");
    study.expect(0, &["exec"]);
    let records = records(&study);
    assert_eq!(records.len(), 6);
    let load_ms = LOAD.as_secs_f64() * 1e3;
    for record in &records {
        let held = record.servers["a"].loaded.as_deref().unwrap();
        assert_eq!(held.len(), 1, "{held:?}");
        assert_eq!((held[0].name.as_str(), held[0].context_length), ("simulated", Some(4096)));
        assert!(held[0].digest.as_ref().is_some_and(|digest| digest.len() == 64));
        if record.identity["cold"] == true {
            assert_eq!(record.calls.len(), 1, "a warm-up would load the model");
            assert_eq!(record.identity.get("warmup"), None);
            assert!(known(record, "cold_ttft_ms").unwrap() >= load_ms, "{:?}", record.metrics);
            assert_eq!(known(record, "cold_load_ms"), Some(load_ms));
            assert_eq!(known(record, "warm_ttft_ms"), None);
            assert!(record.servers["a"].unloaded.as_ref().is_some_and(|done| done.took_ms > 0.0));
        } else {
            assert_eq!(record.calls.len(), 2);
            assert!(known(record, "warm_ttft_ms").unwrap() < load_ms, "{:?}", record.metrics);
            assert_eq!(known(record, "cold_ttft_ms"), None);
            assert_eq!(record.servers["a"].unloaded, None);
        }
    }
    let unloaded = records.iter().filter_map(|record| record.servers["a"].unloaded.as_ref());
    assert!(unloaded.filter(|done| done.models == ["simulated"]).count() >= 2);
    study.expect(0, &["recompute", "--check"]);
    let table = study.expect(0, &["export", "--table", "runs", "--format", "csv"]);
    let header = table.lines().next().unwrap();
    for column in ["cold", "cold_ttft_ms", "warm_ttft_ms", "cold_load_ms"] {
        assert!(header.split(',').any(|name| name == column), "{column}: {header}");
    }
    let filtered = study.expect(0, &["plan", "--filter", "cold=true"]);
    assert!(filtered.contains("1 cell, 3 runs: 3 done"), "{filtered}");
}

#[test]
fn cold_runs_are_new_cells_and_leave_the_others_as_they_are() {
    let server = ollama();
    let endpoint = format!("a = {{ ollama = \"{}\" }}", server.base_url());
    let study = study(&endpoint, "", "");
    let before = study.plan().id(0);
    let text = fs::read_to_string(study.manifest()).unwrap();
    let axes = text.replace(r#"["one"]"#, r#"["one"], cold = [false, true]"#);
    fs::write(study.manifest(), axes).unwrap();
    let plan = study.plan();
    assert_eq!((plan.cells(), plan.id(0)), (2, before));
    assert!(plan.spec(1).scenario().unwrap().cold);
}

#[test]
fn a_server_without_a_word_for_unloading_is_an_error_of_check() {
    let study = study("a = { openai = \"http://127.0.0.1:9/v1\" }", ", cold = [false, true]", "");
    let said = study.expect(4, &["plan"]);
    assert!(said.contains("endpoint `a` speaks OpenAI's protocol"), "{said}");
    // A profile cannot drop an axis: there it is a warning, and preflight names the cells.
    let text = fs::read_to_string(study.manifest()).unwrap();
    let text =
        text.replace("http://127.0.0.1:9/v1", "http://127.0.0.1:9").replace("openai", "ollama");
    let openai = Server::start(
        Pacing { protocol: Api::OpenaiChat, ..Pacing::default() },
        "127.0.0.1:0".parse().unwrap(),
    );
    let openai = openai.unwrap();
    let profile = format!("[profile.other.endpoint]\na = {{ openai = \"{}\" }}", openai.base_url());
    fs::write(study.manifest(), format!("{text}\n{profile}\n")).unwrap();
    let said = study.expect(5, &["plan", "--profile", "other", "--preflight"]);
    assert!(said.contains("warning: experiment `t`: `cold = true` needs"), "{said}");
    assert!(said.contains("--filter cold=false") && said.contains("1 cell cannot"), "{said}");
    let said =
        study.expect(0, &["plan", "--profile", "other", "--preflight", "--filter", "cold=false"]);
    assert!(said.contains("everything that is needed is there"), "{said}");
}

/// A server before a paced endpoint that changes what passes: answers to a path are replaced.
fn proxy(
    server: &Server,
    replace: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (to, replace) = (server.address(), Arc::new(replace));
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let replace = Arc::clone(&replace);
            std::thread::spawn(move || {
                let mut head = vec![0; 65536];
                let read = client.read(&mut head).unwrap_or(0);
                head.truncate(read);
                let request = String::from_utf8_lossy(&head).into_owned();
                let line = request.lines().next().unwrap_or_default().to_owned();
                if let Some(body) = replace(&line) {
                    let length = body.len();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                    let _ = client.write_all(head.as_bytes());
                    return;
                }
                let mut server = TcpStream::connect(to).unwrap();
                server.write_all(&head).unwrap();
                let (mut from, mut up) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut up));
                let _ = std::io::copy(&mut server, &mut client);
                let _ = client.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    url
}

#[test]
fn a_server_that_keeps_its_models_fails_the_run_and_says_so() {
    let server = ollama();
    let stubborn = proxy(&server, |line| {
        line.contains("/api/ps").then(|| r#"{"models":[{"name":"other:latest"}]}"#.to_owned())
    });
    let study = study(&format!("a = {{ ollama = \"{stubborn}\" }}"), ", cold = [true]", "");
    let limits = runner::execute::Limits {
        unload: Duration::from_millis(150),
        ..runner::execute::Limits::default()
    };
    let (summary, events) = study.execute(limits);
    assert_eq!(summary.unwrap().failed, 1, "{events:?}");
    let (_, failure) = &study.failures()[0];
    assert_eq!(failure.cause, "unload");
    assert!(failure.message.contains("still holds other:latest"), "{}", failure.message);
}

#[test]
fn a_model_that_is_replaced_during_an_exec_is_recorded_as_it_was_measured() {
    let server = ollama();
    let looks = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&looks);
    // Asked once by preflight and once after each run; from the second run on the model is another.
    let url = proxy(&server, move |line| {
        if !line.contains("/api/ps") {
            return None;
        }
        let mut looks = counted.lock().unwrap();
        *looks += 1;
        let digest = if *looks <= 2 { "old".repeat(8) } else { "new".repeat(8) };
        Some(format!(
            r#"{{"models":[{{"name":"simulated","digest":"{digest}","size":5000,"size_vram":4000,"context_length":2048}}]}}"#
        ))
    });
    let study = study(&format!("a = {{ ollama = \"{url}\" }}"), "", "repeats = 3");
    let said = study.expect(0, &["exec"]);
    assert_eq!(said.matches("was replaced during this exec").count(), 2, "{said}");
    let records = records(&study);
    let digests: Vec<String> = records
        .iter()
        .map(|run| run.evidence.endpoints["a"].models["simulated"].digest.clone().unwrap())
        .collect();
    assert_eq!(digests, ["old".repeat(8), "new".repeat(8), "new".repeat(8)]);
    let held = &records[2].servers["a"].loaded.as_ref().unwrap()[0];
    assert_eq!((held.vram_bytes, held.context_length), (Some(4000), Some(2048)));
    study.expect(0, &["verify"]);
}
