//! Checks of instruments: intervals that can be kept, and which GPUs.

use std::time::Duration;

use super::settings::duration;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Control, FlamegraphProbe, GpuProbe, Probes, SampledProbe, WireProbe};
use crate::manifest::written::{
    self, Captured, GpuSampled, GpuSettings, Profiled, Sampled, Scalar,
};

/// Of a sampling probe unless the manifest says otherwise.
const INTERVAL: Duration = Duration::from_millis(100);
/// The kernel counts CPU time in ticks of 10 ms, and GPUs tell nothing new sooner.
const LEAST: Duration = Duration::from_millis(10);
/// A sample costs a loop some 30 µs of a core.
const LEAST_SLEEP: Duration = Duration::from_micros(100);

pub(super) fn probes(
    at: &At<'_>,
    written: &written::Probes,
    problems: &mut Problems<'_>,
) -> Probes {
    let gpu = gpu(&at.key("gpu"), written.gpu.as_ref(), problems);
    let host = match &written.host {
        None | Some(Sampled::Switch(false)) => None,
        Some(Sampled::Switch(true)) => Some(SampledProbe { interval: INTERVAL, required: false }),
        Some(Sampled::Settings(settings)) => {
            interval(&at.key("host"), settings.interval.as_ref(), problems)
                .map(|interval| SampledProbe { interval, required: settings.required })
        }
    };
    let loop_lag = written
        .loop_lag
        .as_ref()
        .and_then(|lag| duration(&at.key("loop_lag"), lag, problems))
        .inspect(|lag| {
            if *lag < LEAST_SLEEP {
                let message = "a sleep below 100us would measure the probe itself";
                problems.value(&at.key("loop_lag"), message, Some("1ms is usual".to_owned()));
            }
        });
    let flamegraph = flamegraph(&at.key("flamegraph"), written.flamegraph.as_ref(), problems);
    let wire = match &written.wire {
        None | Some(Captured::Switch(false)) => None,
        Some(Captured::Switch(true)) => Some(WireProbe { required: false }),
        Some(Captured::Settings(settings)) => Some(WireProbe { required: settings.required }),
    };
    Probes { loop_lag, chunks: written.chunks, gpu, host, flamegraph, wire }
}

/// Where there are no agents, nothing but the cell itself can be measured again.
pub(super) fn only_aa(
    at: &At<'_>,
    written: &written::Experiment,
    place: &str,
    problems: &mut Problems<'_>,
) {
    for (index, control) in written.controls.iter().enumerate() {
        if *control != Control::Aa {
            let message = format!("the control `{}` means nothing {place}", control.name());
            let help = "it is for agents that call endpoints; `aa` measures any cell a second time";
            problems.value(&at.key("controls").index(index), message, Some(help.into()));
        }
    }
}

/// Reports instruments that are asked for where they cannot measure anything. `rust`: cells may have
/// the Rust runtime.
pub(super) fn could_not_work(
    at: &At<'_>,
    written: &written::Experiment,
    probes: &Probes,
    rust: bool,
    problems: &mut Problems<'_>,
) {
    let watched =
        written.probes.loop_lag.is_some() || probes.gpu.is_some() || probes.host.is_some();
    if written.controls.contains(&Control::Idle) && !watched {
        let message = "the control `idle` measures nothing without a probe that watches it";
        let help = "add `probes = { loop_lag = \"1ms\" }`, or one of `gpu` and `host`";
        problems.value(&at.key("controls"), message, Some(help.to_owned()));
    }
    if rust && probes.flamegraph.as_ref().is_some_and(|flamegraph| flamegraph.required) {
        let message = "a flamegraph is required, but the runtime `rust` can have none: every run of \
                       it would fail";
        let help = "write `required = false`, `runtime = \"python\"`, or an experiment for each";
        problems.value(&at.key("probes").key("flamegraph"), message, Some(help.to_owned()));
    }
}

fn interval(
    at: &At<'_>,
    written: Option<&Scalar>,
    problems: &mut Problems<'_>,
) -> Option<Duration> {
    let at = at.key("interval");
    let interval = written.map_or(Some(INTERVAL), |written| duration(&at, written, problems))?;
    if interval < LEAST {
        let message = "an interval below 10ms would measure the probe itself";
        problems.value(&at, message, None);
    }
    Some(interval)
}

fn gpu(at: &At<'_>, written: Option<&GpuSampled>, problems: &mut Problems<'_>) -> Option<GpuProbe> {
    let default = GpuSettings::default();
    let settings = match written? {
        GpuSampled::Switch(false) => return None,
        GpuSampled::Switch(true) => &default,
        GpuSampled::Settings(settings) => settings,
    };
    let at_devices = at.key("devices");
    let mut devices: Vec<String> = Vec::new();
    for (place, device) in settings.devices.iter().enumerate() {
        let at = at_devices.index(place);
        let name = device.to_string();
        let is_name = match device {
            Scalar::Integer(index) => u32::try_from(*index).is_ok(),
            // MIG devices have UUIDs of their own.
            Scalar::Text(name) => name.starts_with("GPU-") || name.starts_with("MIG-"),
            Scalar::Float(_) | Scalar::Bool(_) => false,
        };
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !is_name || !is_plain {
            let help = "`nvidia-smi -L` lists them: 0, or \"GPU-…\"";
            let message = format!("`{name}` is neither the index of a GPU nor its UUID");
            problems.value(&at, message, Some(help.into()));
        } else if devices.contains(&name) {
            problems.value(&at, format!("GPU `{name}` is named twice"), None);
        } else {
            devices.push(name);
        }
    }
    let interval = interval(at, settings.interval.as_ref(), problems)?;
    Some(GpuProbe { interval, required: settings.required, devices })
}

fn flamegraph(
    at: &At<'_>,
    written: Option<&Profiled>,
    problems: &mut Problems<'_>,
) -> Option<FlamegraphProbe> {
    let (rate, required) = match written? {
        Profiled::Switch(false) => return None,
        Profiled::Switch(true) => (None, false),
        Profiled::Settings(settings) => (settings.rate, settings.required),
    };
    let rate = rate.unwrap_or(FlamegraphProbe::RATE);
    if !(1..=1000).contains(&rate) {
        let message = "`rate` must be from 1 to 1000 samples per second";
        problems.value(&at.key("rate"), message, None);
    }
    Some(FlamegraphProbe { rate, required })
}
