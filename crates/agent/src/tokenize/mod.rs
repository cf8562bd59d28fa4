//! Tokenizer work in the Rust runtime: the `tokenizers` crate, called part by part on one thread.
//!
//! It links the same regular-expression engine as the Python package (Oniguruma), so that the race is
//! one of languages and not of engines. No file is written before the last pass has ended, and events
//! are few and sent between passes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;

use formats::clock;
use formats::digest;
use formats::protocol::{
    AgentRecord, ClockPair, Event, ModeSpec, PART_COLUMNS, PROTOCOL, PassRecord, Spec,
    TOKENIZE_COLUMNS, TOKENIZE_FILE, TokenizeMode, TokenizeRecord, TokenizeSpec, Window,
};
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;
use tokio::sync::watch;

use crate::finish::Finish;
use crate::finish::RuntimeError;
use crate::output::{Events, Folder, info};
use crate::wire::secrets::Secrets;

/// Least time between two events that tell of passes.
const PROGRESS_NS: u64 = 100_000_000;

/// A mode with its parts cut.
struct Mode<'t> {
    mode: TokenizeMode,
    parts: Vec<&'t str>,
}

/// One row of [`TOKENIZE_FILE`].
struct Row {
    mode: TokenizeMode,
    pass: u32,
    part: usize,
    bytes: usize,
    tokens: usize,
    encode_ns: u64,
}

/// Loads, encodes, and leaves what was asked for. Everything that needs no tokenizer is ready before
/// `ready` is said.
pub(crate) fn work(
    spec: &Spec,
    asked: &TokenizeSpec,
    events: &Events,
    cancelled: &watch::Receiver<bool>,
) -> Result<Finish, RuntimeError> {
    let text =
        fs::read_to_string(&asked.corpus).map_err(|error| unreadable(&asked.corpus, &error))?;
    let modes = asked
        .modes
        .iter()
        .map(|mode| Ok(Mode { mode: mode.mode, parts: parts(mode, &text)? }))
        .collect::<Result<Vec<_>, RuntimeError>>()?;
    let rounds = asked.warmup.saturating_add(asked.passes);

    let mut runtime = info();
    runtime.details.clear();
    runtime.details.insert("tokenizers".to_owned(), crate::TOKENIZERS_VERSION.to_owned());
    let clock = ClockPair { monotonic_ns: clock::monotonic_ns(), utc: clock::utc_now() };
    let ready =
        Event::Ready { t_ns: clock.monotonic_ns, protocol: PROTOCOL, runtime: runtime.clone() };
    events.send(ready);

    let load_start_ns = clock::monotonic_ns();
    let tokenizer = Tokenizer::from_file(&asked.tokenizer)
        .map_err(|error| unreadable(&asked.tokenizer, &error))?;
    let load = Window { start_ns: load_start_ns, end_ns: clock::monotonic_ns() };

    let mut rows = Vec::new();
    let mut passes = Vec::new();
    let mut told_ns = 0;
    for pass in 0..rounds {
        for mode in &modes {
            let t_ns = clock::monotonic_ns();
            if t_ns.saturating_sub(told_ns) >= PROGRESS_NS {
                told_ns = t_ns;
                let (mode, passes, warmup) = (mode.mode, rounds, pass < asked.warmup);
                events.send(Event::PassStarted { t_ns, mode, pass, passes, warmup });
            }
            match encode(&tokenizer, mode, pass, &mut rows, cancelled)? {
                Some(made) => passes.push(PassRecord { warmup: pass < asked.warmup, ..made }),
                None => return Ok(Finish::Cancelled),
            }
        }
    }

    let vocabulary = tokenizer.get_vocab_size(true) as u64;
    let record = AgentRecord {
        protocol: PROTOCOL,
        runtime,
        clock,
        calls: Vec::new(),
        idle: None,
        probe_cost_ns: BTreeMap::new(),
        stages: Vec::new(),
        tokenize: Some(TokenizeRecord { load, vocabulary, passes }),
    };
    // No server is asked, so there is no key.
    let folder = Folder { path: &spec.artifacts, secrets: &Secrets::default() };
    folder.write(TOKENIZE_FILE, table(&rows))?;
    folder.write_record(&record)?;
    events.send(Event::Done { t_ns: clock::monotonic_ns() });
    Ok(Finish::Done)
}

/// Whether the content of a `tokenizer.json` can be used, in the library's words.
pub fn load(content: &[u8]) -> Result<(), String> {
    Tokenizer::from_bytes(content).map(|_| ()).map_err(|error| error.to_string())
}

