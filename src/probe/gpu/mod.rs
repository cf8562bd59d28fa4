//! The GPU probe: what NVIDIA GPUs there are, and a record of power, use, memory and clocks over a run.
//!
//! From NVML, or where that does not open from `nvidia-smi`; `RUNNER_NVIDIA_SMI` names a program to use
//! in place of both. Without either the probe is unavailable, and says so. What samples mean is left
//! to `metrics`.

mod nvml;
pub mod sample;
mod smi;
mod smi_recorder;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use self::sample::{GpuProcess, GpuSample, METRICS_FILE, PROCESSES_FILE, is_slowed};
use self::sample::{MEASURED, set_intervals};
use self::smi::{Query, Smi};
use self::smi_recorder::Message;
use super::sampling::{Sampling, Unavailable};
use crate::os;

/// How long the first look may take.
const FIRST_LOOK: Duration = Duration::from_secs(15);

/// A GPU of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// By the driver's count.
    pub index: u32,
    pub uuid: Option<String>,
    pub name: String,
    /// Version of the driver.
    pub driver: Option<String>,
    pub memory_total_bytes: Option<u64>,
    pub memory_free_bytes: Option<u64>,
}

/// The NVIDIA GPUs of this machine with what is free on them now; at least one.
pub fn devices() -> Result<Vec<Device>, Unavailable> {
    Driver::find()?.devices()
}

/// Which GPUs are watched: all, or those named by index or UUID.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    pub devices: Vec<String>,
}

/// A way to the driver. Opening it takes a while; recordings share it.
#[derive(Debug, Clone)]
pub enum Driver {
    Nvml(Arc<nvml_wrapper::Nvml>),
    Smi(Smi),
}

impl Driver {
    /// The first way that works.
    pub fn find() -> Result<Self, Unavailable> {
        if let Some(smi) = Smi::named() {
            return Self::answering(smi);
        }
        let no_nvml = match nvml::open().and_then(|nvml| nvml::devices(&nvml).map(|_| nvml)) {
            Ok(nvml) => return Ok(Self::Nvml(nvml)),
            Err(reason) => reason.0,
        };
        let Some(smi) = Smi::on_search_path() else {
            let reason = format!("{no_nvml}; nvidia-smi is not on the search path either");
            return Err(Unavailable(reason));
        };
        Self::answering(smi).map_err(|no_smi| Unavailable(format!("{no_nvml}; {no_smi}")))
    }

    fn answering(smi: Smi) -> Result<Self, Unavailable> {
        smi.devices().map(|_| Self::Smi(smi))
    }

    /// The GPUs with what is free on them now.
    pub fn devices(&self) -> Result<Vec<Device>, Unavailable> {
        match self {
            Self::Nvml(nvml) => nvml::devices(nvml),
            Self::Smi(smi) => smi.devices(),
        }
    }

    /// Starts a recording; returns after the first look.
    pub fn record(
        &self,
        selection: &Selection,
        interval: Duration,
    ) -> Result<Recorder, Unavailable> {
        let began_ns = os::monotonic_ns();
        let running = match self {
            Self::Nvml(nvml) => record_nvml(nvml, selection, interval)?,
            Self::Smi(smi) => record_smi(smi, selection, interval)?,
        };
        Ok(Recorder { running, began_ns })
    }
}

/// GPUs in words.
fn listed(devices: &[Device]) -> String {
    let names = devices.iter().map(|device| {
        let uuid = device.uuid.as_deref().map_or_else(String::new, |uuid| format!(" ({uuid})"));
        format!("GPU {}: {}{uuid}", device.index, device.name)
    });
    names.collect::<Vec<_>>().join(", ")
}

/// A recording that is going on.
#[derive(Debug)]
pub struct Recorder {
    running: Running,
    began_ns: u64,
}

#[derive(Debug)]
enum Running {
    Nvml {
        watched: Vec<Device>,
        stop: [Sender<()>; 2],
        fast: JoinHandle<nvml::Recorded>,
        slow: JoinHandle<nvml::SlowlyRecorded>,
    },
    Smi {
        watched: Vec<Device>,
        query: Query,
        messages: Sender<Message>,
        thread: JoinHandle<(smi_recorder::Recorded, Option<u64>)>,
    },
}

