//! Attempts that did not succeed, kept with their reason under `failed/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use formats::clock;
use formats::protocol::Outcome;
use serde::{Deserialize, Serialize};

use super::layout::free_place;
use super::record::ServerMemory;
use super::{Layout, StoreError, set_aside};
use crate::os::files;

/// The version of `failure.json` that this program writes.
pub const FAILURE_FORMAT: u32 = 1;
/// File of the [`Failure`] in the attempt's folder.
pub const FAILURE_FILE: &str = "failure.json";

/// Cause of an attempt that the user abandoned: no failure of what was measured.
pub const CANCELLED: &str = "cancelled";

/// Why an attempt gave no run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// [`FAILURE_FORMAT`].
    pub format: u32,
    /// 32 hex digits; absent for what a crash left behind before anything was known.
    pub cell: Option<String>,
    pub cell_name: String,
    /// From 1.
    pub repeat: u32,
    /// From 1.
    pub attempt: Option<u32>,
    /// `timeout`, `connect`, `http_error`, `in_band_error`, `truncated`, `malformed` (the causes a
    /// retry policy can name), `agent`, `artifacts`, `storage`, `cancelled`,
    /// `preflight` (known to be impossible before it began), `unload` (a server kept its models),
    /// `corpus` (the files of a workflow changed), `tokenizer` (its file), `abandoned`, `damaged`,
    /// `command` (it could not be started, or did not end with 0), `inputs` (those of a command changed),
    /// `probe`.
    pub cause: String,
    /// In words, with what to do about it.
    pub message: String,
    /// What was asked for: the document whose digest is the cell's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<serde_json::Value>,
    /// The last error that a server answered with, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_error: Option<String>,
    /// HTTP status of that answer, where it was not 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Most memory in use on the GPUs during the attempt, as its GPU probe saw it; absent where it is
    /// unknown. What `gpu_memory_mb` was in earlier versions.
    #[serde(default, alias = "gpu_memory_mb", skip_serializing_if = "Option::is_none")]
    pub gpu_memory_peak_mb: Option<f64>,
    /// What the servers that tell held in memory right after the failure (Ollama's `/api/ps`), by their
    /// endpoints' names; `loaded` is null where a server did not answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub servers: BTreeMap<String, ServerMemory>,
    /// The GPUs of this machine right after the failure, as their driver told; null where it is unknown,
    /// as it is on a machine without one. Servers elsewhere have others.
    #[serde(default)]
    pub gpus: Option<Vec<GpuMemory>>,
    /// How the calls ended, as far as the agent left a readable record.
    pub calls: Vec<CallOutcome>,
    /// RFC 3339, UTC.
    pub started: Option<String>,
    pub finished: String,
}

/// Memory of a GPU, of all programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GpuMemory {
    /// By the driver's count.
    pub index: u32,
    pub name: String,
    pub used_mb: Option<f64>,
    pub total_mb: Option<f64>,
}

impl Failure {
    /// Of a run, where nothing more is known.
    #[must_use]
    pub fn new(cell_name: String, repeat: u32, cause: &str, message: String) -> Self {
        Self {
            format: FAILURE_FORMAT,
            cell: None,
            cell_name,
            repeat,
            attempt: None,
            cause: cause.to_owned(),
            message,
            identity: None,
            server_error: None,
            http_status: None,
            gpu_memory_peak_mb: None,
            servers: BTreeMap::new(),
            gpus: None,
            calls: Vec::new(),
            started: None,
            finished: clock::utc_now(),
        }
    }
}

/// How one call of a failed attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallOutcome {
    pub agent: String,
    pub call: u32,
    pub warmup: bool,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// In the server's words; absent where it told none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
}

/// Moves what an attempt left (`folder`, in its cell's folder below `runs`) to the same place below
/// `failed/`, with its reason; returns where it lies.
///
/// On a full disk the reason may not be writable; the move needs no space and happens all the same.
pub fn keep(layout: &Layout, folder: &Path, failure: &Failure) -> Result<PathBuf, StoreError> {
    let name = match failure.attempt {
        Some(attempt) => format!("{}-{attempt}", failure.repeat),
        None => format!("{}-{}", failure.repeat, failure.cause),
    };
    let place = layout.failed().join(layout.cell_part(folder)).join(name);
    let text = serde_json::to_vec_pretty(failure).unwrap_or_default();
    if folder.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        let _ = files::write(&folder.join(FAILURE_FILE), &text);
        return set_aside(folder, &place);
    }
    // A link or a file in its place: the reason lies beside it, and not where it leads.
    let place = free_place(&place);
    set_aside(folder, &place.join("in-its-place"))?;
    let _ = files::write(&place.join(FAILURE_FILE), &text);
    Ok(place)
}

/// Every failed attempt that left a readable reason, with its folder, in the order of their ends.
#[must_use]
pub fn all(layout: &Layout) -> Vec<(PathBuf, Failure)> {
    let mut found: Vec<(PathBuf, Failure)> = walkdir::WalkDir::new(layout.failed())
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_name() == FAILURE_FILE)
        .filter_map(|entry| {
            let failure = serde_json::from_slice(&files::read(entry.path()).ok()?).ok()?;
            Some((entry.path().parent()?.to_owned(), failure))
        })
        .collect();
    found.sort_by(|(a, left), (b, right)| (&left.finished, a).cmp(&(&right.finished, b)));
    found
}