/// One pass; `None` when it was cut short from outside. Between the two clock readings of a part
/// stands the call that encodes it, and nothing else.
fn encode(
    tokenizer: &Tokenizer,
    mode: &Mode<'_>,
    pass: u32,
    rows: &mut Vec<Row>,
    cancelled: &watch::Receiver<bool>,
) -> Result<Option<PassRecord>, RuntimeError> {
    let mut ids: Vec<u32> = Vec::new();
    rows.reserve(mode.parts.len());
    let start_ns = clock::monotonic_ns();
    for (part, text) in mode.parts.iter().enumerate() {
        if *cancelled.borrow() {
            return Ok(None);
        }
        let before_ns = clock::monotonic_ns();
        let encoding = tokenizer.encode(*text, false);
        let after_ns = clock::monotonic_ns();
        let encoding = encoding.map_err(|error| {
            let mode = mode.mode.name();
            RuntimeError::Tokenizer(format!("cannot encode part {part} of mode {mode}: {error}"))
        })?;
        ids.extend_from_slice(encoding.get_ids());
        rows.push(Row {
            mode: mode.mode,
            pass,
            part,
            bytes: text.len(),
            tokens: encoding.len(),
            encode_ns: after_ns.saturating_sub(before_ns),
        });
    }
    let end_ns = clock::monotonic_ns();
    Ok(Some(PassRecord {
        mode: mode.mode,
        pass,
        warmup: false,
        start_ns,
        end_ns,
        parts: mode.parts.len() as u64,
        bytes: mode.parts.iter().map(|part| part.len() as u64).sum(),
        tokens: ids.len() as u64,
        ids_sha256: ids_digest(&ids),
    }))
}

/// Ids as four bytes each, the lowest first.
fn ids_digest(ids: &[u32]) -> String {
    let mut hash = Sha256::new();
    let mut bytes = Vec::with_capacity(4096 * 4);
    for block in ids.chunks(4096) {
        bytes.clear();
        bytes.extend(block.iter().flat_map(|id| id.to_le_bytes()));
        hash.update(&bytes);
    }
    digest::hex(&hash.finalize())
}

/// The parts of a mode, as its file names them.
fn parts<'t>(mode: &ModeSpec, text: &'t str) -> Result<Vec<&'t str>, RuntimeError> {
    let Some(path) = &mode.parts else { return Ok(vec![text]) };
    let wrong = |error: &dyn std::fmt::Display| unreadable(path, error);
    let mut reader = csv::Reader::from_path(path).map_err(|error| wrong(&error))?;
    let header = reader.headers().map_err(|error| wrong(&error))?;
    if header != PART_COLUMNS[..] {
        return Err(wrong(&format!("its header must be {}", PART_COLUMNS.join(","))));
    }
    let mut parts = Vec::new();
    for row in reader.deserialize() {
        let (start, bytes): (usize, usize) = row.map_err(|error| wrong(&error))?;
        let range = Range { start, end: start.saturating_add(bytes) };
        let part = text.get(range).ok_or_else(|| {
            wrong(&format!("the part of {bytes} bytes from byte {start} is none of the text"))
        })?;
        parts.push(part);
    }
    Ok(parts)
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> RuntimeError {
    RuntimeError::Tokenizer(format!("cannot use {}: {error}", path.display()))
}

/// The rows of [`TOKENIZE_FILE`]; no field needs quoting.
fn table(rows: &[Row]) -> String {
    let mut table = TOKENIZE_COLUMNS.join(",");
    table.push('\n');
    for Row { mode, pass, part, bytes, tokens, encode_ns } in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "{},{pass},{part},{bytes},{tokens},{encode_ns}", mode.name());
    }
    table
}

/// Says where a spec with tokenizer work asks for what only calls have.
pub(crate) fn check(spec: &Spec, asked: &TokenizeSpec) -> Result<(), RuntimeError> {
    let wrong = |reason: &str| Err(RuntimeError::Spec(reason.to_owned()));
    if !spec.agents.is_empty() {
        return wrong("a spec with `tokenize` has no agents");
    }
    let probes = &spec.probes;
    if probes.chunks || probes.loop_lag_ns.is_some() || probes.idle_ns.is_some() {
        return wrong("a spec with `tokenize` has no probes: there is no event loop to watch");
    }
    // A setting that is ignored would be reported as if it had been measured.
    if let Some(name) = spec.variant.keys().next() {
        return wrong(&format!("tokenizer work has no setting {name:?}"));
    }
    if asked.passes == 0 || asked.modes.is_empty() {
        return wrong("`tokenize` needs at least one pass and one mode");
    }
    Ok(())
}
