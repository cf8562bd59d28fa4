//! What servers tell of themselves, read from servers that answer as the real ones do.

use runner::agent::protocol::Api;
use runner::endpoint::{EndpointError, ModelFacts, ServerFacts, facts};
use serde_json::json;

use crate::scripted::{Reply, Request, Scripted};

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
            json!({ "models": [{ "name": "gemma3:latest", "digest": "a2af6cc3eb7f",
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
        file: Some("gemma3".to_owned()),
    };
    assert_eq!(found.models["gemma3"], expected);
    let asked = server.requests.lock().unwrap();
    let show = asked.iter().find(|request| request.path == "/api/show").unwrap();
    assert_eq!(show.body, r#"{"model":"gemma3"}"#);
}

#[test]
fn a_model_that_the_server_does_not_list_is_missing() {
    let error = facts(&ollama().url, Api::Ollama, &names(&["gemma3:4b"]), None).unwrap_err();
    let EndpointError::ModelMissing { model, known, .. } = error else { panic!("{error}") };
    assert_eq!((model.as_str(), known), ("gemma3:4b", names(&["gemma3:latest"])));

    let vllm = server(vec![(
        "/v1/models",
        json!({ "data": [{ "id": "qwen", "owned_by": "vllm", "max_model_len": 4096 }] }),
    )]);
    let url = format!("{}/v1", vllm.url);
    let error = facts(&url, Api::OpenaiChat, &names(&["gemma"]), None).unwrap_err();
    assert!(matches!(error, EndpointError::ModelMissing { .. }), "{error}");
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
        ("/props", json!({ "build_info": "b0-unknown", "model_path": "/models/gemma.gguf" })),
    ]);
    let url = format!("{}/v1/", server.url);
    let found = facts(&url, Api::OpenaiCompletions, &names(&["gemma"]), None).unwrap();
    let model = ModelFacts {
        digest: Some("sha256:abcd".to_owned()),
        quantization: Some("Q4_K - Medium".to_owned()),
        parameter_size: Some("268098176".to_owned()),
        context_length: Some(2048),
        file: Some("gemma.gguf".to_owned()),
    };
    let expected = ServerFacts {
        server: Some("llama.cpp".to_owned()),
        version: Some("xllamacpp-1".to_owned()),
        models: [("gemma".to_owned(), model)].into(),
    };
    assert_eq!(found, expected);
    let error = facts(&url, Api::OpenaiCompletions, &names(&["qwen"]), None).unwrap_err();
    assert!(matches!(error, EndpointError::ModelMissing { .. }), "{error}");
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
    assert!(matches!(&error, EndpointError::Unreachable { reason, .. } if reason.contains("2 s")));
    drop(free);
    let error = facts(&url, Api::Ollama, &[], None).unwrap_err();
    assert!(matches!(error, EndpointError::Unreachable { .. }), "{error}");
    let error = facts("localhost", Api::Ollama, &[], None).unwrap_err();
    assert!(matches!(error, EndpointError::Address { .. }), "{error}");
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
