//! What the GPU probe tells of a run: power and energy of active inference, use, memory, heat.

use std::collections::BTreeMap;
use std::path::Path;

use formats::protocol::Window;

use super::active::{Curve, WorkTimes, is_in, length_s};
use super::call::sample;
use super::run::named;
use super::{MetricsError, ratio, read_rows};
use crate::probe::gpu::{GpuSample, is_slowed};
use crate::store::record::Metrics;

/// Utilisation from which on a GPU is at its limit, percent.
const REDLINE: f64 = 99.0;

/// Reads the probe's file; `None` when there is none.
pub fn read(path: &Path) -> Result<Option<Vec<GpuSample>>, MetricsError> {
    read_rows(path)
}

/// Every metric of the GPU probe; all but the time of active inference unknown without samples.
/// `tokens`: of the calls that count.
pub(super) fn metrics(work: &WorkTimes, samples: &[GpuSample], tokens: Option<f64>) -> Metrics {
    let spans = &work.active;
    let active_s = (!spans.is_empty()).then(|| length_s(spans));
    let window = work.measured;
    let mut gpus: BTreeMap<u32, Vec<&GpuSample>> = BTreeMap::new();
    for sample in samples {
        gpus.entry(sample.gpu).or_default().push(sample);
    }
    let gpus: Vec<Gpu<'_>> =
        gpus.into_values().map(|samples| Gpu { samples, spans, window }).collect();

    let counter = sum(&gpus, |gpu| gpu.counter_j(spans));
    let integral = sum(&gpus, |gpu| gpu.integral_j(spans));
    let energy = sum(&gpus, |gpu| gpu.counter_j(spans).or_else(|| gpu.integral_j(spans)));
    let idle = work.idle.map(|idle| [idle]);
    let idle_power =
        idle.and_then(|idle| ratio(sum(&gpus, |gpu| gpu.integral_j(&idle))?, length_s(&idle)));
    let per = |a: Option<f64>, b: Option<f64>| ratio(a?, b?);
    named([
        ("active_s", active_s),
        ("gpu_power_w", per(energy, active_s)),
        ("gpu_idle_power_w", idle_power),
        ("gpu_energy_j", energy),
        ("gpu_energy_counter_j", counter),
        ("gpu_energy_integral_j", integral),
        ("joules_per_token", per(energy, tokens)),
        ("tokens_per_joule", per(tokens, energy)),
        ("gpu_sm_percent", most(&gpus, |gpu| gpu.mean(|own| own.sm_percent))),
        ("gpu_memory_percent", most(&gpus, |gpu| gpu.mean(|own| own.memory_percent))),
        ("redline_percent", most(&gpus, Gpu::redline_percent)),
        ("gpu_throttled_percent", most(&gpus, Gpu::throttled_percent)),
        ("gpu_memory_peak_mb", sum(&gpus, |gpu| gpu.peak(|own| own.memory_used_mb))),
        ("gpu_pcie_rx_peak_mb_per_s", most(&gpus, |gpu| gpu.peak(|own| own.pcie_rx_mb_per_s))),
        ("gpu_pcie_tx_peak_mb_per_s", most(&gpus, |gpu| gpu.peak(|own| own.pcie_tx_mb_per_s))),
        ("gpu_temperature_max_c", most(&gpus, |gpu| gpu.peak(|own| own.temperature_c))),
        (
            "gpu_samples",
            (!gpus.is_empty()).then(|| gpus.iter().map(|gpu| gpu.active().count() as f64).sum()),
        ),
    ])
}

/// Most memory in use at any time, all GPUs together; unknown as soon as one's is.
pub(super) fn memory_peak_mb(samples: &[GpuSample]) -> Option<f64> {
    let mut peaks: BTreeMap<u32, Option<f64>> = BTreeMap::new();
    for sample in samples {
        let peak = peaks.entry(sample.gpu).or_default();
        *peak = match (*peak, sample.memory_used_mb) {
            (Some(before), Some(now)) => Some(before.max(now)),
            (before, now) => before.or(now),
        };
    }
    let known: Option<Vec<f64>> = peaks.into_values().collect();
    known.filter(|known| !known.is_empty()).map(|known| known.into_iter().sum())
}

/// Over all GPUs; unknown as soon as one's is.
fn sum(gpus: &[Gpu<'_>], figure: impl Fn(&Gpu<'_>) -> Option<f64>) -> Option<f64> {
    let known: Option<Vec<f64>> = gpus.iter().map(figure).collect();
    known.filter(|known| !known.is_empty()).map(|known| known.into_iter().sum())
}

/// Of the GPU that has most of it.
fn most<'a>(gpus: &[Gpu<'a>], figure: impl Fn(&Gpu<'a>) -> Option<f64>) -> Option<f64> {
    gpus.iter().filter_map(figure).max_by(f64::total_cmp)
}

struct Gpu<'a> {
    /// In the order of time.
    samples: Vec<&'a GpuSample>,
    spans: &'a [Window],
    window: Option<Window>,
}

impl Gpu<'_> {
    fn points(&self, value: impl Fn(&GpuSample) -> Option<f64>) -> Vec<(u64, f64)> {
        self.samples.iter().filter_map(|own| Some((own.time_ns, value(own)?))).collect()
    }

    fn counter_j(&self, spans: &[Window]) -> Option<f64> {
        Curve::of_counter(self.points(|own| own.energy_j))?.gain(spans)
    }

    fn integral_j(&self, spans: &[Window]) -> Option<f64> {
        Curve::of_rate(&self.points(|own| own.power_w))?.gain(spans)
    }

    fn active(&self) -> impl Iterator<Item = &GpuSample> {
        self.samples.iter().copied().filter(|own| is_in(self.spans, own.time_ns))
    }

    fn mean(&self, value: impl Fn(&GpuSample) -> Option<f64>) -> Option<f64> {
        sample(self.active().filter_map(value).collect()).map(|known| known.mean())
    }

    fn peak(&self, value: impl Fn(&GpuSample) -> Option<f64>) -> Option<f64> {
        let window = [self.window?];
        let within = self.samples.iter().filter(|own| is_in(&window, own.time_ns));
        within.filter_map(|own| value(own)).max_by(f64::total_cmp)
    }

    fn redline_percent(&self) -> Option<f64> {
        self.mean(|own| own.sm_percent.map(|share| hundred_if(share >= REDLINE)))
    }

    fn throttled_percent(&self) -> Option<f64> {
        self.mean(|own| {
            own.throttle_reasons.as_deref().map(|reasons| hundred_if(is_slowed(reasons)))
        })
    }
}

fn hundred_if(holds: bool) -> f64 {
    if holds { 100.0 } else { 0.0 }
}
