//! What the tokenizer race costs over calling the crate in a plain loop.
//!
//! `cargo bench --bench tokenize [TOKENIZER_JSON …]`: for each tokenizer, passes of `runner agent` and
//! of a loop around the `tokenizers` crate in turn over the same 10 MB, each side in a process of its
//! own that has warmed up. Prints figures, judges none. Without arguments it takes the tokenizers that
//! `experiments/tokenizers/fetch.py` gets, and those of the tests where there are none. Other work on
//! the same core shows as a ratio that wanders: the turns keep it from pulling to one side.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use formats::protocol::{
    AgentRecord, Connection, ModeSpec, PART_COLUMNS, PROTOCOL, ProbeSpec, RECORD_FILE, Spec,
    TokenizeMode, TokenizeSpec,
};
use runner::corpus;
use runner::metrics::tokenize;
use runner::store::record::ProcessUsage;
use tokenizers::Tokenizer;

const RUNNER: &str = env!("CARGO_BIN_EXE_runner");
const BYTES: usize = 10_000_000;
const ROUNDS: usize = 5;
/// Set for the process that is the plain loop.
const LOOP: &str = "RUNNER_BENCH_LOOP";

fn main() {
    if let Some(tokenizer) = std::env::var_os(LOOP) {
        plain_loop(Path::new(&tokenizer));
        return;
    }
    // Absolute, since either side works in a folder of its own.
    let named: Vec<PathBuf> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .map(|path| std::path::absolute(path).expect("a path"))
        .collect();
    let tokenizers = if named.is_empty() { usual() } else { named };
    println!("         runner / crate");
    println!(
        "mode     best / best   by turn: median (least to most)   crate, best MB/s   tokenizer"
    );
    for tokenizer in tokenizers {
        race(&tokenizer);
    }
}

fn usual() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fetched = ["gemma3", "qwen2.5", "llama3.1"]
        .map(|name| root.join("experiments/tokenizers").join(name).join("tokenizer.json"));
    if fetched.iter().all(|path| path.exists()) {
        return fetched.into();
    }
    ["byte_level", "byte_fallback"]
        .map(|name| root.join("tests/fixtures/tokenizers").join(format!("{name}.json")))
        .into()
}

/// One round of each side in turn; every round is a fresh process.
fn race(tokenizer: &Path) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = corpus::generate(BYTES, 1);
    std::fs::write(folder.path().join("corpus.txt"), &text).expect("the corpus");
    let cuts = [
        (TokenizeMode::Lines, corpus::lines(&text)),
        (TokenizeMode::Pieces, corpus::pieces(&text)),
    ];
    for (mode, parts) in &cuts {
        let mut table = PART_COLUMNS.join(",") + "\n";
        for part in parts {
            writeln!(table, "{},{}", part.start, part.len()).expect("a string takes it");
        }
        std::fs::write(folder.path().join(mode.name()), table).expect("the cuts");
    }
    let mut rates: BTreeMap<TokenizeMode, Vec<(f64, f64)>> = BTreeMap::new();
    for round in 0..ROUNDS {
        // Who begins takes turns, too.
        let (ours, theirs) = if round % 2 == 0 {
            let ours = agent(tokenizer, folder.path());
            (ours, crate_loop(tokenizer, folder.path()))
        } else {
            let theirs = crate_loop(tokenizer, folder.path());
            (agent(tokenizer, folder.path()), theirs)
        };
        for mode in TokenizeMode::ALL {
            rates.entry(mode).or_default().push((ours[&mode], theirs[&mode]));
        }
    }
    for (mode, own) in rates {
        // Other work only ever slows a side down, so the best of each is nearest to what it costs.
        let best = |side: fn(&(f64, f64)) -> f64| own.iter().map(side).fold(0.0, f64::max);
        let (ours, theirs) = (best(|own| own.0), best(|own| own.1));
        let mut ratios: Vec<f64> = own.iter().map(|(ours, theirs)| ours / theirs).collect();
        ratios.sort_by(f64::total_cmp);
        let (median, least, most) = (ratios[ROUNDS / 2], ratios[0], ratios[ROUNDS - 1]);
        println!(
            "{:7} {:12.4}   {median:.4} ({least:.4} to {most:.4}) {theirs:26.3}   {}",
            mode.name(),
            ours / theirs,
            tokenizer.display()
        );
    }
}

