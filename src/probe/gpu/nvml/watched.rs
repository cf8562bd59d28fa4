//! One GPU that is asked again and again: its handle, and what it does not tell.
//!
//! Units are turned into those of the rows here. Functions and units are those of NVIDIA's reference:
//! power in mW, the energy counter in mJ, `PCIe` throughput in KB/s.

use std::collections::{BTreeMap, BTreeSet};

use formats::clock;
use nvml_wrapper::enum_wrappers::device::{Clock, PcieUtilCounter, TemperatureSensor};
use nvml_wrapper::enums::device::{SampleValue, UsedGpuMemory};
use nvml_wrapper::error::{Bits, NvmlError};
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::NVML_FI_DEV_POWER_INSTANT;
use nvml_wrapper::{Device, Nvml};

use super::words;
use crate::probe::gpu::recording::Unknown;
use crate::probe::gpu::sample::{GpuProcess, GpuSample, PROCESSES, throttle_reasons};

/// Longest name of a process.
const NAME: usize = 64;
const MB: f64 = 1e6;

/// A GPU and what it does not tell.
pub(super) struct Watched<'n> {
    nvml: &'n Nvml,
    device: Device<'n>,
    pub index: u32,
    /// Columns that were unknown at least once, with the last reason.
    unknown: BTreeMap<&'static str, String>,
    /// Not asked for again: this GPU will never tell.
    dropped: BTreeSet<&'static str>,
    power: Power,
    /// Why it told nothing when it was last looked at.
    pub silent: Option<String>,
    /// It will never tell anything again.
    lost: bool,
}

/// Which power a GPU tells.
#[derive(Clone, Copy, PartialEq)]
enum Power {
    NotAskedYet,
    /// Of the moment, which newer drivers tell.
    Instant,
    /// The driver's mean.
    Averaged,
}

impl<'n> Watched<'n> {
    /// Getting the handle is dear: once for all looks.
    pub fn new(nvml: &'n Nvml, index: u32) -> Result<Self, String> {
        let device = nvml.device_by_index(index).map_err(|error| words(&error))?;
        Ok(Self {
            nvml,
            device,
            index,
            unknown: BTreeMap::new(),
            dropped: BTreeSet::new(),
            power: Power::NotAskedYet,
            silent: None,
            lost: false,
        })
    }

    /// `None`: it told nothing.
    pub fn look(&mut self) -> Option<GpuSample> {
        let mut sample = GpuSample {
            // Right before what depends on the time most.
            time_ns: clock::monotonic_ns(),
            gpu: self.index,
            ..GpuSample::default()
        };
        sample.power_w = self.power_w();
        sample.energy_j = self
            .ask("energy_j", Device::total_energy_consumption)
            .map(|millijoules| millijoules as f64 / 1e3);
        let utilization = self.ask("sm_percent", Device::utilization_rates);
        sample.sm_percent = utilization.as_ref().map(|share| f64::from(share.gpu));
        sample.memory_percent = utilization.map(|share| f64::from(share.memory));
        sample.memory_used_mb =
            self.ask("memory_used_mb", Device::memory_info).map(|memory| memory.used as f64 / MB);
        sample.temperature_c = self
            .ask("temperature_c", |device| device.temperature(TemperatureSensor::Gpu))
            .map(f64::from);
        sample.sm_clock_mhz =
            self.ask("sm_clock_mhz", |device| device.clock_info(Clock::SM)).map(f64::from);
        sample.memory_clock_mhz =
            self.ask("memory_clock_mhz", |device| device.clock_info(Clock::Memory)).map(f64::from);
        sample.throttle_reasons = self.ask("throttle_reasons", reasons).map(throttle_reasons);
        if sample.is_empty() {
            return None;
        }
        if !self.lost {
            self.silent = None;
        }
        Some(sample)
    }

    /// Of the moment where the driver tells it, or else its mean.
    fn power_w(&mut self) -> Option<f64> {
        if self.power != Power::Averaged {
            let instant = self.ask("power_w", instant_milliwatts);
            match (instant, self.power) {
                (Some(milliwatts), _) => {
                    self.power = Power::Instant;
                    return Some(milliwatts / 1e3);
                }
                // A mean among them would be another quantity in the same column.
                (None, Power::Instant) => return None,
                (None, _) => {
                    self.power = Power::Averaged;
                    self.dropped.remove("power_w");
                }
            }
        }
        let milliwatts = self.ask("power_w", Device::power_usage)?;
        Some(f64::from(milliwatts) / 1e3)
    }

