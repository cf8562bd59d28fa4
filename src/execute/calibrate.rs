//! Measuring the instrument: the runtime reads from the paced endpoint, whose log knows better.
//!
//! Once per session for each runtime and each of its settings that the plan has, about a second. A calibration that fails is a note and stays
//! unknown in the evidence; the runs are made all the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::attempt::{LOG_FILE, SPEC_FILE};
use super::paced::PacedServers;
use super::process::{Supervision, supervise};
use super::request::Request;
use super::runtimes::Runtimes;
use super::scenario::overall_limit;
use super::watched::write_spec;
use super::{Cancel, ExecError, ExecEvent, Limits, artifacts};
use crate::agent::protocol::Api;
use crate::manifest::study::{
    Endpoint, JitterShape, Options, PacedProtocol, Pacing, Probes, Retry, Work,
};
use crate::metrics;
use crate::plan::{CellSpec, CellWork, ScenarioWork, SpecAgent};
use crate::simulator::sends::SENDS_FILE;
use crate::store::record::Calibration;
use crate::store::{Layout, StoreError};

const STREAMS: u32 = 2;
/// Tokens per second.
const RATE: f64 = 100.0;
/// Per call; with the warm-up call that makes a little more than a second.
const TOKENS: u32 = 60;
/// File of the [`Calibration`] in the calibration's folder.
const RESULT_FILE: &str = "calibration.json";

/// What is calibrated, and where.
#[derive(Debug)]
pub struct Instrument<'a> {
    pub layout: &'a Layout,
    /// A cell of the runtime; its settings count.
    pub like: &'a CellSpec,
    pub runtimes: &'a Runtimes,
    pub study_folder: &'a Path,
    pub limits: &'a Limits,
    pub cancel: &'a Cancel,
}

/// What makes the runtime of a cell another instrument than with other settings.
pub fn settings(cell: &CellSpec) -> BTreeMap<String, Value> {
    let read_buffer = cell.scenario().and_then(|scenario| scenario.read_buffer);
    let read_buffer = read_buffer.map(|bytes| ("read_buffer".to_owned(), bytes.into()));
    cell.variant.clone().into_iter().chain(read_buffer).collect()
}

/// Why there is no calibration.
#[derive(Debug)]
pub enum Failure {
    /// Nothing can be stored or served: runs cannot be made either.
    Exec(ExecError),
    /// The error of the instrument stays unknown.
    Unknown(String),
}

impl<E: Into<ExecError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Exec(error.into())
    }
}

/// Calibrates the runtime. What was recorded lies in `calibration/<runtime>-<time>/`.
pub fn calibrate(
    instrument: &Instrument<'_>,
    emit: &mut dyn FnMut(ExecEvent),
) -> Result<Calibration, Failure> {
    let read_buffer = instrument.like.scenario().and_then(|scenario| scenario.read_buffer);
    let scenario = scenario(read_buffer);
    let cell = cell(instrument.like, scenario.clone());
    let folder = folder(instrument.layout, &cell.runtime)?;
    let paced = PacedServers::start(&cell)?;
    let urls = paced.urls();
    let request = Request {
        cell: &cell,
        scenario: &scenario,
        id: "calibration",
        session: "",
        repeat: 1,
        attempt: 1,
        run: "calibration",
        artifacts: &folder,
        paced: &urls,
    };
    let spec = request.spec();
    let text = write_spec(&folder.join(SPEC_FILE), &spec)?;
    let supervision = Supervision {
        limits: instrument.limits,
        overall: overall_limit(&cell, &scenario, instrument.limits),
        cancel: instrument.cancel,
        recorder: None,
        on_start: &mut |_| {},
        on_milestone: &|| {},
        // Its calls are no calls of the plan; a ctrl-C is heard all the same.
        emit: &mut |event| {
            if matches!(event, ExecEvent::Stopping) {
                emit(event);
            }
        },
    };
    let command = instrument.runtimes.command(&cell, instrument.study_folder);
    let (_, result) = supervise(command, text, &folder.join(LOG_FILE), supervision);
    paced.write_sends("calibration", &folder).map_err(|error| ExecError::sends(&folder, error))?;

    let unknown = |error: &dyn std::fmt::Display| Failure::Unknown(error.to_string());
    let record =
        result.and_then(|()| artifacts::check(&folder, &spec)).map_err(|fault| unknown(&fault))?;
    let sends = metrics::read_sends(&folder.join(SENDS_FILE)).map_err(|error| unknown(&error))?;
    let mut calibration = metrics::calibration(&record, &sends.unwrap_or_default())
        .ok_or_else(|| unknown(&"its record does not fit the server's log"))?;
    // Under the manifest's name, by which the evidence of runs knows it.
    calibration.runtime.clone_from(&cell.runtime);
    calibration.settings = settings(&cell);
    let result = serde_json::to_vec_pretty(&calibration).unwrap_or_default();
    let path = folder.join(RESULT_FILE);
    fs::write(&path, result).map_err(|source| StoreError::Io { action: "write", path, source })?;
    Ok(calibration)
}

fn folder(layout: &Layout, runtime: &str) -> Result<std::path::PathBuf, StoreError> {
    let time = crate::os::utc_now().replace([':', '.'], "");
    let folder = layout.calibration_of(runtime, &time)?;
    fs::create_dir_all(&folder)
        .and_then(|()| std::path::absolute(&folder))
        .map_err(|source| StoreError::Io { action: "create", path: folder, source })
}

/// Two plain streams without a throttle.
fn scenario(read_buffer: Option<u64>) -> ScenarioWork {
    let pacing = Pacing {
        protocol: PacedProtocol::Ollama,
        ttft: Duration::from_millis(50),
        rate: RATE,
        gaps: Vec::new(),
        jitter: Duration::ZERO,
        jitter_shape: JitterShape::Uniform,
        seed: 1,
        tokens_per_chunk: 1,
        tokens: None,
        load: Duration::ZERO,
        slots: None,
        faults: Vec::new(),
    };
    let agents = (1..=STREAMS).map(|number| SpecAgent {
        name: format!("stream-{number}"),
        endpoint_name: "calibration".to_owned(),
        endpoint: Endpoint::Simulated(pacing.clone()),
        api: Api::Ollama,
        model: "calibration".to_owned(),
        work: Work::Prompt("Calibrate.".to_owned()),
        options: Options::new(),
        max_tokens: Some(TOKENS),
    });
    ScenarioWork {
        name: "calibration".to_owned(),
        agents: agents.collect(),
        read_buffer,
        throttle: None,
        warmup: 1,
        cold: false,
        idle: false,
        vary_prompt: true,
        vary_seed: false,
    }
}

/// The runtime as `like` uses it, reading these streams.
fn cell(like: &CellSpec, scenario: ScenarioWork) -> CellSpec {
    CellSpec {
        identity: serde_json::Value::Null,
        work: CellWork::Scenario(scenario),
        probes: Probes::default(),
        timeout: Duration::from_secs(3),
        retry: Retry { max: 0, on: Vec::new() },
        ..like.clone()
    }
}
