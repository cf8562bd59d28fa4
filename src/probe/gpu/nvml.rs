//! NVML, the driver's own library: opened at run time, so that the program runs where there is none.
//!
//! Two threads look: one on the schedule that was asked for, one more slowly at what is slow to tell.
//! The driver takes 20 ms for each `PCIe` counter, which would ruin a schedule of 10 ms; their values
//! stand in the first row after each look at them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::{Clock, PcieUtilCounter, TemperatureSensor};
use nvml_wrapper::enums::device::{SampleValue, UsedGpuMemory};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::NVML_FI_DEV_POWER_INSTANT;

use super::sample::{GpuProcess, GpuSample, throttle_reasons};
use super::{Device, Selection};
use crate::os;
use crate::probe::sampling::Unavailable;
use crate::probe::schedule::{self, Schedule};

/// Least interval between two looks at what is slow, for each GPU that is watched.
const SLOW: Duration = Duration::from_millis(500);
/// Longest name of a process.
const NAME: usize = 64;
const MB: f64 = 1e6;

/// The library, or why there is none.
pub fn open() -> Result<Arc<Nvml>, Unavailable> {
    Nvml::init().map(Arc::new).map_err(|error| Unavailable(format!("NVML: {}", words(&error))))
}

/// The devices by the driver's count.
pub fn devices(nvml: &Nvml) -> Result<Vec<Device>, Unavailable> {
    let failed = |error: NvmlError| Unavailable(format!("NVML: {}", words(&error)));
    let driver = nvml.sys_driver_version().ok();
    let count = nvml.device_count().map_err(failed)?;
    let mut devices = Vec::new();
    for index in 0..count {
        let device = nvml.device_by_index(index).map_err(failed)?;
        let memory = device.memory_info().ok();
        devices.push(Device {
            index,
            uuid: device.uuid().ok(),
            name: device.name().map_err(failed)?,
            driver: driver.clone(),
            memory_total_bytes: memory.as_ref().map(|memory| memory.total),
            memory_free_bytes: memory.as_ref().map(|memory| memory.free),
        });
    }
    if devices.is_empty() {
        return Err(Unavailable("NVML: the driver knows no GPU".to_owned()));
    }
    Ok(devices)
}

/// Those that are watched: all of them, or those named by index or UUID.
pub fn selected(nvml: &Nvml, selection: &Selection) -> Result<Vec<Device>, Unavailable> {
    let all = devices(nvml)?;
    if selection.devices.is_empty() {
        return Ok(all);
    }
    let find = |name: &String| {
        let is_it = |device: &&Device| {
            device.index.to_string() == *name || device.uuid.as_ref() == Some(name)
        };
        all.iter().find(is_it).cloned().ok_or_else(|| {
            Unavailable(format!("there is no GPU `{name}`; there are {}", super::listed(&all)))
        })
    };
    selection.devices.iter().map(find).collect()
}

/// Values of the slow counters that no row has yet, by GPU: received and sent, MB/s.
type Fresh = Arc<Mutex<BTreeMap<u32, (Option<f64>, Option<f64>)>>>;

/// What was recorded by the thread that keeps the schedule.
#[derive(Debug)]
pub struct Recorded {
    pub samples: Vec<GpuSample>,
    pub schedule: Schedule,
    /// Columns that were unknown at least once, with the last reason.
    pub unknown: BTreeMap<&'static str, String>,
    pub cpu_ns: Option<u64>,
    /// The power is the driver's mean over about a second, not that of the moment.
    pub averaged_power: bool,
}

