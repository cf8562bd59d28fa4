//! One look at one GPU, as a row of `gpu_metrics.csv`, and one process on it, as a row of
//! `gpu_processes.csv`.
//!
//! An empty cell is what was not known at that time. Which columns never were, and why, stands in
//! `run.json`.

use serde::{Deserialize, Serialize};

/// File of the [`GpuSample`]s in the run's folder.
pub const METRICS_FILE: &str = "gpu_metrics.csv";
/// File of the [`GpuProcess`]es in the run's folder, if the driver tells of any.
pub const PROCESSES_FILE: &str = "gpu_processes.csv";

/// One look at one GPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuSample {
    /// Monotonic.
    pub time_ns: u64,
    /// Since the same GPU's row before; empty in its first.
    pub interval_ms: Option<f64>,
    /// Index by the driver's count.
    pub gpu: u32,
    pub power_w: Option<f64>,
    /// The driver's own counter, joules since it was loaded.
    pub energy_j: Option<f64>,
    /// Share of the driver's last sampling period in which a kernel ran.
    pub sm_percent: Option<f64>,
    /// Share of that period in which memory was read or written.
    pub memory_percent: Option<f64>,
    /// Of the whole GPU, in units of 10^6 bytes.
    pub memory_used_mb: Option<f64>,
    /// Received over `PCIe`, in the row after each look at these slow counters.
    pub pcie_rx_mb_per_s: Option<f64>,
    /// Sent over `PCIe`, likewise.
    pub pcie_tx_mb_per_s: Option<f64>,
    pub temperature_c: Option<f64>,
    pub sm_clock_mhz: Option<f64>,
    pub memory_clock_mhz: Option<f64>,
    /// Why the clocks are held down, joined by `+`; `none`: they are not.
    pub throttle_reasons: Option<String>,
}

impl GpuSample {
    /// Whether nothing was known but the time.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self
            == Self {
                time_ns: self.time_ns,
                interval_ms: self.interval_ms,
                gpu: self.gpu,
                ..Self::default()
            }
    }

    /// Whether a column of [`MEASURED`] was known.
    #[must_use]
    pub fn knows(&self, column: &str) -> bool {
        match column {
            "power_w" => self.power_w.is_some(),
            "energy_j" => self.energy_j.is_some(),
            "sm_percent" => self.sm_percent.is_some(),
            "memory_percent" => self.memory_percent.is_some(),
            "memory_used_mb" => self.memory_used_mb.is_some(),
            "pcie_rx_mb_per_s" => self.pcie_rx_mb_per_s.is_some(),
            "pcie_tx_mb_per_s" => self.pcie_tx_mb_per_s.is_some(),
            "temperature_c" => self.temperature_c.is_some(),
            "sm_clock_mhz" => self.sm_clock_mhz.is_some(),
            "memory_clock_mhz" => self.memory_clock_mhz.is_some(),
            _ => self.throttle_reasons.is_some(),
        }
    }
}

/// The columns that a source fills, by their names in the header.
pub const MEASURED: [&str; 11] = [
    "power_w",
    "energy_j",
    "sm_percent",
    "memory_percent",
    "memory_used_mb",
    "pcie_rx_mb_per_s",
    "pcie_tx_mb_per_s",
    "temperature_c",
    "sm_clock_mhz",
    "memory_clock_mhz",
    "throttle_reasons",
];

/// Stands for [`PROCESSES_FILE`] where columns are named that nothing is known of.
pub const PROCESSES: &str = "processes";

/// Memory of one process on one GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GpuProcess {
    /// Monotonic.
    pub time_ns: u64,
    pub gpu: u32,
    pub pid: u32,
    /// Its program, where the system tells.
    pub process: Option<String>,
    /// In units of 10^6 bytes.
    pub memory_used_mb: f64,
}

/// Writes the intervals between the rows of each GPU; the rows are in the order of time.
pub fn set_intervals(samples: &mut [GpuSample]) {
    let mut last = std::collections::BTreeMap::new();
    for sample in samples {
        let before = last.insert(sample.gpu, sample.time_ns);
        sample.interval_ms =
            before.map(|before: u64| sample.time_ns.saturating_sub(before) as f64 / 1e6);
    }
}

/// Reasons that slow a GPU down against its will, by the driver's bits.
const SLOWED: u64 = 0x4 | 0x8 | 0x20 | 0x40 | 0x80;

/// The driver's bits and their names.
const REASONS: [(u64, &str); 9] = [
    (0x1, "gpu_idle"),
    (0x2, "applications_clocks"),
    (0x4, "sw_power_cap"),
    (0x8, "hw_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "sw_thermal_slowdown"),
    (0x40, "hw_thermal_slowdown"),
    (0x80, "hw_power_brake"),
    (0x100, "display_clocks"),
];

/// The names of the reasons in a mask of the driver; a bit without a name as a number.
#[must_use]
pub fn throttle_reasons(mask: u64) -> String {
    if mask == 0 {
        return "none".to_owned();
    }
    let known: u64 = REASONS.iter().map(|(bit, _)| bit).sum();
    let named =
        REASONS.iter().filter(|(bit, _)| mask & bit != 0).map(|(_, name)| (*name).to_owned());
    let rest = mask & !known;
    let unnamed = (rest != 0).then(|| format!("{rest:#x}"));
    named.chain(unnamed).collect::<Vec<_>>().join("+")
}

/// Whether these reasons slow the GPU down against its will: power, heat or hardware, not idleness or
/// a setting.
#[must_use]
pub fn is_slowed(reasons: &str) -> bool {
    let slowing = REASONS
        .iter()
        .filter(|(bit, _)| SLOWED & bit != 0)
        .map(|(_, name)| *name)
        .collect::<Vec<_>>();
    reasons.split('+').any(|reason| slowing.contains(&reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_a_contract() {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.serialize(GpuSample { gpu: 1, time_ns: 5, ..GpuSample::default() }).unwrap();
        let text = String::from_utf8(table.into_inner().unwrap()).unwrap();
        assert_eq!(
            text,
            "time_ns,interval_ms,gpu,power_w,energy_j,sm_percent,memory_percent,memory_used_mb,\
             pcie_rx_mb_per_s,pcie_tx_mb_per_s,temperature_c,sm_clock_mhz,memory_clock_mhz,\
             throttle_reasons\n5,,1,,,,,,,,,,,\n"
        );
        let header = text.lines().next().unwrap();
        assert_eq!(header.split(',').skip(3).collect::<Vec<_>>(), MEASURED);
        let read: Vec<GpuSample> =
            csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect();
        assert_eq!(read[0].power_w, None, "an empty cell is unknown, not 0");
    }

    #[test]
    fn masks_of_the_driver_have_names() {
        assert_eq!(throttle_reasons(0), "none");
        assert_eq!(throttle_reasons(1), "gpu_idle");
        assert_eq!(throttle_reasons(0x24), "sw_power_cap+sw_thermal_slowdown");
        assert_eq!(throttle_reasons(0x801), "gpu_idle+0x800");
        assert!(is_slowed("gpu_idle+hw_thermal_slowdown"));
        assert!(!is_slowed("gpu_idle") && !is_slowed("none") && !is_slowed("applications_clocks"));
    }
}