    /// Whether its power is the driver's mean.
    pub fn averages_power(&self) -> bool {
        self.power == Power::Averaged && !self.dropped.contains("power_w")
    }

    /// MB/s that were received and sent over the driver's last 20 ms, which the asking takes, too.
    pub fn pcie(&mut self) -> (Option<f64>, Option<f64>) {
        let mut counter = |column, counter| {
            // Thousands of bytes per second.
            let rate = self.ask(column, |device| device.pcie_throughput(counter))?;
            Some(f64::from(rate) / 1e3)
        };
        (
            counter("pcie_rx_mb_per_s", PcieUtilCounter::Receive),
            counter("pcie_tx_mb_per_s", PcieUtilCounter::Send),
        )
    }

    /// Adds the processes that compute on it, with their memory.
    pub fn processes(&mut self, into: &mut Vec<GpuProcess>) {
        let time_ns = clock::monotonic_ns();
        for process in self.ask(PROCESSES, Device::running_compute_processes).unwrap_or_default() {
            match process.used_gpu_memory {
                UsedGpuMemory::Used(bytes) => into.push(GpuProcess {
                    time_ns,
                    gpu: self.index,
                    pid: process.pid,
                    process: self.nvml.sys_process_name(process.pid, NAME).ok(),
                    memory_used_mb: bytes as f64 / MB,
                }),
                UsedGpuMemory::Unavailable => {
                    self.unknown.insert(PROCESSES, "the driver hides their memory".to_owned());
                }
            }
        }
    }

    fn ask<T>(
        &mut self,
        column: &'static str,
        question: impl FnOnce(&Device<'n>) -> Result<T, NvmlError>,
    ) -> Option<T> {
        if self.lost || self.dropped.contains(column) {
            return None;
        }
        match question(&self.device) {
            Ok(answer) => Some(answer),
            Err(error) => {
                if is_final(&error) {
                    self.dropped.insert(column);
                }
                self.lost = is_loss(&error);
                self.silent = Some(words(&error));
                self.unknown.insert(column, words(&error));
                None
            }
        }
    }

    /// What it did not tell at least once.
    pub fn unknown(mut self) -> Unknown {
        // Both come with one answer.
        if let Some(reason) = self.unknown.get("sm_percent").cloned() {
            self.unknown.insert("memory_percent", reason);
        }
        let index = self.index;
        self.unknown.into_iter().map(|(column, reason)| ((index, column), reason)).collect()
    }
}

/// The power of the moment. Drivers that do not know the field refuse it in ways of their own, or
/// answer it with nothing.
fn instant_milliwatts(device: &Device<'_>) -> Result<f64, NvmlError> {
    let values = device.field_values_for(&[FieldId(NVML_FI_DEV_POWER_INSTANT)])?;
    let milliwatts = match values.into_iter().next().ok_or(NvmlError::NoData)??.value? {
        SampleValue::U32(milliwatts) => f64::from(milliwatts),
        SampleValue::U64(milliwatts) => milliwatts as f64,
        _ => return Err(NvmlError::NoData),
    };
    if milliwatts > 0.0 { Ok(milliwatts) } else { Err(NvmlError::NoData) }
}

/// The driver's bits, also those that have no name here.
fn reasons(device: &Device<'_>) -> Result<u64, NvmlError> {
    match device.current_throttle_reasons_strict() {
        Ok(known) => Ok(known.bits()),
        Err(NvmlError::IncorrectBits(Bits::U64(all))) => Ok(all),
        Err(error) => Err(error),
    }
}

/// Whether asking the same again is in vain.
fn is_final(error: &NvmlError) -> bool {
    matches!(
        error,
        NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_) | NvmlError::NoPermission
    )
}

/// Whether asking anything again is in vain, and may take long.
fn is_loss(error: &NvmlError) -> bool {
    matches!(error, NvmlError::GpuLost | NvmlError::ResetRequired)
}
