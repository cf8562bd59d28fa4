//! `tokenizer_bench.txt`: the run's figures in the table that the researchers' own script writes.

use std::path::Path;

use crate::os::files;
use crate::store::StoreError;
use crate::store::record::Metrics;

/// File of the table in the run's folder.
pub const BENCH_FILE: &str = "tokenizer_bench.txt";

/// Writes the rate over the whole text, and the time that one pass over it takes.
pub(super) fn write(folder: &Path, tokenizer: &str, metrics: &Metrics) -> Result<(), StoreError> {
    let path = folder.join(BENCH_FILE);
    files::write(&path, table(tokenizer, metrics).as_bytes())
        .map_err(StoreError::io("write", &path))
}

fn table(tokenizer: &str, metrics: &Metrics) -> String {
    let figure = |name: &str| match metrics.get(name).copied().flatten() {
        Some(value) => format!("{value:.2}"),
        None => "unknown".to_owned(),
    };
    format!(
        "{:<15} | {:<15} | {:<15}\n{}\n{tokenizer:<15} | {:<15} | {:<15}\n",
        "Model",
        "Tokens/Sec",
        "Latency (ms)",
        "-".repeat(50),
        figure("tokenizer_tokens_per_s"),
        figure("tokenizer_latency_ms"),
    )
}
