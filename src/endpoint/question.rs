//! Short questions to a server, beside the calls that are measured: one connection each, with limits
//! on time and size. What an answer means is left to who asks.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::Value;

use super::connection::{Connection, ConnectionError};
use super::decode::error_body;
use super::meter::DEFAULT_READ_BUFFER;
use super::{EndpointError, Target};

/// Limit of one question.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Longest answer that is read, bytes; `/api/show` carries licences and templates.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;
/// Characters of an answer that a message repeats.
const EXCERPT: usize = 60;

/// Asks one server.
pub(super) struct Questions<'a> {
    pub url: &'a str,
    pub target: Target,
    pub api_key: Option<&'a str>,
    /// It once did not answer in time: what is not essential is not asked any more.
    hangs: Cell<bool>,
}

/// What came back.
pub(super) struct Answer {
    pub status: u16,
    /// `None`: it is no JSON.
    pub body: Option<Value>,
    /// The server's words for an error.
    pub message: Option<String>,
    /// How the answer begins, or what it is.
    pub excerpt: String,
}

impl<'a> Questions<'a> {
    pub fn new(url: &'a str, api_key: Option<&'a str>) -> Result<Self, EndpointError> {
        Ok(Self { url, target: Target::parse(url)?, api_key, hangs: Cell::new(false) })
    }

    /// Runs questions to their end, blocking.
    pub fn block_on<T>(
        &self,
        questions: impl Future<Output = Result<T, EndpointError>>,
    ) -> Result<T, EndpointError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| self.unreachable(error.to_string()))?;
        runtime.block_on(questions)
    }

    /// The JSON of an answer with status 200; `None` for everything else.
    pub async fn get(&self, path: &str) -> Option<Value> {
        if self.hangs.get() {
            return None;
        }
        let answer = self.ask(Method::GET, path, None).await.ok()?;
        answer.body.filter(|_| answer.status == 200)
    }

    /// As [`Questions::get`], with a body.
    pub async fn post(&self, path: &str, body: &Value) -> Option<Value> {
        if self.hangs.get() {
            return None;
        }
        let answer = self.ask(Method::POST, path, Some(body)).await.ok()?;
        answer.body.filter(|_| answer.status == 200)
    }

    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, EndpointError> {
        self.ask_within(PATIENCE, method, path, body).await
    }

    pub async fn ask_within(
        &self,
        patience: Duration,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, EndpointError> {
        let mut request = Request::builder()
            .method(method)
            .uri(if path.is_empty() { "/" } else { path })
            .header("host", &self.target.authority)
            .header("connection", "close");
        if let Some(key) = self.api_key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(Full::new(bytes)).map_err(|_| EndpointError::Key)?;
        let Ok(exchange) = tokio::time::timeout(patience, self.exchange(request)).await else {
            self.hangs.set(true);
            let seconds = patience.as_secs_f64();
            return Err(self.unreachable(format!("no answer within {seconds:.0} s")));
        };
        exchange.map_err(|error| self.unreachable(error.to_string()))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, ConnectionError> {
        let mut connection = Connection::open(&self.target, DEFAULT_READ_BUFFER).await?;
        let response = connection.send(request).await?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut bytes = Vec::new();
        while bytes.len() < ANSWER_LIMIT {
            match connection.next(&mut body).await {
                Some(piece) => bytes.extend_from_slice(&piece?),
                None => break,
            }
        }
        let message = (status != 200).then(|| error_body(&bytes)).flatten();
        let excerpt = excerpt(&bytes);
        Ok(Answer { status, body: serde_json::from_slice(&bytes).ok(), message, excerpt })
    }

    pub fn unreachable(&self, reason: String) -> EndpointError {
        EndpointError::Unreachable { url: self.url.to_owned(), reason }
    }

    pub fn foreign(&self, expected: &'static str, found: String) -> EndpointError {
        EndpointError::Foreign { url: self.url.to_owned(), expected, found }
    }
}

/// How an answer begins, for a message.
fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * EXCERPT)]);
    let text = text.trim();
    if text.is_empty() {
        return "nothing".to_owned();
    }
    let head = text.to_lowercase();
    if head.starts_with("<!doctype html") || head.starts_with("<html") {
        return "a web page".to_owned();
    }
    let line: String = text.lines().next().unwrap_or_default().chars().take(EXCERPT).collect();
    format!("`{}`", line.trim_end())
}
