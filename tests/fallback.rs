//! What happens after a run failed: fallbacks, and when execution stops. The server is a real one on a
//! loopback port that answers as Ollama does when a model does not fit.

mod study;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use runner::execute::{ExecEvent, Limits};
use runner::store::Store;
use runner::store::journal::What;
use serde_json::{Value, json};

use study::{Manifest, Study};

/// What Ollama answers, with status 500, when the runner that it starts for a model cannot allocate.
const OUT_OF_MEMORY: &str = "llama runner process has terminated: cudaMalloc failed: out of memory";

/// A server that has this much room: a request for more layers on the GPU fails.
struct Server {
    url: String,
    /// Layers asked for, of every call.
    asked: Arc<Mutex<Vec<(String, i64)>>>,
}

/// How the server fails.
#[derive(Clone, Copy)]
enum Mood {
    /// No model gets more than this many layers; `huge` gets none.
    Room(i64),
    /// Every call is refused.
    Unauthorized,
    /// After this many calls nobody listens any more.
    DiesAfter(usize),
    /// It does not have this model.
    Without(&'static str),
    /// It is of this version, and has room for this many layers.
    Version(&'static str, i64),
}

impl Server {
    fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            let calls = AtomicUsize::new(0);
            for stream in listener.incoming().flatten() {
                // Answered one after the other: nothing here depends on concurrency.
                serve(stream, mood, &calls, &seen);
                if let Mood::DiesAfter(most) = mood
                    && calls.load(Ordering::SeqCst) >= most
                {
                    return;
                }
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<(String, i64)> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, mood: Mood, calls: &AtomicUsize, seen: &Mutex<Vec<(String, i64)>>) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = head.split_whitespace().nth(1).unwrap_or_default();
    let model = |name: &str| json!({ "name": name, "model": name, "digest": format!("d-{name}") });
    let (status, text) = match path {
        "/api/version" => {
            let version = if let Mood::Version(version, _) = mood { version } else { "0.9.0" };
            (200, json!({ "version": version }).to_string())
        }
        "/api/tags" => {
            let has = |name: &&str| !matches!(mood, Mood::Without(absent) if absent == *name);
            let models: Vec<Value> =
                ["m", "small", "huge"].into_iter().filter(has).map(model).collect();
            (200, json!({ "models": models }).to_string())
        }
        "/api/show" => (200, json!({ "details": {}, "model_info": {} }).to_string()),
        "/api/ps" => {
            let loaded = json!({ "name": "m", "digest": "d-m", "size": 9_000, "size_vram": 8_000 });
            (200, json!({ "models": [loaded] }).to_string())
        }
        "/api/generate" if body["prompt"].as_str().is_none_or(str::is_empty) => {
            (200, json!({ "model": body["model"], "response": "", "done": true }).to_string())
        }
        "/api/generate" => {
            calls.fetch_add(1, Ordering::SeqCst);
            let name = body["model"].as_str().unwrap_or_default().to_owned();
            let layers = body["options"]["num_gpu"].as_i64().unwrap_or(0);
            seen.lock().unwrap().push((name.clone(), layers));
            match mood {
                Mood::Unauthorized => (401, json!({ "error": "unauthorized" }).to_string()),
                Mood::Room(most) | Mood::Version(_, most) if layers > most || name == "huge" => {
                    (500, json!({ "error": OUT_OF_MEMORY }).to_string())
                }
                Mood::Without(_) if name == "huge" => {
                    (500, json!({ "error": OUT_OF_MEMORY }).to_string())
                }
                _ => (200, answer(&name)),
            }
        }
        _ => (404, json!({ "error": "not found" }).to_string()),
    };
    let reason = if status == 200 { "OK" } else { "Error" };
    let _ = write!(
        reader.get_mut(),
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}",
        text.len()
    );
}

fn answer(model: &str) -> String {
    let chunk = |text: &str| json!({ "model": model, "response": text, "done": false });
    let last = json!({
        "model": model, "response": "", "done": true, "done_reason": "stop",
        "total_duration": 9_000_000, "load_duration": 1_000_000, "prompt_eval_count": 2,
        "prompt_eval_duration": 1_000_000, "eval_count": 2, "eval_duration": 2_000_000
    });
    format!("{}\n{}\n{last}\n", chunk("a"), chunk("b"))
}

fn study(server: &Server, defaults: &str, body: &str) -> Study {
    let study = Study::new(&Manifest::default());
    let text = format!(
        r#"
schema = 1
name = "demo"
[defaults]
repeats = 1
warmup = 0
timeout = "5s"
max_tokens = 5
{defaults}
[endpoint]
a = {{ ollama = "{}" }}
[options]
o = {{ temperature = 0 }}
[prompt]
p = {{ text = "Hello" }}
[scenario]
one = [{{ agent = "left", endpoint = "a", prompt = "p", options = "o" }}]
[experiment.t]
{body}
"#,
        server.url
    );
    fs::write(study.manifest(), text).unwrap();
    study
}

/// An environment variable that nobody sets.
const NO_KEY: &str = "RUNNER_TESTS_NO_SUCH_KEY";
const MATRIX: &str = "matrix = { model = [\"m\"], scenario = [\"one\"], num_gpu = [80] }\n";

#[test]
fn an_out_of_memory_answer_takes_the_fallback() {
    let server = Server::start(Mood::Room(60));
    let body = format!("{MATRIX}fallback = [{{ num_gpu = 70 }}, {{ num_gpu = 60 }}]\nrepeats = 2");
    let study = study(&server, "", &body);
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("num_gpu-60 is measured instead"), "{said}");
    let layers: Vec<i64> =
        server.asked().into_iter().filter(|(m, _)| m == "m").map(|a| a.1).collect();
    assert_eq!(layers, [80, 70, 60, 80, 70, 60]);

