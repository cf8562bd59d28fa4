//! The bodies of requests: one prompt in the words of each server.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::agent::protocol::Api;

/// One prompt with everything that shapes its answer.
#[derive(Debug, Clone, Copy)]
pub struct Prompt<'a> {
    pub api: Api,
    pub model: &'a str,
    pub text: &'a str,
    /// By Ollama's names; see [`crate::agent::protocol::AgentSpec::options`].
    pub options: &'a BTreeMap<String, Value>,
    pub max_tokens: Option<u32>,
}

/// Settings that Ollama takes beside `options`, not in it.
const OLLAMA_TOP_LEVEL: [&str; 7] =
    ["format", "keep_alive", "raw", "suffix", "system", "template", "think"];

impl Prompt<'_> {
    /// The JSON body of a streaming request.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let body = match self.api {
            Api::Ollama => self.ollama(),
            Api::OpenaiChat | Api::OpenaiCompletions => self.openai(),
        };
        Value::Object(body).to_string().into_bytes()
    }

    fn ollama(&self) -> Map<String, Value> {
        let mut body = Map::new();
        let mut options = Map::new();
        for (name, value) in self.options {
            let place =
                if OLLAMA_TOP_LEVEL.contains(&name.as_str()) { &mut body } else { &mut options };
            place.insert(name.clone(), value.clone());
        }
        if let Some(limit) = self.max_tokens {
            options.insert("num_predict".to_owned(), json!(limit));
        }
        body.insert("model".to_owned(), json!(self.model));
        body.insert("prompt".to_owned(), json!(self.text));
        body.insert("stream".to_owned(), json!(true));
        // Without the key the server's own defaults hold, which is what a baseline measures.
        if !options.is_empty() {
            body.insert("options".to_owned(), Value::Object(options));
        }
        body
    }

    fn openai(&self) -> Map<String, Value> {
        let mut body: Map<String, Value> =
            self.options.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let named_by_ollama = body.remove("num_predict");
        if let Some(limit) = self.max_tokens.map(Value::from).or(named_by_ollama) {
            body.insert("max_tokens".to_owned(), limit);
        }
        body.insert("model".to_owned(), json!(self.model));
        if self.api == Api::OpenaiChat {
            let messages = json!([{ "role": "user", "content": self.text }]);
            body.insert("messages".to_owned(), messages);
        } else {
            body.insert("prompt".to_owned(), json!(self.text));
        }
        body.insert("stream".to_owned(), json!(true));
        body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
        body
    }
}
