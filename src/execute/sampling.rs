//! The sampling probes (gpu, host) of one attempt: started before the agent, ended after it, and held
//! to their contract: rows all through the calls.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use formats::protocol::Window;

use super::attempt::Task;
use super::fault::AttemptFault;
use super::{ExecError, ExecEvent};
use crate::plan::CellSpec;
use crate::probe::gpu::{self, Driver, Selection};
use crate::probe::host::{self, Server};
use crate::probe::sampling::{Sampling, Unavailable, longest_gap};
use crate::server;

const GPU: &str = "gpu";
pub(super) const HOST: &str = "host";

/// The probes at work; without them in the manifest, nothing.
#[derive(Debug)]
pub struct Samplers {
    gpu: Option<Started<gpu::Recorder>>,
    host: Option<Started<host::Recorder>>,
}

#[derive(Debug)]
struct Started<R> {
    recorder: Result<R, Unavailable>,
    interval: Duration,
    required: bool,
}

impl<R> Started<R> {
    fn refusal(&self, probe: &'static str) -> Option<AttemptFault> {
        let reason = self.recorder.as_ref().err().filter(|_| self.required)?;
        Some(AttemptFault::Probe { probe, reason: reason.0.clone() })
    }
}

/// Whether the cell's runs look for a GPU's driver.
pub fn needs_driver(cell: &CellSpec) -> bool {
    cell.probes.gpu.is_some()
}

impl Samplers {
    /// Starts what the cell asks for; each has looked once when this returns.
    pub fn start(cell: &CellSpec, driver: Option<&Result<Driver, Unavailable>>) -> Self {
        let gpu = cell.probes.gpu.as_ref().map(|probe| {
            let selection = Selection { devices: probe.devices.clone() };
            let recorder = match driver {
                Some(Ok(driver)) => driver.record(&selection, probe.interval),
                Some(Err(reason)) => Err(reason.clone()),
                None => Err(Unavailable("nobody looked for a driver".to_owned())),
            };
            Started { recorder, interval: probe.interval, required: probe.required }
        });
        let host = cell.probes.host.map(|probe| Started {
            recorder: host::record(probe.interval, &servers(cell)),
            interval: probe.interval,
            required: probe.required,
        });
        Self { gpu, host }
    }

    /// Why the run need not even begin.
    pub fn refusal(&self) -> Option<AttemptFault> {
        let gpu = self.gpu.as_ref().and_then(|gpu| gpu.refusal(GPU));
        gpu.or_else(|| self.host.as_ref().and_then(|host| host.refusal(HOST)))
    }

    /// The agent's process has been started.
    pub fn watch_agent(&self, pid: u32) {
        if let Some(Started { recorder: Ok(recorder), .. }) = &self.host {
            recorder.watch_agent(pid);
        }
    }

    /// A call of the agent has ended, or it says that it is done.
    pub fn note_milestone(&self) {
        if let Some(Started { recorder: Ok(recorder), .. }) = &self.host {
            recorder.look_now();
        }
    }

    /// Ends the probes and writes what they saw into the folder, whatever became of the run.
    pub fn finish(self, folder: &Path) -> Result<Outcome, ExecError> {
        let mut outcome = Outcome::default();
        if let Some(host) = self.host {
            let recording = host.recorder.map(host::Recorder::finish);
            if let Ok(recording) = &recording {
                let path = folder.join(host::METRICS_FILE);
                recording.write(folder).map_err(|error| ExecError::csv(&path, error))?;
            }
            outcome.add(
                HOST,
                host::METRICS_FILE,
                host.interval,
                recording.map(|recording| {
                    let times = recording.samples.iter().map(|sample| sample.time_ns).collect();
                    let seen = vec![Rows { of: String::new(), times_ns: times, lost: None }];
                    (seen, recording.sampling)
                }),
            );
        }
        if let Some(gpu) = self.gpu {
            let recording = gpu.recorder.map(gpu::Recorder::finish);
            if let Ok(recording) = &recording {
                let path = folder.join(gpu::METRICS_FILE);
                recording.write(folder).map_err(|error| ExecError::csv(&path, error))?;
            }
            outcome.add(
                GPU,
                gpu::METRICS_FILE,
                gpu.interval,
                recording.map(|recording| {
                    let seen = recording.sampling.gpus.iter().map(|seen| {
                        let own = recording.samples.iter().filter(|row| row.gpu == seen.gpu);
                        let times_ns = own.map(|row| row.time_ns).collect();
                        let lost = seen.lost.clone().or_else(|| recording.broken.clone());
                        Rows { of: format!(" of {}", seen.name), times_ns, lost }
                    });
                    (seen.collect(), recording.sampling)
                }),
            );
        }
        Ok(outcome)
    }
}

/// The servers of a cell's endpoints, each once.
pub fn servers(cell: &CellSpec) -> Vec<Server> {
    let mut met = BTreeSet::new();
    let agents = cell.agents().iter().filter(|agent| met.insert(&agent.endpoint_name));
    agents
        .map(|agent| {
            let endpoint = agent.endpoint_name.clone();
            let Some(met) = agent.endpoint.server() else { return Server::Paced { endpoint } };
            // Only a local name is looked up: any other may take a while.
            match server::is_local(met).then(|| server::destination(met)).flatten() {
                Some((port, _)) => Server::Local { endpoint, port },
                None => Server::Remote { endpoint },
            }
        })
        .collect()
}