    // What was measured is a cell of its own; that asked for has no run.
    let plan = study.plan();
    let asked = plan.id(0).hex();
    let store = Store::open(&study.results, "demo").unwrap();
    assert!(store.runs(&asked).is_empty());
    let other = plan.fallback(0, 2).unwrap();
    let record = &store.runs(&other.id.hex())[&1];
    assert_eq!(record.identity["agents"][0]["options"]["num_gpu"], 60);
    assert_eq!(record.evidence.endpoints["a"].models["m"].digest.as_deref(), Some("d-m"));
    let of = record.fallback_of.as_ref().unwrap();
    assert_eq!((of.cell.as_str(), of.repeat, of.step), (asked.as_str(), 1, 2));
    assert!(of.because.contains(OUT_OF_MEMORY), "{}", of.because);

    // The failure keeps what was asked for and what the server said.
    let (_, failure) = &study.failures()[0];
    assert_eq!(failure.cause, "http_error");
    assert_eq!(
        (failure.server_error.as_deref(), failure.http_status),
        (Some(OUT_OF_MEMORY), Some(500))
    );
    assert_eq!(failure.identity.as_ref().unwrap()["agents"][0]["options"]["num_gpu"], 80);
    // And what was in memory then, as the server tells.
    let held = failure.servers["a"].loaded.as_ref().unwrap();
    assert_eq!((held[0].name.as_str(), held[0].vram_bytes), ("m", Some(8_000)));

    // It is done, and says so everywhere.
    let calls = server.asked().len();
    assert!(study.expect(0, &["exec"]).contains("2 runs done, nothing to do"));
    assert_eq!(server.asked().len(), calls);
    assert!(study.expect(0, &["status"]).contains("(2 fell back)"));
    study.expect(0, &["verify"]);
    study.expect(0, &["report"]);
    let report = fs::read_to_string(study.layout().root().join("report/demo.md")).unwrap();
    let row = report.lines().find(|line| line.contains("`num_gpu` 60")).unwrap();
    assert!(report.contains("a holds m (0.0 GB VRAM)"), "{report}");
    assert!(row.contains(OUT_OF_MEMORY) && row.contains(&other.id.short()), "{row}");
    assert!(report.contains("left: m, num_gpu 80, temperature 0"), "{report}");
    // It is exported under its own level, never under that asked for, with the run that it stands for.
    let rows: Vec<Value> =
        serde_json::from_str(&study.expect(0, &["export", "--format", "json"])).unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    for (row, repeat) in rows.iter().zip(1..) {
        assert_eq!((&row["num_gpu"], &row["experiment"]), (&json!(60), &json!("t")));
        assert_eq!(row["cell"], other.id.hex());
        assert_eq!(row["fallback_of"], format!("{}/{repeat}", plan.id(0).hex()));
        assert!(row["ttft_ms"].is_number(), "{row}");
    }
    let calls = study.expect(0, &["export", "--table", "calls", "--format", "json"]);
    let calls: Vec<serde_json::Value> = serde_json::from_str(&calls).unwrap();
    let of = |sealed: u64| calls.iter().filter(|call| call["sealed"] == sealed).count();
    assert_eq!((of(1), of(0)), (2, 2), "{calls:?}");
    assert!(calls.iter().all(|call| call["sealed"] == 1 || call["outcome"] == "http_error"));
}

