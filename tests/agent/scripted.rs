//! A loopback HTTP server that does exactly what a test says, byte by byte, and notes when.
//!
//! Hand-written on purpose: it shares no code with the program under test.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use formats::clock::monotonic_ns;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
    /// From 0, counting connections.
    pub connection: usize,
}

/// The answer that a script gives. Returning without [`Reply::end`] closes the connection.
pub struct Reply<'a> {
    stream: &'a mut TcpStream,
    sends: &'a Mutex<Vec<u64>>,
    ended: bool,
}

impl Reply<'_> {
    /// Writes bytes as they are, in one write.
    pub fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        // A client may go away at any time.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Status line and headers of a chunked answer.
    pub fn head(&mut self, status: u16, kind: &str) {
        self.raw(format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
        ));
    }

    /// One HTTP chunk in one write; its time is noted right before.
    pub fn chunk(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.sends.lock().unwrap().push(monotonic_ns());
        self.stream.write_all(&framed).is_ok()
    }

    /// The last chunk: the connection is kept.
    pub fn end(&mut self) {
        self.raw("0\r\n\r\n");
        self.ended = true;
    }

    /// A whole answer with its length.
    pub fn whole(&mut self, status: u16, body: &str) {
        let length = body.len();
        self.raw(format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}"));
        self.ended = true;
    }

    /// Waits until the client has gone away.
    pub fn wait_for_client_to_leave(&mut self) {
        let mut byte = [0];
        while matches!(self.stream.read(&mut byte), Ok(1..)) {}
    }
}

/// A running server; its threads end with the test's process.
pub struct Scripted {
    pub url: String,
    pub sends: Arc<Mutex<Vec<u64>>>,
    pub requests: Arc<Mutex<Vec<Request>>>,
}

impl Scripted {
    /// Answers every request by `script`, each connection in a thread of its own.
    pub fn start(script: impl Fn(&Request, &mut Reply<'_>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sends = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let server = Self { url, sends: Arc::clone(&sends), requests: Arc::clone(&requests) };
        let script = Arc::new(script);
        let connections = AtomicUsize::new(0);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let connection = connections.fetch_add(1, Ordering::Relaxed);
                let (sends, requests, script) =
                    (Arc::clone(&sends), Arc::clone(&requests), Arc::clone(&script));
                thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    let mut reader = BufReader::new(stream);
                    while let Some(request) = read_request(&mut reader, connection) {
                        requests.lock().unwrap().push(request.clone());
                        let stream = reader.get_mut();
                        let mut reply = Reply { stream, sends: &sends, ended: false };
                        script(&request, &mut reply);
                        if !reply.ended {
                            return;
                        }
                    }
                });
            }
        });
        server
    }
}

fn read_request(reader: &mut BufReader<TcpStream>, connection: usize) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { path, headers, body: String::from_utf8(body).unwrap(), connection })
}
