//! Where an agent's requests go and what lets them in, settled before the first call.

use formats::protocol::AgentSpec;
use hyper::header::{HeaderName, HeaderValue};

use crate::finish::{Environment, RuntimeError};
use crate::http::{AddressError, Target};
use crate::wire;

/// The server of one agent.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) target: Target,
    /// Headers of the wire protocol; the one with the key is marked as secret.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Access {
    /// Takes the address apart, looks its name up and reads the key. A name that nobody knows now is
    /// looked up again by each call, which then fails with the system's own words.
    pub(super) fn of(
        agent: &AgentSpec,
        environment: Environment<'_>,
    ) -> Result<Self, RuntimeError> {
        let endpoint = |source| RuntimeError::Endpoint { agent: agent.name.clone(), source };
        let mut target = Target::parse(&agent.url, &agent.route).map_err(endpoint)?;
        let _ = target.resolve();
        let own = wire::headers(agent.api)
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers: Vec<_> = own.collect();
        if let Some(variable) = &agent.api_key_env {
            let key = environment(variable).filter(|key| !key.is_empty()).ok_or_else(|| {
                RuntimeError::KeyMissing { agent: agent.name.clone(), variable: variable.clone() }
            })?;
            let (name, value) = wire::key_header(agent.api, key.trim());
            let value = HeaderValue::from_str(&value);
            let mut value = value.map_err(|_| endpoint(AddressError::Key))?;
            value.set_sensitive(true);
            headers.push((HeaderName::from_static(name), value));
        }
        Ok(Self { target, headers })
    }
}
