//! What was recorded of a run, whichever way to the driver it took: rows in order, until when each GPU
//! was seen, and what none of its rows knows.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use formats::clock;

use super::Device;
use super::sample::{
    GpuProcess, GpuSample, MEASURED, METRICS_FILE, PROCESSES, PROCESSES_FILE, set_intervals,
};
use crate::os::files;
use crate::probe::sampling::{Sampling, Seen, longest_gap};
use crate::probe::schedule::Pace;

/// What a way to the driver has to tell at its end.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// Without the version of the driver.
    pub source: String,
    pub watched: Vec<Device>,
    pub samples: Vec<GpuSample>,
    pub processes: Vec<GpuProcess>,
    pub pace: Pace,
    /// Columns that were unknown at least once, by GPU, with the last reason.
    pub unknown: Unknown,
    /// Columns that this way does not offer, with the reason.
    pub not_offered: BTreeMap<String, String>,
    /// GPUs that told nothing when they were last looked at, with the reason.
    pub silent: BTreeMap<u32, String>,
    pub notes: Vec<String>,
    /// GPUs whose power is the driver's mean over about a second, not that of the moment.
    pub averaged_power: Vec<u32>,
    /// CPU time of its threads and programs; absent where the system does not tell.
    pub cpu_ns: Option<u64>,
    /// Why it ended before it was asked to.
    pub broken: Option<String>,
}

