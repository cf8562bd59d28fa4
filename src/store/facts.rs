//! What was read of an imported run: `facts.json`. It is to such a run what the agent's record is to a measured one:
//! its metrics are computed from it, again at any time.

use std::collections::BTreeMap;
use std::path::Path;

use formats::protocol::{Outcome, Stage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StoreError;
use super::record::Origin;
use crate::os::files;

/// File of the [`Facts`] in the run's folder.
pub const FACTS_FILE: &str = "facts.json";
/// The version of `facts.json` that this program writes. A newer one is refused.
pub const FACTS_FORMAT: u32 = 1;

/// Everything that a map found in the files of one run, in canonical units.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// [`FACTS_FORMAT`].
    pub format: u32,
    /// Name of the map, and the SHA-256 of its canonical form.
    pub map: String,
    pub map_sha256: String,
    /// The files that were read, that of the row first.
    pub origin: Vec<Origin>,
    /// Every level that was read, those of the cell among them, as text.
    pub levels: BTreeMap<String, String>,
    pub repeat: u32,
    /// When it began and ended, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Moment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Moment>,
    /// `wall_ms`, `stage_ingest_ms`, …
    pub run: BTreeMap<String, Fact>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evidence: BTreeMap<String, Value>,
    /// In the order of the map.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentFacts>,
    /// The map knows calls; without, an agent has only figures of all of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub knows_calls: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallFacts>,
    /// Figures as the files have them, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, Figure>,
}

/// A number with the place that it was read from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// In the unit that the fact's name says; `None`: the file says that nobody knows it.
    pub value: Option<f64>,
    /// Path and pointer, or how it was made of several.
    pub at: String,
}

/// A point in time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// RFC 3339, UTC; `None`: the file gives no offset, and nobody knows it.
    pub utc: Option<String>,
    pub as_written: String,
    pub at: String,
}

/// What is known of an agent's work as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentFacts {
    pub name: String,
    /// `duration_ms`, `tokens`, `calls`, `ttft_ms`, `decode_rate_tokens_per_s`.
    pub facts: BTreeMap<String, Fact>,
}

/// What is known of one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallFacts {
    pub agent: String,
    /// In the order of the file, from 0.
    pub call: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    pub outcome: Outcome,
    /// Why it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// `tokens`, `ttft_ms`, `decode_ms`, …
    pub facts: BTreeMap<String, Fact>,
}

/// A figure as the files have it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Of the run itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Fact>,
    /// By agent; the run's is their mean, or their sum.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub agents: BTreeMap<String, Fact>,
    /// By agent and call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallFigure>,
    /// The run's is the sum and not the mean.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub summed: bool,
}

/// A figure of one call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CallFigure {
    pub agent: String,
    pub call: u32,
    #[serde(flatten)]
    pub fact: Fact,
}

impl Facts {
    /// Without where everything was read: two that are alike then say the same of a run.
    #[must_use]
    pub fn without_places(&self) -> Self {
        let mut own = self.clone();
        own.map.clear();
        for origin in &mut own.origin {
            origin.path.clear();
        }
        let of_agents = own.agents.iter_mut().flat_map(|agent| agent.facts.values_mut());
        let of_calls = own.calls.iter_mut().flat_map(|call| call.facts.values_mut());
        let facts = own.run.values_mut().chain(of_agents).chain(of_calls);
        let of_figures = own.figures.values_mut().flat_map(|figure| {
            let of_calls = figure.calls.iter_mut().map(|call| &mut call.fact);
            figure.run.iter_mut().chain(figure.agents.values_mut()).chain(of_calls)
        });
        for fact in facts.chain(of_figures) {
            fact.at.clear();
        }
        for moment in own.started.iter_mut().chain(own.finished.iter_mut()) {
            moment.at.clear();
        }
        own
    }

    /// Reads those of a run.
    pub fn read(folder: &Path) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        let path = folder.join(FACTS_FILE);
        let text = files::read(&path).map_err(StoreError::io("read", &path))?;
        let malformed = |error: serde_json::Error| StoreError::Malformed {
            path: path.clone(),
            reason: error.to_string(),
        };
        let found = serde_json::from_slice::<Format>(&text).map_err(malformed)?.format;
        if found > u64::from(FACTS_FORMAT) {
            return Err(StoreError::NewerFormat { path, found, known: FACTS_FORMAT });
        }
        serde_json::from_slice(&text).map_err(malformed)
    }
}
