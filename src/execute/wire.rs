//! The wire probe of one attempt: started before the agent, ended after it, read once its record is there.

use std::path::Path;

use formats::endpoint::Server;
use formats::protocol::{AgentRecord, Spec};

use super::ExecError;
use super::fault::AttemptFault;
use crate::manifest::study::WireProbe;
use crate::plan::CellSpec;
use crate::probe::sampling::Unavailable;
use crate::probe::wire::{self, Capture, Recorder, Summary, WIRE_FILE, Watch};
use crate::server;

const PROBE: &str = "wire";

/// The probe at work; without it in the manifest, nothing.
#[derive(Debug)]
pub struct Wire {
    probe: Option<WireProbe>,
    recorder: Option<Result<Recorder, Unavailable>>,
}

/// What became of it: `ok`, or `unavailable: ` and why, and what it says of itself.
#[derive(Debug, Default)]
pub struct Outcome {
    pub said: Option<String>,
    pub summary: Option<Summary>,
}

impl Wire {
    /// Captures what is said to and by the servers of the spec, if the cell asks for it.
    pub fn start(cell: &CellSpec, spec: &Spec, folder: &Path) -> Self {
        let probe = cell.probes.wire;
        let recorder = probe.map(|_| Capture::start(&watches(spec), folder));
        Self { probe, recorder }
    }

    /// Why the run need not even begin.
    pub fn refusal(&self) -> Option<AttemptFault> {
        let Some(Err(reason)) = &self.recorder else { return None };
        self.required(&reason.0)
    }

    /// The fault of a run that may not do without.
    fn required(&self, reason: &str) -> Option<AttemptFault> {
        let required = self.probe.is_some_and(|probe| probe.required);
        required.then(|| AttemptFault::Probe { probe: PROBE, reason: reason.to_owned() })
    }

    /// Ends the capture, looks for the calls of the record and writes what was found into the folder.
    pub fn finish(
        mut self,
        spec: &Spec,
        record: &AgentRecord,
        folder: &Path,
    ) -> Result<Result<Outcome, AttemptFault>, ExecError> {
        let unavailable = |reason: &str| Some(format!("unavailable: {reason}"));
        let captured = match self.recorder.take() {
            None => return Ok(Ok(Outcome::default())),
            Some(Err(reason)) => {
                return Ok(Ok(Outcome { said: unavailable(&reason.0), summary: None }));
            }
            Some(Ok(recorder)) => recorder.stop(),
        };
        let found = captured
            .calls(spec, record)
            .map_err(|error| format!("what was captured cannot be read: {error}"))
            .and_then(|found| found.check(record).map(|()| found));
        let found = match found {
            Ok(found) => found,
            Err(reason) => {
                let outcome = Outcome { said: unavailable(&reason), summary: None };
                return Ok(self.required(&reason).map_or(Ok(outcome), Err));
            }
        };
        let path = folder.join(WIRE_FILE);
        wire::write(&path, &found.calls).map_err(|error| ExecError::csv(&path, error))?;
        Ok(Ok(Outcome { said: Some("ok".to_owned()), summary: Some(found.summary) }))
    }
}

/// The servers that the agents call. Of one on this machine any address: a container's may be another.
fn watches(spec: &Spec) -> Vec<Watch> {
    let mut watches: Vec<Watch> = Vec::new();
    for agent in &spec.agents {
        let route = agent.route.clone();
        let met = Server { route, ..Server::at(agent.api, &agent.url) };
        let Some((port, addresses)) = server::destination(&met) else { continue };
        if server::is_local(&met) || addresses.iter().all(std::net::IpAddr::is_loopback) {
            watches.push(Watch { address: None, port });
        } else {
            watches.extend(addresses.into_iter().map(|own| Watch { address: Some(own), port }));
        }
    }
    watches.sort_unstable();
    watches.dedup();
    watches
}
