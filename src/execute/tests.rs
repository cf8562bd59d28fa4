use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use formats::endpoint::{Api, Dialect, HeaderText};
use formats::protocol::{Connection, LagDose, Outcome, Spec};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::conversation::Conversation;
use super::fault::{AgentFault, AttemptFault};
use super::prompt::{Place, prefix};
use super::request::Request;
use super::*;
use crate::manifest::study::{Endpoint, Probes, Retry, RetryOn, Server, Work};
use crate::plan::{CellSpec, CellWork, ScenarioWork, SpecAgent};
use crate::server::{ModelFacts, ServerFacts};
use crate::store::record::ModelEvidence;

fn cell() -> CellSpec {
    let agent = |name: &str| SpecAgent {
        name: name.to_owned(),
        endpoint_name: "server".to_owned(),
        endpoint: Endpoint::Server(Server::at(Api::Ollama, "http://127.0.0.1:11434")),
        model: "m".to_owned(),
        work: Work::Prompt("Say hello.".to_owned()),
        options: [("seed".to_owned(), json!(7)), ("top_k".to_owned(), json!(1))].into(),
        max_tokens: Some(5),
    };
    CellSpec {
        max_output: 1 << 30,
        levels: Vec::new(),
        identity: Value::Null,
        runtime: "rust".to_owned(),
        command: None,
        variant: BTreeMap::new(),
        work: CellWork::Scenario(ScenarioWork {
            name: "two".to_owned(),
            agents: vec![agent("left"), agent("left-2")],
            read_buffer: None,
            throttle: None,
            connection: Connection::New,
            lag_dose: None,
            warmup: 2,
            cold: false,
            idle: false,
            vary_prompt: true,
            vary_seed: false,
            accept_context_full: false,
        }),
        probes: Probes::default(),
        timeout: Duration::from_secs(1),
        retry: Retry { max: 0, on: Vec::new() },
    }
}

fn scenario_of(cell: &mut CellSpec) -> &mut ScenarioWork {
    let CellWork::Scenario(scenario) = &mut cell.work else { panic!("no scenario") };
    scenario
}

/// It reaches the agent, and no calibration: what is done on purpose is no error of the instrument.
#[test]
fn a_dose_of_lag_is_asked_of_the_agent() {
    let mut cell = cell();
    let dose = LagDose { busy_ns: 5_000_000, every_ns: LagDose::EVERY_NS };
    scenario_of(&mut cell).lag_dose = Some(dose);
    for agent in &mut scenario_of(&mut cell).agents {
        agent.endpoint = Endpoint::Paced(crate::manifest::study::Pacing::default());
    }
    assert!(!calibrate::by_itself(&cell));
    let scenario = cell.scenario().unwrap();
    let request = Request {
        cell: &cell,
        scenario,
        id: "0",
        session: "",
        repeat: 1,
        attempt: 1,
        run: "r",
        artifacts: Path::new("/tmp"),
        paced: &BTreeMap::new(),
    };
    assert_eq!(request.spec().lag_dose, Some(dose));
    scenario_of(&mut cell).lag_dose = None;
    assert!(calibrate::by_itself(&cell));
}

fn spec(cell: &CellSpec, id: &str, repeat: u32, attempt: u32) -> Spec {
    let paced = BTreeMap::new();
    let artifacts = Path::new("/run");
    let session = "now";
    let (scenario, paced) = (cell.scenario().unwrap(), &paced);
    Request { cell, scenario, id, session, repeat, attempt, run: "r", artifacts, paced }.spec()
}

fn prompts(cell: &CellSpec, id: &str, repeat: u32, attempt: u32) -> Vec<String> {
    let agents = spec(cell, id, repeat, attempt).agents;
    agents.into_iter().flat_map(|agent| agent.calls).map(|call| call.prompt).collect()
}

#[test]
fn no_prompt_is_sent_twice_and_all_have_one_length() {
    let cell = cell();
    let all: Vec<String> = (1..=50)
        .flat_map(|repeat| {
            let of = |id, attempt| prompts(&cell, id, repeat, attempt);
            [of("a", 1), of("a", 2), of("b", 1)].concat()
        })
        .collect();
    assert_eq!(all.len(), 50 * 3 * 2 * 3);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert_eq!(all.iter().map(String::len).collect::<BTreeSet<_>>().len(), 1);
    assert!(all.iter().all(|prompt| prompt.ends_with("] Say hello.")), "{}", all[0]);
}

