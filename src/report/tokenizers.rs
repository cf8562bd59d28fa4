//! Tokenizer runs in a report: whether the runtimes made the same ids, and how their rates compare.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::comparison::contrast::Contrast;
use super::comparison::measured::{Comparer, Measured};
use super::completeness::fresh;
use super::data::{Cell, Data, Experiment};
use crate::metrics::MetricInfo;
use crate::store::record::RunRecord;

/// What is compared: by the text's size, so that vocabularies of unlike size can be.
const RATES: [&str; 2] = ["tokenizer_tokens_per_s", "tokenizer_mb_per_s"];

/// Everything that a report says of tokenizers.
#[derive(Debug, PartialEq, Serialize)]
pub struct Tokenizers<'a> {
    pub agreements: Vec<Agreement<'a>>,
    /// Some runtimes made other ids of the same text.
    pub disagree: bool,
    pub ratios: Vec<Ratio>,
}

/// The runs of one tokenizer's file on one text.
#[derive(Debug, PartialEq, Serialize)]
pub struct Agreement<'a> {
    pub tokenizer: &'a str,
    pub sha256: Option<&'a str>,
    pub corpus_sha256: &'a str,
    pub corpus_bytes: u64,
    pub vocabulary: u64,
    /// Of the whole text; `None` where the runs do not agree.
    pub tokens: Option<u64>,
    pub runtimes: Vec<&'a str>,
    pub runs: usize,
    /// Modes in which not all runs made the same ids.
    pub unlike: Vec<&'a str>,
    /// For each of these, which runtimes made which ids.
    pub sides: Vec<String>,
}

/// A rate of one cell against that of another.
#[derive(Debug, PartialEq, Serialize)]
pub struct Ratio {
    pub experiment: String,
    pub metric: String,
    /// The levels that differ: `gemma3 : qwen2.5`.
    pub of: String,
    /// The level that both have.
    pub at: String,
    pub n: [usize; 2],
    /// As every other comparison; of no family.
    #[serde(flatten)]
    pub contrast: Contrast,
}

/// `None`: the study has no tokenizer run.
pub(super) fn tokenizers(data: &Data) -> Option<Tokenizers<'_>> {
    let agreements = agreements(data);
    let disagree = agreements.iter().any(|agreement| !agreement.unlike.is_empty());
    let ratios = data.experiments.iter().flat_map(|own| ratios(data, own)).collect();
    (!agreements.is_empty()).then_some(Tokenizers { agreements, disagree, ratios })
}

fn agreements(data: &Data) -> Vec<Agreement<'_>> {
    let mut groups: BTreeMap<_, Vec<&RunRecord>> = BTreeMap::new();
    for run in data.cells.iter().flat_map(fresh) {
        let (Some(tokens), Some(tokenizer)) = (&run.tokens, &run.evidence.tokenizer) else {
            continue;
        };
        let key = (tokenizer.name.as_str(), tokenizer.sha256.as_deref(), &tokens.corpus_sha256);
        groups.entry(key).or_default().push(run);
    }
    groups
        .into_iter()
        .filter_map(|((tokenizer, sha256, corpus_sha256), runs)| {
            let first = runs.first()?.tokens.as_ref()?;
            let runtimes: BTreeSet<&str> =
                runs.iter().map(|run| run.evidence.agent.runtime.as_str()).collect();
            let (mut unlike, mut sides) = (Vec::new(), Vec::new());
            for mode in first.modes.keys() {
                let by_ids = by_ids(&runs, mode);
                if by_ids.len() > 1 {
                    unlike.push(mode.as_str());
                    sides.push(said(mode, &by_ids));
                }
            }
            let whole = by_ids(&runs, "whole");
            let tokens = first.modes.get("whole").filter(|_| whole.len() == 1);
            Some(Agreement {
                tokenizer,
                sha256,
                corpus_sha256,
                corpus_bytes: first.corpus_bytes,
                vocabulary: first.vocabulary,
                tokens: tokens.map(|count| count.tokens),
                runtimes: runtimes.into_iter().collect(),
                runs: runs.len(),
                unlike,
                sides,
            })
        })
        .collect()
}

