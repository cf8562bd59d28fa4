//! Measuring the instrument: the runtime reads from the paced endpoint, whose log knows better.
//!
//! What a client adds depends on what it has to do, so a calibration imitates the cells that it stands for:
//! the same runtime and settings, wire protocols, number of streams and rate; each combination once per
//! session, a few seconds. A run whose endpoints are all paced measures its own error and needs none, unless a
//! throttle holds chunks back. A calibration that fails is a note and stays unknown in the evidence; the runs are made all the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use agent::wire::secrets::Secrets;
use formats::clock;
use formats::endpoint::Api;
use formats::protocol::{Connection, Spec};
use formats::sends::SENDS_FILE;
use serde_json::Value;

use super::attempt::{LOG_FILE, SPEC_FILE};
use super::paced::PacedServers;
use super::process::{Supervision, supervise};
use super::request::Request;
use super::runtimes::Runtimes;
use super::watched::write_spec;
use super::{Cancel, ExecError, ExecEvent, Limits, artifacts, folder};
use crate::manifest::study::{Endpoint, Options, Pacing, Probes, Retry, Work};
use crate::metrics::{self, ENOUGH_FOR_P99};
use crate::os::{self, files};
use crate::plan::{CellSpec, CellWork, ScenarioWork, SpecAgent};
use crate::store::journal::{Journal, What};
use crate::store::record::Calibration;
use crate::store::{Layout, StoreError};

/// Tokens per second where no stored run tells how fast a cell's servers are.
const RATE: f64 = 100.0;
/// From a request to its first token.
const TTFT: Duration = Duration::from_millis(20);
/// About how long the calls take.
const LASTS_S: f64 = 4.0;
/// Most gaps of one call, unless a runtime's batches ask for more.
const GAPS: f64 = 120.0;
/// Batches of a call, where the runtime hands chunks on in batches.
const BATCHES: f64 = 4.0;
/// File of the [`Calibration`] in the calibration's folder.
const RESULT_FILE: &str = "calibration.json";

/// What is calibrated, and where.
#[derive(Debug)]
pub struct Instrument<'a> {
    pub layout: &'a Layout,
    /// A cell of the runtime.
    pub like: &'a CellSpec,
    pub load: &'a Load,
    pub runtimes: &'a Runtimes,
    pub study_folder: &'a Path,
    pub limits: &'a Limits,
    pub cancel: &'a Cancel,
}

/// What makes the client of a cell another instrument than that of another cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    pub settings: BTreeMap<String, Value>,
    /// Of each stream, sorted.
    pub apis: Vec<Api>,
    /// Tokens per second and stream, rounded to 1, 2 or 5 times a power of ten: rates that hardly differ
    /// need no calibration each.
    pub rate_tok_s: f64,
}

impl Load {
    /// The load of a cell; `measured` is the rate of a stream in its stored runs.
    pub fn of(cell: &CellSpec, measured: Option<f64>) -> Self {
        let mut apis: Vec<Api> = cell.agents().iter().map(|agent| agent.endpoint.api()).collect();
        apis.sort_unstable();
        let paced = cell.agents().iter().filter_map(|agent| match &agent.endpoint {
            Endpoint::Paced(pacing) => Some(rate_of(pacing)),
            Endpoint::Server(_) => None,
        });
        let rate = paced.reduce(f64::max).or(measured).unwrap_or(RATE);
        Self { settings: settings(cell), apis, rate_tok_s: rounded(rate) }
    }

    /// The same for the same load.
    pub fn key(&self) -> String {
        format!("{} {:?} {}", serde_json::json!(self.settings), self.apis, self.rate_tok_s)
    }

    /// Calls of each stream, and the tokens of each call.
    fn calls(&self) -> (usize, u32) {
        // A call shorter than a batch would not show how long batches hold chunks back.
        let batch_s = self.settings.get("batch").and_then(Value::as_f64).unwrap_or_default();
        let fewest = (BATCHES * batch_s * self.rate_tok_s).ceil().max(2.0);
        let shortest_s = TTFT.as_secs_f64() + fewest / self.rate_tok_s;
        let wanted = ENOUGH_FOR_P99.div_ceil(self.apis.len().max(1)) as f64;
        let calls = wanted.min(LASTS_S / shortest_s).floor().max(2.0);
        let gaps = ((LASTS_S / calls - TTFT.as_secs_f64()) * self.rate_tok_s).floor();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "both are small and above 0"
        )]
        let counts = (calls as usize, gaps.clamp(fewest, GAPS.max(fewest)) as u32 + 1);
        counts
    }
}

