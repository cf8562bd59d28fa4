//! What reads text from outside, the good texts that are bent out of shape for it, and the bending.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use agent::wire;
use formats::endpoint::Api;
use formats::protocol::{AgentRecord, Event};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use runner::cells::Filters;
use runner::manifest;
use runner::plan::Plan;
use runner::store::executed::ExecutedPlan;
use runner::store::failed::Failure;
use runner::store::journal;
use runner::store::record::RunRecord;
use serde_json::Value;
use tempfile::TempDir;

/// Longest time that one text may take.
const LONGEST: Duration = Duration::from_secs(1);
/// Bytes of a text: what is longer tells nothing new, more slowly.
const MOST_BYTES: usize = 64 * 1024;

/// Reads a text; what it draws are the pieces in which that comes.
type Reader = dyn Fn(&[u8], &mut ChaCha8Rng);

pub struct Target {
    pub name: &'static str,
    corpus: Vec<Vec<u8>>,
    read: Box<Reader>,
}

/// What became of a target's texts.
#[derive(Debug)]
pub struct Outcome {
    pub texts: u64,
    pub longest: Duration,
    /// The first text that it should not have stumbled over, and what happened.
    pub bad: Option<(Vec<u8>, String)>,
}

impl Target {
    /// Reads so many texts; the same for the same number.
    pub fn run(&self, texts: u64) -> Outcome {
        let mut outcome = Outcome { texts: 0, longest: Duration::ZERO, bad: None };
        for seed in 0..texts {
            let mut draw = ChaCha8Rng::seed_from_u64(seed);
            let text = self.bent(&mut draw);
            let began = Instant::now();
            let read = catch_unwind(AssertUnwindSafe(|| (self.read)(&text, &mut draw)));
            let took = began.elapsed();
            outcome.texts += 1;
            outcome.longest = outcome.longest.max(took);
            let what = match read {
                Err(_) => "a panic".to_owned(),
                Ok(()) if took > LONGEST => format!("it took {took:?}"),
                Ok(()) => continue,
            };
            outcome.bad = Some((text, what));
            break;
        }
        outcome
    }

    fn one(&self, draw: &mut ChaCha8Rng) -> &[u8] {
        self.corpus.get(draw.random_range(0..self.corpus.len())).map_or(&[], Vec::as_slice)
    }

    /// A good text after one to eight changes.
    fn bent(&self, draw: &mut ChaCha8Rng) -> Vec<u8> {
        const WORDS: [&[u8]; 24] = [
            b"{",
            b"}",
            b"[",
            b"]",
            b"\"",
            b"\\",
            b"\\u0000",
            b"\\ud800",
            b"\n",
            b"\r",
            b"\r\n\r\n",
            b"\0",
            b"\xff",
            b"\xef\xbb\xbf",
            "\u{202e}é".as_bytes(),
            b"data: ",
            b"event: error\n",
            b"[DONE]",
            b"null",
            b"-1",
            b"1e999",
            b"18446744073709551616",
            b"[[[[[[[[[[[[[[[[",
            b"{{7*7}}",
        ];
        let mut text = self.one(draw).to_vec();
        for _ in 0..draw.random_range(1..=8) {
            let at = draw.random_range(0..=text.len());
            let end = (at + draw.random_range(0..=64_usize)).min(text.len());
            match draw.random_range(0..8) {
                0 => {
                    if let Some(byte) = text.get_mut(at) {
                        *byte ^= 1 << draw.random_range(0..8);
                    }
                }
                1 => text.insert(at, draw.random()),
                2 => drop(text.drain(at..end)),
                3 => text.truncate(at),
                4 => {
                    let again =
                        text.get(at..end).unwrap_or_default().repeat(draw.random_range(1..=40));
                    text.splice(at..at, again);
                }
                5 => {
                    let other = self.one(draw);
                    let from = draw.random_range(0..=other.len());
                    let part = other.get(from..).unwrap_or_default().to_vec();
                    text.splice(at..end, part);
                }
                _ => {
                    let word = WORDS[draw.random_range(0..WORDS.len())];
                    text.splice(at..at, word.repeat(draw.random_range(1..=3)));
                }
            }
        }
        text.truncate(MOST_BYTES);
        text
    }
}

/// Everything that reads what somebody else wrote.
pub fn all() -> Vec<Target> {
    let wire = |api: Api| {
        let read = move |text: &[u8], draw: &mut ChaCha8Rng| decode(api, text, draw);
        Target { name: api.name(), corpus: answers(api), read: Box::new(read) }
    };
    let file = |name, corpus, read: fn(&[u8], &mut ChaCha8Rng)| Target {
        name,
        corpus,
        read: Box::new(read),
    };
    let mut all = vec![file("manifest", manifests(), manifest)];
    all.extend(Api::ALL.map(wire));
    all.extend([
        file("run.json", sample("run.json"), json::<RunRecord>),
        file("agent.json", sample("agent.json"), json::<AgentRecord>),
        file("plan.json", sample("plan.json"), json::<ExecutedPlan>),
        file("failure.json", failures(), json::<Failure>),
        file("journal.jsonl", sample("journal.jsonl"), journal),
        file("events", events(), json::<Event>),
    ]);
    all
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
    let paths = entries.map(walkdir::DirEntry::into_path).filter(|path| path.is_file());
    let read = paths.filter(|path| wanted(path)).map(|path| fs::read(path).unwrap());
    let found: Vec<Vec<u8>> = read.filter(|text| text.len() <= MOST_BYTES).collect();
    assert!(!found.is_empty(), "{}", folder.display());
    found
}

