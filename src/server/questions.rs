//! Short questions to one server, with limits on time and size. What an answer means is left to who asks.

use agent::wire::secrets::Secrets;
use std::cell::Cell;
use std::error::Error as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use agent::Environment;
use agent::http::tls;
use agent::wire::{self, headers};
use formats::endpoint::{self, Server};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Proxy, Url, redirect};
use serde_json::Value;

use super::ServerError;

/// Limit of one question.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Limit of the question whether calls are taken.
pub(super) const CALL_PATIENCE: Duration = Duration::from_millis(1500);
/// Limit of opening a connection, within that of a question.
const CONNECTING: Duration = Duration::from_millis(900);
/// Limit of seeing whether anybody takes a connection.
const LOOK: Duration = Duration::from_millis(300);
/// What is said where TLS leads nowhere.
const MAY_BE_PLAIN: &str = "its address may begin with http://";
/// Longest answer that is read, bytes; `/api/show` carries licences and templates.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;
/// Characters of an answer that a message repeats.
const EXCERPT: usize = 60;
/// Bytes of it that are looked at for a title.
const PAGE: usize = 16 * 1024;

/// Asks one server.
#[derive(Debug)]
pub(super) struct Questions {
    /// Base address, as it is written.
    pub url: String,
    /// Path of calls below it; `None`: it is only looked at, and not asked whether it takes calls.
    pub call_path: Option<&'static str>,
    proxy: Option<String>,
    client: Client,
    /// What answers must not be shown with.
    secrets: Secrets,
    /// It once did not answer in time: what is not essential is not asked any more.
    hangs: Cell<bool>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    /// `None`: it is no JSON.
    pub body: Option<Value>,
    /// The server's words for an error.
    pub message: Option<String>,
    /// How the answer begins, or what it is.
    pub excerpt: String,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// How its body is packed.
    pub encoding: Option<String>,
    /// What it wants to be let in by (`Basic`, `Bearer`).
    challenge: Option<String>,
}

impl Answer {
    pub fn is_redirect(&self) -> bool {
        matches!(self.status, 301..=303 | 307 | 308)
    }

    /// The server's words for an error, in lower case.
    pub fn words(&self) -> String {
        self.message.as_deref().unwrap_or_default().to_lowercase()
    }

    /// Whether it could be one of an API: JSON, or a stream of it.
    pub fn is_of_an_api(&self) -> bool {
        let starts = ["{", "[", "data:", "event:", ":"];
        let start = self.excerpt.trim_start_matches('`');
        self.body.is_some() || starts.iter().any(|mark| start.starts_with(mark))
    }

    pub fn refused(&self, ask: &Questions) -> ServerError {
        ServerError::Refused {
            url: ask.url.clone(),
            status: self.status,
            message: self.message.clone(),
            challenge: self.challenge.clone(),
        }
    }
}

impl Questions {
    /// Prepares to ask a server; asks nothing yet. Its key is read from the environment.
    pub fn of(server: &Server, environment: Environment<'_>) -> Result<Self, ServerError> {
        let key = server.api_key_env.as_deref();
        Self::with(server, headers::of(server.api, key, &server.headers, environment)?)
    }

    /// As [`Questions::of`], with these headers.
    pub fn with(
        server: &Server,
        further: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Self, ServerError> {
        let wrong =
            |reason: String| ServerError::Address { url: endpoint::shown(&server.url), reason };
        let url = Url::parse(&server.url).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it does not start with http:// or https://".to_owned()));
        }
        if url.query().is_some() {
            return Err(wrong("a base address has no query".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("name a key by api_key_env, not in the address".to_owned()));
        }
        let secrets = Secrets::of(&further);
        let mut headers = HeaderMap::from_iter(further);
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        // The same trust as that of the calls that are measured.
        let trust = if url.scheme() == "https" {
            let config = tls::config(server.route.ca_file.as_deref());
            config.map_err(|error| ServerError::Trust(error.to_string()))?
        } else {
            tls::nobody().map_err(|error| ServerError::Trust(error.to_string()))?
        };
        let mut client = Client::builder()
            .tls_backend_preconfigured(Arc::unwrap_or_clone(trust))
            .redirect(redirect::Policy::none())
            .http1_only()
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECTING)
            .default_headers(headers)
            .no_proxy();
        if let Some(proxy) = &server.route.proxy {
            client = client.proxy(Proxy::all(proxy).map_err(|error| wrong(chain(&error)))?);
        }
        let client = client.build().map_err(|error| wrong(chain(&error)))?;
        let proxy = server.route.proxy.clone();
        let call_path = Some(server.api.path());
        let (url, hangs) = (server.url.clone(), Cell::new(false));
        Ok(Self { url, call_path, proxy, client, secrets, hangs })
    }

