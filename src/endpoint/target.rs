//! The address of a server, taken apart once.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use hyper::Uri;

use super::EndpointError;
use crate::agent::protocol::Api;

/// Where requests to an endpoint go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) tls: bool,
    /// Name or IP address, without the brackets of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) authority: String,
    /// Path of the base address, without a slash at its end.
    pub(super) base: String,
}

impl Target {
    /// Reads the base address of an endpoint.
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        let wrong = |reason: &str| EndpointError::Address {
            url: url.to_owned(),
            reason: reason.to_owned(),
        };
        let uri: Uri = url.trim().parse().map_err(|error| wrong(&format!("{error}")))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("it does not start with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("the host is missing"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("name a key by api_key_env, not in the address"));
        }
        if uri.query().is_some() {
            return Err(wrong("a base address has no query"));
        }
        Ok(Self {
            tls,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Name or IP address, without the brackets of IPv6.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Value of the `host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is this machine, as far as the name says.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether anybody takes connections there now. Nothing is asked.
    #[must_use]
    pub fn listens(&self, limit: Duration) -> bool {
        let Ok(addresses) = (self.host.as_str(), self.port).to_socket_addrs() else { return false };
        addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, limit).is_ok())
    }

    /// Path of the calls that are measured.
    #[must_use]
    pub fn call_path(&self, api: Api) -> String {
        let path = match api {
            Api::Ollama => "/api/generate",
            Api::OpenaiChat => "/chat/completions",
            Api::OpenaiCompletions => "/completions",
        };
        format!("{}{path}", self.base)
    }
}
