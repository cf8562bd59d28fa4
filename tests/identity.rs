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

    // Which of two servers was called, nobody knows: both are measured.
    edit(&study, &[BOTH, ("repeats = 2", "repeats = 1")]);
    let plan = study.expect(0, &["plan"]);
    assert!(plan.contains("0 done, 2 to do"), "{plan}");
    let filtered = study.expect(0, &["plan", "--filter", "scenario=one"]);
    assert!(filtered.contains("0 done, 1 to do"), "{filtered}");
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

#[test]
fn scenarios_that_differ_by_the_server_call_both() {
    let folder = tempfile::tempdir().unwrap();
    let sends = ["a.csv", "b.csv"].map(|name| folder.path().join(name));
    let servers = [Server::start(&sends[0]), Server::start(&sends[1])];
    let study = study("");
    let text = fs::read_to_string(study.manifest()).unwrap();
    let lines = text.lines().map(|line| match line.get(..5) {
        Some("a = {") => format!("a = {{ ollama = \"{}\" }}", servers[0].url),
        Some("b = {") => format!("b = {{ ollama = \"{}\" }}", servers[1].url),
        _ => line.to_owned(),
    });
    let text = lines.collect::<Vec<_>>().join("\n").replace("[\"m\"]", "[\"simulated\"]");
    fs::write(study.manifest(), text).unwrap();
    edit(&study, &[BOTH]);
    study.expect(0, &["exec"]);
    servers.into_iter().for_each(Server::end);
    for sends in sends {
        let text = fs::read_to_string(&sends).unwrap();
        assert!(text.lines().count() > 5, "{}: {text}", sends.display());
    }
    assert_eq!(study.sealed().len(), 2);
    let status: Value = serde_json::from_str(&study.expect(0, &["status", "--json"])).unwrap();
    assert_eq!(status["total"]["done"], 2);
}
