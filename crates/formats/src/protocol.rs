//! The agent protocol, version 2: what a runtime is asked to do and what it leaves behind.
//!
//! A runtime is any program that reads one [`Spec`] as JSON from standard input (until its end),
//! writes [`Event`]s as NDJSON to standard output, and leaves [`AgentRecord`] as `agent.json`, the
//! answers as `responses/<agent>-<call>.txt`, the prompts of workflows as `prompts/<agent>-<call>.txt`
//! and, when asked, `chunk_metrics.csv` in the folder that the spec names. Asked to race tokenizers
//! instead, it leaves the record and `tokenize_parts.csv`. It exits with 0 only when everything asked
//! for was written. Standard error is free text and is kept as `agent.log`.
//!
//! Agents only record. All times are nanoseconds of the machine's monotonic clock
//! (`CLOCK_MONOTONIC`), which processes share.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::endpoint::{Api, Dialect, HeaderText, Route};

/// The version of the protocol that this program speaks. Records of version 1 stay readable: they have
/// neither [`CallRecord::connected_ns`] nor [`CallRecord::sent_ns`].
pub const PROTOCOL: u32 = 2;

/// File of the [`AgentRecord`] in the run's folder.
pub const RECORD_FILE: &str = "agent.json";
/// File of the chunk probe in the run's folder; its header is [`CHUNK_COLUMNS`].
pub const CHUNK_FILE: &str = "chunk_metrics.csv";
/// File of the loop-lag probe in the run's folder; its header is [`LOOP_LAG_COLUMNS`].
pub const LOOP_LAG_FILE: &str = "loop_lag.csv";
/// Columns of [`LOOP_LAG_FILE`], one row per wake-up of a task that sleeps `loop_lag_ns` in the
/// agents' own event loop, from `ready` to the end of the last call.
///
/// `time_ns`: when it woke; `lag_ms`: how much later than it had asked for. A runtime that gives each
/// agent a loop of its own adds [`LOOP_COLUMN`].
pub const LOOP_LAG_COLUMNS: [&str; 2] = ["time_ns", "lag_ms"];
/// The agent whose loop a wake-up tells of; last in [`LOOP_LAG_FILE`] where every agent has its own,
/// absent where all share one.
pub const LOOP_COLUMN: &str = "loop";

/// Whether columns are those of [`LOOP_LAG_FILE`]; with or without [`LOOP_COLUMN`].
pub fn are_loop_lag_columns<'c>(columns: impl IntoIterator<Item = &'c str>) -> bool {
    let mut columns = columns.into_iter();
    LOOP_LAG_COLUMNS.into_iter().all(|wanted| columns.next() == Some(wanted))
        && columns.next().is_none_or(|last| last == LOOP_COLUMN)
        && columns.next().is_none()
}
/// Folder of the answers in the run's folder; one `<agent>-<call>.txt` per call.
pub const RESPONSES_DIR: &str = "responses";

/// Folder of the prompts that a workflow made, in the run's folder; one `<agent>-<call>.txt` per call
/// with a stage, byte by byte as it was sent.
pub const PROMPTS_DIR: &str = "prompts";

/// Columns of [`CHUNK_FILE`], one row per chunk of every call (warm-up included), text or not.
///
/// `time_ns`: when the agent took the chunk (after a throttle's wait); `read_ns`: right after the
/// socket read that completed it returned; `index`: from 0 within the call; `bytes`: length of the
/// chunk's payload line or event; `gap_ms`: since the call's previous chunk was taken (empty for the
/// first); `parse_ms`: time spent decoding its JSON; `text`: 1 if it carried text, else 0.
pub const CHUNK_COLUMNS: [&str; 9] =
    ["time_ns", "read_ns", "agent", "call", "index", "bytes", "gap_ms", "parse_ms", "text"];

/// File of the encoded parts in the run's folder; its header is [`TOKENIZE_COLUMNS`].
pub const TOKENIZE_FILE: &str = "tokenize_parts.csv";
/// Columns of [`TOKENIZE_FILE`], one row per part of every pass, warm-up included, in the order in
/// which they were encoded.
///
/// `mode`, `pass`: as in [`PassRecord`]; `part`: from 0 within the pass; `bytes`: length of the part;
/// `tokens`: ids it gave; `encode_ns`: time in the call that encodes it, and nothing else.
pub const TOKENIZE_COLUMNS: [&str; 6] = ["mode", "pass", "part", "bytes", "tokens", "encode_ns"];
/// Columns of the file that names the parts of a mode: where each begins in the text and how long it
/// is, bytes; both lie between characters.
pub const PART_COLUMNS: [&str; 2] = ["start", "bytes"];