/// The runtimes behind each digest of a mode's ids; a run without the mode has made no ids at all.
fn by_ids<'a>(runs: &[&'a RunRecord], mode: &str) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut by_ids: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for run in runs {
        let count = run.tokens.as_ref().and_then(|tokens| tokens.modes.get(mode));
        let ids = count.map_or("none", |count| count.ids_sha256.as_str());
        by_ids.entry(ids).or_default().insert(&run.evidence.agent.runtime);
    }
    by_ids
}

fn said(mode: &str, by_ids: &BTreeMap<&str, BTreeSet<&str>>) -> String {
    let sides = by_ids.iter().map(|(ids, runtimes)| {
        let runtimes: Vec<&str> = runtimes.iter().copied().collect();
        format!("{} by {}", ids.get(..12).unwrap_or(ids), runtimes.join(" and "))
    });
    format!("{mode}: {}", sides.collect::<Vec<_>>().join(", "))
}

/// The baseline's tokenizer (or else the first) over every other in the same runtime; and the first
/// runtime over every other with the same tokenizer.
fn ratios(data: &Data, experiment: &Experiment) -> Vec<Ratio> {
    let level = |levels: &'_ [super::data::NamedLevel], axis: &str| {
        levels.iter().find(|level| level.name == axis).map(|level| level.text.clone())
    };
    let cells: Vec<(String, String, &Cell)> = experiment
        .cells
        .iter()
        .filter_map(|own| {
            let cell = &data.cells[own.cell];
            let tokenizer = level(&cell.factors, "tokenizer")?;
            let runtime = level(&cell.factors, "runtime").unwrap_or_default();
            // With several texts a pair of names is no pair of cells.
            level(&cell.factors, "corpus").is_none().then_some((tokenizer, runtime, cell))
        })
        .collect();
    let baseline = experiment.baseline.iter().find(|level| level.name == "tokenizer");
    let Some(reference) =
        baseline.map(|level| level.text.clone()).or_else(|| Some(cells.first()?.0.clone()))
    else {
        return Vec::new();
    };
    let (comparer, mut ratios) = (Comparer::new(data), Vec::new());
    for metric in data.metrics().filter(|metric| RATES.contains(&metric.name)) {
        for (of_tokenizer, of_runtime, of) in &cells {
            for (to_tokenizer, to_runtime, to) in &cells {
                let names = if of_runtime == to_runtime && of_tokenizer != to_tokenizer {
                    (*of_tokenizer == reference).then_some((of_tokenizer, to_tokenizer, of_runtime))
                } else if of_tokenizer == to_tokenizer && of_runtime != to_runtime {
                    (*of_runtime == cells[0].1).then_some((of_runtime, to_runtime, of_tokenizer))
                } else {
                    None
                };
                let Some((of_name, to_name, at)) = names else { continue };
                let name = (format!("{of_name} : {to_name}"), at.clone());
                ratios.extend(ratio(&comparer, &experiment.name, &metric, name, of, to));
            }
        }
    }
    ratios
}

fn ratio(
    comparer: &Comparer<'_>,
    experiment: &str,
    metric: &MetricInfo<'_>,
    (names, at): (String, String),
    of: &Cell,
    to: &Cell,
) -> Option<Ratio> {
    let (of, to) = (Measured::new(of, &of.factors, metric), Measured::new(to, &to.factors, metric));
    let n = [of.n(), to.n()];
    n.iter().all(|runs| *runs > 0).then(|| Ratio {
        experiment: experiment.to_owned(),
        metric: metric.name.to_owned(),
        of: names,
        at,
        n,
        contrast: comparer.contrast(&of, &to),
    })
}