/// MB/s of each mode by the metrics of a run.
fn agent(tokenizer: &Path, folder: &Path) -> BTreeMap<TokenizeMode, f64> {
    let parts = |mode: TokenizeMode| folder.join(mode.name());
    let modes = TokenizeMode::ALL
        .map(|mode| ModeSpec { mode, parts: (mode != TokenizeMode::Whole).then(|| parts(mode)) });
    let spec = Spec {
        protocol: PROTOCOL,
        run: "bench".to_owned(),
        artifacts: folder.to_owned(),
        agents: Vec::new(),
        tokenize: Some(TokenizeSpec {
            tokenizer: tokenizer.to_owned(),
            corpus: folder.join("corpus.txt"),
            modes: modes.into(),
            warmup: 1,
            passes: 2,
        }),
        timeout_ns: 600_000_000_000,
        read_buffer: None,
        throttle: None,
        connection: Connection::New,
        lag_dose: None,
        probes: ProbeSpec::default(),
        variant: BTreeMap::new(),
    };
    let mut agent = Command::new(RUNNER)
        .arg("agent")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("runner agent starts");
    let spec = serde_json::to_vec(&spec).expect("a spec in JSON");
    agent.stdin.take().expect("its input").write_all(&spec).expect("it reads");
    assert!(agent.wait().expect("it ends").success(), "the agent failed");
    let record = std::fs::read(folder.join(RECORD_FILE)).expect("a record");
    let record: AgentRecord = serde_json::from_slice(&record).expect("a record in JSON");
    let record = record.tokenize.expect("the work that was asked for");
    let metrics =
        tokenize::from_folder(folder, &record, &ProcessUsage::default()).expect("the table");
    TokenizeMode::ALL
        .into_iter()
        .map(|mode| {
            let name = match mode {
                TokenizeMode::Whole => "tokenizer_mb_per_s".to_owned(),
                other => format!("tokenizer_{}_mb_per_s", other.name()),
            };
            (mode, metrics[&name].expect("it is known"))
        })
        .collect()
}

/// MB/s of each mode from this program started again as a plain loop.
fn crate_loop(tokenizer: &Path, folder: &Path) -> BTreeMap<TokenizeMode, f64> {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .env(LOOP, tokenizer)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the loop starts");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let rates: Vec<f64> =
        output.lines().map(|line| line.expect("text").parse().expect("a number")).collect();
    assert!(child.wait().expect("it ends").success(), "the loop failed");
    TokenizeMode::ALL.into_iter().zip(rates).collect()
}

/// The crate, called as its documentation shows.
fn plain_loop(tokenizer: &Path) {
    let tokenizer = Tokenizer::from_file(tokenizer).expect("a tokenizer");
    let text = std::fs::read_to_string("corpus.txt").expect("the corpus");
    let (lines, pieces) = (corpus::lines(&text), corpus::pieces(&text));
    let modes: [Vec<&str>; 3] = [
        vec![&text],
        lines.into_iter().map(|part| &text[part]).collect(),
        pieces.into_iter().map(|part| &text[part]).collect(),
    ];
    let mut seconds = [0.0; 3];
    for pass in 0..3 {
        for (parts, seconds) in modes.iter().zip(&mut seconds) {
            for part in parts {
                let started = Instant::now();
                let encoding = tokenizer.encode(*part, false);
                let passed = started.elapsed();
                // Freeing what it gave is outside, as it is in a run.
                std::hint::black_box(encoding.expect("it encodes"));
                if pass > 0 {
                    *seconds += passed.as_secs_f64();
                }
            }
        }
    }
    for (parts, seconds) in modes.iter().zip(seconds) {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        println!("{}", 2.0 * bytes as f64 / 1e6 / seconds);
    }
}