/// What one process is asked to do: all agents of a scenario at the same time, or a tokenizer's work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// [`PROTOCOL`]. A runtime that does not know it refuses to start.
    pub protocol: u32,
    /// Opaque name of the run. Each request, warm-up included, carries the header
    /// `x-request-id: <run>/<agent>/<call>`, so that server logs can be matched.
    pub run: String,
    /// Existing folder for the artifacts, absolute.
    pub artifacts: PathBuf,
    /// One entry per concurrent stream; names are unique.
    pub agents: Vec<AgentSpec>,
    /// Encode a text instead of making calls; `agents` is empty then, and no probe is asked for. A
    /// runtime that has no tokenizers refuses to start with an error that names `tokenize`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenize: Option<TokenizeSpec>,
    /// Limit of one call, nanoseconds, from its start to its last byte.
    pub timeout_ns: u64,
    /// Bytes asked for in one socket read; absent: the runtime's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_buffer: Option<u64>,
    /// Token bucket of every call, chunks with text per second, burst of one; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<f64>,
    /// What becomes of a connection after its call.
    #[serde(default, skip_serializing_if = "Connection::is_default")]
    pub connection: Connection,
    /// Hold up the event loop on purpose while measured calls are going on; absent: never. A runtime that
    /// cannot refuses to start with an error that names `lag_dose`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_dose: Option<LagDose>,
    #[serde(default)]
    pub probes: ProbeSpec,
    /// Further settings of this runtime (`event_loop`, `json`, …), as in the manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variant: BTreeMap<String, serde_json::Value>,
}

/// What becomes of a connection after its call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// Each call opens one of its own.
    #[default]
    New,
    /// An agent's next call uses it again, unless the server has closed it by then. A request is never
    /// sent twice.
    Keep,
}

impl Connection {
    /// The name in manifests and identities.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Connection::New => "new",
            Connection::Keep => "keep",
        }
    }

    /// Whether it is what holds where nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Connection::New
    }
}

/// An event loop that is kept busy by a known amount, so that what follows from lag is found by experiment.
///
/// From the start of the measured calls to the end of the last one time is divided into periods; in each
/// one busy wait on the loop that makes the calls begins at a moment that is not that of the period
/// before, so that no rhythm of the streams falls in with it, and ends within the period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LagDose {
    /// Length of one busy wait, nanoseconds; less than a period.
    pub busy_ns: u64,
    /// Length of a period, nanoseconds.
    pub every_ns: u64,
}

impl LagDose {
    /// The period that the manifest's factor stands for: 100 ms.
    pub const EVERY_NS: u64 = 100_000_000;
}

/// A tokenizer and what it encodes, without special tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenizeSpec {
    /// A `tokenizer.json`, absolute.
    pub tokenizer: PathBuf,
    /// UTF-8 text, absolute.
    pub corpus: PathBuf,
    /// What is encoded in one pass, in this order.
    pub modes: Vec<ModeSpec>,
    /// Passes that come first and do not count.
    pub warmup: u32,
    /// Measured passes.
    pub passes: u32,
}

/// One way of cutting the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeSpec {
    pub mode: TokenizeMode,
    /// CSV with the columns [`PART_COLUMNS`], absolute; absent: the text is one part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<PathBuf>,
}

/// How a text is handed to a tokenizer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TokenizeMode {
    /// All of it at once.
    Whole,
    /// Line by line.
    Lines,
    /// In pieces of 1 to 200 characters, as streams deliver text.
    Pieces,
}

impl TokenizeMode {
    pub const ALL: [TokenizeMode; 3] =
        [TokenizeMode::Whole, TokenizeMode::Lines, TokenizeMode::Pieces];

    /// The name in artifacts and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TokenizeMode::Whole => "whole",
            TokenizeMode::Lines => "lines",
            TokenizeMode::Pieces => "pieces",
        }
    }
}

