use formats::pacing::Pacing;
use serde_json::json;

use crate::client::{PROTOCOLS, ask, call_body, generate, get, post};
use crate::{CHAT, COMPLETIONS, GENERATE, MESSAGES, OLLAMA_CHAT, pacing, start};

#[test]
fn ollama_streams_records_and_ends_with_counts_and_durations() {
    let server = start(pacing());
    let answer = ask(&server, &generate("x", true));
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("Content-Type: application/x-ndjson"), "{}", answer.head);
    let lines = answer.lines();
    assert_eq!(lines.len(), 11);
    let (last, texts) = lines.split_last().unwrap();
    for text in texts {
        assert_eq!((&text["model"], &text["done"]), (&json!("m"), &json!(false)));
    }
    let words: std::collections::BTreeSet<_> =
        texts.iter().map(|text| text["response"].as_str()).collect();
    assert_eq!(words.len(), 10, "the tokens are not all different");
    assert_eq!((&last["response"], &last["done"]), (&json!(""), &json!(true)));
    assert_eq!(last["done_reason"], "stop");
    assert_eq!(last["eval_count"], 10);
    assert_eq!(last["prompt_eval_count"], 4);
    assert_eq!(last.get("load_duration"), None, "nothing was loaded");

    // The durations are those of the log. The time to the first token holds the prefill and that
    // token's own share of the decoding.
    let sends = server.take_sends("x");
    let (first_ns, last_ns) = (sends[1].time_ns, sends[10].time_ns);
    let to_first_ns = first_ns - sends[0].request_read_ns.unwrap();
    let span_ns = last_ns - first_ns;
    let share_ns = (span_ns / 9).min(to_first_ns);
    assert!(to_first_ns >= 5_000_000, "{to_first_ns}");
    assert_eq!(last["eval_duration"], span_ns + share_ns);
    assert_eq!(last["prompt_eval_duration"], to_first_ns - share_ns);
    assert!(last["total_duration"].as_u64().unwrap() >= to_first_ns + span_ns, "{last}");
}

#[test]
fn the_requests_limit_ends_an_answer_by_length() {
    let server = start(Pacing { tokens_per_chunk: 4, ..pacing() });
    let body = json!({ "model": "m", "prompt": "p", "options": { "num_predict": 6 } });
    let lines = post(&server, GENERATE, &body).lines();
    assert_eq!(lines.len(), 3, "4 tokens, 2 tokens, the end");
    assert_eq!(lines[2]["eval_count"], 6);
    assert_eq!(lines[2]["done_reason"], "length");

    let chat = json!({ "model": "m", "messages": [{ "role": "user", "content": "p" }],
        "stream": true, "max_tokens": 3 });
    let events = post(&server, CHAT, &chat).events();
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "length");

    let chat = json!({ "model": "m", "messages": [{ "role": "user", "content": "p" }],
        "options": { "num_predict": 6 } });
    let lines = post(&server, OLLAMA_CHAT, &chat).lines();
    assert_eq!((lines.len(), &lines[2]["done_reason"]), (3, &json!("length")));

    let messages = json!({ "model": "m", "messages": [{ "role": "user", "content": "p" }],
        "stream": true, "max_tokens": 6 });
    let events = post(&server, MESSAGES, &messages).named_events();
    let end = &events[events.len() - 2];
    assert_eq!(end["delta"], json!({ "stop_reason": "max_tokens" }));
    assert_eq!(end["usage"]["output_tokens"], 6);

    let unlimited = json!({ "model": "m", "prompt": "p", "options": { "num_predict": -1 } });
    let lines = post(&server, GENERATE, &unlimited).lines();
    assert_eq!(lines.last().unwrap()["eval_count"], 10);
}

#[test]
fn without_any_limit_an_answer_has_128_tokens() {
    let server = start(Pacing { tokens: None, rate: 1e6, ..pacing() });
    let lines = ask(&server, &generate("x", true)).lines();
    assert_eq!(lines.last().unwrap()["eval_count"], 128);
}

#[test]
fn chat_streams_a_role_then_text_then_usage_when_wanted() {
    let server = start(pacing());
    let mut body = json!({ "model": "m", "stream": true,
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "one two" }] }] });
    let answer = post(&server, CHAT, &body);
    assert!(answer.head.contains("Content-Type: text/event-stream"), "{}", answer.head);
    let events = answer.events();
    assert_eq!(events.len(), 12);
    assert_eq!(events[0]["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
    assert_eq!(events[0]["object"], "chat.completion.chunk");
    for event in &events[1..11] {
        assert!(!event["choices"][0]["delta"]["content"].as_str().unwrap().is_empty());
    }
    assert_eq!(events[11]["choices"][0]["finish_reason"], "stop");

    body["stream_options"] = json!({ "include_usage": true });
    let events = post(&server, CHAT, &body).events();
    let usage = events.last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    let counts = json!({ "prompt_tokens": 2, "completion_tokens": 10, "total_tokens": 12 });
    assert_eq!(usage["usage"], counts);
}

#[test]
fn ollamas_chat_streams_messages_and_ends_as_generate_does() {
    let server = start(pacing());
    let answer = post(&server, OLLAMA_CHAT, &call_body(true));
    assert!(answer.head.contains("Content-Type: application/x-ndjson"), "{}", answer.head);
    let lines = answer.lines();
    assert_eq!(lines.len(), 11);
    for (line, text) in lines.iter().zip(answer.texts()) {
        assert_eq!(line["message"], json!({ "role": "assistant", "content": text }));
        assert_eq!(line["done"], false);
    }
    let last = &lines[10];
    assert_eq!(last["message"], json!({ "role": "assistant", "content": "" }));
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("stop")));
    assert_eq!((&last["eval_count"], &last["prompt_eval_count"]), (&json!(10), &json!(4)));
    assert!(last["total_duration"].as_u64().unwrap() >= 14_000_000, "{last}");
    assert_eq!(last.get("response"), None);
}

