//! What servers tell of themselves, read from servers that answer as the real ones do.

use formats::endpoint::Api;
use formats::endpoint::Server;
use runner::server::{self, ModelFacts, ServerError, ServerFacts};
use serde_json::json;

use crate::scripted::{Reply, Request, Scripted};

/// What a server at this address says of itself.
fn facts(
    url: &str,
    api: Api,
    models: &[String],
    api_key: Option<&str>,
) -> Result<ServerFacts, ServerError> {
    server::facts(&Server::at(api, url), models, api_key)
}

fn names(models: &[&str]) -> Vec<String> {
    models.iter().map(|&model| model.to_owned()).collect()
}

/// Answers paths with bodies, everything else with 404.
fn server(answers: Vec<(&'static str, serde_json::Value)>) -> Scripted {
    Scripted::start(move |request: &Request, reply: &mut Reply<'_>| {
        match answers.iter().find(|(path, _)| *path == request.path) {
            Some((_, body)) => reply.whole(200, &body.to_string()),
            None => reply.whole(404, "404 page not found"),
        }
    })
}

fn ollama() -> Scripted {
    server(vec![
        ("/api/version", json!({ "version": "0.12.3" })),
        (
            "/api/tags",
            json!({ "models": [{ "name": "gemma3:latest", "digest": "a2af6cc3eb7f", "size": 3_338_801_804_u64,
                "details": { "family": "gemma3", "parameter_size": "4.3B" } }] }),
        ),
        (
            "/api/show",
            json!({ "details": { "quantization_level": "Q4_K_M" },
                "model_info": { "gemma3.block_count": 34, "gemma3.context_length": 131_072 } }),
        ),
    ])
}

#[test]
fn ollama_tells_digest_and_quantization() {
    let server = ollama();
    let found = facts(&server.url, Api::Ollama, &names(&["gemma3"]), None).unwrap();
    assert_eq!(
        (found.server.as_deref(), found.version.as_deref()),
        (Some("ollama"), Some("0.12.3"))
    );
    let expected = ModelFacts {
        digest: Some("a2af6cc3eb7f".to_owned()),
        quantization: Some("Q4_K_M".to_owned()),
        parameter_size: Some("4.3B".to_owned()),
        context_length: Some(131_072),
        served_context: None,
        size_bytes: Some(3_338_801_804),
        file: Some("gemma3".to_owned()),
    };
    assert_eq!(found.models["gemma3"], expected);
    let asked = server.requests.lock().unwrap();
    let show = asked.iter().find(|request| request.path == "/api/show").unwrap();
    assert_eq!(show.body, r#"{"model":"gemma3"}"#);
}

#[test]
fn a_model_that_the_server_does_not_list_is_missing() {
    let asked = names(&["gemma3:4b", "gemma3", "qwen"]);
    let found = facts(&ollama().url, Api::Ollama, &asked, None).unwrap();
    assert_eq!(found.missing, ["gemma3:4b", "qwen"]);
    assert_eq!(found.listed, Some(names(&["gemma3:latest"])));
    assert!(found.models.contains_key("gemma3"), "the others are told all the same");

    let vllm = server(vec![(
        "/v1/models",
        json!({ "data": [{ "id": "qwen", "owned_by": "vllm", "max_model_len": 4096 }] }),
    )]);
    let url = format!("{}/v1", vllm.url);
    let found = facts(&url, Api::OpenaiChat, &names(&["gemma"]), None).unwrap();
    assert_eq!(found.missing, ["gemma"]);
    let found = facts(&url, Api::OpenaiChat, &names(&["qwen"]), None).unwrap();
    assert_eq!((found.server.as_deref(), found.version), (Some("vllm"), None));
    assert_eq!(found.models["qwen"].context_length, Some(4096));
}

#[test]
fn llama_cpp_answers_to_any_name_so_a_wrong_one_is_missing() {
    let server = server(vec![
        (
            "/v1/models",
            json!({ "data": [{ "id": "/models/gemma.gguf", "owned_by": "llamacpp",
                "aliases": ["/models/gemma.gguf", "gemma"],
                "tags": ["engine:xllamacpp-1", "sha256:abcd"],
                "meta": { "n_ctx": 2048, "n_ctx_train": 32_768, "n_params": 268_098_176,
                          "ftype": "Q4_K - Medium" } }] }),
        ),
        (
            "/props",
            json!({ "build_info": "b0-unknown", "model_path": "/models/gemma.gguf",
                "total_slots": 2 }),
        ),
    ]);
    let url = format!("{}/v1/", server.url);
    let found = facts(&url, Api::OpenaiCompletions, &names(&["gemma"]), None).unwrap();
    let model = ModelFacts {
        digest: Some("sha256:abcd".to_owned()),
        quantization: Some("Q4_K - Medium".to_owned()),
        parameter_size: Some("268098176".to_owned()),
        context_length: Some(2048),
        served_context: Some(2048),
        size_bytes: None,
        file: Some("gemma.gguf".to_owned()),
    };
    let expected = ServerFacts {
        server: Some("llama.cpp".to_owned()),
        version: Some("xllamacpp-1".to_owned()),
        models: [("gemma".to_owned(), model)].into(),
        listed: Some(names(&["/models/gemma.gguf"])),
        slots: Some(2),
        ..ServerFacts::default()
    };
    assert_eq!(found, expected);
    let found = facts(&url, Api::OpenaiCompletions, &names(&["qwen"]), None).unwrap();
    assert_eq!(found.missing, ["qwen"]);
}

#[test]
fn what_a_server_does_not_know_stays_unknown() {
    let silent = server(vec![]);
    for api in [Api::Ollama, Api::OpenaiChat] {
        let found = facts(&silent.url, api, &names(&["m"]), None).unwrap();
        let models = [("m".to_owned(), ModelFacts::default())].into();
        assert_eq!(found, ServerFacts { models, ..ServerFacts::default() });
    }
}

#[test]
fn servers_that_do_not_answer_are_unreachable() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    // It listens, but nobody accepts and answers.
    let error = facts(&url, Api::Ollama, &[], None).unwrap_err();
    assert!(matches!(&error, ServerError::Unreachable { reason, .. } if reason.contains("2 s")));
    drop(free);
    let error = facts(&url, Api::Ollama, &[], None).unwrap_err();
    assert!(matches!(error, ServerError::Unreachable { .. }), "{error}");
    let error = facts("localhost", Api::Ollama, &[], None).unwrap_err();
    assert!(matches!(error, ServerError::Address { .. }), "{error}");
}

