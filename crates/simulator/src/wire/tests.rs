use formats::endpoint::Api;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const OLLAMA: [&str; 2] = ["/api/generate", "/api/chat"];

fn asked(path: &str, body: &Value) -> Result<Asked, String> {
    at(path).unwrap().understand(body.to_string().as_bytes(), 7)
}

/// The same prompt of nine words in every protocol; `more` are further fields.
fn body(model: &str, more: &Value) -> Value {
    let prompt = "Once upon a time there was a fisherman who";
    let mut body = json!({ "model": model, "stream": true, "max_tokens": 10, "prompt": prompt,
        "messages": [{ "role": "user", "content": prompt }] });
    let fields = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body
}

fn text(path: &str, body: &Value) -> (Call, Box<dyn Format>) {
    match asked(path, body) {
        Ok(Asked::Text(call, format)) => (call, format),
        Ok(_) => panic!("{path} generates nothing"),
        Err(reason) => panic!("{path}: {reason}"),
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

/// Like `written`, with the time of the record left out, which no test knows.
fn record(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let record = written(write);
    let (before, rest) = record.split_once(r#""created_at":""#).unwrap();
    let (time, after) = rest.split_once('"').unwrap();
    time.parse::<jiff::Timestamp>().unwrap();
    format!("{before}…{after}")
}

fn end(limited: bool) -> End {
    End { tokens: 10, limited, total_ns: 50, load_ns: 0, prefill_ns: 20, decode_ns: 30 }
}

#[test]
fn every_protocol_that_can_be_asked_for_has_its_path() {
    for api in Api::ALL {
        let path = format!("{}{}", api.base(), api.path());
        assert!(at(&path).is_some(), "{path}");
    }
    assert_eq!(WIRES.len(), Api::ALL.len());
}

#[test]
fn anthropics_events_are_those_that_a_real_server_sent() {
    let (call, format) = text("/v1/messages", &body("smollm2:135m", &json!({})));
    assert_eq!((call.limit, call.prompt_tokens, call.stream), (Some(10), 9, true));
    assert_eq!(
        written(|out| format.opening(out)),
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\
         \"msg_simulated_7\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"smollm2:135m\",\
         \"content\":[],\"usage\":{\"input_tokens\":11,\"output_tokens\":0}}}\n\n\
         event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\
         \"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
    );
    assert_eq!(
        written(|out| format.text(out, " story")),
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
         \"delta\":{\"type\":\"text_delta\",\"text\":\" story\"}}\n\n"
    );
    assert_eq!(
        written(|out| format.last(out, &end(true))),
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
         event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\
         \"max_tokens\"},\"usage\":{\"input_tokens\":9,\"output_tokens\":10}}\n\n\
         event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
    );
    assert!(written(|out| format.last(out, &end(false))).contains(r#""stop_reason":"end_turn""#));
    assert_eq!(
        written(|out| format.error(out, "no \"memory\"")),
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\
         \"message\":\"no \\\"memory\\\"\"}}\n\n"
    );
    assert_eq!(
        written(|out| format.whole(out, "The story", &end(true))),
        "{\"id\":\"msg_simulated_7\",\"type\":\"message\",\"role\":\"assistant\",\
         \"model\":\"smollm2:135m\",\"content\":[{\"type\":\"text\",\"text\":\"The story\"}],\
         \"stop_reason\":\"max_tokens\",\"usage\":{\"input_tokens\":9,\"output_tokens\":10}}"
    );
}

#[test]
fn ollamas_records_are_those_that_a_real_server_sent() {
    let options = json!({ "options": { "num_predict": 10 } });
    let (call, format) = text("/api/chat", &body("smollm2:135m", &options));
    assert_eq!((call.limit, call.prompt_tokens, call.stream), (Some(10), 9, true));
    assert_eq!(
        record(|out| format.text(out, " story")),
        "{\"model\":\"smollm2:135m\",…,\"message\":{\"role\":\"assistant\",\
         \"content\":\" story\"},\"done\":false}\n"
    );
    assert_eq!(
        record(|out| format.last(out, &end(true))),
        "{\"model\":\"smollm2:135m\",…,\"message\":{\"role\":\"assistant\",\"content\":\"\"},\
         \"done\":true,\"done_reason\":\"length\",\"total_duration\":50,\"prompt_eval_count\":9,\
         \"prompt_eval_duration\":20,\"eval_count\":10,\"eval_duration\":30}\n"
    );
    let (_, format) = text("/api/generate", &body("smollm2:135m", &options));
    assert_eq!(
        record(|out| format.text(out, " story")),
        "{\"model\":\"smollm2:135m\",…,\"response\":\" story\",\"done\":false}\n"
    );
    let last = record(|out| format.last(out, &end(false)));
    assert!(last.contains(r#","response":"","done":true,"done_reason":"stop","context":[],"#));
}

#[test]
fn without_a_prompt_ollama_loads_and_unloads() {
    for (path, empty) in OLLAMA
        .into_iter()
        .zip([r#""response":"""#, r#""message":{"role":"assistant","content":""}"#])
    {
        let no_prompt = json!({ "model": "m", "options": { "num_ctx": 512 } });
        let Ok(Asked::Load { model, wish, answer }) = asked(path, &no_prompt) else {
            panic!("{path} does not load");
        };
        assert_eq!((model.as_str(), wish), ("m", Wish { context: Some(512), keep: None }));
        let expected = format!(r#"{{"model":"m",…,{empty},"done":true,"done_reason":"load"}}"#);
        assert_eq!(record(|out| *out = answer), expected);

        let leave = json!({ "model": "m", "keep_alive": "0", "messages": [], "prompt": "" });
        let Ok(Asked::Unload { answer, .. }) = asked(path, &leave) else {
            panic!("{path} does not unload");
        };
        let expected = format!(r#"{{"model":"m",…,{empty},"done":true,"done_reason":"unload"}}"#);
        assert_eq!(record(|out| *out = answer), expected);
    }
}

#[test]
fn a_model_stays_as_long_as_keep_alive_says() {
    let seconds = |value| Keep::For(Duration::from_secs(value));
    for (value, keep) in [
        (json!(0), seconds(0)),
        (json!(90), seconds(90)),
        (json!("1h30m"), seconds(5400)),
        (json!("1.5s"), Keep::For(Duration::from_millis(1500))),
        (json!("0"), seconds(0)),
        (json!(-1), Keep::ForEver),
        (json!("-1m"), Keep::ForEver),
    ] {
        for path in OLLAMA {
            let (call, _) = text(path, &body("m", &json!({ "keep_alive": value })));
            assert_eq!(call.wish.keep, Some(keep), "{value}");
        }
    }
    for value in [json!("soon"), json!("5"), json!("5 m"), json!(true)] {
        let reason = asked(OLLAMA[1], &body("m", &json!({ "keep_alive": value }))).err().unwrap();
        assert!(reason.contains("no duration"), "{reason}");
    }
}

#[test]
fn anthropics_prompts_may_be_text_or_blocks() {
    let image = json!({ "type": "image", "source": {} });
    let more = json!({ "system": [{ "type": "text", "text": "be brief" }], "messages": [
        { "role": "user", "content": [{ "type": "text", "text": "one two three" }, image] },
        { "role": "assistant", "content": "four" }] });
    let (call, format) = text("/v1/messages", &body("m", &more));
    assert_eq!(call.prompt_tokens, 6);
    // 25 characters.
    assert!(written(|out| format.opening(out)).contains(r#""input_tokens":7"#));
}

#[test]
fn requests_that_cannot_be_understood_are_refused_with_the_field() {
    for (path, more, field) in [
        ("/api/chat", json!({ "model": "" }), "model"),
        ("/api/chat", json!({ "messages": [{ "content": 1 }] }), "string"),
        ("/v1/messages", json!({ "model": "" }), "model"),
        ("/v1/messages", json!({ "messages": [] }), "messages"),
        ("/v1/messages", json!({ "messages": [{ "role": "user" }] }), "content"),
        ("/v1/messages", json!({ "max_tokens": null }), "max_tokens"),
        ("/v1/messages", json!({ "max_tokens": 0 }), "max_tokens"),
        ("/v1/messages", json!({ "max_tokens": -1 }), "max_tokens"),
        ("/v1/chat/completions", json!({ "messages": [] }), "messages"),
        ("/v1/completions", json!({ "prompt": null }), "prompt"),
    ] {
        let reason = asked(path, &body("m", &more)).err().unwrap();
        assert!(reason.contains(field), "{path} {more}: {reason}");
    }
}

#[test]
fn errors_are_told_in_the_dialect_of_the_path() {
    let told = |path, status| String::from_utf8(error_body(path, status, "why")).unwrap();
    assert_eq!(told("/api/chat", 503), r#"{"error":"why"}"#);
    assert_eq!(told("/nowhere", 404), r#"{"error":"why"}"#);
    let openai: Value = serde_json::from_str(&told("/v1/models", 405)).unwrap();
    assert_eq!(openai["error"]["type"], "invalid_request_error");
    assert_eq!(
        told("/v1/messages", 404),
        r#"{"type":"error","error":{"type":"not_found_error","message":"why"},"request_id":"req_simulated"}"#
    );
    for (status, kind) in [
        (400, "invalid_request_error"),
        (405, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ] {
        assert!(told("/v1/messages", status).contains(kind), "{status}");
    }
}

/// The JSON of NDJSON or of SSE.
fn records(text: &str) -> Vec<Result<Value, serde_json::Error>> {
    let data = |line: &str| line.strip_prefix("data: ").unwrap_or(line).to_owned();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("event: "));
    let lines = lines.map(data).filter(|line| line != "[DONE]");
    lines.map(|line| serde_json::from_str(&line)).collect()
}

proptest! {
    #[test]
    fn whatever_the_model_is_called_only_a_malformed_record_is_no_json(
        model in "\\PC+|[\"\\\\\n\0{}]+",
        message in ".*",
    ) {
        for wire in &WIRES {
            let usage = json!({ "stream_options": { "include_usage": true } });
            let (call, format) = text(wire.path, &body(&model, &usage));
            prop_assert_eq!(&call.model, &model);
            let stream = written(|out| {
                format.opening(out);
                format.text(out, "größe1 ");
                format.last(out, &end(true));
                format.error(out, &message);
            });
            for record in records(&stream) {
                prop_assert!(record.is_ok(), "{}: {}", wire.path, stream);
            }
            let whole = records(&written(|out| format.whole(out, "größe1 ", &end(false))));
            prop_assert_eq!(whole.len(), 1);
            prop_assert_eq!(&whole[0].as_ref().unwrap()["model"], &json!(model));
            let malformed = records(&written(|out| format.malformed(out)));
            prop_assert!(malformed.len() == 1 && malformed[0].is_err(), "{}", wire.path);
        }
    }
}
