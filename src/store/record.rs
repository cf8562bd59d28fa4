//! The sealed record of one run: `run.json`.

use std::collections::BTreeMap;

use formats::endpoint::Api;
use formats::protocol::{Outcome, RuntimeInfo, Stage, Window};
use serde::{Deserialize, Serialize};

use crate::cells::NamedLevel;
use crate::probe::sampling::Sampling;
use crate::probe::wire;

/// The version of `run.json` that this program writes. A newer one is refused, an older one is read.
///
/// Version 2 has runs that were imported, and figures of agents; version 1 has neither.
pub const RUN_FORMAT: u32 = 2;
/// File of the [`RunRecord`] in the run's folder.
pub const RUN_FILE: &str = "run.json";

/// [`AgentEvidence::profile`] of a runtime that is as fast as it can be.
pub const RELEASE: &str = "release";

/// Metrics by their names in the catalogue; `None` is unknown, never 0.
pub type Metrics = BTreeMap<String, Option<f64>>;

/// One finished run. Everything a report says of it stands here or in the files it lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`RUN_FORMAT`].
    pub format: u32,
    /// Identity of the cell, 32 hex digits.
    pub cell: String,
    /// Version of the document below: 1 where the record says none.
    #[serde(default = "first_identity")]
    pub identity_version: u32,
    /// Readable name of the cell when the run was made.
    pub cell_name: String,
    /// From 1.
    pub repeat: u32,
    /// From 1; more than 1 after retries.
    pub attempt: u32,
    /// The document whose digest is [`RunRecord::cell`].
    pub identity: serde_json::Value,
    /// What the cell was, factor by factor; empty in records of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<NamedLevel>,
    /// RFC 3339, UTC. Known of every run that was measured; of imported ones where their files tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    /// Where it was read from, if it was not measured by this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    pub evidence: Evidence,
    pub process: ProcessUsage,
    /// What the whole machine did meanwhile; absent where the system does not tell, and in records of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineTime>,
    /// How each probe outside the agent fared, by its name: `ok`, or `unavailable: ` and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub probes: BTreeMap<String, String>,
    /// What the servers that tell held in memory, by their endpoints' names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub servers: BTreeMap<String, ServerMemory>,
    /// What served each agent; empty in records of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub serving: BTreeMap<String, Serving>,
    /// The run that was asked for, if this one was made in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_of: Option<FallbackOf>,
    /// The repeat that it was made for because that one is an outlier; it counts beyond the repeats
    /// that the manifest asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<u32>,
    /// Of a command's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandRecord>,
    /// What the sampling probes among them say of themselves, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sampling: BTreeMap<String, Sampling>,
    /// What the packet capture says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<wire::Summary>,
    /// One per call, warm-up included, in the order of their starts.
    pub calls: Vec<CallSummary>,
    /// Metrics of each agent, in the order of their names; empty where there are none, and in records of earlier
    /// versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentFigures>,
    /// Metrics of the run.
    pub metrics: Metrics,
    /// What a tokenizer made of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenSummary>,
    /// Each time that the metrics were computed again; the last one's stand in this record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recomputed: Vec<Recomputation>,
    /// Every other file of the run's folder as it was measured, by its path with `/`.
    pub files: BTreeMap<String, FileDigest>,
}

impl RunRecord {
    /// When it began, RFC 3339; empty where nobody knows, which is no time.
    #[must_use]
    pub fn began(&self) -> &str {
        self.started.as_deref().unwrap_or_default()
    }
}

fn first_identity() -> u32 {
    1
}

/// Metrics of one agent of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentFigures {
    pub agent: String,
    pub metrics: Metrics,
}

/// Where a run was read from that this program did not measure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// Which of several earlier measurements it is of.
    pub campaign: String,
    /// Name of the map that it was read by, and the SHA-256 of what the map says.
    pub map: String,
    pub map_sha256: String,
    /// The files that it was read from, that of its row first.
    pub origin: Vec<Origin>,
    /// When; RFC 3339, UTC.
    pub imported_at: String,
    /// What read it.
    pub runner: CodeEvidence,
    /// What the authors say of the circumstances elsewhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stated: BTreeMap<String, String>,
    /// What the files say of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evidence: BTreeMap<String, serde_json::Value>,
    /// Levels that were read beyond those of the cell, as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recorded: BTreeMap<String, String>,
    /// Times as the files have them, where their offset is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_as_written: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_as_written: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A file of earlier results.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Below the root, with `/`.
    pub path: String,
    pub bytes: u64,
    /// 64 hex digits.
    pub sha256: String,
    /// The place of the run's row in it, where it has several; a pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// Metrics that were computed again from the artifacts of a sealed run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Recomputation {
    /// RFC 3339, UTC.
    pub time: String,
    /// What computed them.
    pub runner: CodeEvidence,
    /// SHA-256 of the record that this one replaced.
    pub before: String,
    /// Where that record is kept, relative to the study's folder, with `/`.
    pub kept: String,
    /// Files that were not as they had been sealed and were accepted all the same, as they were then;
    /// `None`: missing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accepted: BTreeMap<String, Option<FileDigest>>,
}