/// One stream of calls, made one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentSpec {
    /// Unique within the run; only letters, digits, `.`, `_` and `-`.
    pub name: String,
    pub api: Api,
    /// Base address without a slash at its end: `http://host:port` for Ollama and Anthropic,
    /// `http://host:port/v1` for OpenAI. The path of [`Api::path`] follows it.
    pub url: String,
    /// How to get there, where it is not simply the address.
    #[serde(default, skip_serializing_if = "Route::is_direct")]
    pub route: Route,
    /// Name of the environment variable with the API key; the key itself is never in the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Further headers of every request, by their names in lower case; those that hold secrets come from
    /// the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, HeaderText>,
    pub model: String,
    /// Further names that a stream may give the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers_as: Vec<String>,
    /// Inference options by Ollama's names. Ollama: sent as `options`. OpenAI and Anthropic: sent as
    /// top-level keys.
    #[serde(default)]
    pub options: BTreeMap<String, serde_json::Value>,
    /// Keys that stand at the top level of the body as they are, in every protocol.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, serde_json::Value>,
    /// What the server wants otherwise than its protocol says.
    #[serde(default, skip_serializing_if = "Dialect::is_default")]
    pub dialect: Dialect,
    /// Ollama: `options.num_predict`; OpenAI and Anthropic: `max_tokens`. Absent: the server's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// An answer that ends before its limit because the context is full is a `length` like any other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_context_full: bool,
    /// The calls in order; those with `warmup` come first. When every agent has ended its warm-up
    /// calls, all agents start their measured calls together.
    pub calls: Vec<CallSpec>,
    /// Every call has a stage, and its prompt is made from files. A runtime that has no workflows
    /// refuses to start with an error that names `workflow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowSpec>,
}

impl AgentSpec {
    /// Tokens of an answer that are asked for: the limit, else an option that stands for it.
    #[must_use]
    pub fn asked_tokens(&self) -> Option<u64> {
        const OPTIONS: [&str; 3] = ["num_predict", "max_tokens", "max_completion_tokens"];
        let limit = |name: &&str| self.options.get(*name)?.as_u64().filter(|limit| *limit > 0);
        self.max_tokens.map(u64::from).or_else(|| OPTIONS.iter().find_map(limit))
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallSpec {
    /// As it is sent; in a workflow with the placeholders `{data}` and `{answer}`.
    pub prompt: String,
    #[serde(default)]
    pub warmup: bool,
    /// In a workflow: `analysis` (the files are scanned and ingested before it) or `report`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
}

/// What the prompts of an agent's calls are made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowSpec {
    pub scan: ScanSpec,
}

/// The files that are read before each analysis.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanSpec {
    /// Absolute.
    pub folder: PathBuf,
    /// Among `csv`, `json` and `md`.
    pub extensions: Vec<String>,
    /// Most files, and most bytes of all of them together, that are read.
    pub max_files: u64,
    pub max_bytes: u64,
}

impl ScanSpec {
    /// Limits where a manifest sets none.
    pub const MAX_FILES: u64 = 1000;
    pub const MAX_BYTES: u64 = 64 * 1024 * 1024;
}

/// A part of a workflow, in their order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Finding the files.
    Scan,
    /// Reading them and making the data summary.
    Ingest,
    /// The call that is given the data summary.
    Analysis,
    /// The call that is given the former answer.
    Report,
}

impl Stage {
    pub const ALL: [Stage; 4] = [Stage::Scan, Stage::Ingest, Stage::Analysis, Stage::Report];

    /// The name in artifacts and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stage::Scan => "scan",
            Stage::Ingest => "ingest",
            Stage::Analysis => "analysis",
            Stage::Report => "report",
        }
    }
}

/// Instruments inside the agent's process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeSpec {
    /// Write [`CHUNK_FILE`].
    #[serde(default)]
    pub chunks: bool,
    /// Sleep of the loop-lag probe, nanoseconds; write [`LOOP_LAG_FILE`]. Absent: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loop_lag_ns: Option<u64>,
    /// The idle control: this long, nanoseconds, the process only runs its probes, after `ready` and
    /// before its first call. Absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ns: Option<u64>,
}

