//! Tokenizer runs: a fresh process of the runtime encodes a text, part by part.
//!
//! From the text on disk and the spec to the metrics of what the process left; sealing or keeping it
//! is left to [`super::attempt`]. Whether runtimes agree on the ids is seen where runs are compared.

mod artifacts;
mod bench;
mod files;
mod texts;

use std::path::Path;
use std::time::Duration;

use formats::protocol::{
    Connection, ModeSpec, PROTOCOL, ProbeSpec, Spec, TokenizeMode, TokenizeRecord, TokenizeSpec,
    Window,
};

use super::attempt::{Means, Measured, Task};
use super::fault::AttemptFault;
use super::request::nanoseconds;
use super::watched::{Watched, watch};
use super::{ExecError, Limits};
use crate::metrics::tokenize::summary;
use crate::metrics::{Seen, Work};
use crate::plan::{CellSpec, TokenizeWork};
use crate::preflight::FileFault;
use crate::store::record::TokenizerEvidence;

pub(super) use bench::BENCH_FILE;
pub use texts::{Text, Texts};

/// Passes that fill caches and do not count.
const WARMUP: u32 = 1;

/// Why a tokenizer run cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenizeFault {
    #[error(transparent)]
    File(#[from] FileFault),
    #[error(
        "{0}; the manifest was read with another content: start exec again to measure with the \
         corpus as it is now"
    )]
    Corpus(#[from] crate::corpus::CorpusError),
    #[error(
        "{file} holds no record of the work that was asked for: {reason}; does the runtime know \
         `tokenize`?"
    )]
    Record { file: &'static str, reason: String },
}

/// Encodes and computes what it tells. The inner error is the attempt's, the outer one means that
/// nothing more can be stored.
pub(super) fn measure(
    task: &Task<'_>,
    work: &TokenizeWork,
    met: Option<&TokenizerEvidence>,
    run: &str,
    partial: &Path,
    means: &mut Means<'_>,
) -> Result<Result<Measured, AttemptFault>, ExecError> {
    if let Some(fault) = files::refusal(work, met) {
        return Ok(Err(TokenizeFault::File(fault).into()));
    }
    let text = match means.texts.get(task.layout, &work.corpus)? {
        Ok(text) => text,
        Err(error) => return Ok(Err(TokenizeFault::Corpus(error).into())),
    };
    let asked = asked(work, text);
    let text = text.clone();
    let spec = spec(task.cell, run, partial, asked.clone());
    let overall = overall_limit(task.cell, &asked, means.limits);
    let Watched { usage, machine, result, sampled } =
        watch(task, &spec, overall, partial, None, means)?;

    let judged = result.and_then(|()| {
        let (record, done) = artifacts::check(partial, &asked, &text)?;
        sampled.check(work_window(&done))?;
        let seen = Seen { process: &usage, machine: machine.as_ref() };
        let metrics = Work::Tokenize.metrics(partial, seen)?.run;
        Ok((record, done, metrics))
    });
    let (record, done, metrics) = match judged {
        Ok(judged) => judged,
        Err(fault) => return Ok(Err(fault)),
    };
    bench::write(partial, &work.tokenizer, &metrics)?;
    Ok(Ok(Measured {
        info: Some(record.runtime),
        usage,
        machine,
        metrics,
        probes: sampled.probes,
        sampling: sampled.sampling,
        tokens: Some(summary(text.sha256, text.bytes, &done)),
        ..Measured::default()
    }))
}

/// From the start of loading to the end of the last pass.
fn work_window(done: &TokenizeRecord) -> Option<Window> {
    let end_ns = done.passes.iter().map(|pass| pass.end_ns).max()?;
    Some(Window { start_ns: done.load.start_ns, end_ns })
}

fn asked(work: &TokenizeWork, text: &Text) -> TokenizeSpec {
    TokenizeSpec {
        tokenizer: files::absolute(&work.file.path),
        corpus: text.path.clone(),
        modes: TokenizeMode::ALL
            .map(|mode| ModeSpec { mode, parts: text.cut(mode).file.clone() })
            .into(),
        warmup: WARMUP,
        passes: work.iterations,
    }
}

fn spec(cell: &CellSpec, run: &str, partial: &Path, asked: TokenizeSpec) -> Spec {
    Spec {
        protocol: PROTOCOL,
        run: run.to_owned(),
        artifacts: partial.to_owned(),
        agents: Vec::new(),
        tokenize: Some(asked),
        timeout_ns: nanoseconds(cell.timeout),
        read_buffer: None,
        throttle: None,
        connection: Connection::New,
        lag_dose: None,
        probes: ProbeSpec::default(),
        variant: cell.variant.clone(),
    }
}

/// The timeout stands for loading, and for every pass over a mode.
fn overall_limit(cell: &CellSpec, asked: &TokenizeSpec, limits: &Limits) -> Duration {
    let modes = u32::try_from(asked.modes.len()).unwrap_or(u32::MAX);
    let passes = asked.warmup.saturating_add(asked.passes).saturating_mul(modes);
    cell.timeout.saturating_mul(passes.saturating_add(1)).saturating_add(limits.slack)
}