fn record_nvml(
    nvml: &Arc<nvml_wrapper::Nvml>,
    selection: &Selection,
    interval: Duration,
) -> Result<Running, Unavailable> {
    let watched = nvml::selected(nvml, selection)?;
    let fresh = nvml::fresh();
    let ([fast_stop, slow_stop], [fast_stopped, slow_stopped]) = {
        let ((a, b), (c, d)) = (channel(), channel());
        ([a, c], [b, d])
    };
    let (first, looked) = channel();
    let (own, devices, values) = (Arc::clone(nvml), watched.clone(), Arc::clone(&fresh));
    let fast = thread::spawn(move || {
        let mut looked = || {
            let _ = first.send(());
        };
        nvml::record(&own, &devices, interval, &fast_stopped, &values, &mut looked)
    });
    let (own, devices) = (Arc::clone(nvml), watched.clone());
    let slow =
        thread::spawn(move || nvml::record_slowly(&own, &devices, interval, &slow_stopped, &fresh));
    if looked.recv_timeout(FIRST_LOOK).is_err() {
        // Its threads end by themselves once the driver answers.
        return Err(Unavailable(format!("NVML did not answer within {FIRST_LOOK:?}")));
    }
    Ok(Running::Nvml { watched, stop: [fast_stop, slow_stop], fast, slow })
}

fn record_smi(
    smi: &Smi,
    selection: &Selection,
    interval: Duration,
) -> Result<Running, Unavailable> {
    let query = smi.query(selection)?;
    let mut watched = smi.devices()?;
    if !selection.devices.is_empty() {
        watched.retain(|device| {
            let names = [Some(device.index.to_string()), device.uuid.clone()];
            selection.devices.iter().any(|name| names.iter().flatten().any(|own| own == name))
        });
    }
    let (messages, heard) = channel();
    let (ready, first) = channel();
    let (smi, asked, own) = (smi.clone(), query.clone(), messages.clone());
    let unavailable = smi.clone();
    let thread = thread::spawn(move || {
        os::wake_on_time();
        let began_ns = os::thread_cpu_ns();
        let recorded = smi_recorder::record(&smi, &asked, interval, &heard, &own, &ready);
        let used = os::thread_cpu_ns().zip(began_ns).map(|(now, began)| now.saturating_sub(began));
        (recorded, used)
    });
    let failed = match first.recv_timeout(FIRST_LOOK) {
        Ok(Ok(())) => return Ok(Running::Smi { watched, query, messages, thread }),
        Ok(Err(reason)) => Unavailable(reason),
        Err(_) => unavailable.unavailable(&format!("no row within {FIRST_LOOK:?}")),
    };
    let _ = messages.send(Message::Stop);
    Err(failed)
}

/// What was recorded of a run.
#[derive(Debug)]
pub struct Recording {
    /// In the order of time.
    pub samples: Vec<GpuSample>,
    pub processes: Vec<GpuProcess>,
    pub sampling: Sampling,
    /// Why it ended before it was asked to.
    pub broken: Option<String>,
}

impl Recorder {
    /// Looks a last time and ends.
    #[must_use]
    pub fn finish(self) -> Recording {
        let mut recording = match self.running {
            Running::Nvml { watched, stop, fast, slow } => {
                // One that is gone has ended.
                for stop in &stop {
                    let _ = stop.send(());
                }
                finish_nvml(&watched, fast.join().ok(), slow.join().unwrap_or_default())
            }
            Running::Smi { watched, query, messages, thread } => {
                let _ = messages.send(Message::Stop);
                finish_smi(&watched, &query, thread.join().ok())
            }
        };
        recording.samples.sort_by_key(|sample| (sample.time_ns, sample.gpu));
        set_intervals(&mut recording.samples);
        let sampling = &mut recording.sampling;
        sampling.rows = recording.samples.len() as u64;
        let cpu_s = sampling.cpu_s;
        sampling.cost(cpu_s, os::monotonic_ns().saturating_sub(self.began_ns));
        recording
    }
}

fn describe(watched: &[Device]) -> Vec<String> {
    watched.iter().map(|device| listed(std::slice::from_ref(device))).collect()
}

fn lost(watched: &[Device]) -> Recording {
    Recording {
        samples: Vec::new(),
        processes: Vec::new(),
        sampling: Sampling { watched: describe(watched), ..Sampling::default() },
        broken: Some("the probe's thread ended in an error".to_owned()),
    }
}