#[test]
fn a_server_that_refuses_or_loads_says_so() {
    const KEY: &str = "sk-secret";
    let server = Scripted::start(|request, reply| {
        match request.headers.get("authorization").map(String::as_str) {
            Some("Bearer sk-secret") => {
                reply.whole(503, r#"{"error":{"message":"Loading model"}}"#);
            }
            _ => reply.whole(401, r#"{"error":{"message":"no key"}}"#),
        }
    });
    let without = facts(&server.url, Api::OpenaiChat, &[], None).unwrap_err().to_string();
    assert!(without.contains("401") && without.contains("no key"), "{without}");
    let with = facts(&server.url, Api::OpenaiChat, &[], Some(KEY)).unwrap_err().to_string();
    assert!(with.contains("503") && with.contains("Loading model"), "{with}");
    assert!(!with.contains(KEY));
}

#[test]
fn what_is_no_server_of_the_declared_kind_is_said_to_be_another() {
    let foreign = |url: &str, api| facts(url, api, &[], None).unwrap_err().to_string();
    let page = Scripted::start(|_, reply| reply.whole(200, "<!doctype html><title>Hello</title>"));
    for api in [Api::Ollama, Api::OpenaiChat] {
        let said = foreign(&page.url, api);
        assert!(said.contains("is no") && said.contains("with a web page"), "{said}");
    }
    let text = Scripted::start(|_, reply| reply.whole(200, "pong\n"));
    let said = foreign(&text.url, Api::Ollama);
    assert!(said.contains("/api/version with `pong`"), "{said}");
    let list = json!({ "data": [{ "id": "m", "owned_by": "llamacpp" }] });
    let openai = server(vec![("/v1/models", list)]);
    let said = foreign(&openai.url, Api::Ollama);
    assert!(said.contains("an OpenAI-compatible server answers there"), "{said}");
    let said = foreign(&openai.url, Api::OpenaiChat);
    assert!(said.contains(&format!("{}/v1", openai.url)), "{said}");
}

#[test]
fn what_speaks_no_http_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut &stream, b"SSH-2.0-OpenSSH_9.6\r\n");
        }
    });
    let error = facts(&url, Api::Ollama, &[], None).unwrap_err();
    assert!(matches!(error, ServerError::Unreachable { .. }), "{error}");
}

#[test]
fn a_server_that_hangs_after_the_first_answer_is_not_asked_for_long() {
    let server = Scripted::start(|request, reply| match request.path.as_str() {
        "/api/version" => reply.whole(200, r#"{"version":"1"}"#),
        _ => reply.wait_for_client_to_leave(),
    });
    let began = std::time::Instant::now();
    let found = facts(&server.url, Api::Ollama, &names(&["a", "b", "c"]), None).unwrap();
    assert!(began.elapsed() < std::time::Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!((found.listed, found.models.len()), (None, 3));
}
