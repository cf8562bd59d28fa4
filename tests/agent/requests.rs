//! What a runtime sends: bodies by the list that both runtimes are held against, headers, keys; and the
//! words for answers that are none.

use std::collections::BTreeMap;

use formats::endpoint::{Api, Dialect, HeaderText};
use formats::protocol::Outcome;
use serde::Deserialize;
use serde_json::Value;

use crate::process::{Finished, agent, command, one_call, run, run_with, spec};
use crate::scripted::Scripted;

#[derive(Deserialize)]
struct Asked {
    about: String,
    api: Api,
    #[serde(default)]
    options: BTreeMap<String, Value>,
    #[serde(default)]
    extra: BTreeMap<String, Value>,
    #[serde(default)]
    dialect: Dialect,
    max_tokens: Option<u32>,
    body: Value,
}

#[test]
fn the_bodies_of_requests_are_those_of_the_list() {
    let list: Vec<Asked> = serde_json::from_str(include_str!("../fixtures/bodies.json")).unwrap();
    let server = Scripted::start(|_, reply| reply.whole(500, "no"));
    let agents = list.iter().enumerate().map(|(index, asked)| {
        let mut agent = agent(&server.url);
        agent.name = format!("a{index}");
        agent.api = asked.api;
        agent.options.clone_from(&asked.options);
        agent.extra.clone_from(&asked.extra);
        agent.dialect = asked.dialect;
        agent.max_tokens = asked.max_tokens;
        agent.calls[0].prompt = "Say \"hi\"".to_owned();
        agent
    });
    let finished = run(spec(agents.collect()));
    assert!(finished.record.is_some(), "{}", finished.stderr);
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests.len(), list.len());
    for (index, asked) in list.iter().enumerate() {
        let id = format!("run-1/a{index}/0");
        let request = requests.iter().find(|request| request.headers["x-request-id"] == id);
        let request = request.unwrap();
        let body: Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body, asked.body, "{}", asked.about);
        assert_eq!(request.headers["accept-encoding"], "identity", "{}", asked.about);
    }
}

#[test]
fn an_endpoints_further_headers_go_along_and_its_secrets_into_no_file() {
    const SECRET: &str = "YTpzZWNyZXQ=";
    let server = Scripted::start(|_, reply| reply.whole(500, "no"));
    let mut agent = agent(&server.url);
    agent.headers = [
        ("x-team".to_owned(), HeaderText::Text(" lab ".to_owned())),
        ("authorization".to_owned(), HeaderText::Env("LOGIN".to_owned())),
    ]
    .into();
    let mut with_login = command();
    with_login.env("LOGIN", format!("Basic {SECRET}\r\n"));
    let finished = run_with(with_login, spec(vec![agent.clone()]));
    let request = server.requests.lock().unwrap()[0].clone();
    assert_eq!(request.headers["x-team"], "lab");
    assert_eq!(request.headers["authorization"], format!("Basic {SECRET}"));
    let record = std::fs::read_to_string(finished.dir.path().join("agent.json")).unwrap();
    assert!(!record.contains(SECRET) && !finished.stderr.contains(SECRET));

    let said = refusal(&run(spec(vec![agent.clone()])));
    let expected =
        "agent \"a\": the environment variable LOGIN with the header `authorization` is not set";
    assert_eq!(said, expected);
    agent.headers = [("x team".to_owned(), HeaderText::Text("lab".to_owned()))].into();
    let said = refusal(&run(spec(vec![agent])));
    let expected = "agent \"a\": the header \"x team\" cannot be sent: that is no name of a header";
    assert_eq!(said, expected);
}

/// Keys come from files with line ends of several systems, and from people who copy.
#[test]
fn a_key_is_freed_of_line_ends_or_refused_by_the_name_of_its_variable() {
    let server = Scripted::start(|_, reply| reply.whole(500, "no"));
    let with = |key: &str| {
        let mut agent = agent(&server.url);
        agent.api_key_env = Some("THE_KEY".to_owned());
        let mut command = command();
        command.env("THE_KEY", key);
        run_with(command, spec(vec![agent]))
    };
    for key in ["sk-1\r", "sk-1\n", "sk-1\r\n", "\tsk-1 "] {
        assert!(with(key).record.is_some(), "{key:?}");
    }
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| request.headers["authorization"] == "Bearer sk-1"));
    for (key, reason) in [
        (
            "sk-1\\n",
            "ends with a line end that is spelled out, a backslash and a letter: remove it",
        ),
        ("sk-1\nsk-2", "holds a line end: store it on one line"),
        ("sk-ключ", "holds a character that is not ASCII, which no header can carry"),
        ("sk-\u{1}", "holds a control character, which no header can carry"),
        (
            "Bearer sk-1",
            "begins with `Bearer `, which is put before it anyway: store the key alone",
        ),
    ] {
        let finished = with(key);
        let said = refusal(&finished);
        let expected =
            format!("agent \"a\": its API key in the environment variable THE_KEY {reason}");
        assert_eq!(said, expected);
        assert!(!finished.stderr.contains("sk-"), "{}", finished.stderr);
    }
}

/// Another address is another server, which nobody chose.
#[test]
fn a_redirect_is_not_followed_and_names_the_address_to_write() {
    let finished = one_call(|request, reply| {
        let to = format!("https://b.example/ollama{}", request.path);
        reply.raw(format!("HTTP/1.1 308 X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"));
    });
    let call = finished.call();
    assert_eq!((call.outcome, call.http_status), (Outcome::HttpError, Some(308)));
    let expected = "the server redirects to https://b.example/ollama/api/generate, and redirects are not \
                    followed: put https://b.example/ollama into the manifest as the endpoint's address";
    assert_eq!(call.error.as_deref(), Some(expected));

    let finished = one_call(|_, reply| {
        let to = "https://me:secret@b.example/login?api_key=secret";
        reply.raw(format!("HTTP/1.1 308 X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"));
    });
    let said = finished.call().error.clone().unwrap();
    assert!(said.contains("redirects to https://…@b.example/login?…,"), "{said}");
}

#[test]
fn a_web_page_as_an_error_is_named_by_its_title() {
    let page = "<!DOCTYPE html>\n<html><head><title>502\n Bad Gateway</title></head><body>…</body>";
    let finished = one_call(move |_, reply| reply.whole(502, page));
    let call = finished.call();
    assert_eq!(call.outcome, Outcome::HttpError);
    assert_eq!(call.error.as_deref(), Some("an HTML page titled \"502 Bad Gateway\""));
}

/// Why the runtime did not start.
fn refusal(finished: &Finished) -> String {
    assert!(finished.record.is_none() && finished.code != Some(0));
    match finished.events.last() {
        Some(formats::protocol::Event::Error { message }) => message.clone(),
        other => panic!("{other:?}: {}", finished.stderr),
    }
}
