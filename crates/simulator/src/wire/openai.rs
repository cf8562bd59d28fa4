//! OpenAI's `/v1/chat/completions` and `/v1/completions`: SSE, `data: [DONE]` at the end.

use std::io::Write;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Asked, Call, End, Format, Wish, quoted, words};

/// Which of the two paths was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    Chat,
    Completions,
}

#[derive(Deserialize)]
struct Body {
    model: String,
    messages: Option<Vec<Value>>,
    prompt: Option<Value>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// Understands the body of a request to `/v1/chat/completions`, or says what is wrong with it.
pub fn chat(body: &[u8], number: u64) -> Result<Asked, String> {
    asked(Path::Chat, body, number)
}

/// The same for `/v1/completions`.
pub fn completions(body: &[u8], number: u64) -> Result<Asked, String> {
    asked(Path::Completions, body, number)
}

fn asked(path: Path, body: &[u8], number: u64) -> Result<Asked, String> {
    let body: Body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let prompt = match path {
        Path::Chat => {
            body.messages.filter(|list| !list.is_empty()).map(Value::Array).ok_or("messages")
        }
        Path::Completions => body.prompt.ok_or("prompt"),
    };
    let prompt = prompt.map_err(|field| format!("missing or empty field `{field}`"))?;
    let call = Call {
        model: body.model,
        prompt_tokens: prompt_words(&prompt),
        limit: body.max_completion_tokens.or(body.max_tokens),
        stream: body.stream.unwrap_or(false),
        wish: Wish::default(),
    };
    let usage = body.stream_options.is_some_and(|options| options.include_usage);
    let completion = Completion::new(path, &call, usage, number);
    Ok(Asked::Text(call, Box::new(completion)))
}

/// Words in a prompt: a string, token ids, or messages whose content is text or parts with text.
fn prompt_words(prompt: &Value) -> u64 {
    match prompt {
        Value::String(text) => words(text),
        Value::Number(_) => 1,
        Value::Array(items) => items.iter().map(prompt_words).sum(),
        Value::Object(fields) => {
            ["content", "text"].iter().filter_map(|key| fields.get(*key)).map(prompt_words).sum()
        }
        Value::Null | Value::Bool(_) => 0,
    }
}

/// The body of an answer that is an error.
pub fn error(status: u16, message: &str) -> String {
    let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
    json!({ "error": { "message": message, "type": kind, "code": status } }).to_string()
}

/// Writes one answer.
struct Completion {
    path: Path,
    /// The fields that all records share, with the brace that opens a record.
    shared: String,
    /// The object's name in answers without streaming.
    whole_shared: String,
    prompt_tokens: u64,
    /// The counts of tokens are wanted at the end of the stream.
    usage: bool,
}

impl Completion {
    /// `number` makes the answer's id.
    fn new(path: Path, call: &Call, usage: bool, number: u64) -> Self {
        let (id, chunk, whole) = match path {
            Path::Chat => ("chatcmpl", "chat.completion.chunk", "chat.completion"),
            Path::Completions => ("cmpl", "text_completion", "text_completion"),
        };
        let created = jiff::Timestamp::now().as_second();
        let model = quoted(&call.model);
        let shared = |object| {
            format!(
                r#"{{"id":"{id}-simulated-{number}","object":"{object}","created":{created},"model":{model},"system_fingerprint":"simulated""#
            )
        };
        Self {
            path,
            shared: shared(chunk),
            whole_shared: shared(whole),
            prompt_tokens: call.prompt_tokens,
            usage,
        }
    }

    fn usage(&self, end: &End) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": end.tokens,
            "total_tokens": self.prompt_tokens + end.tokens,
        })
    }

    /// One event; `content` is the part of the choice that carries the text, as JSON.
    fn event(&self, out: &mut Vec<u8>, content: [&str; 3], finish: &str) {
        for part in ["data: ", &self.shared, r#","choices":[{"index":0,"#] {
            out.extend_from_slice(part.as_bytes());
        }
        for part in content {
            out.extend_from_slice(part.as_bytes());
        }
        for part in [r#","logprobs":null,"finish_reason":"#, finish, "}]}\n\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

impl Format for Completion {
    fn content_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn opening(&self, out: &mut Vec<u8>) {
        if self.path == Path::Chat {
            self.event(out, [r#""delta":{"role":"assistant","content":"""#, "", "}"], "null");
        }
    }

    fn text(&self, out: &mut Vec<u8>, text: &str) {
        match self.path {
            Path::Chat => self.event(out, [r#""delta":{"content":""#, text, "\"}"], "null"),
            Path::Completions => self.event(out, [r#""text":""#, text, "\""], "null"),
        }
    }

    fn last(&self, out: &mut Vec<u8>, end: &End) {
        let empty = match self.path {
            Path::Chat => r#""delta":{}"#,
            Path::Completions => r#""text":"""#,
        };
        self.event(out, [empty, "", ""], &quoted(end.reason()));
        if self.usage {
            // Writing to memory cannot fail, here and below.
            let _ = write!(
                out,
                "data: {},\"choices\":[],\"usage\":{}}}\n\n",
                self.shared,
                self.usage(end)
            );
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn error(&self, out: &mut Vec<u8>, message: &str) {
        let _ = write!(out, "data: {}\n\n", error(500, message));
    }

    fn malformed(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: {\"object\":\"simulated\",\"choices\":\n\n");
    }

    fn whole(&self, out: &mut Vec<u8>, text: &str, end: &End) {
        let content = match self.path {
            Path::Chat => format!(r#""message":{{"role":"assistant","content":"{text}"}}"#),
            Path::Completions => format!(r#""text":"{text}""#),
        };
        let _ = write!(
            out,
            r#"{},"choices":[{{"index":0,{content},"logprobs":null,"finish_reason":"{}"}}],"usage":{}}}"#,
            self.whole_shared,
            end.reason(),
            self.usage(end)
        );
    }
}