#[test]
fn a_fallback_that_changes_nothing_is_said_and_the_next_is_taken() {
    let server = Server::start(Mood::Room(60));
    let body = format!("{MATRIX}fallback = [{{ num_gpu = 80 }}, {{ num_gpu = 60 }}]");
    let study = study(&server, "", &body);
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("fallback 1 of") && said.contains("changes nothing"), "{said}");
    assert!(said.contains("num_gpu-60 is measured instead"), "{said}");
}

#[test]
fn a_fallback_that_the_plan_measures_anyway_is_measured_once() {
    let server = Server::start(Mood::Room(60));
    let body = MATRIX.replace("[80]", "[80, 60]")
        + "order = \"sequential\"\nfallback = [{ num_gpu = 60 }]";
    let study = study(&server, "", &body);
    study.expect(0, &["exec"]);
    assert_eq!(server.asked().iter().map(|asked| asked.1).collect::<Vec<_>>(), [80, 60]);
    assert_eq!(study.sealed().len(), 1);
    assert!(study.expect(0, &["exec"]).contains("nothing to do"));
}

#[test]
fn fallbacks_that_fail_too_are_used_up_and_tried_anew() {
    let server = Server::start(Mood::Room(10));
    let body =
        format!("{MATRIX}fallback = [{{ num_gpu = 60 }}, {{ model = \"huge\", num_gpu = 1 }}]");
    let study = study(&server, "", &body);
    study.expect(3, &["exec"]);
    let models: Vec<(String, i64)> = server.asked();
    assert_eq!(models.len(), 3, "{models:?}");
    assert!(matches!(study.journal().iter().rev().nth(1), Some(What::FallbacksUsedUp { .. })));
    // With a step that works the next exec tries everything again.
    let text = fs::read_to_string(study.manifest()).unwrap().replace("\"huge\"", "\"small\"");
    fs::write(study.manifest(), text).unwrap();
    study.expect(0, &["exec"]);
    assert_eq!(server.asked()[3..].iter().map(|asked| asked.1).collect::<Vec<_>>(), [80, 60, 1]);
    assert_eq!(server.asked().last().unwrap().0, "small");
}

#[test]
fn an_exec_that_ended_after_its_decision_goes_on_with_it() {
    let server = Server::start(Mood::Room(60));
    let body = format!("{MATRIX}fallback = [{{ num_gpu = 60 }}]");
    let study = study(&server, "", &body);
    study.expect(0, &["exec"]);
    // As if it had been killed before the fallback was sealed.
    let plan = study.plan();
    let id = plan.fallback(0, 1).unwrap().id.hex();
    let store = Store::open(&study.results, "demo").unwrap();
    fs::remove_dir_all(store.folder(&id, 1).unwrap()).unwrap();
    study.expect(0, &["exec"]);
    assert_eq!(server.asked().iter().map(|asked| asked.1).collect::<Vec<_>>(), [80, 60, 60]);
    // A manifest that would decide otherwise today makes the decision void.
    let text =
        fs::read_to_string(study.manifest()).unwrap().replace("num_gpu = 60", "num_gpu = 50");
    fs::write(study.manifest(), text).unwrap();
    study.expect(0, &["exec"]);
    assert_eq!(server.asked()[3..].iter().map(|asked| asked.1).collect::<Vec<_>>(), [80, 50]);
}

