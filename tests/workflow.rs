//! Workflows end to end on the paced endpoint: what is sent, what is timed, what is refused.

mod study;

use std::fs;
use std::path::{Path, PathBuf};

use formats::protocol::{AgentRecord, Stage};
use runner::store::record::RunRecord;
use serde_json::Value;

use study::{Study, files};

const MANIFEST: &str = r#"
schema = 1
name = "demo"
[defaults]
repeats = 1
warmup = 1
timeout = "5s"
max_tokens = 8
[endpoint]
a = { simulated = { ttft = "20ms", rate = "500 tok/s" } }
[prompt]
plain = { text = "Say {hello}." }
analyse = { text = "{{\"task\": \"analyse\"}}\n{data}\n" }
tell = { text = "Of\n{answer}\nand {data}" }
[workflow.full]
scan = { folder = "data", extensions = ["csv", "md"] }
analysis = "analyse"
report = "tell"
[scenario]
both = [
  { agent = "left", endpoint = "a", workflow = "full" },
  { agent = "right", endpoint = "a", prompt = "plain" },
]
[experiment.t]
scenario = "both"
matrix = { throttle = ["off"] }
"#;

const SUMMARY: &str = "files: 2, left out: 0\n\
                       a.csv: CSV, rows: 2, columns: 1, ragged rows: 0\n\
                       - n: numbers, values: 2, min: 1, max: 2, mean: 1.5\n\
                       b.md: Markdown, words: 2, headings: 1\n\
                       - # Title";

fn demo() -> Study {
    let study = Study::new(&study::Manifest::default());
    write(&study, MANIFEST);
    let data = data(&study);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("a.csv"), "n\n1\n2\n").unwrap();
    fs::write(data.join("b.md"), "# Title\n").unwrap();
    study
}

fn write(study: &Study, manifest: &str) {
    fs::write(study.manifest(), manifest).unwrap();
}

fn data(study: &Study) -> PathBuf {
    study.folder.path().join("data")
}

/// The folder of the only sealed run.
fn run(study: &Study) -> PathBuf {
    let all = files(&study.layout().runs());
    let record = all.iter().find(|path| path.ends_with("run.json")).unwrap();
    record.parent().unwrap().to_owned()
}