/// Whether a run of the cell measures the error of its own timestamps: the log of its servers tells when
/// they read and sent, and neither a throttle nor a dose of lag holds chunks back.
pub fn by_itself(cell: &CellSpec) -> bool {
    let paced = |agent: &SpecAgent| matches!(agent.endpoint, Endpoint::Paced(_));
    cell.scenario()
        .is_some_and(|scenario| scenario.throttle.is_none() && scenario.lag_dose.is_none())
        && cell.agents().iter().all(paced)
}

/// Completes what a run or a calibration says of the instrument.
pub fn described(mut calibration: Calibration, cell: &CellSpec) -> Calibration {
    // Under the manifest's name, by which the evidence of runs knows it.
    calibration.runtime.clone_from(&cell.runtime);
    calibration.settings = settings(cell);
    calibration.apis = cell.agents().iter().map(|agent| agent.endpoint.api()).collect();
    calibration.apis.sort_unstable();
    calibration.apis.dedup();
    calibration
}

/// The runtime's settings that are not at their defaults.
fn settings(cell: &CellSpec) -> BTreeMap<String, Value> {
    let scenario = cell.scenario();
    let read_buffer = scenario.and_then(|scenario| scenario.read_buffer);
    let read_buffer = read_buffer.map(|bytes| ("read_buffer".to_owned(), bytes.into()));
    let connection = scenario.map(|scenario| scenario.connection);
    let connection = connection.filter(|connection| !connection.is_default());
    let connection = connection.map(|own| ("connection".to_owned(), own.name().into()));
    cell.variant.clone().into_iter().chain(read_buffer).chain(connection).collect()
}

/// Tokens per second of a schedule.
fn rate_of(pacing: &Pacing) -> f64 {
    let gaps: Duration = pacing.gaps.iter().sum();
    let chunks = pacing.gaps.len() as f64 * f64::from(pacing.tokens_per_chunk);
    if gaps.is_zero() { pacing.rate } else { chunks / gaps.as_secs_f64() }
}

