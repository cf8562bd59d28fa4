//! What execution says while it happens: one closed type, heard by progress and the journal's readers.

use std::collections::BTreeMap;
use std::time::Duration;

use formats::protocol::{Outcome, TokenizeMode};
use serde::{Serialize, Serializer};

/// One thing that happened. As JSON: an object with the field `event`, durations in seconds.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ExecEvent {
    /// The plan is known, the lock is held. `done` runs exist already, `todo` will be made.
    Started {
        study: String,
        done: usize,
        todo: usize,
    },
    /// Something the user should know, in one sentence.
    Note {
        message: String,
    },
    /// Preflight found something; `blocking` is heard only where it was to be skipped.
    Found {
        finding: crate::preflight::Finding,
    },
    /// `settings`: those of the runtime that are not at their defaults.
    Calibrating {
        runtime: String,
        settings: BTreeMap<String, serde_json::Value>,
        streams: usize,
        rate_tok_s: f64,
    },
    Calibrated {
        calibration: crate::store::record::Calibration,
    },
    /// `index` counts from 1 over the runs of this session.
    RunStarted {
        index: usize,
        cell: String,
        name: String,
        repeat: u32,
        attempt: u32,
    },
    CallStarted {
        agent: String,
        call: u32,
        warmup: bool,
    },
    FirstToken {
        agent: String,
        call: u32,
        #[serde(rename = "ttft_s", serialize_with = "seconds")]
        ttft: Duration,
    },
    Progress {
        agent: String,
        call: u32,
        chunks: u64,
    },
    CallFinished {
        agent: String,
        call: u32,
        outcome: Outcome,
        tokens: Option<u64>,
    },
    /// A tokenizer's run goes on with this pass over a mode, counted from 0 and warm-up included, of so
    /// many. Not every pass is told of.
    PassStarted {
        mode: TokenizeMode,
        pass: u32,
        passes: u32,
        warmup: bool,
    },
    /// The run is sealed.
    RunFinished {
        name: String,
        repeat: u32,
        #[serde(rename = "wall_s", serialize_with = "seconds")]
        wall: Duration,
        metrics: crate::store::record::Metrics,
    },
    /// An attempt did not succeed; what it left lies in `kept`.
    AttemptFailed {
        name: String,
        repeat: u32,
        attempt: u32,
        reason: String,
        kept: std::path::PathBuf,
        retry: bool,
    },
    /// The run failed and another cell is measured in its place.
    FellBack {
        name: String,
        repeat: u32,
        /// From 1.
        step: usize,
        /// Name of the other cell.
        to: String,
        /// What was measured of it before is all that is needed.
        measured: bool,
    },
    /// As many runs failed as the manifest allows; those that are left are not tried.
    TooManyFailures {
        failed: usize,
    },
    /// An endpoint takes no connections any more; runs that need it are not tried until it does.
    EndpointGone {
        endpoint: String,
        url: String,
    },
    /// One that took none answers again.
    EndpointBack {
        endpoint: String,
    },
    /// First ctrl-C: the current run is finished, then execution stops.
    Stopping,
    /// `failed` runs have no sealed record, `not_tried` ones neither, since their endpoint was gone;
    /// `interrupted` after ctrl-C.
    Finished {
        made: usize,
        failed: usize,
        not_tried: usize,
        interrupted: bool,
    },
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