/// One line of standard output. Unknown further fields are ignored, unknown events are an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The spec is understood and the process is about to make its first call.
    Ready {
        t_ns: u64,
        protocol: u32,
        runtime: RuntimeInfo,
    },
    CallStarted {
        t_ns: u64,
        agent: String,
        call: u32,
        warmup: bool,
    },
    FirstToken {
        t_ns: u64,
        agent: String,
        call: u32,
    },
    /// At most ten times a second per call.
    Progress {
        t_ns: u64,
        agent: String,
        call: u32,
        chunks: u64,
    },
    CallFinished {
        t_ns: u64,
        agent: String,
        call: u32,
        outcome: Outcome,
        tokens: Option<u64>,
    },
    /// Of tokenizer work, between two passes and at most ten times a second: the pass that comes next.
    PassStarted {
        t_ns: u64,
        mode: TokenizeMode,
        /// As in [`PassRecord`].
        pass: u32,
        /// Over this mode, warm-up included.
        passes: u32,
        warmup: bool,
    },
    /// Everything asked for is written.
    Done {
        t_ns: u64,
    },
    /// The process cannot go on; it will exit with another code than 0.
    Error {
        message: String,
    },
}

/// What is left as [`RECORD_FILE`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentRecord {
    pub protocol: u32,
    pub runtime: RuntimeInfo,
    pub clock: ClockPair,
    /// Every call that was started, warm-up included, in the order of their starts.
    pub calls: Vec<CallRecord>,
    /// The idle control, when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Window>,
    /// What each probe cost the process by its own measure, nanoseconds of CPU time or, where that
    /// cannot be told, of the loop's time; by the probe's name: `chunks`, `loop_lag`, and `read_delay` for
    /// the kernel's stamps beside reads.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub probe_cost_ns: BTreeMap<String, u64>,
    /// Every stage of every workflow, warm-up included, in the order of their starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageRecord>,
    /// The tokenizer's work, when it was asked for; there are no calls then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenize: Option<TokenizeRecord>,
}

/// A tokenizer's work, as it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenizeRecord {
    /// From before the tokenizer's file was opened until it could encode.
    pub load: Window,
    /// Ids that the tokenizer has, added ones included.
    pub vocabulary: u64,
    /// Every pass over every mode, warm-up included, in the order of their starts.
    pub passes: Vec<PassRecord>,
}

/// One pass over the parts of a mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PassRecord {
    pub mode: TokenizeMode,
    /// From 0 within the mode, counting warm-up passes.
    pub pass: u32,
    pub warmup: bool,
    /// Monotonic nanoseconds: before the first part, after the last.
    pub start_ns: u64,
    pub end_ns: u64,
    pub parts: u64,
    pub bytes: u64,
    pub tokens: u64,
    /// SHA-256 of all ids of the pass in order, each as four bytes, the lowest first; 64 hex digits.
    pub ids_sha256: String,
}

/// One stage of an agent's workflow, as it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageRecord {
    pub agent: String,
    pub stage: Stage,
    pub warmup: bool,
    /// The stage's call; absent for scan and ingest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<u32>,
    /// Monotonic nanoseconds. A call's stage begins before its prompt is filled in, and ends with it.
    pub start_ns: u64,
    pub end_ns: u64,
    /// Scan: files taken; ingest: files read; absent for calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Scan: their sizes; ingest: what was read; calls: the prompt's length.
    pub bytes: u64,
}

/// A stretch of time, monotonic nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    pub start_ns: u64,
    pub end_ns: u64,
}

/// The implementation that made the calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeInfo {
    pub name: String,
    pub version: String,
    /// Versions of what it is built on (`python`, `httpx`, `hyper`, …).
    #[serde(default)]
    pub details: BTreeMap<String, String>,
}

/// The same moment on both clocks, so that samples of other instruments line up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockPair {
    pub monotonic_ns: u64,
    /// RFC 3339, UTC.
    pub utc: String,
}

