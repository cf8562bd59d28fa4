//! What the host probe tells of a run: the machine, the agent's processes, local servers, the executor.

use std::path::Path;

use formats::protocol::Window;

use super::active::{Curve, WorkTimes, is_in, length_s};
use super::call::sample;
use super::run::named;
use super::{MetricsError, ratio, read_rows, seconds};
use crate::probe::host::HostSample;
use crate::store::record::{Metrics, ProcessUsage};

/// What the processes of the agent or the command took while they were measured.
pub const AGENT_CPU_PERCENT: &str = "agent_cpu_percent";
/// The probe counts in steps of 10 ms, for each process.
const COUNTED_MORE_S: f64 = 0.05;
const COUNTED_MORE: f64 = 0.02;

/// Reads the probe's file; `None` when there is none.
pub fn read(path: &Path) -> Result<Option<Vec<HostSample>>, MetricsError> {
    read_rows(path)
}

/// The share of a core that a command took from its start to its end, with everything that it started, %; or why
/// it is unknown.
///
/// A counter that begins with the process cannot be read at both ends of its window. So this is what the system
/// counted when the command was waited for, with the children that it waited for, and what was left behind. Where
/// a process is in neither count (its parent did not want to know of its end), the probe may have seen it.
pub(super) fn share_of_command(
    process: &ProcessUsage,
    window: Window,
    samples: &[HostSample],
) -> Result<f64, String> {
    let unknown = |reason: &str| Err(reason.to_owned());
    let (Some(own_s), Some(left_s)) = (process.cpu_s, process.left_cpu_s) else {
        return unknown("it was not recorded what the command's processes used");
    };
    let counted_s = own_s + left_s;
    let seen_s = samples.iter().filter_map(|own| own.agent_cpu_s).fold(0.0, f64::max);
    if seen_s > counted_s + COUNTED_MORE_S.max(COUNTED_MORE * seen_s) {
        return Err(format!(
            "processes that the command started ended without being waited for: the host probe saw {seen_s:.2} s \
             of CPU time, the system counted {counted_s:.2} s"
        ));
    }
    match ratio(100.0 * counted_s, seconds(window.end_ns.saturating_sub(window.start_ns))) {
        Some(share) => Ok(share),
        None => unknown("the command took no time"),
    }
}

/// Every metric of the host probe, over the measured window; all unknown without samples. `tokens`: of
/// the calls that count.
pub(super) fn metrics(work: &WorkTimes, samples: &[HostSample], tokens: Option<f64>) -> Metrics {
    let window = work.measured.map(|window| [window]);
    let window_s = window.as_ref().map(|window| length_s(window));
    let gain = |value: &dyn Fn(&HostSample) -> Option<f64>| {
        let points = samples.iter().filter_map(|own| Some((own.time_ns, value(own)?))).collect();
        Curve::of_counter(points)?.gain(window.as_ref()?)
    };
    let known = |value: &dyn Fn(&HostSample) -> Option<f64>| {
        let window = window.as_ref()?;
        let within = samples.iter().filter(|own| is_in(window, own.time_ns));
        sample(within.filter_map(value).collect())
    };
    let per = |a: Option<f64>, b: Option<f64>| ratio(a?, b?);
    let percent = |share: Option<f64>| share.map(|share| 100.0 * share);
    let server_cpu_s = gain(&|own| own.server_cpu_s);
    let within = window.filter(|_| !samples.is_empty());
    let rows =
        within.map(|window| samples.iter().filter(|own| is_in(&window, own.time_ns)).count());
    named([
        (
            "host_cpu_percent",
            // Idle time, which is in the whole, is counted less exactly than work.
            percent(per(gain(&|own| own.busy_cpu_s), gain(&|own| own.total_cpu_s)))
                .map(|percent| percent.min(100.0)),
        ),
        ("host_memory_peak_mb", known(&|own| own.memory_used_mb).map(|known| known.max())),
        ("host_swap_peak_mb", known(&|own| own.swap_used_mb).map(|known| known.max())),
        ("host_load_1m", known(&|own| own.load_1m).map(|known| known.mean())),
        ("host_cpu_mhz", known(&|own| own.cpu_mhz).map(|known| known.mean())),
        (AGENT_CPU_PERCENT, percent(per(gain(&|own| own.agent_cpu_s), window_s))),
        ("agent_rss_peak_mb", known(&|own| own.agent_rss_mb).map(|known| known.max())),
        ("server_cpu_percent", percent(per(server_cpu_s, window_s))),
        ("server_cpu_s_per_1000_tokens", per(server_cpu_s.map(|cpu_s| 1000.0 * cpu_s), tokens)),
        ("server_rss_peak_mb", known(&|own| own.server_rss_mb).map(|known| known.max())),
        ("runner_cpu_percent", percent(per(gain(&|own| own.runner_cpu_s), window_s))),
        ("host_samples", rows.map(|rows| rows as f64)),
    ])
}
