//! Recording with NVML by two threads: one on the schedule that was asked for, one more slowly at what
//! is slow to tell.
//!
//! The driver takes 20 ms for each `PCIe` counter, which would ruin a schedule of 10 ms; their values
//! stand in the first row after each look at them.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use formats::clock;

use super::watched::Watched;
use super::{Library, Look};
use crate::probe::gpu::recording::{Recorded, Unknown};
use crate::probe::gpu::sample::{GpuProcess, GpuSample};
use crate::probe::gpu::{Device, FIRST_LOOK, Selection};
use crate::probe::sampling::{CpuTime, Unavailable};
use crate::probe::schedule::{self, Schedule};

/// Least interval between two looks at what is slow, for each GPU that is watched.
const SLOW: Duration = Duration::from_millis(500);

/// By GPU, MB/s received and sent.
type Pcie = BTreeMap<u32, (Option<f64>, Option<f64>)>;

/// Values of the slow counters that no row has yet.
#[derive(Debug, Clone, Default)]
struct Fresh(Arc<Mutex<Pcie>>);

impl Fresh {
    fn lock(&self) -> MutexGuard<'_, Pcie> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A recording that is going on.
#[derive(Debug)]
pub struct Recorder {
    watched: Vec<Device>,
    unreachable: Vec<String>,
    stop: [Sender<()>; 2],
    fast: JoinHandle<Fast>,
    slow: JoinHandle<Slow>,
}

impl Recorder {
    /// Returns after the first look.
    pub fn start(
        library: &Arc<Library>,
        selection: &Selection,
        interval: Duration,
    ) -> Result<Self, Unavailable> {
        let Look { devices: watched, unreachable } = library.selected(selection)?;
        let fresh = Fresh::default();
        let (stop_fast, fast_stopped) = channel();
        let (stop_slow, slow_stopped) = channel();
        let (first, looked) = channel();
        let (own, devices, values) = (Arc::clone(library), watched.clone(), fresh.clone());
        let fast = thread::spawn(move || {
            let mut looked = || {
                // Only the first look is waited for.
                let _ = first.send(());
            };
            look_fast(&own, &devices, interval, &fast_stopped, &values, &mut looked)
        });
        let (own, devices) = (Arc::clone(library), watched.clone());
        let slow =
            thread::spawn(move || look_slowly(&own, &devices, interval, &slow_stopped, &fresh));
        if looked.recv_timeout(FIRST_LOOK).is_err() {
            // Its threads end by themselves once the driver answers.
            return Err(Unavailable(format!("NVML did not answer within {FIRST_LOOK:?}")));
        }
        Ok(Self { watched, unreachable, stop: [stop_fast, stop_slow], fast, slow })
    }

    /// Looks a last time and ends.
    pub fn finish(self) -> Recorded {
        for stop in &self.stop {
            // One that is gone has ended.
            let _ = stop.send(());
        }
        let slow = self.slow.join().unwrap_or_default();
        let Ok(fast) = self.fast.join() else { return Recorded::nothing(self.watched) };
        let mut notes = vec![format!(
            "PCIe counters and processes are looked at every {} ms by a thread of their own, since \
             the driver takes 20 ms for each counter; a value stands in the first row after the look",
            slow.interval.as_millis()
        )];
        notes.extend(self.unreachable.iter().map(|gpu| format!("not watched: {gpu}")));
        Recorded {
            source: "NVML".to_owned(),
            watched: self.watched,
            samples: fast.samples,
            processes: slow.processes,
            pace: fast.schedule.pace(),
            unknown: fast.unknown.into_iter().chain(slow.unknown).collect(),
            silent: fast.silent,
            notes,
            averaged_power: fast.averaged_power,
            cpu_ns: fast.cpu_ns.zip(slow.cpu_ns).map(|(fast, slow)| fast + slow),
            ..Recorded::default()
        }
    }
}

/// What was recorded by the thread that keeps the schedule.
#[derive(Debug)]
struct Fast {
    samples: Vec<GpuSample>,
    schedule: Schedule,
    unknown: Unknown,
    silent: BTreeMap<u32, String>,
    averaged_power: Vec<u32>,
    cpu_ns: Option<u64>,
}

/// Looks on schedule until it is told to stop. `looked` is called after every look.
fn look_fast(
    library: &Library,
    watched: &[Device],
    interval: Duration,
    stop: &Receiver<()>,
    fresh: &Fresh,
    looked: &mut dyn FnMut(),
) -> Fast {
    clock::wake_on_time();
    let cpu = CpuTime::start();
    let (mut devices, mut silent) = handles(library, watched);
    let mut samples = Vec::new();
    let schedule = schedule::sample(interval, stop, |()| true, &mut |_| {
        for device in &mut devices {
            if let Some(mut sample) = device.look() {
                if let Some(pcie) = fresh.lock().remove(&device.index) {
                    (sample.pcie_rx_mb_per_s, sample.pcie_tx_mb_per_s) = pcie;
                }
                samples.push(sample);
            }
        }
        looked();
        true
    });
    silent.extend(devices.iter().filter_map(|device| Some((device.index, device.silent.clone()?))));
    let averaged = devices.iter().filter(|device| device.averages_power());
    let averaged_power = averaged.map(|device| device.index).collect();
    let unknown = devices.into_iter().flat_map(Watched::unknown).collect();
    Fast { samples, schedule, unknown, silent, averaged_power, cpu_ns: cpu.used_ns() }
}

/// What was recorded by the slow thread.
#[derive(Debug, Default)]
struct Slow {
    processes: Vec<GpuProcess>,
    unknown: Unknown,
    interval: Duration,
    cpu_ns: Option<u64>,
}

/// Looks at what is slow to tell, until it is told to stop.
fn look_slowly(
    library: &Library,
    watched: &[Device],
    interval: Duration,
    stop: &Receiver<()>,
    fresh: &Fresh,
) -> Slow {
    let cpu = CpuTime::start();
    let count = u32::try_from(watched.len()).unwrap_or(1);
    let interval = interval.max(SLOW.saturating_mul(count.max(1)));
    // Those that cannot be reached the fast thread tells of.
    let (mut devices, _) = handles(library, watched);
    let mut processes = Vec::new();
    schedule::sample(interval, stop, |()| true, &mut |_| {
        for device in &mut devices {
            let pcie = device.pcie();
            if pcie != (None, None) {
                fresh.lock().insert(device.index, pcie);
            }
            device.processes(&mut processes);
        }
        true
    });
    let unknown = devices.into_iter().flat_map(Watched::unknown).collect();
    Slow { processes, unknown, interval, cpu_ns: cpu.used_ns() }
}

/// The GPUs to ask, and why others cannot be asked any more.
fn handles<'n>(
    library: &'n Library,
    watched: &[Device],
) -> (Vec<Watched<'n>>, BTreeMap<u32, String>) {
    let (mut devices, mut silent) = (Vec::new(), BTreeMap::new());
    for device in watched {
        match Watched::new(&library.nvml, device.index) {
            Ok(device) => devices.push(device),
            Err(reason) => {
                silent.insert(device.index, reason);
            }
        }
    }
    (devices, silent)
}
