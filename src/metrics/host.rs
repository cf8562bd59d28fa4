//! What the host probe tells of a run: the machine, the agent's processes, local servers, the executor.

use std::path::Path;

use super::active::{Curve, WorkTimes, is_in, length_s};
use super::call::sample;
use super::run::named;
use super::{MetricsError, ratio, read_rows};
use crate::probe::host::HostSample;
use crate::store::record::Metrics;

/// Reads the probe's file; `None` when there is none.
pub fn read(path: &Path) -> Result<Option<Vec<HostSample>>, MetricsError> {
    read_rows(path)
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
        ("agent_cpu_percent", percent(per(gain(&|own| own.agent_cpu_s), window_s))),
        ("agent_rss_peak_mb", known(&|own| own.agent_rss_mb).map(|known| known.max())),
        ("server_cpu_percent", percent(per(server_cpu_s, window_s))),
        ("server_cpu_s_per_1000_tokens", per(server_cpu_s.map(|cpu_s| 1000.0 * cpu_s), tokens)),
        ("server_rss_peak_mb", known(&|own| own.server_rss_mb).map(|known| known.max())),
        ("runner_cpu_percent", percent(per(gain(&|own| own.runner_cpu_s), window_s))),
        ("host_samples", rows.map(|rows| rows as f64)),
    ])
}