/// What a server held in memory around a run, asked outside of the measured window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerMemory {
    /// What it put out of its memory before; only of a cold run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unloaded: Option<UnloadedModels>,
    /// After the last call; absent where the server did not tell.
    pub loaded: Option<Vec<HeldModel>>,
}

/// Models that a server put out of its memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UnloadedModels {
    /// Empty: it held none.
    pub models: Vec<String>,
    /// Until the server listed none any more.
    pub took_ms: f64,
}

/// A model in the memory of its server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldModel {
    /// As the server names it.
    pub name: String,
    pub digest: Option<String>,
    /// All of it.
    pub size_bytes: Option<u64>,
    /// The part in the memory of GPUs.
    pub vram_bytes: Option<u64>,
    /// Tokens.
    pub context_length: Option<u64>,
}

/// What served an agent's calls, as far as its metrics depend on it. Unknown is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// `ollama`, `llama.cpp`, `vllm`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The model's family or file, as the server names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// In force, tokens of prompt and answer together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// Tokens of the answer that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The answer was not to end before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignores_end: bool,
}

/// One call of a run: outcome and metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallSummary {
    pub agent: String,
    pub call: u32,
    pub warmup: bool,
    /// In a workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// In the server's words; absent where it told none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// What the record of the call refutes, and what is to be known of its answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub metrics: Metrics,
}

/// A run that failed, and in whose place another was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallbackOf {
    /// 32 hex digits.
    pub cell: String,
    pub cell_name: String,
    pub repeat: u32,
    /// Of the fallbacks in the manifest, from 1.
    pub step: usize,
    /// Why what was tried before failed.
    pub because: String,
}

/// What a tokenizer made of its text: the same in every runtime, or they do not do the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSummary {
    pub corpus_sha256: String,
    pub corpus_bytes: u64,
    /// Ids that the tokenizer has.
    pub vocabulary: u64,
    /// By the mode's name.
    pub modes: BTreeMap<String, TokenCount>,
}

/// The ids of one mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCount {
    pub parts: u64,
    pub bytes: u64,
    pub tokens: u64,
    /// Of all ids in order.
    pub ids_sha256: String,
}

/// A command as it was run; that it ended with 0 is why there is a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// Its words with the levels in their places; `{out}`, `{study}` and `{repeat}` stand for what
    /// differs from run to run or from machine to machine.
    pub words: Vec<String>,
    /// Names of the environment variables that it saw.
    pub env: Vec<String>,
    pub stdout: StreamRecord,
    pub stderr: StreamRecord,
    /// From right before its start to its end; absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

/// What a command printed on one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// That it wrote.
    pub bytes: u64,
    /// That are in the file: the first ones. Fewer than `bytes` where it wrote more than is kept.
    pub kept: u64,
}

/// A file as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    pub bytes: u64,
    /// 64 hex digits.
    pub sha256: String,
}

/// What the executor saw of the agent's process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// Spawn to `ready`.
    pub startup_ms: Option<f64>,
    /// Largest resident set of the process.
    pub peak_rss_mb: Option<f64>,
    /// User and system time of the process.
    pub cpu_s: Option<f64>,
    /// The same of processes that a command left behind: that nobody waited for. Absent of agents, in records of earlier
    /// versions, and where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_cpu_s: Option<f64>,
}

/// CPU time of the machine's cores from right before the start of the agent's process to its end, seconds, by
/// the system's counters, which move on in steps of 10 ms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineTime {
    /// Time that passed.
    pub window_s: f64,
    /// Of all cores together, and the part of it at work, whoever worked.
    pub cores_s: f64,
    pub busy_s: f64,
    /// Of the agent's process with its children, and of instruments that ended with it.
    pub agent_s: f64,
    /// Of the executor, which serves the paced endpoints.
    pub runner_s: f64,
    /// Of the run's servers on this machine, as far as their processes are seen.
    pub servers_s: f64,
    /// Endpoints whose server runs on this machine and is in `servers_s`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers_seen: Vec<String>,
    /// Those whose server's processes may not be seen: their time cannot be told from that of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers_unseen: Vec<String>,
}

