//! A client of its own: what it reads is what was on the wire.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use runner::simulator::Server;
use serde_json::{Value, json};

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
