//! Experiments as they are written.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Axis, Captured, GpuSampled, Hypothesis, Profiled, Retry, Sampled, Scalar, Settings, Until,
};
use crate::manifest::command::Direction;
use crate::manifest::import::written::Imports;
use crate::manifest::study::{Control, Order, RetryOn};

/// A matrix and what to run for each of its cells.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    pub title: Option<String>,
    /// Runtime of every cell: rust (default), python or one of yours.
    pub runtime: Option<String>,
    /// Model of every cell.
    pub model: Option<String>,
    /// Scenario of every cell.
    pub scenario: Option<String>,
    /// Further factors fixed for every cell, e.g. { throttle = "60 tok/s" }.
    #[serde(default)]
    pub fixed: IndexMap<String, Scalar>,
    /// Factors and their levels; they multiply.
    #[serde(default)]
    pub matrix: IndexMap<String, Axis>,
    /// The cells in place of a matrix: a CSV file beside the manifest, with a row for each and the axes as its header; a column repeats gives rows their own number.
    pub cells: Option<String>,
    /// With cells: which columns are axes (default all). The others are labels: they tell cells apart, and comparisons do not look at them.
    pub axes: Option<Vec<String>>,
    /// Groups of axes that go in pairs instead of multiplying.
    #[serde(default)]
    pub zip: Vec<Vec<String>>,
    /// Cells to leave out.
    #[serde(default)]
    pub exclude: Vec<IndexMap<String, Scalar>>,
    /// Cells to add.
    #[serde(default)]
    pub include: Vec<IndexMap<String, Scalar>>,
    /// Levels to change in matching cells.
    #[serde(default, rename = "override")]
    pub overrides: Vec<Override>,
    #[serde(default)]
    pub probes: Probes,
    /// Runs made only to interpret others: idle, solo, aa.
    #[serde(default)]
    pub controls: Vec<Control>,
    /// Levels that the others are compared with.
    #[serde(default)]
    pub baseline: IndexMap<String, Scalar>,
    /// Claims, declared before the data.
    #[serde(default)]
    pub hypothesis: IndexMap<String, Hypothesis>,
    /// Read earlier results instead of measuring: one import, or a list of them.
    pub import: Option<Imports>,
    /// Measure tokenizers instead of a scenario.
    pub tokenize: Option<Tokenize>,
    /// Measure any program instead of a scenario: its words, started without a shell. {axis} and {axis|slug} stand for the cell's level, {out} for a folder for its files, {study} for the manifest's folder, {repeat} for the number of the repeat.
    pub command: Option<Vec<String>>,
    /// With command: where it is started (default: the manifest's folder); may hold the same places as its words.
    pub cwd: Option<String>,
    /// With command: names of the environment variables that it sees; all others are removed (default PATH, HOME, USER, LANG, `LC_ALL`, TZ, TMPDIR).
    pub env: Option<Vec<String>>,
    /// With command: files and folders beside the manifest that it reads; their content is part of what is measured.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// With command: files below {out} that it must leave.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// With command: metrics that are picked from its files.
    #[serde(default)]
    pub metric: IndexMap<String, Picked>,
    pub repeats: Option<u32>,
    pub warmup: Option<u32>,
    pub timeout: Option<Scalar>,
    pub max_output: Option<Scalar>,
    pub retry: Option<Retry>,
    /// What is measured instead when a run fails: changes to its cell, tried one after the other, e.g. `[{ num_gpu = 60 }, { model = "qwen2.5:7b" }]`.
    pub fallback: Option<Vec<IndexMap<String, Scalar>>>,
    /// Causes after which the next fallback is tried (default `http_error`, `in_band_error`).
    pub fallback_on: Option<Vec<RetryOn>>,
    pub order: Option<Order>,
    pub seed: Option<u64>,
    pub max_tokens: Option<u32>,
    pub vary_prompt: Option<bool>,
    pub vary_seed: Option<bool>,
    pub accept_context_full: Option<bool>,
    pub max_runs: Option<u64>,
    pub looks: Option<Vec<u32>>,
    pub until: Option<Until>,
    pub cell_name: Option<String>,
}

impl Experiment {
    /// The settings that this experiment overrides.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            repeats: self.repeats,
            warmup: self.warmup,
            timeout: self.timeout.clone(),
            max_output: self.max_output.clone(),
            retry: self.retry.clone(),
            order: self.order,
            seed: self.seed,
            max_tokens: self.max_tokens,
            vary_prompt: self.vary_prompt,
            vary_seed: self.vary_seed,
            accept_context_full: self.accept_context_full,
            max_runs: self.max_runs,
            looks: self.looks.clone(),
            until: self.until.clone(),
            cell_name: self.cell_name.clone(),
            ..Settings::default()
        }
    }
}

/// Levels that change in the cells that match.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    pub when: IndexMap<String, Scalar>,
    pub set: IndexMap<String, Scalar>,
}

/// Instruments that are switched on.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probes {
    /// Sleep of a task in the agent's own event loop, e.g. "1ms".
    pub loop_lag: Option<Scalar>,
    /// One row per chunk.
    #[serde(default)]
    pub chunks: bool,
    /// GPU samples: true, or { interval = "100ms", required = true, devices = [0] }.
    pub gpu: Option<GpuSampled>,
    /// Host samples: true, or { interval = "100ms", required = true }.
    pub host: Option<Sampled>,
    /// Profile of the agent's process: true, or { rate = 100, required = true }.
    pub flamegraph: Option<Profiled>,
    /// Packet capture of the run's connections: true, or { required = true }.
    pub wire: Option<Captured>,
}

/// A metric that is picked from a file that a command leaves.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Picked {
    /// A value of a JSON file below {out} by its pointer, e.g. "summary.json#/efficiency", or a CSV file with a header, e.g. "rows.csv"; "stdout" is what the command printed.
    pub from: String,
    /// Of a CSV file: the column.
    pub column: Option<String>,
    /// Of a column: mean, median, sd, min, max, sum, count, first, last or a percentile such as p99.
    pub stat: Option<String>,
    /// E.g. "ms" (default: a pure number).
    pub unit: Option<String>,
    /// Which direction is an improvement, where one is.
    pub better: Option<Direction>,
    /// A difference below this matters to nobody: a share such as "2 %", or a number in the unit (default: by the unit, 1 % of a time or rate and 1 percentage point of a "%"; 0: every difference matters).
    pub smallest_effect: Option<Scalar>,
}

/// What tokenizers are measured on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tokenize {
    pub corpus: Corpus,
    /// Passes over the corpus (default 5).
    pub iterations: Option<u32>,
}

/// A text; exactly one of generate, file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// Size of a generated text, e.g. "10 MB".
    pub generate: Option<Scalar>,
    /// Seed of the generated text (default 0).
    pub seed: Option<u64>,
    /// Path beside the manifest.
    pub file: Option<String>,
    /// Expected digest of the file.
    pub sha256: Option<String>,
}