#[test]
fn who_is_refused_does_not_fall_back() {
    let server = Server::start(Mood::Unauthorized);
    let body = format!("{MATRIX}fallback = [{{ num_gpu = 60 }}]");
    let study = study(&server, "", &body);
    study.expect(3, &["exec"]);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn an_endpoint_that_dies_after_preflight_stops_the_exec_when_told_so() {
    let server = Server::start(Mood::DiesAfter(1));
    let body = MATRIX.replace("[80]", "[1]") + "repeats = 6\nfallback = [{ num_gpu = 0 }]";
    let study = study(&server, "on_failure = { stop_after = 2 }", &body);
    let limits = Limits { connect_backoff: std::time::Duration::ZERO, ..Limits::default() };
    let (summary, events) = study.execute(limits);
    let summary = summary.unwrap();
    assert_eq!((summary.made, summary.failed, summary.fell_back), (1, 2, 0), "{events:?}");
    let stopped = |event: &ExecEvent| matches!(event, ExecEvent::TooManyFailures { failed: 2 });
    assert!(events.iter().any(stopped), "{events:?}");
    assert!(study.failures().iter().all(|(_, failure)| failure.cause == "connect"));
    assert_eq!(study.sealed().len(), 1);
}

/// Without its key no request can be made: there is nothing to try.
#[test]
fn a_run_that_cannot_be_made_has_no_fallback_and_does_not_count_for_stopping() {
    let server = Server::start(Mood::Room(100));
    let body = "matrix = { model = [\"m\"], scenario = [\"two\", \"one\"], num_gpu = [80] }\n\
                order = \"sequential\"\nfallback = [{ model = \"small\" }]";
    let study = study(&server, "on_failure = { stop_after = 1 }", body);
    let text = fs::read_to_string(study.manifest()).unwrap();
    let keyed =
        format!("[endpoint]\nb = {{ ollama = \"{}\", api_key_env = \"{NO_KEY}\" }}", server.url);
    let two = "[scenario]\ntwo = [{ agent = \"right\", endpoint = \"b\", prompt = \"p\", options = \"o\" }]";
    let text = text.replace("[endpoint]", &keyed).replace("[scenario]", two);
    fs::write(study.manifest(), text).unwrap();
    assert!(study.expect(5, &["exec"]).contains("nothing was executed"));
    study.expect(3, &["exec", "--skip-preflight"]);
    assert_eq!(server.asked(), [("m".to_owned(), 80)]);
    let fell = |what: &What| matches!(what, What::FellBack { .. });
    assert!(!study.journal().iter().any(fell));
    let failures = study.failures();
    assert_eq!((failures.len(), failures[0].1.cause.as_str()), (1, "preflight"));
    assert_eq!(failures[0].1.identity.as_ref().unwrap()["agents"][0]["name"], "right");
}

/// A model that a server lacks may be there all the same, for whoever wants to try.
#[test]
fn whoever_skips_preflight_has_a_missing_model_tried_and_its_fallback_made() {
    let server = Server::start(Mood::Without("huge"));
    let body = MATRIX.replace("[\"m\"]", "[\"huge\"]") + "fallback = [{ model = \"small\" }]";
    let study = study(&server, "", &body);
    assert!(study.expect(5, &["exec"]).contains("--skip-preflight tries all cells all the same"));
    let said = study.expect(0, &["exec", "--skip-preflight"]);
    assert!(said.contains("(tried all the same: 1 cell of the plan)"), "{said}");
    assert_eq!(server.asked(), [("huge".to_owned(), 80), ("small".to_owned(), 80)]);
}

#[test]
fn a_decided_fallback_needs_only_its_own_and_waits_if_it_cannot_be_made() {
    let full = Server::start(Mood::Room(60));
    let body =
        MATRIX.replace("[\"m\"]", "[\"huge\"]") + "fallback = [{ model = \"small\", num_gpu = 1 }]";
    let study = study(&full, "", &body);
    study.expect(0, &["exec"]);
    // As if it had been killed before the fallback was sealed.
    let id = study.plan().fallback(0, 1).unwrap().id.hex();
    let store = Store::open(&study.results, "demo").unwrap();
    fs::remove_dir_all(store.folder(&id, 1).unwrap()).unwrap();
    let manifest = fs::read_to_string(study.manifest()).unwrap();
    let move_to = |server: &Server, key: &str| {
        let address = format!("\"{}\"", full.url);
        let other = format!("\"{}\"{key}", server.url);
        fs::write(study.manifest(), manifest.replace(&address, &other)).unwrap();
    };
    let other = Server::start(Mood::Without("small"));
    move_to(&other, "");
    assert!(study.expect(5, &["exec"]).contains("small"));
    let other = Server::start(Mood::Without("huge"));
    move_to(&other, &format!(", api_key_env = \"{NO_KEY}\""));
    assert!(study.expect(5, &["exec"]).contains(NO_KEY));
    study.expect(3, &["exec", "--skip-preflight"]);
    assert_eq!(other.asked(), []);
    let failures = study.failures();
    let (_, failure) = failures.iter().find(|(_, failure)| failure.cause == "preflight").unwrap();
    assert_eq!(failure.cell.as_deref(), Some(id.as_str()));
    move_to(&other, "");
    study.expect(0, &["exec"]);
    assert_eq!(other.asked(), [("small".to_owned(), 1)]);
}

#[test]
fn a_step_that_cannot_be_made_is_a_warning_before_and_is_passed_over_when_its_turn_comes() {
    let server = Server::start(Mood::Without("small"));
    let steps = "fallback = [{ model = \"small\" }, { model = \"m\", num_gpu = 1 }]\n";
    let body = MATRIX.replace("[\"m\"]", "[\"huge\"]") + steps;
    let study = study(&server, "", &body);
    let said = study.expect(0, &["plan", "--preflight"]);
    let warning =
        "fallback 1 of experiment `t` cannot be made: model `small` on `a`: the server at";
    assert!(said.contains(warning) && !said.contains("fallback 2"), "{said}");
    let said = study.expect(0, &["exec"]);
    assert!(said.contains(warning), "{said}");
    assert!(said.contains("cannot be made, so it is passed over"), "{said}");
    assert_eq!(server.asked(), [("huge".to_owned(), 80), ("m".to_owned(), 1)]);
    let decided = |what: &What| match what {
        What::FellBack { step, because, .. } => Some((*step, because.clone())),
        _ => None,
    };
    let decided: Vec<(usize, String)> = study.journal().iter().filter_map(decided).collect();
    assert_eq!(decided.iter().map(|decided| decided.0).collect::<Vec<_>>(), [1, 2]);
    let because = &decided[1].1;
    assert!(because.contains("out of memory") && because.contains("fallback 1"), "{because}");
    assert_eq!(study.failures().len(), 1, "what was not tried has not failed");
    assert!(study.expect(0, &["exec"]).contains("nothing to do"));
    study.expect(0, &["report"]);
}

#[test]
fn what_needs_an_endpoint_that_is_gone_is_not_tried_until_it_is_back() {
    let (mortal, other) = (Server::start(Mood::DiesAfter(1)), Server::start(Mood::Room(9)));
    let study = study(
        &mortal,
        "order = \"sequential\"",
        "matrix = { model = [\"m\"], scenario = [\"one\", \"two\"] }\nrepeats = 5",
    );
    let text = fs::read_to_string(study.manifest()).unwrap();
    let endpoint = format!("[endpoint]\nb = {{ ollama = \"{}\" }}", other.url);
    let two = "[scenario]\ntwo = [{ agent = \"right\", endpoint = \"b\", prompt = \"p\" }]";
    let text = text.replace("[endpoint]", &endpoint).replace("[scenario]", two);
    fs::write(study.manifest(), text).unwrap();
    let limits = Limits { absence: std::time::Duration::ZERO, ..Limits::default() };
    let (summary, events) = study.execute(limits.clone());
    let summary = summary.unwrap();
    // One was made, two found out, two were left; those of the other server are not touched by it.
    assert_eq!((summary.made, summary.failed, summary.not_tried), (6, 2, 2), "{events:?}");
    assert!(!summary.is_complete());
    let gone = |event: &&ExecEvent| matches!(event, ExecEvent::EndpointGone { endpoint, .. } if endpoint == "a");
    assert_eq!(events.iter().filter(gone).count(), 1, "{events:?}");
    assert_eq!(study.failures().len(), 2);
    let status: Value = serde_json::from_str(&study.expect(0, &["status", "--json"])).unwrap();
    assert_eq!((&status["total"]["failed"], &status["total"]["missing"]), (&json!(2), &json!(2)));
}

#[test]
fn a_stale_fallback_is_told_and_measured_again_from_the_run_that_was_asked_for() {
    let server = Server::start(Mood::Room(60));
    let body = format!("{MATRIX}fallback = [{{ num_gpu = 60 }}]");
    let study = study(&server, "", &body);
    study.expect(0, &["exec"]);
    let text = fs::read_to_string(study.manifest()).unwrap();
    let move_to = |server: &Server, matrix: &str| {
        let text = text.replace(&study_url(&text), &server.url).replace("[80]", matrix);
        fs::write(study.manifest(), text).unwrap();
    };
    // Another version of the server. It is asked because there is something to do.
    let newer = Server::start(Mood::Version("0.10.0", 60));
    move_to(&newer, "[80, 1]");
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("the server version of `a` was 0.9.0, is 0.10.0 (1 runs)"), "{said}");
    assert_eq!(newer.asked(), [("m".to_owned(), 1)]);
    let said = study.expect(0, &["exec", "--rerun-stale"]);
    assert_eq!(newer.asked()[1..], [("m".to_owned(), 80), ("m".to_owned(), 60)], "{said}");
    assert!(study.journal().iter().any(|what| matches!(what, What::Superseded { .. })));
    assert!(study.expect(0, &["exec"]).contains("nothing to do"));
    // One that has the room makes the run that was asked for.
    let roomy = Server::start(Mood::Version("0.11.0", 99));
    move_to(&roomy, "[80, 1]");
    study.expect(0, &["exec", "--rerun-stale"]);
    assert!(roomy.asked().iter().all(|(_, layers)| *layers != 60), "{:?}", roomy.asked());
    assert!(study.expect(0, &["export"]).contains(",80,"));
    study.expect(0, &["verify"]);
}

/// The address of the endpoint in a manifest.
fn study_url(text: &str) -> String {
    text.split("ollama = \"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}
