//! The flamegraph probe of one attempt: what it needs, and what its outcome means for the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::fault::AttemptFault;
use crate::manifest::study::FlamegraphProbe;
use crate::plan::CellSpec;
use crate::probe::flamegraph::{NOT_PYTHON, Recorder, Settings};

/// The probe's name in records and messages.
const NAME: &str = "flamegraph";

/// Whether the cell's runs look for py-spy. The Rust runtime is known to be nothing for it.
pub fn needs_py_spy(cell: &CellSpec) -> bool {
    cell.probes.flamegraph.is_some() && cell.runtime != "rust"
}

/// The probe in one attempt; without it in the manifest, nothing.
#[derive(Debug)]
pub struct Flamegraph {
    probe: Option<FlamegraphProbe>,
    recorder: Result<Recorder, String>,
}

impl Flamegraph {
    pub fn new(cell: &CellSpec, folder: &Path, py_spy: Option<&Result<PathBuf, String>>) -> Self {
        let probe = cell.probes.flamegraph;
        let program = match py_spy {
            Some(found) if needs_py_spy(cell) => found.clone(),
            _ => Err(NOT_PYTHON.to_owned()),
        };
        let recorder = program.map(|program| {
            let settings = Settings {
                program,
                rate: probe.map_or(FlamegraphProbe::RATE, |probe| probe.rate),
                subprocesses: cell.variant.get("processes").is_some_and(|level| level == "agent"),
            };
            Recorder::new(settings, folder)
        });
        Self { probe, recorder }
    }

    /// Why the run need not even begin.
    pub fn refusal(&self) -> Option<AttemptFault> {
        let reason = self.recorder.as_ref().err()?;
        self.is_required().then(|| fault(reason.clone()))
    }

    /// What the executor attaches to the agent's process.
    pub fn recorder(&mut self) -> Option<&mut Recorder> {
        self.probe.and(self.recorder.as_mut().ok())
    }

    /// Renders what was recorded; the outcome for the run's record.
    pub fn finish(self) -> Result<BTreeMap<String, String>, AttemptFault> {
        let required = self.is_required();
        if self.probe.is_none() {
            return Ok(BTreeMap::new());
        }
        let outcome = match self.recorder.and_then(Recorder::render) {
            Ok(()) => "ok".to_owned(),
            Err(reason) if required => return Err(fault(reason)),
            Err(reason) => format!("unavailable: {reason}"),
        };
        Ok(BTreeMap::from([(NAME.to_owned(), outcome)]))
    }

    fn is_required(&self) -> bool {
        self.probe.is_some_and(|probe| probe.required)
    }
}

fn fault(reason: String) -> AttemptFault {
    AttemptFault::Probe { probe: NAME, reason }
}
