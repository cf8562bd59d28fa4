//! Tokenizer experiments from manifest to report: both runtimes, small tokenizers, bad inputs.
//!
//! Where the Python runtime cannot be set up its part is skipped and says so, except in CI.

mod study;

use std::fs;
use std::path::{Path, PathBuf};

use formats::protocol::{AgentRecord, TokenizeMode};
use runner::probe::host::{self, HostSample};
use runner::store::record::RunRecord;
use tempfile::TempDir;

use crate::study::{RUNNER, text};

const TOKENIZERS: [&str; 2] = ["byte_fallback", "byte_level"];

/// A study with the small tokenizers beside its manifest.
struct Race {
    folder: TempDir,
}

impl Race {
    fn new(manifest: &str) -> Self {
        let race = Self { folder: tempfile::tempdir().unwrap() };
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers");
        for name in TOKENIZERS {
            let place = race.path(&format!("tokenizers/{name}"));
            fs::create_dir_all(&place).unwrap();
            fs::copy(fixtures.join(format!("{name}.json")), place.join("tokenizer.json")).unwrap();
        }
        race.write("race.toml", manifest);
        race
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Runs a command in the study's folder; fails unless it ends with this code.
    #[track_caller]
    fn expect(&self, code: i32, arguments: &[&str]) -> String {
        let text = self.said(code, arguments);
        // Messages are folded to the width of a page.
        text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn said(&self, code: i32, arguments: &[&str]) -> String {
        let output = std::process::Command::new(RUNNER)
            .args(&arguments[..1])
            .arg("race.toml")
            .args(&arguments[1..])
            .env("RUNNER_NVIDIA_SMI", self.path("nvidia-smi"))
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let text = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}");
        text
    }

    fn runs(&self) -> Vec<(PathBuf, RunRecord)> {
        let mut runs: Vec<_> = walkdir::WalkDir::new(self.path("results/race/runs"))
            .into_iter()
            // Before the first run there is no such folder.
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name() == "run.json")
            .map(|entry| {
                let record = serde_json::from_slice(&fs::read(entry.path()).unwrap()).unwrap();
                (entry.path().parent().unwrap().to_owned(), record)
            })
            .collect();
        runs.sort_by(|a, b| a.0.cmp(&b.0));
        runs
    }
}

/// Long paths are folded, too.
fn unfolded(text: &str) -> String {
    text.replace(' ', "")
}

/// `{…}` are replaced.
fn manifest(tokenize: &str, matrix: &str, more: &str) -> String {
    format!(
        r#"
schema = 1
name = "race"
[defaults]
repeats = 1
timeout = "60s"
[experiment.race]
tokenize = {{ {tokenize} }}
matrix = {{ {matrix} }}
{more}
"#
    )
}

const SMALL: &str = r#"corpus = { generate = "30 kB", seed = 7 }, iterations = 2"#;
const RUST: &str = r#"tokenizer = ["byte_level"], runtime = ["rust"]"#;

/// Whether the Python runtime can be set up here.
fn python() -> bool {
    let setup = runner::python::Setup::from_environment(&|name| std::env::var_os(name));
    match setup.for_tokenizers().prepare(&mut |message| eprintln!("{message}")) {
        Ok(_) => true,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "no Python runtime: {error}");
            eprintln!("skipped: the Python runtime could not be set up: {error}");
            false
        }
    }
}

