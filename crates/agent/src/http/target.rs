//! The address of a server, taken apart and resolved once, before any call is measured.

#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use formats::endpoint::{self, Api, Route};
use hyper::Uri;
use tokio_rustls::rustls::ClientConfig;

use super::tls::{self, TrustError};

/// An endpoint that no request can be sent to.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error("{url:?} is no address of a server: {reason}")]
    Address { url: String, reason: String },
    #[error("the proxy {proxy:?} cannot be used: {reason}")]
    Proxy { proxy: String, reason: &'static str },
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Where requests to an endpoint go.
#[derive(Debug, Clone)]
pub struct Target {
    /// Name or IP address, without the brackets of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    authority: String,
    /// Path of the base address, without a slash at its end.
    base: String,
    /// Present for `https`.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// Host and port of the HTTP proxy that connections go through.
    pub(super) proxy: Option<(String, u16)>,
    /// Those of the server, or of the proxy; empty until [`Target::resolve`].
    pub(super) addresses: Vec<SocketAddr>,
}

impl Target {
    /// Reads the base address of an endpoint and the way to it. Asks nobody.
    pub fn parse(url: &str, route: &Route) -> Result<Self, AddressError> {
        let wrong = |reason: &str| AddressError::Address {
            url: endpoint::shown(url),
            reason: reason.to_owned(),
        };
        let uri: Uri = url.trim().parse().map_err(|error| wrong(&format!("{error}")))?;
        let secure = match uri.scheme_str() {
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
        let tls = secure.then(|| tls::config(route.ca_file.as_deref())).transpose()?;
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            base: uri.path().trim_end_matches('/').to_owned(),
            tls,
            proxy: route.proxy.as_deref().map(proxy).transpose()?,
            addresses: Vec::new(),
        })
    }

    /// Looks up the name that connections go to, so that no call waits for it.
    pub fn resolve(&mut self) -> io::Result<()> {
        let (host, port) = self.destination();
        self.addresses = (host, port).to_socket_addrs()?.collect();
        Ok(())
    }

    /// Host and port that connections are made to: the proxy's where there is one.
    pub(super) fn destination(&self) -> (&str, u16) {
        match &self.proxy {
            Some((host, port)) => (host, *port),
            None => (&self.host, self.port),
        }
    }

    /// Value of the `host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What stands in the request's first line: the path of a call, or for a proxy that passes it on the
    /// whole address.
    #[must_use]
    pub fn request_target(&self, api: Api) -> String {
        let path = format!("{}{}", self.base, api.path());
        match (&self.proxy, &self.tls) {
            (Some(_), None) => format!("http://{}{path}", self.authority),
            _ => path,
        }
    }
}

/// Host and port of a proxy.
fn proxy(proxy: &str) -> Result<(String, u16), AddressError> {
    let wrong = |reason| AddressError::Proxy { proxy: endpoint::shown(proxy), reason };
    let uri: Uri = proxy.trim().parse().map_err(|_| wrong("it is no address"))?;
    let authority = uri.authority().ok_or_else(|| wrong("the host is missing"))?;
    if uri.scheme_str() != Some("http") {
        return Err(wrong("only http:// proxies are spoken with"));
    }
    if authority.as_str().contains('@') {
        return Err(wrong("it must not hold a password"));
    }
    let port = authority.port_u16().ok_or_else(|| wrong("the port is missing"))?;
    Ok((authority.host().trim_matches(['[', ']']).to_owned(), port))
}
