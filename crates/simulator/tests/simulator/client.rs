//! A client of its own: what it reads is what was on the wire.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use simulator::Server;

use crate::{CHAT, COMPLETIONS, GENERATE, MESSAGES, OLLAMA_CHAT};

/// A wire protocol as far as its answers are alike.
pub struct Protocol {
    pub path: &'static str,
    /// What is in every record with text and in no other before the end.
    pub text: &'static str,
    /// What is at the end of an answer only.
    pub end: &'static str,
}

pub const PROTOCOLS: [Protocol; 5] = [
    Protocol { path: GENERATE, text: r#""done":false"#, end: r#""done":true"# },
    Protocol { path: OLLAMA_CHAT, text: r#""done":false"#, end: r#""done":true"# },
    Protocol { path: CHAT, text: r#""delta":{"content":"#, end: "data: [DONE]" },
    Protocol { path: COMPLETIONS, text: r#""text":"#, end: "data: [DONE]" },
    Protocol { path: MESSAGES, text: "text_delta", end: "event: message_stop" },
];

impl Protocol {
    /// A request under this name.
    pub fn call(&self, name: &str, stream: bool) -> String {
        let body = call_body(stream).to_string();
        request("POST", self.path, &format!("X-Request-Id: {name}\r\n"), &body)
    }
}

/// What every protocol understands as the same call, with a limit that no answer here reaches.
pub fn call_body(stream: bool) -> Value {
    json!({ "model": "m", "prompt": "why is it so", "stream": stream, "max_tokens": 1000,
        "options": { "num_predict": 1000 },
        "messages": [{ "role": "user", "content": "why is it so" }] })
}

/// A connection on which a test that waits in vain fails instead of hanging.
pub fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

pub fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

/// A call in Ollama's format under this name.
pub fn generate(name: &str, stream: bool) -> String {
    let body = json!({ "model": "m", "prompt": "why is it so", "stream": stream });
    request("POST", crate::GENERATE, &format!("X-Request-Id: {name}\r\n"), &body.to_string())
}

pub fn ask(server: &Server, request: &str) -> Answer {
    let mut stream = connect(server);
    stream.write_all(request.as_bytes()).unwrap();
    read(&mut stream).unwrap()
}

pub fn post(server: &Server, path: &str, body: &Value) -> Answer {
    ask(server, &request("POST", path, "", &body.to_string()))
}

pub fn get(server: &Server, path: &str) -> Answer {
    ask(server, &request("GET", path, "", ""))
}

/// An answer without its chunk framing, and how many bytes it was with it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
    pub bytes: usize,
}

impl Answer {
    /// The records of NDJSON.
    pub fn lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The events of SSE, without the `[DONE]` that must be the last.
    pub fn events(&self) -> Vec<Value> {
        let mut events: Vec<_> = self.body.split_terminator("\n\n").collect();
        assert_eq!(events.pop(), Some("data: [DONE]"));
        let json = |event: &str| serde_json::from_str(event.strip_prefix("data: ").unwrap());
        events.into_iter().map(|event| json(event).unwrap()).collect()
    }

    /// The events of SSE that have names, which are also their types.
    pub fn named_events(&self) -> Vec<Value> {
        let event = |event: &str| {
            let (name, data) = event.strip_prefix("event: ").unwrap().split_once('\n').unwrap();
            let json: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(json["type"], name);
            json
        };
        assert!(self.body.ends_with("\n\n"));
        self.body.split_terminator("\n\n").map(event).collect()
    }

    /// The records of a stream in any protocol, also those that are not JSON.
    pub fn records(&self) -> Vec<serde_json::Result<Value>> {
        let lines = self.body.lines().filter(|line| !line.is_empty());
        let lines = lines.filter(|line| !line.starts_with("event: ") && *line != "data: [DONE]");
        lines.map(|line| serde_json::from_str(line.trim_start_matches("data: "))).collect()
    }

    /// The text of every record that has some, in any protocol, streamed or not.
    pub fn texts(&self) -> Vec<String> {
        const PLACES: [&str; 7] = [
            "/response",
            "/message/content",
            "/choices/0/text",
            "/choices/0/delta/content",
            "/choices/0/message/content",
            "/delta/text",
            "/content/0/text",
        ];
        let text = |record: &Value| {
            let mut texts = PLACES.iter().filter_map(|place| record.pointer(place)?.as_str());
            texts.find(|text| !text.is_empty()).map(str::to_owned)
        };
        self.records().iter().filter_map(|record| text(record.as_ref().ok()?)).collect()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Reads exactly one answer, so that the next one on the connection stays unread.
pub fn read(stream: &mut TcpStream) -> std::io::Result<Answer> {
    let mut bytes = 0;
    let mut until = |stream: &mut TcpStream, end: &[u8]| {
        let mut read = Vec::new();
        while !read.ends_with(end) {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            read.push(byte[0]);
        }
        bytes += read.len();
        Ok::<_, std::io::Error>(String::from_utf8(read).unwrap())
    };
    let head = until(stream, b"\r\n\r\n")?;
    let mut body = Vec::new();
    if head.contains("Transfer-Encoding: chunked") {
        let mut framing = 0;
        loop {
            let size = usize::from_str_radix(until(stream, b"\r\n")?.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk)?;
            assert_eq!(chunk.split_off(size), b"\r\n");
            body.append(&mut chunk);
            framing += 2;
            if size == 0 {
                break;
            }
        }
        bytes += framing;
    } else {
        let length = head.split("Content-Length: ").nth(1).unwrap();
        body = vec![0; length.split('\r').next().unwrap().parse().unwrap()];
        stream.read_exact(&mut body)?;
    }
    bytes += body.len();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Answer { status, head, body: String::from_utf8(body).unwrap(), bytes })
}