fn read(run: &Path, file: &str) -> String {
    fs::read_to_string(run.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn the_report_is_asked_for_with_the_analysis() {
    let study = demo();
    study.expect(0, &["exec"]);
    let run = run(&study);
    // Two warm-up calls, two measured ones; eight digits in brackets before each.
    for (analysis, report) in [(0, 1), (2, 3)] {
        let prompt = |call: u32| read(&run, &format!("prompts/left-{call}.txt"));
        let answer = read(&run, &format!("responses/left-{analysis}.txt"));
        assert!(!answer.is_empty());
        assert_eq!(prompt(analysis)[11..], format!("{{\"task\": \"analyse\"}}\n{SUMMARY}\n"));
        assert_eq!(prompt(report)[11..], format!("Of\n{answer}\nand {SUMMARY}"));
        assert_ne!(prompt(analysis)[..11], prompt(report)[..11]);
    }
    assert!(!run.join("prompts/right-0.txt").exists(), "no workflow, no prompts");
    let spec: Value = serde_json::from_str(&read(&run, "spec.json")).unwrap();
    let plain = spec["agents"][1]["calls"][0]["prompt"].as_str().unwrap();
    assert_eq!(plain[11..], *"Say {hello}.", "a plain prompt is never touched");
    study.expect(0, &["verify"]);
    study.expect(0, &["recompute", "--check"]);
}

#[test]
fn stages_follow_each_other_and_add_up() {
    let study = demo();
    study.expect(0, &["exec"]);
    let run = run(&study);
    let agent: AgentRecord = serde_json::from_str(&read(&run, "agent.json")).unwrap();
    for warmup in [true, false] {
        let stages: Vec<_> = agent.stages.iter().filter(|stage| stage.warmup == warmup).collect();
        assert_eq!(stages.iter().map(|stage| stage.stage).collect::<Vec<_>>(), Stage::ALL);
        let ordered = stages.windows(2).all(|pair| pair[0].end_ns <= pair[1].start_ns);
        assert!(ordered, "{stages:?}");
        let counts: Vec<_> = stages.iter().map(|stage| (stage.files, stage.bytes)).collect();
        assert_eq!(counts[..2], [(Some(2), 14), (Some(2), 14)]);
        let prompt = |call| read(&run, &format!("prompts/left-{call}.txt")).len() as u64;
        let first = if warmup { 0 } else { 2 };
        assert_eq!(counts[2..], [(None, prompt(first)), (None, prompt(first + 1))]);
    }
    let ended = agent.calls.iter().filter(|call| call.warmup).map(|call| call.end_ns).max();
    let began = agent.stages.iter().find(|stage| !stage.warmup).map(|stage| stage.start_ns);
    assert!(ended < began, "the measured scan waits for every agent's warm-up");

    let record: RunRecord = serde_json::from_str(&read(&run, "run.json")).unwrap();
    let metric = |name: &str| record.metrics[name].unwrap();
    let stages = ["scan", "ingest", "analysis", "report"];
    let sum: f64 = stages.map(|stage| metric(&format!("stage_{stage}_ms"))).iter().sum();
    // The workflow is longer than the other agent's only call, so the run's duration is its own;
    // between its stages there are only the making of requests and the notes of it.
    let wall = metric("wall_ms");
    assert!(sum <= wall && wall - sum < 10.0, "{sum} ms of {wall} ms");
    // 2 × (20 ms + 7 gaps of 2 ms)
    assert!(metric("stage_analysis_ms") >= 34.0 && metric("stage_report_ms") >= 34.0);
    let told: Vec<_> =
        record.calls.iter().map(|call| (&*call.agent, call.call, call.stage)).collect();
    for (agent, call, stage) in
        [("left", 0, Some(Stage::Analysis)), ("left", 3, Some(Stage::Report)), ("right", 1, None)]
    {
        assert!(told.contains(&(agent, call, stage)), "{told:?}");
    }
    let table = study.expect(0, &["export", "--table", "calls"]);
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let column = rows.headers().unwrap().iter().position(|name| name == "stage").unwrap();
    let mut stages: Vec<String> =
        rows.records().map(|row| row.unwrap()[column].to_owned()).collect();
    stages.sort();
    assert_eq!(stages, ["", "", "analysis", "analysis", "report", "report"]);
}

#[test]
fn identity_covers_the_files_and_nothing_else_of_them() {
    let study = demo();
    let id = || study.plan().id(0).hex();
    let first = id();
    // Written again, with another time; beside them a file that no scan asks for; elsewhere.
    fs::write(data(&study).join("a.csv"), "n\n1\n2\n").unwrap();
    fs::write(data(&study).join("notes.txt"), "x").unwrap();
    fs::write(data(&study).join(".hidden.csv"), "x").unwrap();
    assert_eq!(id(), first);
    fs::rename(data(&study), study.folder.path().join("elsewhere")).unwrap();
    write(&study, &MANIFEST.replace("\"data\"", "\"elsewhere\""));
    assert_eq!(id(), first);
    fs::rename(study.folder.path().join("elsewhere"), data(&study)).unwrap();
    for (from, to) in [
        ("[workflow.full]", "[workflow.renamed]"),
        ("[\"csv\", \"md\"]", "[\".MD\", \"csv\", \"csv\"]"),
        ("\"md\"] }", "\"md\"], max_files = 1000, max_bytes = \"64 MiB\" }"),
    ] {
        let text = MANIFEST.replace(from, to).replace(
            "workflow = \"full\"",
            if from.starts_with("[workflow") {
                "workflow = \"renamed\""
            } else {
                "workflow = \"full\""
            },
        );
        write(&study, &text);
        assert_eq!(id(), first, "{to}");
    }

    for (from, to) in [
        ("and {data}", "and  {data}"),
        ("analyse\\\"}}", "look\\\"}}"),
        ("\"md\"] }", "\"md\", \"json\"] }"),
        ("\"md\"] }", "\"md\"], max_files = 2 }"),
    ] {
        assert!(MANIFEST.contains(from), "{from}");
        write(&study, &MANIFEST.replace(from, to));
        assert_ne!(id(), first, "{to}");
        let plan = study.plan();
        let canonical = serde_json_canonicalizer::to_vec(&plan.identity(0)).unwrap();
        assert_eq!(plan.document(0), canonical, "{to}");
    }
    write(&study, MANIFEST);
    fs::write(data(&study).join("a.csv"), "n\n1\n3\n").unwrap();
    assert_ne!(id(), first);
    fs::write(data(&study).join("a.csv"), "n\n1\n2\n").unwrap();
    assert_eq!(id(), first);
    fs::rename(data(&study).join("b.md"), data(&study).join("c.md")).unwrap();
    assert_ne!(id(), first);
}

/// A study whose runtime is a shell script around the Rust one.
fn scripted(script: &str) -> Study {
    let study = demo();
    let runtime = "[runtime.scripted]\ncommand = [\"sh\", \"agent.sh\"]\n[experiment.t]\nruntime = \"scripted\"";
    write(&study, &MANIFEST.replace("[experiment.t]", runtime));
    study.script(&format!(
        r#"spec=$(cat)
folder=$(printf '%s' "$spec" | sed -n 's/.*"artifacts": "\(.*\)",/\1/p')
case "$spec" in
    *'"workflow"'*) {script};;
    *) printf '%s' "$spec" | "$RUNNER" agent;;
esac"#
    ));
    study
}

#[test]
fn a_runtime_that_sends_another_prompt_gives_no_run() {
    let study = scripted(
        r#"printf '%s' "$spec" | "$RUNNER" agent; printf ' ' >> "$folder/prompts/left-1.txt""#,
    );
    let said = study.expect(3, &["exec"]);
    assert!(said.contains("left-1.txt differs from byte"), "{said}");
    assert_eq!(study.failures()[0].1.cause, "artifacts");
}

#[test]
fn a_runtime_that_skips_a_stage_gives_no_run() {
    let study = scripted(
        r#"printf '%s' "$spec" | "$RUNNER" agent
        sed -i 's/"stage":"ingest"/"stage":"scan"/' "$folder/agent.json""#,
    );
    let said = study.expect(3, &["exec"]);
    assert!(said.contains("the stages scan, scan, analysis"), "{said}");
}

#[test]
fn files_that_change_while_they_are_measured_give_no_run() {
    let study = scripted(r#"echo 3 >> data/a.csv; printf '%s' "$spec" | "$RUNNER" agent"#);
    let said = study.expect(3, &["exec"]);
    assert!(said.contains("are not those that the manifest was read with"), "{said}");
    assert_eq!(study.failures()[0].1.cause, "corpus");
}
