//! Tokenizer work: an ability that a runtime may lack, if it says so.

use std::collections::BTreeMap;
use std::fs;

use formats::digest;
use formats::protocol::{
    ModeSpec, PART_COLUMNS, Spec, TOKENIZE_COLUMNS, TOKENIZE_FILE, TokenizeMode, TokenizeSpec,
};

use super::cases::spec;
use super::process::{Finished, Folder, run};
use super::{ConformanceError, Findings, Verdict, expect};

const PASSES: &str = "records every pass of tokenizer work with the digest of its ids";
const PARTS: &str = "writes a row of tokenize_parts.csv for every part";

/// A tokenizer of words.
const TOKENIZER: &str = r#"{"version": "1.0", "truncation": null, "padding": null,
 "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
 "post_processor": null, "decoder": null, "model": {"type": "WordLevel", "unk_token": "[UNK]",
 "vocab": {"[UNK]": 0, "race": 1, "of": 2, "the": 3, "tokenizers": 70000}}}"#;
const TEXT: &str = "the race\nof the tokenizers of Zürich\n";
/// Start and length of each line, with its ids.
const LINES: [(usize, usize, &[u32]); 2] = [(0, 9, &[3, 1]), (9, 29, &[2, 3, 70_000, 2, 0])];

pub(super) fn check(command: &[String], findings: &mut Findings) -> Result<(), ConformanceError> {
    let data = Folder::new()?;
    let asked = asked(&data)?;
    let finished = run(command, Spec { tokenize: Some(asked), ..spec(Vec::new()) })?;
    if let Some(message) = finished.refusal()
        && message.contains("tokenize")
    {
        for requirement in [PASSES, PARTS] {
            findings.add_unsupported(requirement, format!("it says: {message}"));
        }
        return Ok(());
    }
    findings.add(PASSES, passes(&finished));
    findings.add(PARTS, parts(&finished));
    Ok(())
}

/// One warm-up pass and one measured, over the whole text and over its lines.
fn asked(data: &Folder) -> Result<TokenizeSpec, ConformanceError> {
    let path = |name: &str| data.path().join(name);
    let lines = LINES.map(|(start, bytes, _)| format!("{start},{bytes}\n")).concat();
    let parts = format!("{}\n{lines}", PART_COLUMNS.join(","));
    for (name, content) in
        [("tokenizer.json", TOKENIZER), ("corpus.txt", TEXT), ("lines.csv", &parts)]
    {
        fs::write(path(name), content)
            .map_err(|source| ConformanceError::Folder { path: path(name), source })?;
    }
    Ok(TokenizeSpec {
        tokenizer: path("tokenizer.json"),
        corpus: path("corpus.txt"),
        modes: vec![
            ModeSpec { mode: TokenizeMode::Whole, parts: None },
            ModeSpec { mode: TokenizeMode::Lines, parts: Some(path("lines.csv")) },
        ],
        warmup: 1,
        passes: 1,
    })
}

fn passes(finished: &Finished) -> Verdict {
    let record = finished.record.as_ref().map_err(|reason| format!("no agent.json: {reason}"))?;
    let done = record.tokenize.as_ref().ok_or("agent.json has no `tokenize`")?;
    expect(done.load.start_ns > 0 && done.load.start_ns <= done.load.end_ns, || {
        "`load` has no times of the monotonic clock in order".to_owned()
    })?;
    let ids: Vec<u8> =
        LINES.iter().flat_map(|(_, _, ids)| *ids).flat_map(|id| id.to_le_bytes()).collect();
    let ids_sha256 = digest::of_bytes(&ids);
    let mut wanted = BTreeMap::new();
    for (mode, parts) in [(TokenizeMode::Whole, 1), (TokenizeMode::Lines, LINES.len() as u64)] {
        for pass in [0, 1] {
            wanted.insert((mode, pass), (pass == 0, parts));
        }
    }
    for pass in &done.passes {
        let name = format!("pass {} of {}", pass.pass, pass.mode.name());
        let Some((warmup, parts)) = wanted.remove(&(pass.mode, pass.pass)) else {
            return Err(format!("{name} was not asked for, or is there twice"));
        };
        let found = (pass.warmup, pass.parts, pass.bytes, pass.tokens);
        let right = (warmup, parts, TEXT.len() as u64, (ids.len() / 4) as u64);
        expect(found == right, || {
            format!("{name} has (warmup, parts, bytes, tokens) {found:?}, right is {right:?}")
        })?;
        expect(pass.ids_sha256 == ids_sha256, || {
            format!(
                "{name} has the digest {}, right is {ids_sha256}: each id as four bytes, the \
                 lowest first, without special tokens",
                pass.ids_sha256
            )
        })?;
    }
    let missing = wanted.into_keys().next();
    expect(missing.is_none(), || format!("passes are missing, the first of them {missing:?}"))
}

fn parts(finished: &Finished) -> Verdict {
    let path = finished.folder.path().join(TOKENIZE_FILE);
    let table = fs::read_to_string(path).map_err(|error| format!("{TOKENIZE_FILE}: {error}"))?;
    let mut rows = table.lines();
    let header = TOKENIZE_COLUMNS.join(",");
    expect(rows.next() == Some(&header), || format!("its header must be {header}"))?;
    let all: usize = LINES.iter().map(|(_, _, ids)| ids.len()).sum();
    let mut wanted = Vec::new();
    for pass in [0, 1] {
        wanted.push(format!("whole,{pass},0,{},{all},", TEXT.len()));
        for (part, (_, bytes, ids)) in LINES.iter().enumerate() {
            wanted.push(format!("lines,{pass},{part},{bytes},{},", ids.len()));
        }
    }
    for start in &wanted {
        let row = rows.next().unwrap_or_default();
        let nanoseconds = row.strip_prefix(start.as_str()).map(str::parse::<u64>);
        expect(matches!(nanoseconds, Some(Ok(_))), || {
            format!("a row is `{row}`, right is `{start}` and nanoseconds")
        })?;
    }
    let surplus = rows.next();
    expect(surplus.is_none(), || format!("a row too many: {surplus:?}"))
}
