//! Anthropic's Messages, `/v1/messages`: SSE whose events have names, the counts before the last.

use std::io::Write;

use serde::Deserialize;

use super::{Asked, Call, End, Format, Wish, quoted, words};

/// What a token is taken for where it is only estimated.
const CHARACTERS_PER_TOKEN: u64 = 4;

#[derive(Deserialize)]
struct Body {
    model: String,
    max_tokens: Option<i64>,
    #[serde(default)]
    messages: Vec<Said>,
    system: Option<Content>,
    stream: Option<bool>,
}

#[derive(Deserialize)]
struct Said {
    content: Content,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Blocks(Vec<Block>),
}

/// Blocks of other types than text, which have no words, are accepted.
#[derive(Deserialize)]
struct Block {
    #[serde(default)]
    text: String,
}

impl Content {
    fn texts(&self) -> Vec<&str> {
        match self {
            Content::Text(text) => vec![text],
            Content::Blocks(blocks) => blocks.iter().map(|block| block.text.as_str()).collect(),
        }
    }
}

/// Understands the body of a request, or says what is wrong with it.
pub fn messages(body: &[u8], number: u64) -> Result<Asked, String> {
    let body: Body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if body.model.is_empty() {
        return Err("model is required".to_owned());
    }
    let limit = body.max_tokens.and_then(|tokens| tokens.try_into().ok()).filter(|n| *n > 0);
    let limit = limit.ok_or("max_tokens is required and must be positive")?;
    if body.messages.is_empty() {
        return Err("messages is required".to_owned());
    }
    let contents = body.system.iter().chain(body.messages.iter().map(|said| &said.content));
    let texts: Vec<&str> = contents.flat_map(Content::texts).collect();
    let characters: usize = texts.iter().map(|text| text.chars().count()).sum();
    let prompt_tokens = texts.into_iter().map(words).sum();
    let message = Message {
        head: format!(
            r#""id":"msg_simulated_{number}","type":"message","role":"assistant","model":{}"#,
            quoted(&body.model)
        ),
        estimated_tokens: (characters as u64).div_ceil(CHARACTERS_PER_TOKEN),
        prompt_tokens,
    };
    let call = Call {
        model: body.model,
        prompt_tokens,
        limit: Some(limit),
        stream: body.stream.unwrap_or(false),
        wish: Wish::default(),
    };
    Ok(Asked::Text(call, Box::new(message)))
}

/// The body of an answer that is an error, with Anthropic's names for statuses.
pub fn error(status: u16, message: &str) -> String {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    };
    let message = quoted(message);
    format!(
        r#"{{"type":"error","error":{{"type":"{kind}","message":{message}}},"request_id":"req_simulated"}}"#
    )
}

/// Writes one answer.
struct Message {
    /// The fields of the message that are known from its beginning.
    head: String,
    /// What is told of the prompt before it was read.
    estimated_tokens: u64,
    prompt_tokens: u64,
}

impl Message {
    /// Both counts, and why the answer ended.
    fn outcome(&self, end: &End) -> (String, &'static str) {
        let usage = format!(
            r#""usage":{{"input_tokens":{},"output_tokens":{}}}"#,
            self.prompt_tokens, end.tokens
        );
        (usage, if end.limited { "max_tokens" } else { "end_turn" })
    }
}

/// Writes an event; its name is also the type in its data.
fn event(out: &mut Vec<u8>, name: &str, fields: &[&str]) {
    for part in ["event: ", name, "\ndata: {\"type\":\"", name, "\""] {
        out.extend_from_slice(part.as_bytes());
    }
    for part in fields {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b"}\n\n");
}

impl Format for Message {
    fn content_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn opening(&self, out: &mut Vec<u8>) {
        let usage = format!(
            r#","content":[],"usage":{{"input_tokens":{},"output_tokens":0}}}}"#,
            self.estimated_tokens
        );
        event(out, "message_start", &[r#","message":{"#, &self.head, &usage]);
        let block = r#","index":0,"content_block":{"type":"text","text":""}"#;
        event(out, "content_block_start", &[block]);
    }

    fn text(&self, out: &mut Vec<u8>, text: &str) {
        let delta = r#","index":0,"delta":{"type":"text_delta","text":""#;
        event(out, "content_block_delta", &[delta, text, "\"}"]);
    }

    fn last(&self, out: &mut Vec<u8>, end: &End) {
        let (usage, reason) = self.outcome(end);
        event(out, "content_block_stop", &[r#","index":0"#]);
        let delta = [r#","delta":{"stop_reason":""#, reason, r#""},"#, &usage];
        event(out, "message_delta", &delta);
        event(out, "message_stop", &[]);
    }

    fn error(&self, out: &mut Vec<u8>, message: &str) {
        let message = quoted(message);
        let error = [r#","error":{"type":"api_error","message":"#, &message, "}"];
        event(out, "error", &error);
    }

    fn malformed(&self, out: &mut Vec<u8>) {
        event(out, "content_block_delta", &[r#","index":0,"delta":"#]);
    }

    fn whole(&self, out: &mut Vec<u8>, text: &str, end: &End) {
        let (usage, reason) = self.outcome(end);
        // Writing to memory cannot fail.
        let _ = write!(
            out,
            r#"{{{},"content":[{{"type":"text","text":"{text}"}}],"stop_reason":"{reason}",{usage}}}"#,
            self.head
        );
    }
}