fn manifests() -> Vec<Vec<u8>> {
    let is_manifest = |path: &Path| path.extension().is_some_and(|own| own == "toml");
    let mut found = files(&root().join("experiments"), is_manifest);
    found.extend(files(&root().join("tests/fixtures/manifests"), is_manifest));
    found
}

fn sample(name: &str) -> Vec<Vec<u8>> {
    files(&root().join("results/sample"), |path| path.ends_with(name))
}

/// The bodies of the answers that both runtimes are tried with.
fn answers(api: Api) -> Vec<Vec<u8>> {
    let texts = files(&root().join("tests/answers"), |path| path.ends_with("answer.json"));
    let body = |text: Vec<u8>| {
        // Bytes that are no text stand as halves of a pair, which are none either.
        let case: Value = serde_json::from_slice(&text).ok()?;
        let own: Api = serde_json::from_value(case["api"].clone()).ok()?;
        let reads = case["reads"].as_array()?.iter();
        let whole: String = reads.filter_map(|read| read[1].as_str()).collect();
        let (_, body) = whole.split_once("\r\n\r\n")?;
        (own == api && !body.is_empty()).then(|| body.as_bytes().to_vec())
    };
    let found: Vec<Vec<u8>> = texts.into_iter().filter_map(body).collect();
    assert!(!found.is_empty());
    found
}

fn failures() -> Vec<Vec<u8>> {
    let failure = Failure::new("cell".to_owned(), 1, "http_error", "refused".to_owned());
    vec![serde_json::to_vec_pretty(&failure).unwrap()]
}

fn events() -> Vec<Vec<u8>> {
    [
        r#"{"event":"ready","t_ns":1,"protocol":2,"runtime":{"name":"x","version":"1","details":{"a":"b"}}}"#,
        r#"{"event":"call_started","t_ns":1,"agent":"a","call":0,"warmup":false}"#,
        r#"{"event":"first_token","t_ns":1,"agent":"a","call":0}"#,
        r#"{"event":"progress","t_ns":1,"agent":"a","call":0,"chunks":3}"#,
        r#"{"event":"call_finished","t_ns":1,"agent":"a","call":0,"outcome":"ok","tokens":1}"#,
        r#"{"event":"pass_started","t_ns":1,"mode":"whole","pass":0,"passes":2,"warmup":true}"#,
        r#"{"event":"done","t_ns":1}"#,
        r#"{"event":"error","message":"no"}"#,
    ]
    .map(|event| event.as_bytes().to_vec())
    .into()
}

/// A folder in which bent manifests lie, with the prompts of the shipped ones. What a manifest names as its input is read
/// whole, and that may be the folder above.
fn place() -> &'static Path {
    static PLACE: OnceLock<TempDir> = OnceLock::new();
    let make = || {
        let place = tempfile::tempdir().unwrap();
        let prompts = place.path().join("experiments/prompts");
        fs::create_dir_all(&prompts).unwrap();
        for entry in fs::read_dir(root().join("experiments/prompts")).unwrap().flatten() {
            fs::copy(entry.path(), prompts.join(entry.file_name())).unwrap();
        }
        place
    };
    PLACE.get_or_init(make).path()
}

/// The largest plan that is looked at: what a matrix of many levels takes is another benchmark's.
const MOST_CELLS: usize = 2_000;

fn manifest(text: &[u8], _: &mut ChaCha8Rng) {
    let Ok(text) = runner::encoding::decode(text.to_vec()) else { return };
    let Ok(mut study) = manifest::parse(&place().join("experiments/bent.toml"), &text, None) else {
        return;
    };
    study
        .experiments
        .retain(|own| own.axes.values().map(Vec::len).product::<usize>() <= MOST_CELLS);
    let _ = Plan::new(study, &Filters::default());
}

/// The text comes in pieces, as it does from a socket.
fn decode(api: Api, text: &[u8], draw: &mut ChaCha8Rng) {
    let kind = [None, Some("application/json"), Some("text/event-stream")][draw.random_range(0..3)];
    let mut decoder = wire::decoder(api, kind);
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, further) = rest.split_at(draw.random_range(1..=rest.len().min(512)));
        decoder.push(piece);
        rest = further;
        loop {
            match decoder.next_chunk() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    let _ = decoder.last_chunk();
    let _ = decoder.complete_at_close();
}

fn json<T: serde::de::DeserializeOwned>(text: &[u8], _: &mut ChaCha8Rng) {
    let _ = serde_json::from_slice::<T>(text);
}

fn journal(text: &[u8], _: &mut ChaCha8Rng) {
    let _ = journal::entries(text);
}
