//! What the machine is doing besides what is measured: its clock and governor, other work, swap, heat.
//!
//! Linux tells it in files below `/proc` and `/sys`; a file that is not there leaves its fact unknown,
//! so elsewhere only what the system library knows is known (untested).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Shortest time over which work is counted: the system counts it in hundredths of a second.
const WINDOW: Duration = Duration::from_millis(200);

/// The state of the machine; what cannot be known is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Condition {
    /// Frequency governors of the cores, each once.
    pub governors: Vec<String>,
    /// Frequencies of the cores, lowest and highest.
    pub frequency_mhz: Option<(u64, u64)>,
    /// What the fastest core is made for.
    pub top_frequency_mhz: Option<u64>,
    /// Processes that wanted to run, mean over the last minute.
    pub load_1m: Option<f64>,
    pub cores: Option<usize>,
    /// Share of all cores' time that other processes took while this was looked at.
    pub others_busy: Option<f64>,
    pub memory_total_bytes: Option<u64>,
    pub memory_available_bytes: Option<u64>,
    /// 0 without swap.
    pub swap_used_bytes: Option<u64>,
    /// How often a core was slowed down for its heat since the system started.
    pub throttled: Option<u64>,
    /// As [`Condition::throttled`], while this was looked at.
    pub throttled_now: Option<u64>,
    /// The hottest sensor and its temperature in °C.
    pub hottest: Option<(String, f64)>,
    /// What the system reads the time from.
    pub clock_source: Option<String>,
    /// There is a GPU to compute on that is none of NVIDIA's, as far as its driver's file tells (Linux:
    /// AMD's); every Mac has one.
    pub other_gpu: bool,
}

/// A look at the machine that lasts a while: what it does meanwhile, apart from this process and those
/// that it has waited for, is other work.
#[derive(Debug)]
pub struct Look {
    root: PathBuf,
    began: Instant,
    work: Option<Work>,
    throttled: Option<u64>,
}

/// Counted by the system, in its ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Work {
    all: u64,
    busy: u64,
    own: u64,
}

impl Look {
    #[must_use]
    pub fn begin() -> Self {
        Self::below(Path::new("/"))
    }

    fn below(root: &Path) -> Self {
        let root = root.to_owned();
        Self { work: work(&root), throttled: throttled(&root), began: Instant::now(), root }
    }

    /// Ends the look; waits if it was too short to say anything.
    #[must_use]
    pub fn end(self) -> Condition {
        if self.work.is_some() {
            thread::sleep(WINDOW.saturating_sub(self.began.elapsed()));
        }
        let root = &self.root;
        let wanted = RefreshKind::nothing().with_memory(MemoryRefreshKind::everything());
        let system = System::new_with_specifics(wanted).ok();
        let memory = system.as_ref().filter(|system| system.total_memory() > 0);
        let throttled = throttled(root);
        let frequencies = each_core(root, "cpufreq/scaling_cur_freq");
        let khz = frequencies.iter().filter_map(|text| text.parse::<u64>().ok());
        let range = khz.clone().min().zip(khz.max());
        let top = each_core(root, "cpufreq/cpuinfo_max_freq");
        Condition {
            governors: each_core(root, "cpufreq/scaling_governor").into_iter().collect(),
            frequency_mhz: range.map(|(low, high)| (low / 1000, high / 1000)),
            top_frequency_mhz: top
                .iter()
                .filter_map(|t| t.parse::<u64>().ok())
                .max()
                .map(|k| k / 1000),
            load_1m: System::load_average().ok().map(|load| load.one),
            cores: thread::available_parallelism().ok().map(usize::from),
            others_busy: self.work.zip(work(root)).and_then(|(then, now)| others(then, now)),
            memory_total_bytes: memory.map(System::total_memory),
            memory_available_bytes: memory.map(System::available_memory),
            swap_used_bytes: memory.map(System::used_swap),
            throttled,
            throttled_now: self
                .throttled
                .zip(throttled)
                .map(|(then, now)| now.saturating_sub(then)),
            hottest: hottest(root),
            clock_source: read(
                root,
                "sys/devices/system/clocksource/clocksource0/current_clocksource",
            ),
            other_gpu: cfg!(target_os = "macos") || root.join("dev/kfd").exists(),
        }
    }
}

fn read(root: &Path, path: &str) -> Option<String> {
    let text = fs::read_to_string(root.join(path)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// What the file says for each core that has it, each answer once.
fn each_core(root: &Path, file: &str) -> BTreeSet<String> {
    cores(root).iter().filter_map(|core| read(core, file)).collect()
}

fn cores(root: &Path) -> Vec<PathBuf> {
    let folder = root.join("sys/devices/system/cpu");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("cpu"));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        })
        .map(|entry| entry.path())
        .collect()
}

/// Only Intel's processors count it. Cores of one package share a counter, so the largest stands for
/// all.
fn throttled(root: &Path) -> Option<u64> {
    let files = ["core_throttle_count", "package_throttle_count"];
    files
        .iter()
        .flat_map(|file| each_core(root, &format!("thermal_throttle/{file}")))
        .filter_map(|text| text.parse::<u64>().ok())
        .max()
}

fn hottest(root: &Path) -> Option<(String, f64)> {
    let zones = fs::read_dir(root.join("sys/class/thermal")).ok()?.flatten();
    zones
        .filter_map(|zone| {
            let millidegrees: f64 = read(&zone.path(), "temp")?.parse().ok()?;
            Some((read(&zone.path(), "type")?, millidegrees / 1000.0))
        })
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// As the manual pages `proc_stat` and `proc_pid_stat` say.
fn work(root: &Path) -> Option<Work> {
    let stat = fs::read_to_string(root.join("proc/stat")).ok()?;
    let total = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // Time of guests is in that of users already.
    let ticks: Vec<u64> =
        total.split_whitespace().take(8).map_while(|ticks| ticks.parse().ok()).collect();
    let [user, nice, system, idle, iowait, rest @ ..] = ticks.as_slice() else { return None };
    let busy = user + nice + system + rest.iter().sum::<u64>();
    let own = fs::read_to_string(root.join("proc/self/stat")).ok()?;
    // The name in parentheses may hold spaces; user, system time and those of children that were
    // waited for are the 14th to the 17th field.
    let own = own.rsplit_once(')')?.1.split_whitespace().skip(11).take(4);
    let own = own.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some(Work { all: busy + idle + iowait, busy, own })
}

fn others(then: Work, now: Work) -> Option<f64> {
    let passed = now.all.saturating_sub(then.all);
    let busy = now.busy.saturating_sub(then.busy);
    let others = busy.saturating_sub(now.own.saturating_sub(then.own));
    (passed > 0).then(|| others as f64 / passed as f64)
}

#[cfg(test)]
mod tests;
