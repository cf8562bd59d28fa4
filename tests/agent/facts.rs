//! What servers tell of themselves, read from servers that answer as the real ones do.

use formats::endpoint::{Api, HeaderText, Server};
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
    let mut server = Server::at(api, url);
    server.api_key_env = api_key.map(|_| "KEY".to_owned());
    server::facts(&server, models, &|_| api_key.map(str::to_owned))
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
        lists_all: true,
        ..ServerFacts::default()
    };
    assert_eq!(found, expected);
    let found = facts(&url, Api::OpenaiCompletions, &names(&["qwen"]), None).unwrap();
    assert_eq!(found.missing, ["qwen"]);
}

#[test]
fn what_a_server_does_not_know_stays_unknown() {
    let models = [("m".to_owned(), ModelFacts::default())].into();
    let expected = ServerFacts { models, ..ServerFacts::default() };
    for (api, call) in [(Api::Ollama, "/api/generate"), (Api::OpenaiChat, "/chat/completions")] {
        let silent = server(vec![(call, json!({ "error": "no model" }))]);
        let found = facts(&silent.url, api, &names(&["m"]), None).unwrap();
        let [doubt] = found.doubts.as_slice() else { panic!("{found:?}") };
        assert!(doubt.message.contains("answers HTTP 404, 404 page not found"), "{doubt:?}");
        assert_eq!(ServerFacts { doubts: Vec::new(), ..found }, expected);
        let asked = silent.requests.lock().unwrap();
        let asked = asked.iter().find(|request| request.path == call).unwrap();
        assert_eq!(asked.body, "{}", "nothing that could be loaded or generated");
    }
}