#[test]
fn both_runtimes_race_and_give_the_same_ids() {
    if !python() {
        return;
    }
    let matrix = r#"tokenizer = ["byte_fallback", "byte_level"], runtime = ["rust", "python"]"#;
    let race = Race::new(&manifest(SMALL, matrix, ""));
    race.expect(0, &["exec", "--report"]);
    race.expect(0, &["verify"]);
    let runs = race.runs();
    assert_eq!(runs.len(), 4);
    for (folder, run) in &runs {
        check(folder, run);
    }
    for name in TOKENIZERS {
        let of = |runtime: &str| {
            let own = |run: &RunRecord| {
                run.evidence.agent.runtime == runtime
                    && run.evidence.tokenizer.as_ref().unwrap().name == name
            };
            runs.iter().find(|(_, run)| own(run)).unwrap().1.clone()
        };
        let (rust, python) = (of("rust"), of("python"));
        assert_eq!(rust.tokens, python.tokens, "{name}");
        assert_ne!(rust.cell, python.cell);
        let versions = |run: &RunRecord| run.evidence.agent.info.clone().unwrap().details;
        assert_eq!(versions(&rust)["tokenizers"], versions(&python)["tokenizers"]);
        assert!(versions(&python)["python"].contains('3'));
    }
    let report = fs::read_to_string(race.path("results/race/report/race.md")).unwrap();
    assert!(report.contains("complete: 4 of 4 runs"), "{report}");
    assert!(report.contains("tokenizer_mb_per_s"), "{report}");
    assert!(report.contains("same ids in every runtime"), "{report}");

    // A finished study measures nothing again.
    race.expect(0, &["exec"]);
    assert_eq!(race.runs().len(), 4);
}

/// What a run left agrees with itself.
fn check(folder: &Path, run: &RunRecord) {
    let metric = |name: &str| run.metrics[name].unwrap_or_else(|| panic!("{name} is unknown"));
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let record: AgentRecord = serde_json::from_str(&read("agent.json")).unwrap();
    let done = record.tokenize.unwrap();
    assert!(record.calls.is_empty() && run.calls.is_empty());
    // One warm-up pass and two measured ones over each of three modes.
    assert_eq!(done.passes.len(), 9);
    let whole: Vec<_> =
        done.passes.iter().filter(|pass| pass.mode == TokenizeMode::Whole).collect();
    assert!(whole.iter().all(|pass| pass.bytes == 30_000 && pass.parts == 1));
    assert_eq!(whole.iter().filter(|pass| pass.warmup).count(), 1);

    let tokens = run.tokens.as_ref().unwrap();
    assert_eq!(tokens.corpus_bytes, 30_000);
    assert_eq!(tokens.modes.len(), 3);
    let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
    close(metric("tokenizer_tokens"), tokens.modes["whole"].tokens as f64);
    close(metric("tokenizer_bytes_per_token"), 30_000.0 / metric("tokenizer_tokens"));
    close(
        metric("tokenizer_mb_per_s") * 1e6,
        metric("tokenizer_tokens_per_s") * metric("tokenizer_bytes_per_token"),
    );
    // With one part per pass the rate is the inverse of the mean time.
    close(metric("tokenizer_latency_ms") * metric("tokenizer_mb_per_s"), 30.0);
    assert!(metric("tokenizer_pieces_p50_us") < metric("tokenizer_pieces_p99_us"));
    assert!(metric("tokenizer_load_ms") > 0.0 && metric("startup_ms") > 0.0);

    let rows = read("tokenize_parts.csv").lines().count() - 1;
    let parts: u64 = done.passes.iter().map(|pass| pass.parts).sum();
    assert_eq!(rows as u64, parts);
    let name = &run.evidence.tokenizer.as_ref().unwrap().name;
    let table = read("tokenizer_bench.txt");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "Model           | Tokens/Sec      | Latency (ms)   ");
    assert_eq!(lines[1], "-".repeat(50));
    assert_eq!(lines[2].split('|').next().unwrap().trim(), name);
    // The kept spec says nothing of the machine's folders.
    assert!(!read("spec.json").contains(&*folder.parent().unwrap().to_string_lossy()));
    assert!(!read("spec.json").contains("/corpora/"), "{}", read("spec.json"));
}

