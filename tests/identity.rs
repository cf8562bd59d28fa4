//! Which server is called is part of what is measured, and runs that were measured before it was stay.

mod study;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use study::{Manifest, RUNNER, Study};

const TWO: &str = r#"two = [{ agent = "left", endpoint = "b", prompt = "p" }]"#;

/// The study of these tests: the same agent on `a`, and on `b` in the scenario `two`.
fn study(experiment: &str) -> Study {
    let study = Study::new(&Manifest { tables: TWO, experiment, ..Manifest::default() });
    edit(
        &study,
        &[("[prompt]", "b = { simulated = { ttft = \"5ms\", rate = \"1000 tok/s\" } }\n[prompt]")],
    );
    study
}

fn edit(study: &Study, changes: &[(&str, &str)]) {
    let mut text = fs::read_to_string(study.manifest()).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}\n{text}");
        text = text.replace(from, to);
    }
    fs::write(study.manifest(), text).unwrap();
}

const BOTH: (&str, &str) = (r#"scenario = ["one"]"#, r#"scenario = ["one", "two"]"#);

/// Makes every stored run one of version 1, as that version identified it.
fn as_version_1(study: &Study) {
    let _ = fs::remove_file(study.layout().journal());
    let folders = walkdir::WalkDir::new(study.layout().runs()).into_iter().map(Result::unwrap);
    let records: Vec<_> = folders.filter(|entry| entry.file_name() == "run.json").collect();
    assert!(!records.is_empty());
    for entry in records {
        let mut record: Value = serde_json::from_slice(&fs::read(entry.path()).unwrap()).unwrap();
        record.as_object_mut().unwrap().remove("identity_version");
        for agent in record["identity"]["agents"].as_array_mut().unwrap() {
            agent.as_object_mut().unwrap().remove("endpoint");
        }
        let document = serde_json_canonicalizer::to_vec(&record["identity"]).unwrap();
        let tagged = [b"runner/cell/1\n".as_slice(), &document].concat();
        record["cell"] = formats::digest::of_bytes(&tagged)[..32].into();
        fs::write(entry.path(), serde_json::to_vec(&record).unwrap()).unwrap();
        // Folders bear the ids of their cells.
        let folder = entry.path().parent().and_then(Path::parent).unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let id = record["cell"].as_str().unwrap();
        let name = format!("{}-{}", name.rsplit_once('-').unwrap().0, &id[..8]);
        fs::rename(folder, folder.with_file_name(name)).unwrap();
    }
}

#[test]
fn runs_of_version_1_answer_the_one_cell_that_they_can_be_of() {
    let study = study("");
    study.expect(0, &["exec"]);
    as_version_1(&study);
    let before = study.sealed();
    let plan = study.expect(0, &["plan"]);
    assert!(plan.contains("1 done, 0 to do, 1 of identity 1"), "{plan}");
    let status = study.expect(0, &["status"]);
    assert!(status.contains("1 run of identity 1"), "{status}");
    study.expect(0, &["exec"]);
    study.expect(0, &["verify"]);
    assert_eq!(study.sealed(), before, "nothing is measured again");
    study.expect(0, &["report"]);
    let report = fs::read_to_string(study.layout().root().join("report/demo.md")).unwrap();
    assert!(report.contains("/1) (identity 1)"), "{report}");
    let rows = study.expect(0, &["export"]);
    assert_eq!(rows.lines().count(), 2, "{rows}");

    // More repeats are of today's version, beside the old ones.
    edit(&study, &[("repeats = 1", "repeats = 2")]);
    study.expect(0, &["exec"]);
    assert_eq!(study.sealed().len(), 2);
    let plan = study.expect(0, &["plan"]);
    assert!(plan.contains("2 done, 0 to do, 1 of identity 1"), "{plan}");
    study.expect(0, &["verify"]);
}

#[test]
fn a_run_of_version_1_is_of_the_cell_whose_servers_it_met() {
    let study = study("");
    study.expect(0, &["exec"]);
    as_version_1(&study);
    edit(&study, &[BOTH]);
    let plan = study.expect(0, &["plan"]);
    assert!(plan.contains("1 done, 1 to do"), "{plan}");
    let filtered = study.expect(0, &["plan", "--filter", "scenario=one"]);
    assert!(filtered.contains("1 done, 0 to do"), "{filtered}");
    // What was measured on one server is no run of another, if it is the only one that is left.
    edit(&study, &[(BOTH.1, r#"scenario = ["two"]"#)]);
    let plan = study.expect(0, &["plan"]);
    assert!(plan.contains("0 done, 1 to do"), "{plan}");
    assert!(study.expect(0, &["gc", "--delete"]).contains("kept"));

    // Where the record does not say which of two servers was called, nobody knows: both are measured.
    edit_record(&study, |record| record["evidence"]["endpoints"] = serde_json::json!({}));
    assert!(study.expect(0, &["plan"]).contains("1 done, 0 to do"));
    edit(&study, &[(r#"scenario = ["two"]"#, BOTH.1)]);
    let plan = study.expect(0, &["plan"]);
    assert!(plan.contains("0 done, 2 to do"), "{plan}");
    let filtered = study.expect(0, &["plan", "--filter", "scenario=one"]);
    assert!(filtered.contains("0 done, 1 to do"), "{filtered}");
}

#[test]
fn of_two_former_ids_the_later_version_comes_first() {
    let study = study("");
    study.expect(0, &["exec"]);
    let runs = study.layout().runs();
    let kept = study.folder.path().join("kept");
    copy(&runs, &kept);
    as_version_1(&study);
    copy(&kept, &runs);
    edit(
        &study,
        &[
            ("a = { simulated", "c = { was = \"a\", simulated"),
            (r#"endpoint = "a""#, r#"endpoint = "c""#),
        ],
    );
    // In any order in which a program may happen to meet them.
    for _ in 0..6 {
        let plan = study.expect(0, &["plan"]);
        assert!(plan.contains("1 done, 0 to do") && !plan.contains("of identity 1"), "{plan}");
    }
}

fn copy(from: &Path, to: &Path) {
    for file in study::files(from) {
        let place = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(&file, &place).unwrap();
    }
}

/// Changes the only record.
fn edit_record(study: &Study, change: impl FnOnce(&mut Value)) {
    let mut files = study::files(&study.layout().runs()).into_iter();
    let path = files.find(|path| path.ends_with("run.json")).unwrap();
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut record);
    fs::write(path, serde_json::to_vec(&record).unwrap()).unwrap();
}

#[test]
fn an_edited_run_of_version_1_is_damage_of_its_cell_of_today_until_it_is_made_again() {
    let study = study("");
    study.expect(0, &["exec"]);
    as_version_1(&study);
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("the line was added"), "{said}");
    assert!(!study.expect(0, &["report", "--stdout"]).contains("of the stored runs"));
    edit_record(&study, |record| record["attempt"] = 2.into());
    let partial = study.expect(0, &["report", "--partial", "--stdout"]);
    let cell = partial.lines().find(|line| line.contains("not the one that was sealed"));
    assert!(cell.is_some(), "{partial}");
    let said = study.expect(0, &["exec"]);
    assert!(said.contains("a damaged run was moved to failed/"), "{said}");
    study.expect(0, &["verify"]);
    let report = study.expect(0, &["report", "--stdout"]);
    assert!(report.contains("complete: 1 of 1 runs"), "{report}");
}

#[test]
fn a_renamed_endpoint_keeps_its_runs_by_its_old_name() {
    let study = study("");
    study.expect(0, &["exec"]);
    edit(
        &study,
        &[("a = { simulated", "c = { simulated"), (r#"endpoint = "a""#, r#"endpoint = "c""#)],
    );
    assert!(study.expect(0, &["plan"]).contains("0 done, 1 to do"));
    edit(&study, &[("c = { simulated", "c = { was = \"a\", simulated")]);
    assert!(study.expect(0, &["plan"]).contains("1 done, 0 to do"));
    study.expect(0, &["exec"]);
    study.expect(0, &["verify"]);
    study.expect(0, &["report"]);
    assert_eq!(study.sealed().len(), 1);

    // A server that changed is seen under either name.
    fs::remove_file(study.layout().journal()).unwrap();
    edit_record(&study, |record| record["evidence"]["endpoints"]["a"]["version"] = "0.0.1".into());
    edit(&study, &[("repeats = 1", "repeats = 2")]);
    study.expect(0, &["exec"]);
    let report = study.expect(1, &["report"]);
    assert!(report.contains("the server version of `c` was 0.0.1"), "{report}");

    edit(&study, &[("was = \"a\"", "was = \"b\"")]);
    let wrong = study.expect(4, &["plan"]);
    assert!(wrong.contains("`b` is an endpoint of this manifest, not an old name"), "{wrong}");
    edit(
        &study,
        &[("was = \"b\"", "was = \"x\""), ("b = { simulated", "b = { was = \"x\", simulated")],
    );
    let wrong = study.expect(4, &["plan"]);
    assert!(wrong.contains("`x` was the name of `c`, too"), "{wrong}");
}

/// A server that says what it sent when it ends.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(sends: &Path) -> Self {
        let mut command = Command::new(RUNNER);
        command.args(["simulate", "--rate", "1000 tok/s", "--ttft", "1ms", "--sends"]).arg(sends);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }

    /// Ends it as ctrl-C does.
    fn end(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.child.wait().unwrap();
    }
}

/// The study with two real servers in the place of its paced endpoints, and what each of them sent.
fn with_servers(experiment: &str, changes: &[(&str, &str)]) -> (Study, [String; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let sends = ["a.csv", "b.csv"].map(|name| folder.path().join(name));
    let servers = [Server::start(&sends[0]), Server::start(&sends[1])];
    let study = study(experiment);
    let text = fs::read_to_string(study.manifest()).unwrap();
    let lines = text.lines().map(|line| match line.get(..5) {
        Some("a = {") => format!("a = {{ ollama = \"{}\" }}", servers[0].url),
        Some("b = {") => format!("b = {{ ollama = \"{}\" }}", servers[1].url),
        _ => line.to_owned(),
    });
    let text = lines.collect::<Vec<_>>().join("\n").replace("[\"m\"]", "[\"simulated\"]");
    fs::write(study.manifest(), text).unwrap();
    edit(&study, changes);
    study.expect(0, &["exec"]);
    servers.into_iter().for_each(Server::end);
    (study, sends.map(|path| fs::read_to_string(path).unwrap()))
}

#[test]
fn scenarios_that_differ_by_the_server_call_both() {
    let (study, sends) = with_servers("", &[BOTH]);
    for text in sends {
        assert!(text.lines().count() > 5, "{text}");
    }
    assert_eq!(study.sealed().len(), 2);
    let status: Value = serde_json::from_str(&study.expect(0, &["status", "--json"])).unwrap();
    assert_eq!(status["total"]["done"], 2);
}

#[test]
fn the_endpoint_is_a_factor() {
    let baseline = "baseline = { endpoint = \"a\" }";
    let open = [
        (r#"agent = "left", endpoint = "a""#, r#"agent = "left""#),
        (r#"scenario = ["one"]"#, r#"scenario = ["one"], endpoint = ["a", "b"]"#),
        ("repeats = 1", "repeats = 2"),
    ];
    let (study, sends) = with_servers(baseline, &open);
    for text in sends {
        assert!(text.lines().count() > 10, "{text}");
    }
    assert_eq!(study.sealed().len(), 4);
    let called = |run: &Value| -> (String, String) {
        let level = run["levels"].as_array().unwrap().iter().find(|own| own["name"] == "endpoint");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&level.unwrap()["level"]), text(&run["identity"]["agents"][0]["endpoint"]))
    };
    let runs = records(&study);
    for name in ["a", "b"] {
        let own = (name.to_owned(), name.to_owned());
        assert_eq!(runs.iter().map(called).filter(|run| *run == own).count(), 2);
    }
    let plan = study.expect(0, &["plan", "--filter", "endpoint=b"]);
    assert!(plan.contains("1 cell, 2 runs: 2 done"), "{plan}");
    let rows = study.expect(0, &["export", "--filter", "endpoint=b"]);
    assert_eq!(rows.lines().count(), 3, "{rows}");
    assert!(rows.lines().next().unwrap().split(',').any(|column| column == "endpoint"), "{rows}");
    study.expect(0, &["report"]);
    let report = fs::read_to_string(study.layout().root().join("report/demo.md")).unwrap();
    assert!(report.contains("| endpoint |"), "{report}");

    // The level is the identity of a scenario that names the same endpoint itself.
    edit(
        &study,
        &[
            (r#"agent = "left", prompt"#, r#"agent = "left", endpoint = "b", prompt"#),
            (r#", endpoint = ["a", "b"]"#, ""),
            (baseline, ""),
        ],
    );
    let plan = study.expect(0, &["plan"]);
    assert!(plan.contains("1 cell, 2 runs: 2 done, 0 to do"), "{plan}");
    assert!(plan.contains("2 stored runs that no cell"), "{plan}");
}

/// Every sealed record as it lies on the disk.
fn records(study: &Study) -> Vec<Value> {
    let files = study::files(&study.layout().runs()).into_iter();
    let records = files.filter(|path| path.ends_with("run.json"));
    records.map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
}

#[test]
fn levels_are_sealed_and_every_filter_understands_them() {
    let axes = ", cold = [false], max_tokens = [8, 12], rate = [\"default\", 500]";
    let study = Study::new(&Manifest { axes, ..Manifest::default() });
    study.expect(0, &["exec"]);
    let levels = |run: &Value| -> Vec<(String, Value, String, Value)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let levels = run["levels"].as_array().unwrap().iter();
        levels
            .map(|own| {
                (
                    text(&own["name"]),
                    own["level"].clone(),
                    text(&own["text"]),
                    own["number"].clone(),
                )
            })
            .collect()
    };
    let runs = records(&study);
    assert_eq!(runs.len(), 4);
    let slow = runs.iter().map(levels).find(|own| own.iter().any(|l| l.2 == "500 tok/s")).unwrap();
    let rate = slow.iter().find(|own| own.0 == "rate").unwrap();
    assert_eq!((&rate.1, &rate.3), (&500.into(), &500.0.into()));
    let scenario = slow.iter().find(|own| own.0 == "scenario").unwrap();
    assert_eq!((scenario.1.as_str(), scenario.2.as_str()), (Some("one"), "one"));

    let folder = study.layout().root().to_str().unwrap().to_owned();
    let id = runs[0]["cell"].as_str().unwrap().to_owned();
    let name = runs[0]["cell_name"].as_str().unwrap().to_owned();
    for (filter, cells) in [
        ("cold=false".to_owned(), 4),
        ("rate=500,max_tokens=8".to_owned(), 1),
        ("rate=default".to_owned(), 2),
        ("scenario=one".to_owned(), 4),
        ("runtime=rust".to_owned(), 4),
        (id[..8].to_owned(), 1),
        (format!("cell={}", &id[..6]), 1),
        (format!("cell={id}"), 1),
        (format!("cell={name}"), 1),
        (format!("cell~{}", name.to_uppercase()), 1),
    ] {
        let plan = study.expect(0, &["plan", "--json", "--filter", &filter]);
        let plan: Value = serde_json::from_str(&plan).unwrap();
        assert_eq!(plan["cells"], cells, "plan: {filter}");
        let arguments = ["compare", &folder, &folder, "--json", "--filter", &filter];
        let compared = Command::new(RUNNER).args(arguments).output().unwrap();
        let compared: Value = serde_json::from_slice(&compared.stdout).unwrap();
        assert_eq!(compared["cells"], cells, "compare: {filter}");
    }
    study.expect(2, &["plan", "--filter", "cold=true"]);
    let wrong = study.expect(2, &["plan", "--filter", "rat=500"]);
    assert!(
        wrong.contains("no cell has `rat`") && wrong.contains("did you mean `rate`?"),
        "{wrong}"
    );
}