/// A list can be missing, forbidden, broken or slow, and its server serves all the same.
#[test]
fn what_lists_fail_to_tell_decides_nothing_where_calls_are_taken() {
    const LATE: &str = "late";
    for (status, list, words) in [
        (
            200,
            "<!doctype html><title>Sign in</title>",
            "answers with an HTML page titled \"Sign in\"",
        ),
        (200, "pong", "answers with `pong`"),
        (200, "", "answers with nothing"),
        (200, r#"{"object":"list"}"#, "answers with `{\"object\":\"list\"}`"),
        (401, r#"{"error":{"message":"admins only"}}"#, "answers HTTP 401, admins only"),
        (403, "", "answers HTTP 403"),
        (404, r#"{"detail":"Not Found"}"#, "answers HTTP 404, Not Found"),
        (405, "", "answers HTTP 405"),
        (429, "", "answers HTTP 429"),
        (500, r#"{"error":{"message":"db not connected"}}"#, "answers HTTP 500, db not connected"),
        (503, "", "answers HTTP 503"),
        (200, LATE, "no answer within 2 s"),
    ] {
        let server = Scripted::start(move |request, reply| match request.path.as_str() {
            "/v1/models" if list == LATE => reply.wait_for_client_to_leave(),
            "/v1/models" => reply.whole(status, list),
            "/v1/chat/completions" => reply.whole(400, r#"{"error":{"message":"no messages"}}"#),
            _ => reply.whole(404, ""),
        });
        let url = format!("{}/v1", server.url);
        let found = facts(&url, Api::OpenaiChat, &names(&["m"]), None);
        let found = found.unwrap_or_else(|error| panic!("{status} {list}: {error}"));
        let [doubt] = found.doubts.as_slice() else { panic!("{status} {list}: {found:?}") };
        assert!(doubt.message.contains(words), "{}", doubt.message);
        assert_eq!((found.listed, found.missing.len()), (None, 0), "{status} {list}");
    }
}

#[test]
fn what_the_path_of_the_calls_says_is_an_error() {
    for (status, answer, words) in [
        (401, r#"{"error":"no key"}"#, "HTTP 401, no key"),
        (403, "", "HTTP 403"),
        (404, r#"{"detail":"Not Found"}"#, "/chat/completions answers HTTP 404, and /models"),
        (404, "<html><h1>Gone</h1>", "/chat/completions answers HTTP 404"),
        (503, "", "HTTP 503"),
        (400, "<html><title>400 The plain HTTP request was sent to HTTPS port</title>", "https://"),
        (200, "<html><title>Sign in</title>", "an HTML page titled \"Sign in\""),
    ] {
        let server = Scripted::start(move |request, reply| match request.path.as_str() {
            "/v1/models" if status == 404 => reply.whole(404, ""),
            "/v1/models" => reply.whole(500, ""),
            _ => reply.whole(status, answer),
        });
        let url = format!("{}/v1", server.url);
        let error = facts(&url, Api::OpenaiChat, &names(&["m"]), None).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// An empty call names no model, which some servers then do not find.
#[test]
fn a_404_of_a_model_is_none_of_the_path() {
    let settled = |answer: &'static str| {
        let server = Scripted::start(move |_, reply| reply.whole(404, answer));
        facts(&format!("{}/v1", server.url), Api::OpenaiChat, &[], None)
    };
    for answer in [
        r#"{"error":{"message":"The model `` does not exist.","type":"NotFoundError","param":"model","code":404}}"#,
        r#"{"object":"error","message":"The model `` does not exist.","type":"NotFoundError","code":404}"#,
        r#"{"error":{"message":"No access","type":"invalid_request_error","code":"model_not_found"}}"#,
        r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}}"#,
        r#"{"type":"error","error":{"type":"not_found_error","message":"model: none"}}"#,
        r#"{"error":"model '' not found"}"#,
        r#"{"detail":"Model not found"}"#,
    ] {
        let found = settled(answer).unwrap_or_else(|error| panic!("{answer}: {error}"));
        assert_eq!(found.doubts.len(), 1, "{answer}: {found:?}");
    }
    for answer in [
        "no route; see the model docs",
        "model not found",
        r#"{"error":"no route; see the model docs"}"#,
        r#"{"message":"/models/a/v1/chat/completions was not found"}"#,
        r#"{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}"#,
        r#"{"error":{"code":"404","message":"Resource not found"}}"#,
        r#"["model not found"]"#,
    ] {
        let found = settled(answer);
        assert!(matches!(found, Err(ServerError::NoApi { .. })), "{answer}: {found:?}");
    }
}

/// A server may answer 200 to whatever it is asked.
#[test]
fn an_answer_to_everything_is_none_to_what_was_asked() {
    for answer in [r#"{"detail":"Not Found"}"#, r#"{"status":"ok"}"#] {
        let server = Scripted::start(move |_, reply| reply.whole(200, answer));
        for (api, path, call) in [
            (Api::Ollama, "/api/version", "/api/generate"),
            (Api::OpenaiChat, "/models", "/chat/completions"),
            (Api::Anthropic, "/v1/models", "/v1/messages"),
        ] {
            let url = format!("{}{}", server.url, api.base());
            let said = facts(&url, api, &names(&["m"]), None).unwrap_err().to_string();
            let found = format!("it answers {path} with `{answer}`, and {call} with `{answer}`");
            assert!(said.contains(&found), "{said}");
            let asked = server.requests.lock().unwrap();
            assert!(asked.iter().any(|request| request.path.ends_with(call)), "{call}");
        }
    }
    // What is no version says nothing against a server that takes calls.
    let server = Scripted::start(|request, reply| match request.path.as_str() {
        "/api/generate" => reply.whole(400, r#"{"error":"model is required"}"#),
        _ => reply.whole(200, "{}"),
    });
    let found = facts(&server.url, Api::Ollama, &names(&["m"]), None).unwrap();
    assert!(found.doubts[0].message.contains("/api/version answers with `{}`"), "{found:?}");
    assert_eq!((found.server, found.listed, found.loaded), (None, None, None));
}

#[test]
fn a_redirect_is_named_with_the_address_to_write() {
    let server = Scripted::start(|request, reply| {
        let path = request.path.replace("/old", "");
        reply.raw(format!(
            "HTTP/1.1 307 X\r\nlocation: https://new.example/v1{path}\r\ncontent-length: 0\r\n\r\n"
        ));
    });
    let error = facts(&format!("{}/old", server.url), Api::OpenaiChat, &[], None).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("redirects to https://new.example/v1/chat/completions,"), "{said}");
    assert!(said.contains("put https://new.example/v1 into the manifest"), "{said}");

    let secret = Scripted::start(|_, reply| {
        reply.raw("HTTP/1.1 307 X\r\nlocation: https://b.example/login?api_key=secret\r\ncontent-length: 0\r\n\r\n");
    });
    let said = facts(&secret.url, Api::Ollama, &[], None).unwrap_err().to_string();
    assert!(said.contains("redirects to https://b.example/login?…,"), "{said}");
}

/// Some list names, some leave out the object around the list, and Ollama's `/v1` takes `gemma3` for
/// `gemma3:latest`.
#[test]
fn lists_of_all_shapes_are_read() {
    for list in [
        json!([{ "id": "m" }, { "id": "gemma3:latest" }]),
        json!(["m", "gemma3:latest"]),
        json!({ "models": [{ "name": "m" }, { "model": "gemma3:latest" }] }),
        json!({ "data": [null, { "id": 7 }, { "id": "m" }, { "id": "gemma3:latest" }] }),
    ] {
        let server = server(vec![("/v1/models", list.clone())]);
        let url = format!("{}/v1", server.url);
        let asked = names(&["m", "gemma3", "Gemma3:Latest", "other"]);
        let found = facts(&url, Api::OpenaiChat, &asked, None).unwrap();
        assert_eq!(found.listed, Some(names(&["m", "gemma3:latest"])), "{list}");
        assert_eq!(found.missing, ["other"], "{list}");
        assert!(!found.lists_all && found.doubts.is_empty(), "{list}");
    }
}

#[test]
fn ollama_tells_no_capitals_from_small_letters_and_its_own_list_is_whole() {
    let found = facts(&ollama().url, Api::Ollama, &names(&["GEMMA3", "qwen"]), None).unwrap();
    assert_eq!((found.missing, found.lists_all), (names(&["qwen"]), true));
}

#[test]
fn answers_are_asked_for_as_they_are_and_one_that_is_packed_is_named() {
    let server = Scripted::start(|_, reply| {
        reply.raw("HTTP/1.1 200 X\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x08");
    });
    let found = facts(&server.url, Api::OpenaiChat, &names(&["m"]), None).unwrap();
    assert!(found.doubts[0].message.contains("compressed (gzip)"), "{found:?}");
    let asked = server.requests.lock().unwrap();
    assert!(asked.iter().all(|request| request.headers["accept-encoding"] == "identity"));
}

#[test]
fn questions_carry_the_further_headers_of_an_endpoint() {
    let scripted = ollama();
    let mut server = Server::at(Api::Ollama, &scripted.url);
    server.headers = [
        ("x-team".to_owned(), HeaderText::Text("lab".to_owned())),
        ("authorization".to_owned(), HeaderText::Env("TOKEN".to_owned())),
    ]
    .into();
    let environment = |name: &str| (name == "TOKEN").then(|| "Basic YTpi\r\n".to_owned());
    server::facts(&server, &[], &environment).unwrap();
    let asked = scripted.requests.lock().unwrap();
    assert!(!asked.is_empty());
    for request in asked.iter() {
        assert_eq!(request.headers["x-team"], "lab");
        assert_eq!(request.headers["authorization"], "Basic YTpi");
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
        assert!(said.contains("is no") && said.contains("with an HTML page"), "{said}");
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
