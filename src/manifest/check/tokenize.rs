//! Checks of tokenizer experiments: the tokenizers' files by their names, and the corpus.
//!
//! A tokenizer's file is not opened here: like a model it may be missing where somebody plans, or
//! measures other experiments; preflight looks. A corpus is content, like a prompt, and is read.

use std::path::Path;

use indexmap::IndexMap;

use super::names::{NAME_HELP, is_name, reference};
use super::probes::only_aa;
use crate::corpus;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Level, Tokenize, TokenizerFile};
use crate::manifest::units;
use crate::manifest::written::{self, Manifest, Scalar};

/// Largest generated corpus: the text and its ids must fit into memory several times.
const LARGEST: u64 = 1 << 30;

pub(super) fn tokenizers(
    written: &Manifest,
    dir: &Path,
    problems: &mut Problems<'_>,
) -> IndexMap<String, TokenizerFile> {
    let section = At::ROOT.key("tokenizer");
    let mut tokenizers = IndexMap::new();
    for (key, body) in &written.tokenizer {
        let at = section.key(key);
        let extension = Path::new(&body.file).extension().unwrap_or_default();
        if extension.eq_ignore_ascii_case("gguf") {
            let message = "the vocabulary in a GGUF file cannot be used";
            let help = "name the `tokenizer.json` that the model's authors publish beside their \
                        weights; a GGUF file leaves out how text is split before it is encoded";
            problems.value(&at.key("file"), message, Some(help.into()));
        }
        digest(&at.key("sha256"), body.sha256.as_deref(), problems);
        let file = TokenizerFile { path: dir.join(&body.file), sha256: body.sha256.clone() };
        tokenizers.insert(key.clone(), file);
    }
    tokenizers
}

/// A level of the factor `tokenizer`. Where a manifest declares none, a name stands for a folder.
pub(super) fn tokenizer_level(
    at: &At<'_>,
    name: &str,
    tokenizers: &IndexMap<String, TokenizerFile>,
    problems: &mut Problems<'_>,
) {
    if !tokenizers.is_empty() {
        reference(problems, at, "tokenizer", name, tokenizers.keys(), false);
    } else if !is_name(name) {
        let help = format!("{NAME_HELP}; or declare it: [tokenizer.NAME] file = \"…\"");
        problems.value(at, format!("{name:?} cannot be the name of a tokenizer"), Some(help));
    }
}

/// What an experiment says under `tokenize`.
pub(super) fn tokenize(
    at: &At<'_>,
    written: &written::Tokenize,
    dir: &Path,
    problems: &mut Problems<'_>,
) -> Option<Tokenize> {
    let corpus = corpus(&at.key("corpus"), &written.corpus, dir, problems)?;
    if written.iterations == Some(0) {
        problems.value(&at.key("iterations"), "`iterations` must be 1 or more", None);
    }
    Some(Tokenize { corpus, iterations: written.iterations.unwrap_or(5) })
}

pub(super) fn corpora(
    written: &Manifest,
    dir: &Path,
    problems: &mut Problems<'_>,
) -> IndexMap<String, corpus::Source> {
    let section = At::ROOT.key("corpus");
    let read = |(key, body): (&String, &written::Corpus)| {
        Some((key.clone(), corpus(&section.key(key), body, dir, problems)?))
    };
    written.corpus.iter().filter_map(read).collect()
}

fn corpus(
    at: &At<'_>,
    written: &written::Corpus,
    dir: &Path,
    problems: &mut Problems<'_>,
) -> Option<corpus::Source> {
    match (&written.generate, &written.file) {
        (Some(size), None) => {
            if written.sha256.is_some() {
                let message = "`sha256` is for a corpus that is a file";
                let help = "a generated corpus follows from its size and seed";
                problems.value(&at.key("sha256"), message, Some(help.into()));
            }
            let bytes = match size {
                Scalar::Text(text) => units::bytes(text),
                Scalar::Integer(number) => u64::try_from(*number).map_err(|e| e.to_string()),
                other => Err(format!("`{other}` is not a size: write for example \"10 MB\"")),
            };
            let bytes = bytes.and_then(|bytes| match bytes {
                1..=LARGEST => Ok(bytes),
                _ => Err(format!("`{size}` must be from 1 B to {}", units::show_bytes(LARGEST))),
            });
            match bytes {
                Ok(bytes) => {
                    Some(corpus::Source::Generated { bytes, seed: written.seed.unwrap_or(0) })
                }
                Err(message) => {
                    problems.value(&at.key("generate"), message, None);
                    None
                }
            }
        }
        (None, Some(file)) => {
            if written.seed.is_some() {
                problems.value(&at.key("seed"), "`seed` is for a generated corpus", None);
            }
            digest(&at.key("sha256"), written.sha256.as_deref(), problems);
            file_corpus(at, &dir.join(file), written.sha256.as_deref(), problems)
        }
        _ => {
            problems.value(at, "a corpus needs exactly one of `generate` and `file`", None);
            None
        }
    }
}

fn file_corpus(
    at: &At<'_>,
    path: &Path,
    declared: Option<&str>,
    problems: &mut Problems<'_>,
) -> Option<corpus::Source> {
    match corpus::read(path, declared) {
        Ok(text) => {
            let sha256 = formats::digest::of_bytes(text.as_bytes());
            Some(corpus::Source::File { path: path.to_owned(), sha256 })
        }
        Err(error @ corpus::CorpusError::Digest { .. }) => {
            let help = "the file is another one than was meant; with the right one in place, or \
                        without `sha256`, its content decides which runs are the same";
            problems.value(&at.key("sha256"), error.to_string(), Some(help.into()));
            None
        }
        Err(error) => {
            let help = "paths start at the manifest's folder";
            problems.value(&at.key("file"), error.to_string(), Some(help.into()));
            None
        }
    }
}

fn digest(at: &At<'_>, written: Option<&str>, problems: &mut Problems<'_>) {
    let hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some(text) = written.filter(|text| !hex(text)) {
        problems.value(at, format!("`{text}` is no SHA-256: 64 hex digits"), None);
    }
}

/// Every cell needs a tokenizer, and nothing in it watches an event loop or an agent beside others.
pub(super) fn needs(
    at: &At<'_>,
    written: &written::Experiment,
    axes: &IndexMap<String, Vec<Level>>,
    fixed: &IndexMap<String, Level>,
    problems: &mut Problems<'_>,
) {
    if !axes.contains_key("tokenizer") && !fixed.contains_key("tokenizer") {
        let message = "the experiment has no tokenizer: fix one or put it into the matrix";
        problems.key(at, message, Some("matrix = { tokenizer = [\"gemma3\", …] }".into()));
    }
    let probes = &written.probes;
    for (name, on) in [
        ("loop_lag", probes.loop_lag.is_some()),
        ("chunks", probes.chunks),
        ("flamegraph", probes.flamegraph.is_some()),
        ("wire", probes.wire.is_some()),
    ] {
        if on {
            let message = format!("the probe `{name}` has nothing to watch here");
            let help = "a tokenizer is called in a plain loop, without streams or an event loop";
            problems.key(&at.key("probes").key(name), message, Some(help.into()));
        }
    }
    only_aa(at, written, "in a tokenizer experiment", problems);
}