/// Why a GPU did not tell a column.
pub(super) type Unknown = BTreeMap<(u32, &'static str), String>;

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

impl Recorded {
    /// Of a thread that ended in an error.
    pub fn nothing(watched: Vec<Device>) -> Self {
        let broken = Some("the probe's thread ended in an error".to_owned());
        Self { watched, broken, ..Self::default() }
    }

    /// Puts everything in order. `asked_ns`: when it was asked to end.
    pub fn close(mut self, interval: Duration, began_ns: u64, asked_ns: u64) -> Recording {
        self.samples.sort_by_key(|sample| (sample.time_ns, sample.gpu));
        set_intervals(&mut self.samples);
        if !self.averaged_power.is_empty() {
            let of = if self.averaged_power.len() == self.watched.len() {
                String::new()
            } else {
                let gpus = self.averaged_power.iter().map(|gpu| format!("GPU {gpu}"));
                format!(" of {}", gpus.collect::<Vec<_>>().join(", "))
            };
            let note = "is the driver's mean, on many GPUs over the last second";
            self.notes.push(format!("power{of} {note}"));
        }
        let driver = self.watched.first().and_then(|device| device.driver.as_deref());
        let mut sampling = Sampling {
            source: format!("{}, driver {}", self.source, driver.unwrap_or("unknown")),
            watched: self.watched.iter().map(Device::words).collect(),
            unavailable: self.unavailable(),
            gpus: self.seen(longest_gap(interval), asked_ns),
            pace: self.pace,
            rows: self.samples.len() as u64,
            notes: self.notes,
            ..Sampling::default()
        };
        let cpu_s = self.cpu_ns.map(|cpu_ns| cpu_ns as f64 / 1e9);
        sampling.cost(cpu_s, clock::monotonic_ns().saturating_sub(began_ns));
        Recording {
            samples: self.samples,
            processes: self.processes,
            sampling,
            broken: self.broken,
        }
    }

    /// From when until when each GPU was seen. One that told nothing at the last look is lost, and one
    /// whose rows ended long before the recording did, or while others' went on.
    fn seen(&self, longest: Duration, asked_ns: u64) -> Vec<Seen> {
        let of = |device: &Device| {
            let own = self.samples.iter().filter(|sample| sample.gpu == device.index);
            let times: Vec<u64> = own.map(|sample| sample.time_ns).collect();
            let until_ns = times.last().copied();
            let ended = until_ns.is_none_or(|until| {
                u128::from(asked_ns.saturating_sub(until)) > longest.as_nanos()
                    || self.looks_after(until) > 1
            });
            let why = || self.broken.clone().unwrap_or_else(|| "its rows ended".to_owned());
            let silent = self.silent.get(&device.index).cloned();
            Seen {
                gpu: device.index,
                name: device.words(),
                rows: times.len() as u64,
                from_ns: times.first().copied(),
                until_ns,
                lost: silent.or_else(|| ended.then(why)),
            }
        };
        self.watched.iter().map(of).collect()
    }

    /// How often a GPU was seen after a time, the one that was seen most often.
    fn looks_after(&self, time_ns: u64) -> usize {
        let after = |gpu| {
            let own = self.samples.iter().filter(|own| own.gpu == gpu && own.time_ns > time_ns);
            own.count()
        };
        self.watched.iter().map(|device| after(device.index)).max().unwrap_or(0)
    }

    /// Columns that not every GPU told, each with the reasons.
    fn unavailable(&self) -> BTreeMap<String, String> {
        let mut unavailable = self.not_offered.clone();
        for column in MEASURED.into_iter().chain([PROCESSES]) {
            let never = |device: &&Device| !self.is_known(device.index, column);
            let hidden: Vec<(u32, &str)> = self
                .watched
                .iter()
                .filter(never)
                .filter_map(|device| {
                    let reason = self.unknown.get(&(device.index, column))?;
                    Some((device.index, reason.as_str()))
                })
                .collect();
            let Some((_, first)) = hidden.first() else { continue };
            let of_all = hidden.len() == self.watched.len()
                && hidden.iter().all(|(_, reason)| reason == first);
            let reason = if of_all {
                (*first).to_owned()
            } else {
                let each = hidden.iter().map(|(gpu, reason)| format!("GPU {gpu}: {reason}"));
                each.collect::<Vec<_>>().join("; ")
            };
            unavailable.entry(column.to_owned()).or_insert(reason);
        }
        unavailable
    }

    fn is_known(&self, gpu: u32, column: &str) -> bool {
        if column == PROCESSES {
            return self.processes.iter().any(|process| process.gpu == gpu);
        }
        self.samples.iter().any(|sample| sample.gpu == gpu && sample.knows(column))
    }
}

impl Recording {
    /// Writes [`METRICS_FILE`], and [`PROCESSES_FILE`] if there are any.
    pub fn write(&self, folder: &Path) -> Result<(), csv::Error> {
        let mut table = csv::Writer::from_writer(files::create(&folder.join(METRICS_FILE))?);
        for sample in &self.samples {
            table.serialize(sample)?;
        }
        table.flush()?;
        if !self.processes.is_empty() {
            let mut table = csv::Writer::from_writer(files::create(&folder.join(PROCESSES_FILE))?);
            for process in &self.processes {
                table.serialize(process)?;
            }
            table.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn device(index: u32) -> Device {
        Device {
            index,
            uuid: None,
            name: "H200".to_owned(),
            driver: None,
            memory_total_bytes: None,
            memory_free_bytes: None,
        }
    }

    fn row(gpu: u32, time_s: u64, energy_j: Option<f64>) -> GpuSample {
        GpuSample { time_ns: time_s * S, gpu, power_w: Some(1.0), energy_j, ..GpuSample::default() }
    }

    fn two(samples: Vec<GpuSample>) -> Recorded {
        Recorded { watched: vec![device(0), device(1)], samples, ..Recorded::default() }
    }

    #[test]
    fn each_gpu_is_told_until_when_it_was_seen() {
        let rows = || vec![row(0, 1, None), row(1, 1, None), row(0, 2, None), row(0, 9, None)];
        let close = |recorded: Recorded| recorded.close(Duration::from_millis(100), 0, 9 * S);
        let gpus = close(two(rows())).sampling.gpus;
        assert_eq!((gpus[0].rows, gpus[0].from_ns, gpus[0].until_ns), (3, Some(S), Some(9 * S)));
        assert_eq!(gpus[0].lost, None);
        assert_eq!((gpus[1].rows, gpus[1].until_ns), (1, Some(S)));
        assert_eq!(gpus[1].name, "GPU 1: H200");
        assert_eq!(gpus[1].lost.as_deref(), Some("its rows ended"));
        // A reason of its own is a better one, and counts also in the last second.
        let silent = BTreeMap::from([(0, "GPU is lost".to_owned())]);
        let gpus = close(Recorded { silent, ..two(rows()) }).sampling.gpus;
        assert_eq!(gpus[0].lost.as_deref(), Some("GPU is lost"));
        // Two looks at another GPU without a row of this one tell as much.
        let soon = vec![row(0, 1, None), row(1, 1, None), row(0, 2, None), row(0, 3, None)];
        let gpus = two(soon).close(Duration::from_secs(60), 0, 3 * S).sampling.gpus;
        assert_eq!((gpus[0].lost.is_some(), gpus[1].lost.is_some()), (false, true));
        // One that never told anything was never seen.
        let gpus = close(two(vec![row(0, 9, None)])).sampling.gpus;
        assert_eq!((gpus[1].from_ns, gpus[1].lost.is_some()), (None, true));
    }

    #[test]
    fn what_one_gpu_hides_is_said_although_another_tells_it() {
        let unknown = Unknown::from([
            ((0, "energy_j"), "busy".to_owned()),
            ((1, "energy_j"), "not supported".to_owned()),
            ((0, "sm_percent"), "no".to_owned()),
            ((1, "sm_percent"), "no".to_owned()),
        ]);
        let samples = vec![row(0, 1, Some(5.0)), row(1, 1, None)];
        let recorded = Recorded { unknown, ..two(samples) };
        let unavailable = recorded.unavailable();
        assert_eq!(unavailable["energy_j"], "GPU 1: not supported");
        assert_eq!(unavailable["sm_percent"], "no");
        assert_eq!(unavailable.len(), 2);
    }
}
