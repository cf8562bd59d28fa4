//! The agent's process from its spec to its exit: what is done before its calls begin, and in which order.

use std::io::Write;

use formats::protocol::Event;
use serde::Deserialize;
use tokio::sync::watch;

use crate::finish::{Environment, Finish, RuntimeError};
use crate::output::Events;
use crate::{check, os, runtime, tokenize};

/// Does what must be done while the process has one thread. A spec that cannot be read is left to
/// [`run`], which says so.
pub fn prepare(spec: &str) {
    /// Only how many agents there are.
    #[derive(Deserialize)]
    struct Agents {
        #[serde(default)]
        agents: Vec<serde::de::IgnoredAny>,
    }
    let agents = serde_json::from_str::<Agents>(spec).map_or(0, |spec| spec.agents.len());
    // Without it calls are slower or fail, which their records show.
    let _ = os::descriptors::make_room(agents);
}

/// Does what a spec asks for and writes events to `output`.
///
/// `cancelled` turning true ends the running calls; their records are still written. An error is
/// also said as an event.
pub fn run(
    spec: &str,
    output: impl Write + Send + 'static,
    environment: Environment<'_>,
    cancelled: &watch::Receiver<bool>,
) -> Result<Finish, RuntimeError> {
    let events = Events::start(output);
    let result = work(spec, &events, environment, cancelled);
    if let Err(error) = &result {
        events.send(Event::Error { message: error.to_string() });
    }
    let written = events.close();
    let finish = result?;
    written.map_err(RuntimeError::Output)?;
    Ok(finish)
}

fn work(
    spec: &str,
    events: &Events,
    environment: Environment<'_>,
    cancelled: &watch::Receiver<bool>,
) -> Result<Finish, RuntimeError> {
    let (spec, variant) = check::spec(spec)?;
    match &spec.tokenize {
        Some(asked) => tokenize::work(&spec, asked, events, cancelled),
        None => runtime::work(&spec, variant, events, environment, cancelled),
    }
}
