//! Metrics of a tokenizer run, over its measured passes.
//!
//! Times are those inside the call that encodes a part: what the runtime does between two calls is
//! no tokenizing. Rates are Σ tokens (or bytes) ÷ Σ time, not means of rates.

#[cfg(test)]
mod tests;

use std::path::Path;

use formats::protocol::{TOKENIZE_FILE, TokenizeMode, TokenizeRecord};
use serde::Deserialize;

use super::active::WorkTimes;
use super::call::sample;
use super::run::{named, process as usage};
use super::{MetricsError, ms, ratio, read_rows, sampled, seconds};
use crate::store::record::{Metrics, ProcessUsage, TokenCount, TokenSummary};

/// One row of [`TOKENIZE_FILE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct PartRow {
    pub mode: TokenizeMode,
    pub pass: u32,
    pub part: u64,
    pub bytes: u64,
    pub tokens: u64,
    pub encode_ns: u64,
}

/// Computes everything from the record, the table and the files of the probes in a run's folder, and
/// what the executor saw of the process.
pub fn from_folder(
    folder: &Path,
    record: &TokenizeRecord,
    process: &ProcessUsage,
) -> Result<Metrics, MetricsError> {
    let rows: Vec<PartRow> = read_rows(&folder.join(TOKENIZE_FILE))?.unwrap_or_default();
    let mut metrics = compute(record, &rows, process);
    let measured = record.passes.iter().filter(|pass| !pass.warmup);
    let tokens = measured.map(|pass| pass.tokens).sum::<u64>() as f64;
    metrics.extend(sampled(folder, &WorkTimes::of_passes(record), Some(tokens))?);
    Ok(metrics)
}

/// What the record and the rows of its table tell.
#[must_use]
pub fn compute(record: &TokenizeRecord, rows: &[PartRow], process: &ProcessUsage) -> Metrics {
    let load = &record.load;
    let mut metrics = usage(process);
    metrics.extend(named([
        ("tokenizer_load_ms", Some(ms(load.end_ns.saturating_sub(load.start_ns)))),
        ("tokenizer_vocabulary", Some(record.vocabulary as f64)),
    ]));
    for mode in TokenizeMode::ALL {
        let measured = |pass| {
            let own = record.passes.iter().find(|made| made.mode == mode && made.pass == pass);
            own.is_some_and(|made| !made.warmup)
        };
        let own: Vec<&PartRow> =
            rows.iter().filter(|row| row.mode == mode && measured(row.pass)).collect();
        metrics.extend(mode_metrics(mode, &own));
    }
    metrics
}

/// What must be the same for every runtime. All passes of a mode agree, so the last stands for all.
#[must_use]
pub fn summary(corpus_sha256: String, corpus_bytes: u64, record: &TokenizeRecord) -> TokenSummary {
    let modes = record.passes.iter().map(|pass| {
        let count = TokenCount {
            parts: pass.parts,
            bytes: pass.bytes,
            tokens: pass.tokens,
            ids_sha256: pass.ids_sha256.clone(),
        };
        (pass.mode.name().to_owned(), count)
    });
    let vocabulary = record.vocabulary;
    TokenSummary { corpus_sha256, corpus_bytes, vocabulary, modes: modes.collect() }
}

fn mode_metrics(mode: TokenizeMode, rows: &[&PartRow]) -> Metrics {
    let total = |of: fn(&PartRow) -> u64| rows.iter().map(|row| of(row)).sum::<u64>();
    let (bytes, tokens) = (total(|row| row.bytes) as f64, total(|row| row.tokens) as f64);
    let time_s = seconds(total(|row| row.encode_ns));
    let tokens_per_s = ratio(tokens, time_s);
    let mb_per_s = ratio(bytes / 1e6, time_s);
    let bytes_per_token = ratio(bytes, tokens);
    let each_us = sample(rows.iter().map(|row| row.encode_ns as f64 / 1e3).collect());
    let percentile = |p| each_us.as_ref().map(|each| each.percentile(p));
    match mode {
        TokenizeMode::Whole => {
            let first = rows.first().map(|row| row.pass);
            let once = rows.iter().filter(|row| Some(row.pass) == first);
            named([
                ("tokenizer_tokens_per_s", tokens_per_s),
                ("tokenizer_mb_per_s", mb_per_s),
                ("tokenizer_bytes_per_token", bytes_per_token),
                ("tokenizer_latency_ms", each_us.as_ref().map(|each| each.mean() / 1e3)),
                ("tokenizer_tokens", first.map(|_| once.map(|row| row.tokens).sum::<u64>() as f64)),
            ])
        }
        TokenizeMode::Lines => named([
            ("tokenizer_lines_tokens_per_s", tokens_per_s),
            ("tokenizer_lines_mb_per_s", mb_per_s),
            ("tokenizer_lines_bytes_per_token", bytes_per_token),
            ("tokenizer_lines_p50_us", percentile(50.0)),
            ("tokenizer_lines_p99_us", percentile(99.0)),
        ]),
        TokenizeMode::Pieces => named([
            ("tokenizer_pieces_tokens_per_s", tokens_per_s),
            ("tokenizer_pieces_mb_per_s", mb_per_s),
            ("tokenizer_pieces_bytes_per_token", bytes_per_token),
            ("tokenizer_pieces_p50_us", percentile(50.0)),
            ("tokenizer_pieces_p99_us", percentile(99.0)),
        ]),
    }
}