    /// Runs questions to their end, blocking.
    pub fn block_on<T>(
        &self,
        questions: impl Future<Output = Result<T, ServerError>>,
    ) -> Result<T, ServerError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| self.unreachable(error.to_string(), false, false))?;
        runtime.block_on(questions)
    }

    /// The JSON of an answer with status 200; `None` for everything else. `path` follows the base address.
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
    ) -> Result<Answer, ServerError> {
        self.ask_within(PATIENCE, method, path, body).await
    }

    pub async fn ask_within(
        &self,
        patience: Duration,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, ServerError> {
        let address = format!("{}{path}", self.url.trim_end_matches('/'));
        let mut request = self.client.request(method, address).timeout(patience);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        self.exchange(request).await.map_err(|error| {
            let connected = !error.is_connect();
            if error.is_timeout() && connected {
                self.hangs.set(true);
                let seconds = patience.as_secs_f64();
                return self.unreachable(format!("no answer within {seconds} s"), true, true);
            }
            let reason = if connected {
                broken(&error)
            } else {
                self.hangs.set(error.is_timeout());
                let through = self.proxy.as_ref();
                let through = through.map(|proxy| format!(" through the proxy {proxy}"));
                let words = if error.is_timeout() && self.waits_for_tls() {
                    format!("it takes the connection, and answers no TLS: {MAY_BE_PLAIN}")
                } else {
                    root(&error)
                };
                format!("cannot connect{}: {words}", through.unwrap_or_default())
            };
            self.unreachable(reason, connected, false)
        })
    }

    /// Whether somebody takes connections where TLS was waited for in vain.
    fn waits_for_tls(&self) -> bool {
        if self.proxy.is_some() || !self.url.starts_with("https://") {
            return false;
        }
        let addresses = Url::parse(&self.url).ok().and_then(|url| url.socket_addrs(|| None).ok());
        let takes = |address| TcpStream::connect_timeout(&address, LOOK).is_ok();
        addresses.into_iter().flatten().any(takes)
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let mut response = request.send().await?;
        let status = response.status().as_u16();
        let header = |name: header::HeaderName| {
            let mut value = response.headers().get(name)?.as_bytes().to_vec();
            self.secrets.cover(&mut value);
            Some(String::from_utf8_lossy(&value).into_owned())
        };
        let location = header(header::LOCATION).map(|to| endpoint::shown(&to));
        let encoding = header(header::CONTENT_ENCODING).filter(|coding| coding != "identity");
        let challenge = header(header::WWW_AUTHENTICATE)
            .and_then(|wanted| wanted.split_whitespace().next().map(str::to_owned));
        let mut bytes = Vec::new();
        while bytes.len() < ANSWER_LIMIT {
            match response.chunk().await? {
                Some(piece) => bytes.extend_from_slice(&piece),
                None => break,
            }
        }
        self.secrets.cover(&mut bytes);
        let message = (status != 200).then(|| wire::error_body(&bytes)).flatten();
        let excerpt = excerpt(&bytes);
        let body = serde_json::from_slice(&bytes).ok();
        Ok(Answer { status, body, message, excerpt, location, encoding, challenge })
    }

    pub fn unreachable(&self, reason: String, connected: bool, late: bool) -> ServerError {
        ServerError::Unreachable { url: self.url.clone(), reason, connected, late }
    }

    pub fn foreign(&self, expected: &'static str, found: String) -> ServerError {
        ServerError::Foreign { url: self.url.clone(), expected, found }
    }
}

/// What is at the bottom of an error: the system's own words.
fn root(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    let words = deepest.to_string();
    if words.contains("InvalidContentType") {
        return format!("it does not speak TLS: {MAY_BE_PLAIN}");
    }
    words
}

/// A connection that was taken and led to no answer.
fn broken(error: &reqwest::Error) -> String {
    let words = chain(error);
    if words.contains("invalid HTTP") {
        return format!(
            "what it sends is no HTTP ({words}); a server that speaks TLS has an address with https://"
        );
    }
    words
}

/// An error with its causes, without the address, which the message has already.
fn chain(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    if causes.is_empty() { error.to_string() } else { causes.join(": ") }
}

/// How an answer begins, for a message.
fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..PAGE).unwrap_or(bytes));
    let text = text.trim();
    if text.is_empty() {
        return "nothing".to_owned();
    }
    if let Some(page) = wire::web_page(text) {
        return page;
    }
    if text.contains('\u{fffd}') {
        return "what is no text".to_owned();
    }
    let line: String = text.lines().next().unwrap_or_default().chars().take(EXCERPT).collect();
    format!("`{}`", line.trim_end())
}