/// Looks on schedule until it is told to stop. `looked` is called after the first look.
pub fn record(
    nvml: &Nvml,
    watched: &[Device],
    interval: Duration,
    stop: &Receiver<()>,
    fresh: &Fresh,
    looked: &mut dyn FnMut(),
) -> Recorded {
    os::wake_on_time();
    let began_ns = os::thread_cpu_ns();
    let mut devices: Vec<Watched<'_>> =
        watched.iter().filter_map(|device| Watched::new(nvml, device.index)).collect();
    let mut samples = Vec::new();
    let schedule = schedule::sample(interval, stop, |()| true, &mut |_| {
        for device in &mut devices {
            let mut sample = device.look();
            let mut fresh = fresh.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((rx, tx)) = fresh.remove(&device.index) {
                (sample.pcie_rx_mb_per_s, sample.pcie_tx_mb_per_s) = (rx, tx);
            }
            drop(fresh);
            if !sample.is_empty() {
                samples.push(sample);
            }
        }
        looked();
        true
    });
    let averaged_power = devices.iter().any(|device| device.dropped.contains(INSTANT));
    let unknown = devices.into_iter().flat_map(|device| device.unknown).collect();
    let cpu_ns = os::thread_cpu_ns().zip(began_ns).map(|(now, began)| now.saturating_sub(began));
    Recorded { samples, schedule, unknown, cpu_ns, averaged_power }
}

/// Not a column: the power of the moment, which newer drivers tell.
const INSTANT: &str = "instant";

/// A device and what it does not tell.
struct Watched<'n> {
    device: nvml_wrapper::Device<'n>,
    index: u32,
    unknown: BTreeMap<&'static str, String>,
    /// Not asked for again: this device will never tell.
    dropped: BTreeSet<&'static str>,
    /// It has told its power of the moment once, so a failure is one of the moment, too.
    tells_instant: bool,
}

impl<'n> Watched<'n> {
    fn new(nvml: &'n Nvml, index: u32) -> Option<Self> {
        let device = nvml.device_by_index(index).ok()?;
        Some(Self {
            device,
            index,
            unknown: BTreeMap::new(),
            dropped: BTreeSet::new(),
            tells_instant: false,
        })
    }

    fn look(&mut self) -> GpuSample {
        let mut sample = GpuSample {
            // Right before what depends on the time most.
            time_ns: os::monotonic_ns(),
            gpu: self.index,
            ..GpuSample::default()
        };
        sample.power_w = self.power_w();
        sample.energy_j = self
            .ask("energy_j", nvml_wrapper::Device::total_energy_consumption)
            .map(|millijoules| millijoules as f64 / 1e3);
        let utilization = self.ask("sm_percent", nvml_wrapper::Device::utilization_rates);
        sample.sm_percent = utilization.as_ref().map(|share| f64::from(share.gpu));
        sample.memory_percent = utilization.map(|share| f64::from(share.memory));
        sample.memory_used_mb = self
            .ask("memory_used_mb", nvml_wrapper::Device::memory_info)
            .map(|memory| memory.used as f64 / MB);
        let temperature =
            self.ask("temperature_c", |device| device.temperature(TemperatureSensor::Gpu));
        sample.temperature_c = temperature.map(f64::from);
        sample.sm_clock_mhz =
            self.ask("sm_clock_mhz", |device| device.clock_info(Clock::SM)).map(f64::from);
        sample.memory_clock_mhz =
            self.ask("memory_clock_mhz", |device| device.clock_info(Clock::Memory)).map(f64::from);
        sample.throttle_reasons = self
            .ask("throttle_reasons", nvml_wrapper::Device::current_throttle_reasons)
            .map(|reasons| throttle_reasons(reasons.bits()));
        sample
    }

    /// Of the moment where the driver tells it, or else its mean.
    fn power_w(&mut self) -> Option<f64> {
        if !self.dropped.contains(INSTANT) {
            let asked = self.device.field_values_for(&[FieldId(NVML_FI_DEV_POWER_INSTANT)]);
            let value = asked.ok().and_then(|values| values.into_iter().next()?.ok()?.value.ok());
            let milliwatts = match value {
                Some(SampleValue::U32(milliwatts)) => Some(f64::from(milliwatts)),
                Some(SampleValue::U64(milliwatts)) => Some(milliwatts as f64),
                _ => None,
            };
            match milliwatts {
                Some(milliwatts) if milliwatts > 0.0 => {
                    self.tells_instant = true;
                    return Some(milliwatts / 1e3);
                }
                // A mean among them would be another quantity in the same column.
                _ if self.tells_instant => return None,
                _ => self.dropped.insert(INSTANT),
            };
        }
        let milliwatts = self.ask("power_w", nvml_wrapper::Device::power_usage)?;
        Some(f64::from(milliwatts) / 1e3)
    }