#[test]
fn sessions_cells_and_streams_share_no_prefix_and_the_rule_is_fixed() {
    let place = Place { session: "now", cell: "a", repeat: 1, attempt: 1, agent: "left", call: 0 };
    let others = [
        Place { session: "later", ..place },
        Place { cell: "b", ..place },
        Place { agent: "right", ..place },
    ];
    assert!(others.iter().all(|other| prefix(*other) != prefix(place)));
    // A change of the rule changes what is asked: change its tag with it.
    assert_eq!(prefix(place), "[59135570] ");

    let mut cell = cell();
    scenario_of(&mut cell).vary_prompt = false;
    assert!(prompts(&cell, "a", 3, 1).iter().all(|prompt| prompt == "Say hello."));
}

#[test]
fn warm_up_comes_first_and_the_seed_moves_only_when_it_shall() {
    let paced = BTreeMap::new();
    let mut cell = cell();
    for (vary, expected) in [(false, 7), (true, 10)] {
        scenario_of(&mut cell).vary_seed = vary;
        let artifacts = Path::new("/run");
        let request = Request {
            cell: &cell,
            scenario: cell.scenario().unwrap(),
            id: "a",
            session: "now",
            repeat: 3,
            attempt: 1,
            run: "r",
            artifacts,
            paced: &paced,
        };
        let spec = request.spec();
        let agent = &spec.agents[0];
        let warmup: Vec<bool> = agent.calls.iter().map(|call| call.warmup).collect();
        assert_eq!(warmup, [true, true, false]);
        assert_eq!(
            (&agent.options["seed"], &agent.options["top_k"]),
            (&json!(expected), &json!(1))
        );
        assert_eq!(spec.timeout_ns, 1_000_000_000);
    }
}

#[test]
fn what_an_endpoint_and_its_options_say_reaches_the_spec() {
    let mut cell = cell();
    let mut server = Server::at(Api::OpenaiChat, "http://127.0.0.1:1/v1");
    server.headers = [("x-team".to_owned(), HeaderText::Text("lab".to_owned()))].into();
    server.dialect = Dialect { stream_options: false, ..Dialect::default() };
    server.answers_as = vec!["other".to_owned()];
    let agent = &mut scenario_of(&mut cell).agents[0];
    agent.endpoint = Endpoint::Server(server.clone());
    agent.options.insert("extra".to_owned(), json!({ "a": { "b": [1] } }));
    let (paced, artifacts) = (BTreeMap::new(), Path::new("/run"));
    let request = Request {
        cell: &cell,
        scenario: cell.scenario().unwrap(),
        id: "a",
        session: "now",
        repeat: 1,
        attempt: 1,
        run: "r",
        artifacts,
        paced: &paced,
    };
    let agents = request.spec().agents;
    let asked = &agents[0];
    assert_eq!(asked.extra, [("a".to_owned(), json!({ "b": [1] }))].into());
    assert_eq!(asked.options.keys().collect::<Vec<_>>(), ["seed", "top_k"]);
    assert_eq!((&asked.headers, asked.dialect), (&server.headers, server.dialect));
    assert_eq!(asked.answers_as, ["other"]);
    let plain = serde_json::to_value(&agents[1]).unwrap();
    for absent in ["headers", "extra", "dialect", "answers_as"] {
        assert!(plain.get(absent).is_none(), "{absent}: runtimes that do not know it can go on");
    }
}

#[test]
fn evidence_keeps_the_context_that_a_server_gives() {
    let told = ModelFacts { served_context: Some(4096), ..ModelFacts::default() };
    let models = [("m".to_owned(), told), ("n".to_owned(), ModelFacts::default())].into();
    let facts = ServerFacts { models, ..ServerFacts::default() };
    let endpoint = Endpoint::Server(Server::at(Api::OpenaiChat, "http://localhost:8000/v1"));
    let evidence = serde_json::to_value(super::surroundings::met(&endpoint, &facts)).unwrap();
    assert_eq!(evidence["models"]["m"]["served_context"], 4096);
    let untold = &evidence["models"]["n"];
    assert_eq!(untold.get("served_context"), None);
    assert_eq!(ModelEvidence::deserialize(untold).unwrap(), ModelEvidence::default());
}