#[test]
fn messages_stream_events_from_start_to_stop() {
    let server = start(pacing());
    let answer = post(&server, MESSAGES, &call_body(true));
    assert!(answer.head.contains("Content-Type: text/event-stream"), "{}", answer.head);
    let events = answer.named_events();
    let mut types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    types.dedup();
    assert_eq!(
        types,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!((events.len(), answer.texts().len()), (15, 10));
    let (start, end) = (&events[0]["message"], &events[13]);
    assert_eq!((&start["model"], &start["role"]), (&json!("m"), &json!("assistant")));
    assert!(start["id"].as_str().unwrap().contains("simulated"), "{start}");
    assert_eq!(start["usage"], json!({ "input_tokens": 3, "output_tokens": 0 }), "an estimate");
    assert_eq!(end["usage"], json!({ "input_tokens": 4, "output_tokens": 10 }), "the count");
    assert_eq!(end["delta"], json!({ "stop_reason": "end_turn" }));
}

#[test]
fn all_protocols_say_the_same_streamed_or_not() {
    let server = start(pacing());
    let expected = ask(&server, &generate("x", true)).texts().concat();
    for protocol in &PROTOCOLS {
        for stream in [true, false] {
            let answer = ask(&server, &protocol.call("x", stream));
            assert!(answer.head.contains("Server: simulated"), "{}", answer.head);
            assert_eq!(answer.texts().concat(), expected, "{} {stream}", protocol.path);
        }
    }
    let message = post(&server, MESSAGES, &call_body(false)).json();
    assert_eq!(
        (&message["type"], &message["stop_reason"]),
        (&json!("message"), &json!("end_turn"))
    );
    assert_eq!(message["usage"], json!({ "input_tokens": 4, "output_tokens": 10 }));
}

#[test]
fn completions_stream_text() {
    let server = start(pacing());
    let body = json!({ "model": "m", "prompt": "p", "stream": true });
    let events = post(&server, COMPLETIONS, &body).events();
    assert_eq!(events.len(), 11);
    assert_eq!(events[0]["object"], "text_completion");
    assert!(events[..10].iter().all(|e| !e["choices"][0]["text"].as_str().unwrap().is_empty()));
    assert_eq!(events[10]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn without_streaming_the_same_text_comes_at_the_end() {
    let server = start(pacing());
    let whole = ask(&server, &generate("whole", false)).json();
    let lines = ask(&server, &generate("stream", true)).lines();
    let text: String = lines.iter().map(|line| line["response"].as_str().unwrap()).collect();
    assert_eq!(whole["response"], json!(text));
    assert_eq!(whole["eval_count"], 10);
    assert!(!text.is_ascii(), "clients are to meet characters of several bytes");
    assert!(whole["total_duration"].as_u64().unwrap() >= 14_000_000, "{whole}");

    let chat = json!({ "model": "m", "messages": [{ "role": "user", "content": "p" }] });
    let chat = post(&server, CHAT, &chat).json();
    assert_eq!(chat["usage"]["completion_tokens"], 10);

    let sends = server.take_sends("whole");
    assert_eq!(sends.iter().map(|send| send.tokens).collect::<Vec<_>>(), [10]);
}

#[test]
fn a_models_name_is_given_back_as_it_came() {
    let server = start(pacing());
    let name = "größe \"x\"\\\n";
    let body = json!({ "model": name, "prompt": "p", "stream": true });
    assert!(post(&server, GENERATE, &body).lines().iter().all(|line| line["model"] == name));
    assert!(post(&server, COMPLETIONS, &body).events().iter().all(|event| event["model"] == name));
}

#[test]
fn what_it_says_of_itself_says_simulated() {
    let server = start(pacing());
    ask(&server, &generate("x", true));
    let tags = get(&server, "/api/tags").json();
    let model = tags["models"].as_array().unwrap().iter().find(|m| m["name"] == "m").unwrap();
    assert_eq!(model["digest"].as_str().unwrap().len(), 64);
    assert_eq!(model["details"]["quantization_level"], "simulated");
    let show = post(&server, "/api/show", &json!({ "model": "other" })).json();
    assert_eq!(show["details"]["family"], "simulated");
    assert_eq!(get(&server, "/api/ps").json()["models"][0]["digest"], model["digest"]);
    let models = get(&server, "/v1/models").json();
    let ids: Vec<_> = models["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
    assert_eq!(ids, ["m", "other", "simulated"]);
    let facts = get(&server, "/simulator").json();
    assert_eq!((&facts["simulated"], &facts["pacing"]["rate"]), (&json!(true), &json!(1000.0)));

    let other = start(Pacing { seed: 2, ..pacing() });
    assert_ne!(get(&other, "/api/tags").json()["models"][0]["digest"], model["digest"]);
}