/// What was met while measuring. Compared with today's to find stale runs; never part of identity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub runner: CodeEvidence,
    pub agent: AgentEvidence,
    pub machine: MachineEvidence,
    /// By the endpoint's name in the manifest.
    pub endpoints: BTreeMap<String, EndpointEvidence>,
    /// Of runs that were imported: which of several earlier measurements they are of. Absent of measured ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// The study's repository; absent when it is in none.
    #[serde(default)]
    pub study_git: Option<GitEvidence>,
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// Of tokenizer runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerEvidence>,
}

/// A tokenizer's file as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerEvidence {
    /// Name in the manifest.
    pub name: String,
    pub bytes: Option<u64>,
    /// 64 hex digits.
    pub sha256: Option<String>,
}

/// `runner` itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CodeEvidence {
    pub version: String,
    /// SHA-256 of the executable.
    pub digest: Option<String>,
}

/// The runtime that drove the agents.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentEvidence {
    /// Name in the manifest (`rust`, `python`, the user's).
    pub runtime: String,
    /// Digest of the agent's code: for `rust` of its sources and of the libraries it stands on, for
    /// a user's runtime of the program's file.
    pub digest: Option<String>,
    /// How the Rust runtime was compiled: [`RELEASE`], or `debug`. Absent of other runtimes, and in records
    /// of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What the runtime said of itself.
    #[serde(default)]
    pub info: Option<RuntimeInfo>,
}

/// The machine; what cannot be known is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineEvidence {
    pub hostname: Option<String>,
    pub os: Option<String>,
    pub kernel: Option<String>,
    pub cpu: Option<String>,
    pub cores: Option<u32>,
    pub memory_mb: Option<u64>,
    /// Frequency governor of the CPU, where the system tells it.
    pub governor: Option<String>,
    #[serde(default)]
    pub gpus: Vec<GpuEvidence>,
}

/// One GPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuEvidence {
    pub name: String,
    pub driver: Option<String>,
    pub memory_mb: Option<u64>,
}

/// The server behind an endpoint, and the models it served, as it told them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EndpointEvidence {
    /// `ollama`, `openai` or `simulated`.
    pub kind: String,
    /// Which server answered (`ollama`, `llama.cpp`, `vllm`, …), if it says so.
    pub server: Option<String>,
    pub version: Option<String>,
    /// By the name that was asked for.
    pub models: BTreeMap<String, ModelEvidence>,
}

/// A model as the server described it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelEvidence {
    pub digest: Option<String>,
    pub quantization: Option<String>,
    pub parameter_size: Option<String>,
    /// Largest context that the model was made for, or that the server gives it; tokens.
    pub context_length: Option<u64>,
    /// Context that the server gave every request; tokens. Absent where it does not tell, and in records
    /// of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_context: Option<u64>,
    /// File or family as the server names it.
    pub file: Option<String>,
}

/// The repository of the study.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GitEvidence {
    pub commit: String,
    pub dirty: bool,
}

/// Error of the client's timestamps against the paced endpoint's own send times, milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    pub runtime: String,
    /// The runtime's settings under which it was measured; those at their defaults are left out.
    #[serde(default)]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Wire protocols of the streams, each once; empty in records of earlier versions.
    #[serde(default)]
    pub apis: Vec<Api>,
    pub streams: u32,
    pub rate_tok_s: f64,
    /// Calls, one error of TTFT each; absent in records of earlier versions.
    #[serde(default)]
    pub calls: Option<u64>,
    /// Gaps, one error each.
    pub samples: u64,
    pub ttft_error_ms: ErrorSummary,
    pub gap_error_ms: ErrorSummary,
    /// It was measured in the run itself, whose endpoints are all paced.
    #[serde(default)]
    pub own: bool,
}

/// An error, milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorSummary {
    /// What it does to a mean: the size of the mean of the errors with their signs. Absent in records of
    /// earlier versions.
    #[serde(default)]
    pub mean: Option<f64>,
    /// Of the sizes of the errors.
    pub p50: f64,
    /// Absent where fewer than a hundred errors were measured.
    #[serde(default)]
    pub p99: Option<f64>,
    pub max: f64,
}
