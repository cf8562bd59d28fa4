//! A small study with a store filled by hand: known times, no server, no clock.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use formats::protocol::{AgentRecord, CallRecord};
use runner::cells::Filters;
use runner::cells::filter::Vocabulary;
use runner::plan::Plan;
use runner::report::{self, Data};
use runner::store::record::{
    AgentEvidence, Calibration, CodeEvidence, EndpointEvidence, ErrorSummary, Evidence,
    GitEvidence, MachineEvidence, ModelEvidence, ProcessUsage, RUN_FORMAT, RunRecord,
};
use runner::store::{Store, failed, seal};
use runner::{execute, manifest, metrics};

use crate::calls;

pub const MANIFEST: &str = r#"
schema = 1
name   = "small"
title  = "A small study | with <b>markup</b>"

[defaults]
repeats = 3
warmup  = 1

[endpoint]
collector = { simulated = { ttft = "50ms", rate = "100 tok/s" } }
insight   = { ollama = "http://localhost:11435" }

[prompt]
collector = { text = "Collect." }
insight   = { text = "Analyse." }

[scenario]
both = [
  { agent = "collector", endpoint = "collector", prompt = "collector" },
  { agent = "insight",   endpoint = "insight",   prompt = "insight" },
]

[experiment.throttle]
title    = "Is slower faster?"
matrix   = { model = ["gemma3:latest"], scenario = ["both"], throttle = ["off", "60 tok/s"] }
baseline = { throttle = "off" }

[experiment.again]
matrix = { model = ["gemma3:latest"], scenario = ["both"] }
"#;

/// A study's folder, its plan, and what is stored.
pub struct Stored {
    pub dir: tempfile::TempDir,
    pub plan: Plan,
}

impl Stored {
    /// The study without any run.
    pub fn empty() -> Self {
        Self::of(MANIFEST)
    }

    /// The study with the solo control in its first experiment, and all of its runs.
    pub fn with_solo() -> Self {
        let controls = "controls = [\"solo\"]\nbaseline";
        let stored = Self::of(&MANIFEST.replacen("baseline", controls, 1));
        stored.fill();
        stored
    }

    /// Any study, without any run.
    pub fn of(manifest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("small.toml");
        fs::write(&path, manifest).unwrap();
        Self { plan: plan(&path, None), dir }
    }

    /// A manifest that lies elsewhere, without any run.
    pub fn elsewhere(path: &Path, profile: Option<&str>) -> Self {
        Self { plan: plan(path, profile), dir: tempfile::tempdir().unwrap() }
    }

    /// The manifest is edited; what is stored stays.
    pub fn edit(&mut self, change: impl Fn(String) -> String) {
        let path = self.dir.path().join("small.toml");
        fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
        self.plan = plan(&path, None);
    }

    /// So many repeats in every experiment.
    pub fn repeats(&mut self, repeats: u32) {
        let mut study = self.plan.study().clone();
        for experiment in &mut study.experiments {
            experiment.settings.repeats = repeats;
        }
        self.plan = Plan::new(study, &Filters::default()).unwrap();
    }

    /// Only what a filter leaves.
    pub fn filter(&mut self, expression: &str) {
        let study = self.plan.study().clone();
        let filters = Filters::parse(&[expression.to_owned()], &Vocabulary::of(&study)).unwrap();
        self.plan = Plan::new(study, &filters).unwrap();
    }

