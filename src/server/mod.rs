//! Questions to inference servers beside the calls that are measured: what they are, which models they
//! have and hold, having them put models out of memory, whether they are there at all.
//!
//! Everything goes through reqwest, with limits on time and size, without following redirects, and
//! through a proxy only where an endpoint names one. Nothing here is measured: that is the agent's work.

mod facts;
mod life;
mod opening;
mod questions;

use std::net::{IpAddr, ToSocketAddrs as _};
use std::time::Duration;

use agent::wire::headers::HeaderError;
use formats::endpoint::Server;
use reqwest::Url;

pub use facts::{Listener, ModelFacts, ServerFacts, facts, identify};
pub use life::{LoadedModel, Unloaded, loaded, unload};
pub use opening::Doubt;
use questions::Questions;

/// Why a server cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    #[error("{url:?} is no address of a server: {reason}")]
    Address { url: String, reason: String },
    #[error("{0}")]
    Trust(String),
    #[error("no server answers at {url}: {reason}")]
    Unreachable {
        url: String,
        reason: String,
        /// Somebody took the connection.
        connected: bool,
        /// The answer did not come in time.
        late: bool,
    },
    #[error("{url} refuses the request: HTTP {status}{}", .message.as_ref().map(|m| format!(", {m}")).unwrap_or_default())]
    Refused {
        url: String,
        status: u16,
        message: Option<String>,
        /// What it wants to be let in by (`Basic`, `Bearer`), if it tells.
        challenge: Option<String>,
    },
    #[error("{message} (asked: {url})")]
    Moved { url: String, message: String },
    #[error("no {kind} API is there below {url}: {call} answers HTTP {status}, and {first}")]
    NoApi { url: String, kind: &'static str, call: String, status: u16, first: String },
    #[error("what answers at {url} is no {expected} server: {found}")]
    Foreign { url: String, expected: &'static str, found: String },
    #[error("the server at {url} does not tell which models it holds")]
    Silent { url: String },
    #[error("the server at {url} still holds {} after {limit:?}", .models.join(", "))]
    StillLoaded { url: String, models: Vec<String>, limit: Duration },
    #[error(transparent)]
    Header(#[from] HeaderError),
}

impl ServerError {
    /// Whether no request can be made at all, whatever the server would say to it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Address { .. } | Self::Trust(_) | Self::Header(_))
    }

    /// A question whose thread ended before its answer.
    #[must_use]
    pub fn broken_off(server: &Server) -> Self {
        let reason = "the question was broken off".to_owned();
        Self::Unreachable { url: server.url.clone(), reason, connected: true, late: false }
    }
}

/// The environment of this process, which keys come from.
#[must_use]
pub fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// Whether anybody takes connections at a server's address now, within a limit of time.
#[must_use]
pub fn listens(server: &Server, limit: Duration) -> bool {
    let Ok(questions) = Questions::with(server, Vec::new()) else { return false };
    let looked = questions
        .block_on(async { Ok(questions.ask_within(limit, reqwest::Method::HEAD, "", None).await) });
    match looked {
        // A proxy that cannot pass a request on says so.
        Ok(Ok(answer)) => server.route.proxy.is_none() || !matches!(answer.status, 502 | 504),
        Ok(Err(ServerError::Unreachable { connected, .. })) => connected,
        Ok(Err(_)) | Err(_) => false,
    }
}

/// Whether a server is on this machine, as far as its address says.
#[must_use]
pub fn is_local(server: &Server) -> bool {
    let Ok(url) = Url::parse(&server.url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
}

/// Whether a server is on this machine, its names and its other addresses included: they are looked up, and
/// only a machine's own can be bound.
#[must_use]
pub fn is_of_this_machine(server: &Server) -> bool {
    let own = |ip: &IpAddr| std::net::UdpSocket::bind((*ip, 0)).is_ok();
    let through_proxy = server.route.proxy.is_some();
    is_local(server)
        || !through_proxy
            && destination(server).is_some_and(|(_, addresses)| addresses.iter().any(own))
}

/// The port that calls to a server go to, and the addresses behind its name as this machine knows them:
/// the proxy's where there is one.
#[must_use]
pub fn destination(server: &Server) -> Option<(u16, Vec<IpAddr>)> {
    let url = Url::parse(server.route.proxy.as_deref().unwrap_or(&server.url)).ok()?;
    let port = url.port_or_known_default()?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    let addresses = (host, port).to_socket_addrs().ok()?.map(|address| address.ip()).collect();
    Some((port, addresses))
}