/// What became of the probes of an attempt.
#[derive(Debug, Default)]
pub struct Outcome {
    /// By the probe's name: `ok`, or `unavailable: ` and why.
    pub probes: BTreeMap<String, String>,
    /// What those that looked say of themselves.
    pub sampling: BTreeMap<String, Sampling>,
    looked: Vec<Looked>,
}

/// When a probe saw what it watches.
#[derive(Debug)]
struct Looked {
    probe: &'static str,
    file: &'static str,
    interval: Duration,
    /// Each GPU, or all that the probe watches where it sees all at once.
    seen: Vec<Rows>,
}

#[derive(Debug)]
struct Rows {
    /// Empty, or whose rows they are.
    of: String,
    times_ns: Vec<u64>,
    /// Why there are no more.
    lost: Option<String>,
}

type Recorded = (Vec<Rows>, Sampling);

impl Outcome {
    fn add(
        &mut self,
        probe: &'static str,
        file: &'static str,
        interval: Duration,
        recorded: Result<Recorded, Unavailable>,
    ) {
        match recorded {
            Err(reason) => {
                self.probes.insert(probe.to_owned(), format!("unavailable: {reason}"));
            }
            Ok((seen, sampling)) => {
                self.probes.insert(probe.to_owned(), "ok".to_owned());
                self.sampling.insert(probe.to_owned(), sampling);
                self.looked.push(Looked { probe, file, interval, seen });
            }
        }
    }

    /// Whether every probe that looked saw all that it watches, all through what was measured.
    pub fn check(&self, measured: Option<Window>) -> Result<(), AttemptFault> {
        let Some(window) = measured else { return Ok(()) };
        self.looked.iter().try_for_each(|looked| looked.check(window))
    }

    /// Says which GPUs were not seen to the end.
    pub fn tell_losses(&self, task: &Task<'_>, emit: &mut dyn FnMut(ExecEvent)) {
        for loss in self.sampling.values().flat_map(Sampling::losses) {
            let message = format!("{} repeat {}: {loss}", task.name, task.repeat);
            emit(ExecEvent::Note { message });
        }
    }
}

impl Looked {
    fn check(&self, window: Window) -> Result<(), AttemptFault> {
        let allowed = longest_gap(self.interval);
        self.seen.iter().try_for_each(|rows| {
            let hole_ns = longest_hole(&rows.times_ns, window);
            if !rows.times_ns.is_empty() && u128::from(hole_ns) <= allowed.as_nanos() {
                return Ok(());
            }
            Err(AttemptFault::ProbeGap {
                probe: self.probe,
                file: self.file,
                of: rows.of.clone(),
                rows: rows.times_ns.len(),
                hole_ms: hole_ns as f64 / 1e6,
                allowed_ms: allowed.as_secs_f64() * 1e3,
                because: rows.lost.as_ref().map_or_else(String::new, |why| format!(": {why}")),
            })
        })
    }
}

/// The longest part of the window in which nobody looked.
fn longest_hole(times_ns: &[u64], window: Window) -> u64 {
    let inside = times_ns.iter().map(|time| (*time).clamp(window.start_ns, window.end_ns));
    let mut times: Vec<u64> = [window.start_ns].into_iter().chain(inside).collect();
    times.push(window.end_ns);
    times.sort_unstable();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn rows(of: &str, times_ms: &[u64]) -> Rows {
        Rows {
            of: of.to_owned(),
            times_ns: times_ms.iter().map(|time| time * MS).collect(),
            lost: Some("it ended".to_owned()),
        }
    }

    fn check(seen: Vec<Rows>, interval_ms: u64) -> Result<(), AttemptFault> {
        let interval = Duration::from_millis(interval_ms);
        let looked = Looked { probe: GPU, file: gpu::METRICS_FILE, interval, seen };
        looked.check(Window { start_ns: 1000 * MS, end_ns: 5000 * MS })
    }

    #[test]
    fn rows_must_reach_all_through_the_calls() {
        let check = |times_ms: &[u64], interval| check(vec![rows("", times_ms)], interval);
        assert!(check(&[900, 1900, 2800, 3800, 4700, 5100], 100).is_ok());
        assert!(check(&[900, 3000, 5100], 300).is_ok(), "ten intervals may be lost");
        for times in [&[][..], &[900], &[900, 1500, 2000], &[4500, 5100], &[900, 5100]] {
            let said = check(times, 100).unwrap_err().to_string();
            assert!(said.contains("gpu_metrics.csv") && said.contains(": it ended"), "{said}");
        }
    }

    #[test]
    fn one_gpu_s_rows_do_not_stand_for_another_s() {
        let whole = [900, 1900, 2800, 3800, 4700, 5100];
        let both = |second: &[u64]| vec![rows(" of GPU 0", &whole), rows(" of GPU 1", second)];
        assert!(check(both(&whole), 100).is_ok());
        for second in [&[][..], &whole[..3]] {
            let said = check(both(second), 100).unwrap_err().to_string();
            assert!(said.contains("of GPU 1") && !said.contains("of GPU 0"), "{said}");
        }
    }
}