    /// Seals every run that this version can make, with metrics of one's own: cell, repeat → values.
    pub fn measure(&self, metrics: impl Fn(&str, u32) -> Vec<(&'static str, f64)>) {
        for cell in (0..).take(self.plan.cells()) {
            let folder = self.cell_folder(cell);
            for repeat in 1..=self.plan.repeats(cell) {
                let mut run = self.run(cell, repeat);
                for (name, value) in metrics(&run.cell_name, repeat) {
                    run.metrics.insert(name.into(), Some(value));
                }
                seal_in(&folder, &run, &[("agent.log", String::new())]);
            }
        }
    }

    /// What an exec writes before its first run.
    pub fn declare(&self) {
        let store = self.store();
        fs::create_dir_all(store.layout().root()).unwrap();
        execute::declare(&self.plan, &store).unwrap();
    }

    pub fn store(&self) -> Store {
        Store::open(&self.results(), &self.plan.study().results_name()).unwrap()
    }

    /// The study with all of its runs.
    pub fn complete() -> Self {
        let stored = Self::empty();
        stored.fill();
        stored
    }

    /// One run of each of that many cells in the first experiment, one of them far off, and of one more
    /// cell in the second.
    pub fn with_levels(levels: usize) -> Self {
        let model =
            |n| format!("\"a-model-with-a-long-name-that-goes-on-and-on-until-the-end-{n}\"");
        let models: Vec<String> = (1..=levels).map(model).collect();
        let manifest = MANIFEST
            .replace("repeats = 3", "repeats = 1")
            .replacen("\"gemma3:latest\"", &models.join(", "), 1)
            .replace("\"gemma3:latest\"", &model(0))
            .replace(", throttle = [\"off\", \"60 tok/s\"]", "")
            .replace("baseline = { throttle = \"off\" }", "");
        let stored = Self::of(&manifest);
        for (cell, repeat) in stored.planned_runs() {
            let mut run = stored.run(cell, repeat);
            let far = if cell == 1 { 1e9 } else { 50.0 };
            run.metrics.insert("ttft_ms".into(), Some(far + f64::from(cell % 9)));
            stored.seal(cell, &run);
        }
        stored
    }

    /// The study with all of its runs, of this model.
    pub fn with_model(model: &str) -> Self {
        let model = serde_json::to_string(model).unwrap();
        let stored = Self::of(&MANIFEST.replace("\"gemma3:latest\"", &model));
        stored.fill();
        stored
    }

    pub fn fill(&self) {
        for (cell, repeat) in self.planned_runs() {
            self.seal(cell, &self.run(cell, repeat));
        }
    }

    /// Cell and repeat of every run of the plan.
    fn planned_runs(&self) -> Vec<(u32, u32)> {
        (0..u32::try_from(self.plan.cells()).unwrap())
            .flat_map(|cell| (1..=self.plan.repeats(cell)).map(move |repeat| (cell, repeat)))
            .collect()
    }

    /// Those that are stored.
    pub fn stored_runs(&self) -> Vec<(u32, u32)> {
        let store = Store::open(&self.results(), "small").unwrap();
        let is_stored = |(cell, repeat): &(u32, u32)| {
            store.folder(&self.plan.id(*cell).hex(), *repeat).is_some()
        };
        self.planned_runs().into_iter().filter(is_stored).collect()
    }

    pub fn results(&self) -> PathBuf {
        self.dir.path().join("results")
    }

    pub fn run(&self, cell: u32, repeat: u32) -> RunRecord {
        let mut record = record(u64::from(cell), u64::from(repeat));
        let spec = self.plan.spec(cell);
        record.calls.retain(|call| spec.agents().iter().any(|agent| agent.name == call.agent));
        let process = ProcessUsage {
            startup_ms: Some(4.0),
            peak_rss_mb: Some(10.0 + f64::from(repeat)),
            cpu_s: Some(0.02),
            ..ProcessUsage::default()
        };
        let metrics = metrics::compute(
            &record,
            &metrics::Recorded::default(),
            &process,
            metrics::Conditions::default(),
        );
        RunRecord {
            format: RUN_FORMAT,
            cell: self.plan.id(cell).hex(),
            identity_version: 2,
            levels: Vec::new(),
            cell_name: self.plan.name(cell),
            repeat,
            attempt: 1,
            identity: spec.identity,
            // a block a minute, and its cells in their order
            started: Some(format!(
                "2025-06-01T10:0{repeat}:{:02}.{:03}Z",
                cell.min(59),
                cell.saturating_sub(59)
            )),
            finished: Some(format!("2025-06-01T10:0{repeat}:0{cell}.500Z")),
            imported: None,
            agents: metrics.agents,
            evidence: evidence(),
            process,
            machine: None,
            calls: metrics.calls,
            metrics: metrics.run,
            probes: BTreeMap::new(),
            servers: BTreeMap::new(),
            serving: BTreeMap::new(),
            fallback_of: None,
            rerun_of: None,
            tokens: None,
            command: None,
            sampling: BTreeMap::new(),
            wire: None,
            recomputed: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    pub fn seal(&self, cell: u32, record: &RunRecord) {
        self.seal_with(cell, record, &[("agent.log", String::new())]);
    }

    /// Seals a run with these files.
    pub fn seal_with(&self, cell: u32, record: &RunRecord, files: &[(&str, String)]) {
        seal_in(&self.cell_folder(cell), record, files);
    }

    pub fn remove(&self, cell: u32, repeat: u32) {
        fs::remove_dir_all(self.cell_folder(cell).join(repeat.to_string())).unwrap();
    }

    fn cell_folder(&self, cell: u32) -> PathBuf {
        let store = self.store();
        store.cell_folder(&self.plan.id(cell).hex(), &self.plan.name(cell)).unwrap()
    }

    /// An attempt that failed with a message from outside.
    pub fn fail(&self, cell: u32, message: &str) {
        let store = self.store();
        let folder = self.cell_folder(cell).join(".1.partial");
        fs::create_dir_all(&folder).unwrap();
        let failure = failed::Failure {
            cell: Some(self.plan.id(cell).hex()),
            attempt: Some(1),
            finished: "2025-06-01T10:00:30.000Z".into(),
            ..failed::Failure::new(self.plan.name(cell), 1, "in_band_error", message.into())
        };
        failed::keep(store.layout(), &folder, &failure).unwrap();
    }

    pub fn data(&self) -> Arc<Data> {
        let store = self.store();
        let mut data = report::collect(&self.plan, &store, &"ab".repeat(32), &[]).unwrap();
        // the folder differs from test to test
        data.study.manifest = "experiments/small.toml".into();
        Arc::new(data)
    }
}

fn seal_in(folder: &Path, record: &RunRecord, files: &[(&str, String)]) {
    let partial = folder.join(format!(".{}.partial", record.repeat));
    fs::create_dir_all(&partial).unwrap();
    for (name, text) in files {
        fs::write(partial.join(name), text).unwrap();
    }
    let place = folder.join(record.repeat.to_string());
    let sha256 = seal::seal(&partial, &place, &mut record.clone()).unwrap();
    // As exec does, without waiting for the disk.
    let root = folder.ancestors().find(|above| above.ends_with("runs")).unwrap().parent().unwrap();
    let (cell, repeat) = (&record.cell, record.repeat);
    let line = format!(
        "{{\"time\": \"{}\", \"event\": \"finished\", \"cell\": \"{cell}\", \"repeat\": {repeat}, \
         \"attempt\": 1, \"sha256\": \"{sha256}\"}}\n",
        record.finished.as_deref().unwrap_or_default()
    );
    let journal = root.join("journal.jsonl");
    let mut journal = fs::File::options().create(true).append(true).open(journal).unwrap();
    std::io::Write::write_all(&mut journal, line.as_bytes()).unwrap();
}

fn plan(path: &Path, profile: Option<&str>) -> Plan {
    let study = manifest::load(path, profile).unwrap();
    let filters = Filters::default();
    Plan::new(study, &filters).unwrap()
}

/// Two agents that start together; the throttled cell (1) is slower, later repeats are too.
pub fn record(cell: u64, repeat: u64) -> AgentRecord {
    const MS: u64 = 1_000_000;
    let gap = if cell == 0 { 10 } else { 17 };
    let made = |agent: &str, call: u32, ttft: u64, tokens: u64| {
        let texts: Vec<u64> = (0..tokens).map(|i| (ttft + repeat + i * gap) * MS).collect();
        let start_ns = (1000 + u64::from(call) * 1000) * MS;
        CallRecord { bytes: 1000, ..calls::call(agent, call, start_ns, texts) }
    };
    calls::record(vec![
        made("collector", 0, 60, 5),
        made("insight", 0, 60, 5),
        made("collector", 1, 50, 11),
        made("insight", 1, 52, 6),
    ])
}

fn evidence() -> Evidence {
    let model = ModelEvidence {
        digest: Some("sha256:0123456789abcdef".into()),
        quantization: Some("Q4_K_M".into()),
        ..ModelEvidence::default()
    };
    let endpoint = |kind: &str, models: BTreeMap<String, ModelEvidence>| EndpointEvidence {
        kind: kind.into(),
        server: Some(kind.into()),
        version: None,
        models,
    };
    Evidence {
        campaign: None,
        runner: CodeEvidence { version: "0.1.0".into(), digest: Some("cd".repeat(32)) },
        agent: AgentEvidence {
            runtime: "rust".into(),
            digest: Some("ef".repeat(32)),
            ..AgentEvidence::default()
        },
        machine: MachineEvidence {
            hostname: Some("bench".into()),
            cores: Some(2),
            ..MachineEvidence::default()
        },
        endpoints: BTreeMap::from([
            ("collector".into(), endpoint("simulated", BTreeMap::new())),
            ("insight".into(), endpoint("ollama", [("gemma3:latest".into(), model)].into())),
        ]),
        study_git: Some(GitEvidence { commit: "1".repeat(40), dirty: true }),
        tokenizer: None,
        calibration: Some(Calibration {
            runtime: "rust".into(),
            settings: BTreeMap::new(),
            apis: vec![formats::endpoint::Api::Ollama],
            calls: Some(100),
            own: false,
            streams: 2,
            rate_tok_s: 100.0,
            samples: 198,
            ttft_error_ms: ErrorSummary { mean: Some(0.15), p50: 0.1, p99: Some(0.4), max: 0.5 },
            gap_error_ms: ErrorSummary { mean: Some(0.01), p50: 0.02, p99: Some(0.2), max: 0.6 },
        }),
    }
}

/// Every file below a folder with its bytes.
pub fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).into_iter().flatten() {
        if entry.file_type().is_file() {
            found.insert(entry.path().to_owned(), fs::read(entry.path()).unwrap());
        }
    }
    found
}
