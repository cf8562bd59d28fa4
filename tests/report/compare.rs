//! `runner compare` as a user runs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use runner::store::executed::{self, ExecutedPlan, PLAN_FORMAT, PlannedCell};
use runner::store::record::GpuEvidence;
use runner::store::{Layout, Store};

use crate::stored::{Stored, files};

/// A folder with the results of one study as `a` and as `b`.
struct Sets {
    dir: tempfile::TempDir,
}

impl Sets {
    fn new(a: &Stored, b: &Stored) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, stored) in [("a", a), ("b", b)] {
            let from = stored.results().join("small");
            for (path, bytes) in files(&from) {
                let to = dir.path().join(name).join(path.strip_prefix(&from).unwrap());
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::write(to, bytes).unwrap();
            }
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn compare(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_runner"))
            .current_dir(self.dir.path())
            .env("NO_COLOR", "1")
            .env_remove("COLUMNS")
            .arg("compare")
            .args(args)
            .output()
            .unwrap()
    }

    #[track_caller]
    fn says(&self, args: &[&str]) -> String {
        let output = self.compare(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{error}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn fails(&self, args: &[&str], code: i32, part: &str) {
        let output = self.compare(args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(output.stdout.is_empty());
        // long messages are broken into lines
        let flat = error.replace("│", " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(part), "{error}");
    }
}

/// The same study a day later on another machine: slower by 4 ms and a little noise.
fn another_day() -> Stored {
    let stored = Stored::empty();
    for cell in 0..2 {
        for repeat in 1..=3 {
            let mut run = stored.run(cell, repeat);
            run.started = Some(run.began().replace("06-01", "06-02"));
            run.finished = run.finished.as_ref().map(|at| at.replace("06-01", "06-02"));
            run.evidence.machine.hostname = Some("laptop".into());
            run.evidence
                .machine
                .gpus
                .push(GpuEvidence { name: "RTX".into(), ..Default::default() });
            let insight = run.evidence.endpoints.get_mut("insight").unwrap();
            insight.version = Some("0.9.1\u{1b}[2J".into());
            let noise = [0.0, 0.3, -0.2][repeat as usize - 1];
            if cell == 1 {
                let ttft = run.metrics.get_mut("ttft_ms").unwrap();
                *ttft = ttft.map(|ttft| ttft + 4.0 + noise);
            }
            stored.seal(cell, &run);
        }
    }
    stored
}

fn plan(stored: &Stored, root: &Path) {
    let cells = (0..2).map(|cell| PlannedCell {
        id: stored.plan.id(cell).hex(),
        name: format!("planned_{cell}"),
        repeats: 2,
        experiments: vec!["throttle".into()],
    });
    let cells: Vec<PlannedCell> = cells.collect();
    let plan = ExecutedPlan {
        format: PLAN_FORMAT,
        study: "small".into(),
        profile: Some("night".into()),
        executed: "2025-06-02T10:00:00Z".into(),
        digest: executed::digest(&cells, &BTreeMap::new(), &BTreeMap::new()),
        manifest: String::new(),
        cells,
        hypotheses: BTreeMap::new(),
        changed: BTreeMap::new(),
        repeats: BTreeMap::new(),
    };
    executed::write(&Layout::at(root), plan, |_| true).unwrap();
}

#[test]
fn a_set_with_itself_does_not_differ() {
    let stored = Stored::complete();
    let sets = Sets::new(&stored, &stored);
    let text = sets.says(&["a", "b"]);
    assert!(text.contains("A and B hold the same runs: there is no difference."), "{text}");
    assert!(text.contains("The circumstances are the same"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&sets.says(&["a", "b", "--json"])).unwrap();
    let rows = json["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|metric| metric["rows"].as_array().unwrap());
    assert!(rows.clone().count() > 10);
    for row in rows {
        assert_eq!((&row["judgement"], &row["difference"]), (&"same".into(), &0.0.into()));
    }
}

#[test]
fn another_day_on_another_machine() {
    let sets = Sets::new(&Stored::complete(), &another_day());
    let text = sets.says(&["a", "b", "--metric", "ttft_ms", "--metric", "tokens"]);
    insta::assert_snapshot!("compare", text);
    let evidence = text.find("hostname").unwrap();
    assert!(evidence < text.find("ttft_ms").unwrap(), "what differs comes first");
    assert!(!text.contains('\u{1b}'));
    plan(&Stored::complete(), &sets.path("b"));
    let text = sets.says(&["a", "b", "--metric", "ttft_ms"]);
    // repeats beyond the plan are hidden
    assert!(text.contains("B  b: small, profile night; 4 runs compared"), "{text}");
}

#[test]
fn a_narrow_terminal_keeps_the_interval_and_p() {
    let sets = Sets::new(&Stored::complete(), &another_day());
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(sets.dir.path())
        .env("COLUMNS", "110")
        .args(["compare", "a", "b", "--metric", "ttft_ms"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let table = text.split("ttft_ms (ms").nth(1).unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 110), "{text}");
    assert!(table.contains("95 % interval") && table.contains("p (FDR)"), "{text}");
    assert!(!table.contains("Hedges' g  "), "{text}");
}

#[test]
fn stale_runs_are_left_out_and_counted() {
    let stored = Stored::complete();
    stored.remove(0, 1);
    let mut other = stored.run(0, 1);
    other.evidence.machine.hostname = Some("laptop".into());
    stored.seal(0, &other);
    let sets = Sets::new(&stored, &Stored::complete());
    let text = sets.says(&["a", "b", "--metric", "ttft_ms"]);
    assert!(text.contains("A  a; 5 runs compared, 1 stale left out"), "{text}");
    assert!(text.contains("The circumstances are the same"), "{text}");
}

#[test]
fn what_cannot_be_compared_is_said() {
    let stored = Stored::complete();
    let sets = Sets::new(&stored, &stored);
    sets.fails(&["a", "nowhere"], 2, "nowhere is not a folder");
    fs::create_dir_all(sets.path("c/tr117/runs")).unwrap();
    sets.fails(&["c", "a"], 2, "did you mean `c/tr117`?");
    sets.fails(&["a", "c/tr117"], 2, "c/tr117 has no sealed run");
    sets.fails(&["a", "b", "--filter", "throttle=80"], 2, "no cell of either side matches");
    sets.fails(&["a", "b", "--metric", "ttft"], 2, "there is no metric `ttft`");
    let off = ["a", "b", "--filter", "throttle=off", "--metric", "ttft_ms"];
    assert!(sets.says(&off).contains("1 cell in both"));

    // only one cell on each side, and not the same
    for (name, cell) in [("a", 0), ("b", 1)] {
        let store = Store::at(&sets.path(name)).unwrap();
        let id = stored.plan.id(cell).hex();
        fs::remove_dir_all(store.folder(&id, 1).unwrap().parent().unwrap()).unwrap();
    }
    sets.fails(&["a", "b"], 2, "nothing in common");

    let store = Store::at(&sets.path("b")).unwrap();
    let id = stored.plan.id(0).hex();
    let path = store.folder(&id, 2).unwrap().join("run.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"format\": 2", "\"format\": 99", 1)).unwrap();
    sets.fails(&["a", "b"], 1, "use a newer runner");
    fs::write(&path, "{").unwrap();
    sets.fails(&["a", "b"], 2, "it counts as missing");
}
