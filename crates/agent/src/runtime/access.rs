//! Where an agent's requests go and what lets them in, settled before the first call.

use formats::protocol::AgentSpec;
use hyper::header::{HeaderName, HeaderValue};

use crate::finish::{Environment, RuntimeError};
use crate::http::Target;
use crate::wire::headers;

/// The server of one agent.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) target: Target,
    /// Headers of the wire protocol and of the endpoint; those that hold secrets are marked.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Access {
    /// Takes the address apart, looks its name up and reads the key. A name that nobody knows now is
    /// looked up again by each call, which then fails with the system's own words.
    pub(super) fn of(
        agent: &AgentSpec,
        environment: Environment<'_>,
    ) -> Result<Self, RuntimeError> {
        let name = || agent.name.clone();
        let mut target = Target::parse(&agent.url, &agent.route)
            .map_err(|source| RuntimeError::Endpoint { agent: name(), source })?;
        let _ = target.resolve();
        let key = agent.api_key_env.as_deref();
        let headers = headers::of(agent.api, key, &agent.headers, environment)
            .map_err(|source| RuntimeError::Headers { agent: name(), source })?;
        Ok(Self { target, headers })
    }
}