fn finish_nvml(
    watched: &[Device],
    fast: Option<nvml::Recorded>,
    slow: nvml::SlowlyRecorded,
) -> Recording {
    let Some(fast) = fast else { return lost(watched) };
    let driver = watched.first().and_then(|device| device.driver.as_deref()).unwrap_or("unknown");
    let mut notes = vec![format!(
        "PCIe counters and processes are looked at every {} ms by a thread of their own, since the \
         driver takes 20 ms for each counter; a value stands in the first row after the look",
        slow.interval.as_millis()
    )];
    if fast.averaged_power {
        notes.push("power is the driver's mean, on many GPUs over the last second".to_owned());
    }
    let unknown: BTreeMap<String, String> = fast
        .unknown
        .into_iter()
        .chain(slow.unknown)
        .filter(|(column, _)| !is_known(&fast.samples, &slow.processes, column))
        .map(|(column, reason)| (column.to_owned(), reason))
        .collect();
    let cpu_s = fast.cpu_ns.zip(slow.cpu_ns).map(|(fast, slow)| (fast + slow) as f64 / 1e9);
    let sampling = Sampling {
        source: format!("NVML, driver {driver}"),
        watched: describe(watched),
        pace: fast.schedule.pace(),
        unavailable: unknown,
        notes,
        cpu_s,
        ..Sampling::default()
    };
    Recording { samples: fast.samples, processes: slow.processes, sampling, broken: None }
}

fn finish_smi(
    watched: &[Device],
    query: &Query,
    recorded: Option<(smi_recorder::Recorded, Option<u64>)>,
) -> Recording {
    let Some((recorded, own_ns)) = recorded else { return lost(watched) };
    let driver = watched.first().and_then(|device| device.driver.as_deref()).unwrap_or("unknown");
    let mut notes = recorded.notes;
    if query.field("power_w") == Some("power.draw") {
        notes.push("power is the driver's mean, on many GPUs over the last second".to_owned());
    }
    let rows = &recorded.rows;
    if let Some(first) = &rows.first_garbage {
        notes.push(format!("{} lines were no rows, the first `{first}`", rows.garbage));
    }
    let mut unavailable = query.refused.clone();
    unavailable.extend(rows.never_known());
    unavailable.insert("processes".to_owned(), "nvidia-smi is not asked for them".to_owned());
    let sampling = Sampling {
        source: format!("{}, driver {driver}", recorded.source),
        watched: describe(watched),
        pace: recorded.pace,
        unavailable,
        notes,
        cpu_s: own_ns.map(|own_ns| (own_ns + recorded.cpu_ns) as f64 / 1e9),
        ..Sampling::default()
    };
    let samples = recorded.rows.samples;
    Recording { samples, processes: Vec::new(), sampling, broken: recorded.broken }
}

/// Whether a column was known at least once.
fn is_known(samples: &[GpuSample], processes: &[GpuProcess], column: &str) -> bool {
    if column == "processes" {
        return !processes.is_empty();
    }
    let Some(place) = MEASURED.iter().position(|own| *own == column) else { return false };
    samples.iter().any(|sample| {
        [
            sample.power_w.is_some(),
            sample.energy_j.is_some(),
            sample.sm_percent.is_some(),
            sample.memory_percent.is_some(),
            sample.memory_used_mb.is_some(),
            sample.pcie_rx_mb_per_s.is_some(),
            sample.pcie_tx_mb_per_s.is_some(),
            sample.temperature_c.is_some(),
            sample.sm_clock_mhz.is_some(),
            sample.memory_clock_mhz.is_some(),
            sample.throttle_reasons.is_some(),
        ][place]
    })
}

impl Recording {
    /// Writes [`METRICS_FILE`], and [`PROCESSES_FILE`] if there are any.
    pub fn write(&self, folder: &Path) -> Result<(), csv::Error> {
        let mut table = csv::Writer::from_path(folder.join(METRICS_FILE))?;
        for sample in &self.samples {
            table.serialize(sample)?;
        }
        table.flush()?;
        if !self.processes.is_empty() {
            let mut table = csv::Writer::from_path(folder.join(PROCESSES_FILE))?;
            for process in &self.processes {
                table.serialize(process)?;
            }
            table.flush()?;
        }
        Ok(())
    }
}