/// The nearest of 1, 2 and 5 times a power of ten.
fn rounded(rate: f64) -> f64 {
    let decade = 10f64.powf(rate.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
    let distance = |step: &f64| (step / rate).ln().abs();
    steps.into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(rate)
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
    journal: &mut Journal,
    emit: &mut dyn FnMut(ExecEvent),
) -> Result<Calibration, Failure> {
    let (calls, tokens) = instrument.load.calls();
    let scenario = scenario(instrument, tokens);
    // However slow the client is, it must not hold up the study for long.
    let lasts_s = TTFT.as_secs_f64() + f64::from(tokens) / instrument.load.rate_tok_s;
    let timeout = Duration::from_secs_f64(3.0 * lasts_s + LASTS_S);
    let all = Duration::from_secs_f64(2.0 * lasts_s * (calls + 1) as f64 + 3.0 * LASTS_S);
    let cell = cell(instrument.like, scenario.clone(), timeout);
    let folder = folder(instrument.layout, &cell.runtime)?;
    let paced = PacedServers::start(&cell)?;
    let addresses = paced.addresses();
    let request = Request {
        cell: &cell,
        scenario: &scenario,
        id: "calibration",
        session: "",
        repeat: 1,
        attempt: 1,
        run: "calibration",
        artifacts: &folder,
        paced: &addresses,
    };
    let mut spec = request.spec();
    repeat_calls(&mut spec, calls);
    let text = write_spec(&folder.join(SPEC_FILE), &spec)?;
    let (mut journaled, no_keys) = (Ok(()), Secrets::default());
    let supervision = Supervision {
        limits: instrument.limits,
        spec: &spec,
        folder: (&folder, cell.max_output),
        secrets: &no_keys,
        overall: all.saturating_add(instrument.limits.slack),
        cancel: instrument.cancel,
        recorder: None,
        on_start: &mut |pid| {
            let (runtime, mark) = (cell.runtime.clone(), os::process::start_mark(pid));
            journaled = journal.note(What::Calibrating { runtime, pid, mark });
        },
        on_milestone: &|| {},
        // Its calls are no calls of the plan; a ctrl-C is heard all the same.
        emit: &mut |event| {
            if matches!(event, ExecEvent::Stopping) {
                emit(event);
            }
        },
    };
    let command = instrument.runtimes.command(&cell, instrument.study_folder);
    let began_ns = clock::monotonic_ns();
    let (_, result) = supervise(command, text, &folder.join(LOG_FILE), supervision);
    journaled?;
    let result = folder::settle(&folder, cell.max_output, &no_keys, result)?;
    paced.write_sends("calibration", &folder).map_err(|error| ExecError::sends(&folder, error))?;

    let unknown = |error: &dyn std::fmt::Display| Failure::Unknown(error.to_string());
    let checked = result.and_then(|()| artifacts::check(&folder, &spec, began_ns));
    let record = checked.map_err(|fault| unknown(&fault))?;
    let sends = metrics::read_sends(&folder.join(SENDS_FILE)).map_err(|error| unknown(&error))?;
    let calibration = metrics::calibration(&record, &sends.unwrap_or_default())
        .ok_or_else(|| unknown(&"its record does not fit the server's log"))?;
    let calibration = described(calibration, &cell);
    let result = serde_json::to_vec_pretty(&calibration).unwrap_or_default();
    let path = folder.join(RESULT_FILE);
    files::write(&path, &result).map_err(StoreError::io("write", &path))?;
    Ok(calibration)
}

/// Has every agent make its measured call so many times.
fn repeat_calls(spec: &mut Spec, calls: usize) {
    for agent in &mut spec.agents {
        if let Some(last) = agent.calls.last().cloned() {
            agent.calls.extend(std::iter::repeat_n(last, calls.saturating_sub(1)));
        }
    }
}

fn folder(layout: &Layout, runtime: &str) -> Result<std::path::PathBuf, StoreError> {
    let time = clock::utc_now().replace([':', '.'], "");
    let folder = layout.calibration_of(runtime, &time)?;
    fs::create_dir_all(&folder)
        .and_then(|()| std::path::absolute(&folder))
        .map_err(|source| StoreError::Io { action: "create", path: folder, source })
}

/// Plain streams as the cell has them, without a throttle.
fn scenario(instrument: &Instrument<'_>, tokens: u32) -> ScenarioWork {
    let load = instrument.load;
    let agents = (1..).zip(&load.apis).map(|(number, api): (u32, _)| SpecAgent {
        name: format!("stream-{number}"),
        // One server for each protocol.
        endpoint_name: format!("calibration-{}", api.name()),
        endpoint: Endpoint::Paced(Pacing {
            protocol: *api,
            ttft: TTFT,
            rate: load.rate_tok_s,
            seed: 1,
            ..Pacing::default()
        }),
        model: "calibration".to_owned(),
        work: Work::Prompt("Calibrate.".to_owned()),
        options: Options::new(),
        max_tokens: Some(tokens),
    });
    let like = instrument.like.scenario();
    ScenarioWork {
        name: "calibration".to_owned(),
        agents: agents.collect(),
        read_buffer: like.and_then(|like| like.read_buffer),
        throttle: None,
        connection: like.map_or(Connection::New, |like| like.connection),
        // What is done to the loop on purpose is no error of the instrument.
        lag_dose: None,
        warmup: 1,
        cold: false,
        idle: false,
        vary_prompt: true,
        vary_seed: false,
        accept_context_full: false,
    }
}

/// The runtime as `like` uses it, reading these streams.
fn cell(like: &CellSpec, scenario: ScenarioWork, timeout: Duration) -> CellSpec {
    CellSpec {
        identity: serde_json::Value::Null,
        work: CellWork::Scenario(scenario),
        probes: Probes::default(),
        timeout,
        retry: Retry { max: 0, on: Vec::new() },
        ..like.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(streams: usize, rate_tok_s: f64) -> Load {
        Load { settings: BTreeMap::new(), apis: vec![Api::Ollama; streams], rate_tok_s }
    }

    #[test]
    fn rates_that_hardly_differ_are_one() {
        for (rate, expected) in
            [(3.1, 2.0), (9.9, 10.0), (14.0, 10.0), (15.0, 20.0), (69.0, 50.0), (2100.0, 2000.0)]
        {
            assert!((rounded(rate) - expected).abs() < 1e-9, "{rate}: {}", rounded(rate));
        }
    }

    #[test]
    fn a_calibration_takes_seconds_and_makes_enough_calls_where_it_can() {
        for (streams, rate) in [(1, 100.0), (2, 100.0), (8, 20.0), (64, 100.0), (256, 2.0)] {
            let (calls, tokens) = load(streams, rate).calls();
            let each_s = TTFT.as_secs_f64() + f64::from(tokens - 1) / rate;
            let lasts_s = calls as f64 * each_s;
            assert!((1.0..5.0).contains(&lasts_s), "{streams} at {rate}: {lasts_s} s");
            assert!(
                calls * streams >= ENOUGH_FOR_P99 || rate < 100.0,
                "{streams} at {rate}: {calls}"
            );
            assert!(tokens > 2, "{streams} at {rate}: {tokens}");
        }
    }

    #[test]
    fn a_call_lasts_several_batches() {
        for (batch_s, rate) in [(0.05, 1000.0), (0.05, 10.0), (1.0, 100.0)] {
            let settings = BTreeMap::from([("batch".to_owned(), batch_s.into())]);
            let (calls, tokens) = Load { settings, ..load(1, rate) }.calls();
            assert!(f64::from(tokens) / rate >= 4.0 * batch_s, "{batch_s} s: {tokens}");
            assert!(calls >= 2, "{batch_s} s: {calls}");
        }
    }
}