/// The raw record of one call. Unknown is absent, never 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallRecord {
    pub agent: String,
    /// From 0, counting warm-up calls.
    pub call: u32,
    pub warmup: bool,
    /// The call's turn came: right before connecting, or before sending on a connection that was kept.
    pub start_ns: u64,
    /// The connection was open, TLS included. Absent: it was kept from a former call, or never opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_ns: Option<u64>,
    /// Port of this machine that the connection was made from, so that a packet capture can tell which
    /// call an encrypted connection belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_port: Option<u16>,
    /// Right before the write that handed the request's last byte to the system: what comes later is the
    /// network's, the server's, or time in which this process did not look. Absent: it was not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_ns: Option<u64>,
    /// The response's status line and headers were read.
    #[serde(default)]
    pub headers_ns: Option<u64>,
    /// When each chunk with text was taken, nanoseconds since `start_ns`, in order.
    #[serde(default)]
    pub text_offsets_ns: Vec<u64>,
    /// The last byte was read, or the call was given up.
    pub end_ns: u64,
    #[serde(default)]
    pub http_status: Option<u16>,
    /// After how many seconds the answer asks to be called again: its header `Retry-After`, rounded up; a
    /// date counts from the answer's own `Date`. Absent: it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    pub outcome: Outcome,
    /// What went wrong, in words; for `http_error` and `in_band_error` the server's own message.
    #[serde(default)]
    pub error: Option<String>,
    /// Bytes of text, in UTF-8, of each chunk in `text_offsets_ns`, in the same order. Empty in records of
    /// runtimes that do not tell it: then tokens cannot be apportioned to chunks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text_bytes: Vec<u64>,
    /// Chunks of any kind (lines or events with a payload).
    pub chunks: u64,
    /// Bytes read from the socket, headers included.
    pub bytes: u64,
    /// Socket reads that returned data, and the largest of them.
    #[serde(default)]
    pub reads: Option<u64>,
    #[serde(default)]
    pub largest_read: Option<u64>,
    /// For each read that brought data, in order: nanoseconds from the moment at which the kernel received
    /// the newest segment of it until the read returned. A lower bound of how long its bytes lay there.
    /// Absent where the system does not stamp segments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_delays_ns: Option<Vec<u64>>,
    /// The server's reason for ending (`stop`, `length`, …), in its own words; absent where it told none.
    #[serde(default)]
    pub finish_reason: Option<String>,
    /// The name that the stream gives the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default)]
    pub server: ServerCounts,
}

/// What the server itself said of a call. Durations in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerCounts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_ns: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_ns: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefill_ns: Option<u64>,
    /// Tokens generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode_ns: Option<u64>,
    /// Tokens that fall into `decode_ns`, where the server counts fewer than it generated: llama.cpp's
    /// time starts with the first token, so that it covers one less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode_tokens: Option<u64>,
    /// Prompt tokens that the server took from its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
}

/// How a call ended. Only `ok` and `length` count; the others stand in the order in which one of several
/// is named, the worst last.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    /// Stopped at `max_tokens`.
    Length,
    /// Stopped before `max_tokens`, though the reason says `length`: the context was full.
    ContextFull,
    /// A whole answer that is too short to be what was asked for. Only imported calls end so.
    TooShort,
    /// A whole answer without any text.
    Empty,
    /// A whole JSON answer in place of a stream.
    NotStreamed,
    /// The stream names another model than was asked for.
    OtherModel,
    /// The server ended it for a reason that is no good one (`abort`, `content_filter`, …).
    Refused,
    /// The stream ended without the server's last record.
    Truncated,
    /// An error object inside a stream whose status was 200.
    InBandError,
    HttpError,
    Timeout,
    ConnectError,
    /// The stream broke its own protocol: compressed, not JSON, of an unknown shape, a line beyond the limit.
    Malformed,
    Cancelled,
}

impl Outcome {
    pub const ALL: [Self; 15] = [
        Self::Ok,
        Self::Length,
        Self::ContextFull,
        Self::TooShort,
        Self::Empty,
        Self::NotStreamed,
        Self::OtherModel,
        Self::Refused,
        Self::Truncated,
        Self::InBandError,
        Self::HttpError,
        Self::Timeout,
        Self::ConnectError,
        Self::Malformed,
        Self::Cancelled,
    ];

    /// The outcome of this name, as in artifacts and tables.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// Whether the call is a measurement.
    #[must_use]
    pub fn counts(self) -> bool {
        matches!(self, Outcome::Ok | Outcome::Length)
    }

    /// Whether the answer was read to its end, good or not.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self <= Outcome::Refused || self == Outcome::HttpError
    }

    /// The name in artifacts and tables (`in_band_error`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Length => "length",
            Outcome::ContextFull => "context_full",
            Outcome::TooShort => "too_short",
            Outcome::Empty => "empty",
            Outcome::NotStreamed => "not_streamed",
            Outcome::OtherModel => "other_model",
            Outcome::Refused => "refused",
            Outcome::Truncated => "truncated",
            Outcome::InBandError => "in_band_error",
            Outcome::HttpError => "http_error",
            Outcome::Timeout => "timeout",
            Outcome::ConnectError => "connect_error",
            Outcome::Malformed => "malformed",
            Outcome::Cancelled => "cancelled",
        }
    }
}