    fn ask<T>(
        &mut self,
        column: &'static str,
        question: impl FnOnce(&nvml_wrapper::Device<'n>) -> Result<T, NvmlError>,
    ) -> Option<T> {
        if self.dropped.contains(column) {
            return None;
        }
        match question(&self.device) {
            Ok(answer) => Some(answer),
            Err(error) => {
                if is_final(&error) {
                    self.dropped.insert(column);
                }
                if column == "sm_percent" {
                    self.unknown.insert("memory_percent", words(&error));
                }
                self.unknown.insert(column, words(&error));
                None
            }
        }
    }
}

/// What was recorded by the slow thread.
#[derive(Debug, Default)]
pub struct SlowlyRecorded {
    pub processes: Vec<GpuProcess>,
    pub unknown: BTreeMap<&'static str, String>,
    pub interval: Duration,
    pub cpu_ns: Option<u64>,
}

/// Looks at what is slow to tell, until it is told to stop.
pub fn record_slowly(
    nvml: &Nvml,
    watched: &[Device],
    interval: Duration,
    stop: &Receiver<()>,
    fresh: &Fresh,
) -> SlowlyRecorded {
    let began_ns = os::thread_cpu_ns();
    let count = u32::try_from(watched.len()).unwrap_or(1);
    let interval = interval.max(SLOW.saturating_mul(count.max(1)));
    let mut recorded = SlowlyRecorded { interval, ..SlowlyRecorded::default() };
    let mut devices: Vec<Watched<'_>> =
        watched.iter().filter_map(|device| Watched::new(nvml, device.index)).collect();
    schedule::sample(interval, stop, |()| true, &mut |_| {
        for device in &mut devices {
            let mut counter = |column, counter| {
                // Thousands of bytes per second.
                let rate = device.ask(column, |device| device.pcie_throughput(counter))?;
                Some(f64::from(rate) / 1e3)
            };
            let rx = counter("pcie_rx_mb_per_s", PcieUtilCounter::Receive);
            let tx = counter("pcie_tx_mb_per_s", PcieUtilCounter::Send);
            if rx.is_some() || tx.is_some() {
                let mut fresh = fresh.lock().unwrap_or_else(PoisonError::into_inner);
                fresh.insert(device.index, (rx, tx));
            }
            processes(nvml, device, &mut recorded.processes);
        }
        true
    });
    recorded.unknown = devices.into_iter().flat_map(|device| device.unknown).collect();
    recorded.cpu_ns =
        os::thread_cpu_ns().zip(began_ns).map(|(now, began)| now.saturating_sub(began));
    recorded
}

fn processes(nvml: &Nvml, device: &mut Watched<'_>, into: &mut Vec<GpuProcess>) {
    let time_ns = os::monotonic_ns();
    let Some(found) = device.ask("processes", nvml_wrapper::Device::running_compute_processes)
    else {
        return;
    };
    for process in found {
        match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => into.push(GpuProcess {
                time_ns,
                gpu: device.index,
                pid: process.pid,
                process: nvml.sys_process_name(process.pid, NAME).ok(),
                memory_used_mb: bytes as f64 / MB,
            }),
            UsedGpuMemory::Unavailable => {
                device.unknown.insert("processes", "the driver hides their memory".to_owned());
            }
        }
    }
}

/// A cell that both threads reach.
#[must_use]
pub fn fresh() -> Fresh {
    Fresh::default()
}

/// Whether asking again is in vain.
fn is_final(error: &NvmlError) -> bool {
    matches!(
        error,
        NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_) | NvmlError::NoPermission
    )
}

fn words(error: &NvmlError) -> String {
    match error {
        NvmlError::NotSupported => "this GPU or its driver does not tell it".to_owned(),
        NvmlError::LibloadingError(_) => "there is no NVIDIA driver library".to_owned(),
        error => error.to_string(),
    }
}