#[test]
fn a_request_that_a_server_will_not_have_is_not_sent_again() {
    let is_final = |status| {
        let (agent, outcome) = ("left".to_owned(), Outcome::HttpError);
        let fault =
            AttemptFault::Call { agent, call: 0, warmup: false, outcome, status, error: None };
        fault.is_final()
    };
    for status in [301, 307, 400, 401, 403, 404, 409, 422, 451] {
        assert!(is_final(Some(status)), "{status}");
    }
    for status in [408, 425, 429, 500, 502, 503, 504, 529] {
        assert!(!is_final(Some(status)), "{status}");
    }
    assert!(!is_final(None));
}

#[test]
fn every_outcome_that_does_not_count_has_a_cause() {
    let cause = |outcome| {
        let fault = AttemptFault::Call {
            agent: "left".to_owned(),
            call: 0,
            warmup: false,
            outcome,
            status: None,
            error: None,
        };
        (fault.cause(), fault.retry_cause())
    };
    assert_eq!(cause(Outcome::Timeout), ("timeout", Some(RetryOn::Timeout)));
    assert_eq!(cause(Outcome::ConnectError), ("connect", Some(RetryOn::Connect)));
    assert_eq!(cause(Outcome::HttpError), ("http_error", Some(RetryOn::HttpError)));
    assert_eq!(cause(Outcome::InBandError), ("in_band_error", Some(RetryOn::InBandError)));
    assert_eq!(cause(Outcome::Truncated), ("truncated", Some(RetryOn::Truncated)));
    assert_eq!(cause(Outcome::Malformed), ("malformed", Some(RetryOn::Malformed)));
    assert_eq!(cause(Outcome::Refused), ("refused", Some(RetryOn::Refused)));
    assert_eq!(cause(Outcome::Empty), ("empty", Some(RetryOn::Empty)));
    assert_eq!(cause(Outcome::ContextFull), ("context_full", None));
    assert_eq!(cause(Outcome::NotStreamed), ("not_streamed", None));
    assert_eq!(cause(Outcome::OtherModel), ("other_model", None));
    assert_eq!(cause(Outcome::Cancelled), ("agent", Some(RetryOn::Agent)));
    assert_eq!(AttemptFault::Cancelled.retry_cause(), None);
}

#[test]
fn a_conversation_has_its_limits_per_phase() {
    let limits = Limits {
        startup: Duration::from_secs(1),
        after_done: Duration::from_secs(2),
        ..Limits::default()
    };
    let start = Instant::now();
    let spec = spec(&cell(), "0", 1, 1);
    let mut talk = Conversation::new(start, &limits, Duration::from_secs(10), &spec);
    let later = |seconds| Instant::now() + Duration::from_secs(seconds);
    assert!(talk.check_time(start).is_ok());
    assert!(matches!(talk.check_time(later(5)), Err(AgentFault::NotReady(_))));
    let mut hear = |line: &str| talk.hear(line.as_bytes(), &mut |_| {}).unwrap();
    let ready =
        r#"{"event":"ready","t_ns":9000000,"protocol":2,"runtime":{"name":"x","version":"1"}}"#;
    hear(ready);
    hear("\r\n");
    hear(r#"{"event":"call_started","t_ns":1,"agent":"left","call":0,"warmup":true}"#);
    hear(r#"{"event":"progress","t_ns":1,"agent":"left","call":0,"chunks":3,"new":1}"#);
    assert!(talk.check_time(later(5)).is_ok());
    assert!(matches!(talk.check_time(later(15)), Err(AgentFault::Overran(_))));
    talk.hear(br#"{"event":"done","t_ns":1}"#, &mut |_| {}).unwrap();
    assert!(matches!(talk.check_time(later(5)), Err(AgentFault::Lingered(_))));
    assert_eq!(talk.startup_ms(2_000_000), Some(7.0));
    assert_eq!(talk.startup_ms(10_000_000), None, "a stamp before the start is no duration");
}