#[test]
fn a_corpus_counts_by_its_content() {
    let one = manifest(r#"corpus = { file = "one.txt" }, iterations = 1"#, RUST, "");
    let race = Race::new(&one);
    race.write("one.txt", "Grüße, 世界!\n\nA second line, without an end");
    race.expect(0, &["exec"]);
    let run = race.runs()[0].1.clone();
    assert_eq!(run.identity["tokenize"]["corpus"].as_object().unwrap().len(), 1);
    assert_eq!(run.tokens.as_ref().unwrap().modes["lines"].parts, 2);

    // The same text elsewhere is the same corpus, also by name; another text is another cell.
    race.write("two.txt", fs::read(race.path("one.txt")).unwrap());
    race.write("other.txt", "Another text");
    let matrix = format!("{RUST}, corpus = [\"two\", \"other\"]");
    let named = "[corpus]\ntwo = { file = \"two.txt\" }\nother = { file = \"other.txt\" }";
    race.write(
        "race.toml",
        manifest(r#"corpus = { file = "two.txt" }, iterations = 1"#, &matrix, named),
    );
    race.expect(0, &["exec"]);
    let cells: Vec<String> = race.runs().into_iter().map(|(_, run)| run.cell).collect();
    assert_eq!(cells.len(), 2, "{cells:?}");
    assert!(cells.contains(&run.cell));
}

#[test]
fn a_corpus_that_is_not_what_was_meant_is_refused_at_once() {
    let digest = "0".repeat(64);
    let declared = format!(r#"corpus = {{ file = "text.txt", sha256 = "{digest}" }}"#);
    let race = Race::new(&manifest(&declared, RUST, ""));
    let missing = race.expect(4, &["check"]);
    assert!(missing.contains("cannot read the corpus ./text.txt"), "{missing}");
    assert!(missing.contains("race.toml"), "{missing}");
    race.write("text.txt", "Another text than was meant.");
    let other = race.expect(4, &["check"]);
    assert!(other.contains("has the SHA-256"), "{other}");
    assert!(other.contains(&format!("the manifest declares {digest}")), "{other}");
    race.write("race.toml", manifest(r#"corpus = { file = "text.txt" }"#, RUST, ""));
    race.write("text.txt", b"plain, then \xff\xfe");
    let broken = race.expect(4, &["check"]);
    assert!(broken.contains("byte 12 (0xff) belongs to no character"), "{broken}");
}

#[test]
#[cfg(target_os = "linux")]
fn probes_watch_the_process_and_its_measured_passes_count() {
    use std::os::unix::fs::PermissionsExt as _;

    let probes = "probes = { host = { interval = \"20ms\" }, gpu = { required = true } }";
    let corpus = r#"corpus = { generate = "100 kB" }, iterations = 2"#;
    let race = Race::new(&manifest(corpus, RUST, probes));
    race.write("nvidia-smi", include_str!("fixtures/nvidia-smi/stand-in.sh"));
    fs::set_permissions(race.path("nvidia-smi"), fs::Permissions::from_mode(0o755)).unwrap();
    race.expect(0, &["check"]);
    race.expect(0, &["exec", "--report"]);
    race.expect(0, &["verify"]);
    let (folder, run) = race.runs().pop().unwrap();
    let metric = |name: &str| run.metrics[name].unwrap_or_else(|| panic!("{name} is unknown"));
    assert_eq!((run.probes["host"].as_str(), run.probes["gpu"].as_str()), ("ok", "ok"));

    let record = fs::read_to_string(folder.join("agent.json")).unwrap();
    let done = serde_json::from_str::<AgentRecord>(&record).unwrap().tokenize.unwrap();
    let measured: Vec<_> = done.passes.iter().filter(|pass| !pass.warmup).collect();
    let active_ns: u64 = measured.iter().map(|pass| pass.end_ns - pass.start_ns).sum();
    let tokens: u64 = measured.iter().map(|pass| pass.tokens).sum();
    let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-6, "{a} {b}");
    close(metric("active_s"), active_ns as f64 / 1e9);
    // 100 W all the time.
    close(metric("gpu_energy_j"), 100.0 * active_ns as f64 / 1e9);
    close(metric("joules_per_token"), metric("gpu_energy_j") / tokens as f64);

    let rows: Vec<HostSample> = csv::Reader::from_path(folder.join(host::METRICS_FILE))
        .unwrap()
        .deserialize()
        .map(Result::unwrap)
        .collect();
    let times = || rows.iter().map(|row| row.time_ns);
    assert!(times().min() < Some(done.load.start_ns));
    assert!(times().max() > done.passes.iter().map(|pass| pass.end_ns).max());
    assert!(rows.iter().any(|row| row.agent_processes == Some(1)));
    // It encodes on one thread and does little else: of its time on the clock at most one core.
    assert!(metric("agent_cpu_percent") > 1.0 && metric("agent_cpu_percent") < 110.0);
    assert!(metric("agent_rss_peak_mb") > 1.0 && metric("cpu_s") > 0.0);
    assert!(run.sampling["host"].unavailable["server"].contains("nothing in this run calls one"));
    let report = fs::read_to_string(race.path("results/race/report/race.md")).unwrap();
    assert!(report.contains("## Hardware") && report.contains("agent: CPU of a core"), "{report}");
}

#[test]
fn a_run_says_which_pass_it_is_at() {
    let mut runtimes = vec!["rust"];
    runtimes.extend(python().then_some("python"));
    for runtime in runtimes {
        let matrix = format!(r#"tokenizer = ["byte_level"], runtime = ["{runtime}"]"#);
        let corpus = r#"corpus = { generate = "300 kB" }, iterations = 2"#;
        let race = Race::new(&manifest(corpus, &matrix, ""));
        let said = race.said(0, &["exec", "--json"]);
        let events = said.lines().filter(|line| line.starts_with('{'));
        let events: Vec<serde_json::Value> =
            events.map(|line| serde_json::from_str(line).unwrap()).collect();
        let passes: Vec<_> =
            events.iter().filter(|event| event["event"] == "pass_started").collect();
        let first = serde_json::json!({
            "event": "pass_started", "mode": "whole", "pass": 0, "passes": 3, "warmup": true
        });
        assert_eq!(*passes[0], first, "{runtime}");
        assert!(passes.len() <= 9 && passes.iter().all(|at| at["passes"] == 3), "{passes:?}");
    }
}

#[test]
fn what_means_nothing_is_refused_with_its_place() {
    let bad = |tokenize: &str, matrix: &str, more: &str| {
        Race::new(&manifest(tokenize, matrix, more)).expect(4, &["check"])
    };
    let declared = "[tokenizer.gemma]\nfile = \"gemma.json\"";
    let cases = [
        (bad(SMALL, RUST, declared), "there is no tokenizer named `byte_level`"),
        (bad(SMALL, r#"runtime = ["rust"]"#, ""), "the experiment has no tokenizer"),
        (bad(SMALL, r#"tokenizer = ["../x"]"#, ""), "cannot be the name of a tokenizer"),
        (bad(SMALL, RUST, "probes = { loop_lag = \"1ms\" }"), "has nothing to watch here"),
        (bad(SMALL, RUST, "probes = { chunks = true, host = true }"), "probe `chunks` has nothing"),
        (bad(SMALL, RUST, "probes = { flamegraph = true }"), "probe `flamegraph` has nothing"),
        (bad(SMALL, RUST, "controls = [\"solo\"]"), "the control `solo` means nothing"),
        (bad(r#"corpus = { generate = "0 B" }"#, RUST, ""), "must be from 1 B to"),
        (bad(r#"corpus = { generate = "1 kB", file = "x" }"#, RUST, ""), "exactly one of"),
        (bad(SMALL, RUST, "[tokenizer.x]\nfile = \"m.gguf\""), "GGUF file cannot be used"),
        (bad(SMALL, RUST, "[tokenizer.x]\nfile = \"m.json\"\nsha256 = \"12\""), "is no SHA-256"),
        (bad(SMALL, &format!("{RUST}, corpus = [\"x\"]"), ""), "there is no corpus named `x`"),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}

#[test]
fn a_tokenizer_that_cannot_be_used_stops_the_plan_before_it_starts() {
    let race = Race::new(&manifest(SMALL, r#"tokenizer = ["byte_level", "absent"]"#, ""));
    // Who plans, or wants something else, is not stopped.
    race.expect(0, &["check"]);
    race.expect(0, &["plan"]);
    let said = race.expect(5, &["exec"]);
    assert!(said.contains("tokenizer `absent`: it is missing"), "{said}");
    assert!(said.contains("fetch.py"), "{said}");
    assert!(race.expect(5, &["plan", "--preflight"]).contains("`absent`: it is missing"));
    assert!(race.runs().is_empty());
    // What is not doomed is measured when told to go on.
    let said = race.expect(3, &["exec", "--skip-preflight"]);
    assert!(said.contains("tokenizer `absent`: it is missing"), "{said}");
    assert_eq!(race.runs().len(), 1);

    let file = race.path("tokenizers/absent/tokenizer.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let whole = fs::read(race.path("tokenizers/byte_level/tokenizer.json")).unwrap();
    let broken: [(&[u8], &str); 5] = [
        (&whole[..whole.len() / 2], "was it downloaded to its end?"),
        (b"<html>Not found</html>", "is no whole JSON"),
        (b"{\"architectures\": []}", "without the key `model`"),
        (b"GGUF\x03\0\0\0", "is a GGUF file"),
        (b"", "is no whole JSON"),
    ];
    for (content, expected) in broken {
        fs::write(&file, content).unwrap();
        let said = race.expect(5, &["exec"]);
        assert!(said.contains(expected), "{expected}\n{said}");
        assert!(unfolded(&said).contains("absent/tokenizer.json"), "{said}");
    }
    // What no library can load is known before the start too, and is not tried again and again.
    fs::write(&file, b"{\"model\": {\"type\": \"Other\"}}").unwrap();
    let said = race.expect(5, &["exec"]);
    let expected = "tokenizer `absent`: it cannot be loaded";
    assert!(said.contains(expected) && unfolded(&said).contains("absent/tokenizer.json"), "{said}");
    let said = race.expect(3, &["exec", "--skip-preflight"]);
    assert_eq!(said.matches("failed: ").count(), 1, "{said}");
    assert!(said.contains("attempt 1") && said.contains("not tried again"), "{said}");
}

#[test]
fn everything_that_is_wrong_with_tokenizers_is_found_at_once() {
    let names = ["cut", "other", "page"];
    let declared = names.map(|name| {
        let sha256 = if name == "other" { "a".repeat(64) } else { String::new() };
        let sha256 = if sha256.is_empty() { sha256 } else { format!("sha256 = \"{sha256}\"\n") };
        format!("[tokenizer.{name}]\nfile = \"{name}.json\"\n{sha256}")
    });
    let more = declared.concat() + "[defaults.retry]\nmax = 3\non = [\"agent\"]\n";
    let race = Race::new(&manifest(SMALL, &format!("tokenizer = {names:?}"), &more));
    let whole = fs::read(race.path("tokenizers/byte_level/tokenizer.json")).unwrap();
    race.write("cut.json", &whole[..whole.len() - 2]);
    race.write("other.json", &whole);
    race.write("page.json", "<html>Not found</html>");
    let said = race.expect(5, &["exec"]);
    for expected in
        ["`cut`: it is no whole", "`other`: it is another one", "`page`: it is no whole"]
    {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    let said = race.expect(3, &["exec", "--skip-preflight"]);
    assert_eq!((said.matches("failed: ").count(), race.runs().len()), (3, 0), "{said}");
}

#[test]
fn a_declared_digest_is_held_to_and_another_file_makes_runs_stale() {
    let declare = |sha256: &str| {
        let file = "file = \"tokenizers/byte_level/tokenizer.json\"";
        manifest(SMALL, RUST, &format!("[tokenizer.byte_level]\n{file}\n{sha256}"))
    };
    let race = Race::new(&declare(&format!("sha256 = \"{}\"", "a".repeat(64))));
    let said = race.expect(5, &["exec"]);
    assert!(said.contains("the manifest declares aaaa"), "{said}");
    let said = race.expect(3, &["exec", "--skip-preflight"]);
    assert!(said.contains("the manifest declares aaaa"), "{said}");

    race.write("race.toml", declare(""));
    race.expect(0, &["exec"]);
    let fallback = race.path("tokenizers/byte_fallback/tokenizer.json");
    fs::copy(fallback, race.path("tokenizers/byte_level/tokenizer.json")).unwrap();
    let said = race.expect(0, &["exec"]);
    assert!(said.contains("the digest of the tokenizer `byte_level` was"), "{said}");
    race.expect(0, &["exec", "--rerun-stale"]);
    assert_eq!(race.runs().len(), 1);
}

#[test]
fn a_runtime_that_knows_no_tokenizers_fails_clearly() {
    let mine = |command: &str| {
        let matrix = r#"tokenizer = ["byte_level"], runtime = ["mine"]"#;
        let runtime = format!("[runtime.mine]\ncommand = [{command}]");
        Race::new(&manifest(SMALL, matrix, &runtime))
    };
    // One that does not know the field and goes on as if nothing had been asked for.
    let race = mine(r#""sh", "agent.sh""#);
    race.write(
        "agent.sh",
        r#"spec=$(cat)
folder=$(printf '%s' "$spec" | sed -n 's/^  "artifacts": "\(.*\)",$/\1/p')
info='{"name":"mine","version":"1"}'
printf '{"event":"ready","t_ns":1,"protocol":2,"runtime":%s}\n' "$info"
printf '{"protocol":2,"runtime":%s,"clock":{"monotonic_ns":1,"utc":"x"},"calls":[]}' "$info" \
    > "$folder/agent.json"
printf '{"event":"done","t_ns":2}\n'
"#,
    );
    let said = race.expect(3, &["exec"]);
    assert!(said.contains("`tokenize` is missing"), "{said}");
    assert!(said.contains("does the runtime know `tokenize`?"), "{said}");
}

#[test]
fn runtimes_that_make_other_ids_are_named_before_any_figure() {
    let matrix = r#"tokenizer = ["byte_level"], runtime = ["rust", "mine"]"#;
    let runtime = "[runtime.mine]\ncommand = [\"sh\", \"agent.sh\"]";
    let race = Race::new(&manifest(SMALL, matrix, runtime));
    // Another tokenizer than it was told to take.
    let script = format!("sed 's/byte_level/byte_fallback/' | '{RUNNER}' agent\n");
    race.write("agent.sh", script);
    race.expect(0, &["exec", "--report"]);
    let report = fs::read_to_string(race.path("results/race/report/race.md")).unwrap();
    let warning = report.find("The runtimes do not make the same ids of the same text");
    assert!(warning.unwrap() < report.find("Tokenizers of `race`").unwrap(), "{report}");
    assert!(report.contains("**NO**: lines, pieces, whole"), "{report}");
    assert!(report.contains(" by mine, "), "{report}");

    // One runtime alone cannot be compared.
    let alone = race.expect(0, &["report", "--filter", "runtime=rust"]);
    // Messages are on one line here.
    let page = alone.split_whitespace().next().unwrap();
    let report = fs::read_to_string(race.path(page)).unwrap();
    assert!(report.contains("same ids in every run of one runtime"), "{report}");
    // And tables for other programs have the figures.
    let table = race.expect(0, &["export", "--table", "runs"]);
    assert!(table.contains("tokenizer_pieces_p99_us"), "{table}");
}

#[test]
fn a_run_whose_passes_disagree_does_not_count() {
    let matrix = r#"tokenizer = ["byte_level"], runtime = ["mine"]"#;
    let runtime = "[runtime.mine]\ncommand = [\"sh\", \"agent.sh\"]";
    let race = Race::new(&manifest(SMALL, matrix, runtime));
    let script = |change: &str| {
        race.write(
            "agent.sh",
            format!(
                r#"spec=$(cat)
folder=$(printf '%s' "$spec" | sed -n 's/^  "artifacts": "\(.*\)",$/\1/p')
printf '%s' "$spec" | '{RUNNER}' agent | sed '/"done"/d'
cd "$folder"
{change}
printf '{{"event":"done","t_ns":2}}\n'
"#
            ),
        );
    };
    let faults = [
        (r#"sed -i 's/"ids_sha256":"[0-9a-f]*"/"ids_sha256":"00"/' agent.json"#, "gave other ids"),
        ("sed -i '$d' tokenize_parts.csv", "rows of pass 2 of pieces are missing"),
        ("sed -i 's/^whole,1,0,30000,/whole,1,0,29999,/' tokenize_parts.csv", "do not add up"),
        ("sed -i 's/encode_ns/ns/' tokenize_parts.csv", "the header of tokenize_parts.csv is"),
        ("rm tokenize_parts.csv", "left no usable tokenize_parts.csv"),
        (r#"sed -i 's/"pass":2/"pass":3/' agent.json"#, "pass 2 of whole is out of order"),
    ];
    for (change, expected) in faults {
        script(change);
        let said = race.expect(3, &["exec"]);
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    script("true");
    race.expect(0, &["exec"]);
    assert_eq!(race.runs().len(), 1);
}
