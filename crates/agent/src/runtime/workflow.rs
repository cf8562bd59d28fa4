//! An agent's workflow: the files before its analysis, the prompts of its calls, the time of each stage.
//!
//! Files are read on the event loop, as an agent that does its own work would: while one agent scans
//! and ingests, the others wait, and the loop-lag probe sees it. Leaves what the summary says to
//! [`crate::workflow`].

use formats::clock;
use formats::protocol::{CallSpec, ScanSpec, Stage, StageRecord, WorkflowSpec};

use crate::workflow::{Scan, ingest, scan, template};

/// One agent's workflow as it goes.
#[derive(Debug)]
pub(super) struct Workflow {
    agent: String,
    scan: ScanSpec,
    /// The data summary of the last ingest.
    data: String,
    stages: Vec<StageRecord>,
}

/// A call's prompt, and when making it began.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) prompt: String,
    stage: Stage,
    start_ns: u64,
}

impl Workflow {
    pub(super) fn new(agent: &str, spec: WorkflowSpec) -> Self {
        Self { agent: agent.to_owned(), scan: spec.scan, data: String::new(), stages: Vec::new() }
    }

    /// Does what comes before the call. `answer` is the former call's; a first call has none.
    pub(super) fn begin(&mut self, call: &CallSpec, stage: Stage, answer: &str) -> Begun {
        if stage == Stage::Analysis {
            let found = self.scan(call.warmup);
            self.ingest(&found, call.warmup);
        }
        let start_ns = clock::monotonic_ns();
        let prompt = template::fill(&call.prompt, &self.data, answer);
        Begun { prompt, stage, start_ns }
    }

    /// Records the stage of a call that has ended.
    pub(super) fn end(&mut self, begun: &Begun, call: u32, warmup: bool, end_ns: u64) {
        self.stages.push(StageRecord {
            agent: self.agent.clone(),
            stage: begun.stage,
            warmup,
            call: Some(call),
            start_ns: begun.start_ns,
            end_ns,
            files: None,
            bytes: begun.prompt.len() as u64,
        });
    }

    pub(super) fn into_stages(self) -> Vec<StageRecord> {
        self.stages
    }

    fn scan(&mut self, warmup: bool) -> Scan {
        let start_ns = clock::monotonic_ns();
        let found = scan(&self.scan);
        self.files(Stage::Scan, warmup, start_ns, found.files.len() as u64, found.bytes);
        found
    }

    fn ingest(&mut self, found: &Scan, warmup: bool) {
        let start_ns = clock::monotonic_ns();
        let ingested = ingest(found);
        self.data = ingested.summary;
        self.files(Stage::Ingest, warmup, start_ns, ingested.files, ingested.bytes);
    }

    fn files(&mut self, stage: Stage, warmup: bool, start_ns: u64, files: u64, bytes: u64) {
        self.stages.push(StageRecord {
            agent: self.agent.clone(),
            stage,
            warmup,
            call: None,
            start_ns,
            end_ns: clock::monotonic_ns(),
            files: Some(files),
            bytes,
        });
    }
}
