//! Figures of the sampling probes, computed by hand.

use super::*;
use crate::manifest::study::Price;
use crate::probe::gpu::GpuSample;
use crate::probe::host::HostSample;

/// Warm-up to 1000 ms, then calls 1000–2000 and 1500–2500 ms, loading included in the first for
/// 200 ms, and one from 3000 to 3500 ms: 1.8 s of active inference. 20 tokens each.
fn at_work() -> AgentRecord {
    let mut warmup = call("a", 0, &[10], 1000);
    warmup.warmup = true;
    let mut calls = vec![
        warmup,
        call("a", 1000, &[300], 2000),
        call("b", 1500, &[10], 2500),
        call("a", 3000, &[10], 3500),
    ];
    calls[1].server.load_ns = Some(200 * MS);
    for call in &mut calls {
        call.server.tokens = Some(20);
    }
    record(calls)
}

/// 200 W while warm-up and loading last, then 100 W, 10 W from 2500 to 3000 ms and 100 W again.
fn watts(time_ms: u64) -> f64 {
    match time_ms {
        0..1200 => 200.0,
        2500..3000 => 10.0,
        _ => 100.0,
    }
}

fn row(gpu: u32, time_ms: u64) -> GpuSample {
    GpuSample { gpu, time_ns: time_ms * MS, ..GpuSample::default() }
}

/// A sample a millisecond, so that steps are steps.
fn samples(fill: impl Fn(&mut GpuSample, u64)) -> Vec<GpuSample> {
    (0..=4000)
        .map(|time_ms| {
            let mut sample = row(0, time_ms);
            fill(&mut sample, time_ms);
            sample
        })
        .collect()
}

fn gpu_metrics(record: &AgentRecord, gpu: &[GpuSample]) -> Metrics {
    let recorded = Recorded { gpu, ..Recorded::default() };
    compute(record, &recorded, &ProcessUsage::default(), false).run
}

#[track_caller]
fn near(metrics: &Metrics, name: &str, expected: f64, tolerance: f64) {
    let value = metrics[name].unwrap_or_else(|| panic!("{name} is unknown"));
    assert!((value - expected).abs() <= tolerance, "{name}: {value} instead of {expected}");
}

#[test]
fn energy_is_that_of_active_inference_by_counter_and_by_integral() {
    let mut counted = 5000.0;
    let mut joules = Vec::new();
    for time_ms in 0..=4000 {
        joules.push(counted);
        counted += watts(time_ms) / 1e3;
    }
    let both = samples(|sample, time_ms| {
        sample.power_w = Some(watts(time_ms));
        sample.energy_j = Some(joules[usize::try_from(time_ms).unwrap()]);
    });
    let run = gpu_metrics(&at_work(), &both);
    close(&run, "active_s", 1.8);
    near(&run, "gpu_energy_counter_j", 180.0, 0.2);
    near(&run, "gpu_energy_integral_j", 180.0, 0.3);
    assert_eq!(run["gpu_energy_j"], run["gpu_energy_counter_j"]);
    near(&run, "gpu_power_w", 100.0, 0.2);
    near(&run, "joules_per_token", 3.0, 0.01);
    near(&run, "tokens_per_joule", 1.0 / 3.0, 0.001);
    close(&run, "gpu_samples", 1301.0 + 501.0);

    let power = samples(|sample, time_ms| sample.power_w = Some(watts(time_ms)));
    let run = gpu_metrics(&at_work(), &power);
    assert_eq!(run["gpu_energy_j"], run["gpu_energy_integral_j"]);
    unknown(&run, &["gpu_energy_counter_j", "gpu_sm_percent", "redline_percent"]);
}

#[test]
fn the_integral_interpolates_between_samples_that_are_far_apart() {
    // From 0 W at 900 ms to 260 W at 3500 ms, 0.1 W a millisecond.
    let ramp: Vec<GpuSample> = (0..=13)
        .map(|step| GpuSample {
            power_w: Some(20.0 * f64::from(step)),
            ..row(0, 900 + 200 * u64::try_from(step).unwrap())
        })
        .collect();
    let run = gpu_metrics(&at_work(), &ramp);
    // 30 to 160 W over 1.3 s, 210 to 260 W over 0.5 s.
    near(&run, "gpu_energy_integral_j", 95.0 * 1.3 + 235.0 * 0.5, 1e-9);
}

#[test]
fn energy_that_was_not_seen_is_unknown() {
    let powered = |times: &[u64]| -> Vec<GpuSample> {
        times.iter().map(|time| GpuSample { power_w: Some(50.0), ..row(0, *time) }).collect()
    };
    let energy = |times: &[u64]| gpu_metrics(&at_work(), &powered(times))["gpu_energy_j"];
    assert!(energy(&[1000, 1500, 2000, 2500, 3000, 3500]).is_some());
    assert_eq!(energy(&[1000, 1500, 2000, 2500, 3000, 3400]), None, "the end is not enclosed");
    assert_eq!(energy(&[1300, 1500, 2000, 2500, 3000, 3500]), None, "the start is not enclosed");
    assert_eq!(energy(&[1000]), None);
    let hole: Vec<u64> = (1000..=1300).chain(2400..=3500).collect();
    assert_eq!(energy(&hole), None, "a second in the midst is missing");
    let mut back = samples(|sample, time_ms| {
        sample.energy_j = Some(f64::from(u32::try_from(time_ms).unwrap()));
    });
    back[2000].energy_j = Some(0.0);
    assert_eq!(gpu_metrics(&at_work(), &back)["gpu_energy_counter_j"], None, "it was reset");
}

#[test]
fn use_is_counted_in_active_inference_and_of_the_busiest_gpu() {
    let mut both = samples(|sample, time_ms| {
        sample.sm_percent = Some(if (1200..1650).contains(&time_ms) { 99.0 } else { 98.0 });
        sample.throttle_reasons =
            Some(if time_ms < 3000 { "gpu_idle" } else { "sw_power_cap+sync_boost" }.to_owned());
        sample.memory_used_mb = Some(if time_ms == 900 { 9000.0 } else { 4000.0 });
        sample.pcie_rx_mb_per_s = (time_ms == 2600).then_some(75.0);
        sample.temperature_c = Some(60.0);
    });
    both.extend([1000, 2000, 3000].map(|time_ms| GpuSample {
        sm_percent: Some(0.0),
        memory_used_mb: Some(10.0),
        ..row(1, time_ms)
    }));
    both.sort_by_key(|sample| sample.time_ns);
    let run = gpu_metrics(&at_work(), &both);
    near(&run, "redline_percent", 100.0 * 450.0 / 1802.0, 1e-9);
    near(&run, "gpu_sm_percent", 98.0 + 450.0 / 1802.0, 1e-9);
    near(&run, "gpu_throttled_percent", 100.0 * 501.0 / 1802.0, 1e-9);
    close(&run, "gpu_memory_peak_mb", 4010.0); // not that of the warm-up
    close(&run, "gpu_pcie_rx_peak_mb_per_s", 75.0); // in the pause: seldom looked at
    close(&run, "gpu_temperature_max_c", 60.0);
    unknown(&run, &["gpu_pcie_tx_peak_mb_per_s", "gpu_energy_j", "joules_per_token"]);
}

#[test]
fn without_samples_nothing_is_known_of_the_gpu_or_the_host() {
    let run = gpu_metrics(&at_work(), &[]);
    unknown(&run, &["gpu_power_w", "gpu_samples", "redline_percent", "gpu_memory_peak_mb"]);
    unknown(&run, &["host_cpu_percent", "host_samples", "server_cpu_percent"]);
    close(&run, "active_s", 1.8);
}

#[test]
fn counters_of_the_host_are_taken_over_the_measured_window() {
    let host: Vec<HostSample> = (0..=40)
        .map(|tick| {
            let time_s = f64::from(tick) / 10.0;
            HostSample {
                time_ns: u64::try_from(tick).unwrap() * 100 * MS,
                busy_cpu_s: Some(100.0 + time_s),
                total_cpu_s: Some(500.0 + 4.0 * time_s),
                memory_used_mb: Some(if tick == 5 { 900.0 } else { 300.0 }),
                agent_cpu_s: (tick > 2).then_some(0.5 * time_s),
                agent_rss_mb: (tick > 2).then_some(time_s),
                server_cpu_s: Some(10.0 + 3.0 * time_s),
                ..HostSample::default()
            }
        })
        .collect();
    let recorded = Recorded { host: &host, ..Recorded::default() };
    let run = compute(&at_work(), &recorded, &ProcessUsage::default(), false).run;
    near(&run, "host_cpu_percent", 25.0, 1e-9);
    near(&run, "agent_cpu_percent", 50.0, 1e-9);
    near(&run, "server_cpu_percent", 300.0, 1e-9);
    near(&run, "server_cpu_s_per_1000_tokens", 1000.0 * 7.5 / 60.0, 1e-9);
    close(&run, "agent_rss_peak_mb", 3.5);
    close(&run, "host_memory_peak_mb", 300.0);
    close(&run, "host_samples", 26.0);
    unknown(&run, &["host_cpu_mhz", "server_rss_peak_mb", "runner_cpu_percent"]);
}

#[test]
fn a_price_buys_what_is_known() {
    let run: Metrics = [("wall_ms", 1800e3), ("gpu_energy_j", 3.6e6), ("tokens", 5e5)]
        .map(|(name, value)| (name.to_owned(), Some(value)))
        .into();
    let usd = |run: &Metrics, usd_per_hour, usd_per_kwh| {
        let metrics = price::at_price(run, Price { usd_per_hour, usd_per_kwh });
        metrics.get("usd_per_million_tokens").copied()
    };
    assert_eq!(usd(&run, None, None), None, "nothing is declared");
    assert_eq!(usd(&run, Some(3.0), None), Some(Some(3.0)));
    assert_eq!(usd(&run, None, Some(0.25)), Some(Some(0.5)));
    assert_eq!(usd(&run, Some(3.0), Some(0.25)), Some(Some(3.5)));
    let mut without = run.clone();
    without.insert("gpu_energy_j".to_owned(), None);
    assert_eq!(usd(&without, Some(3.0), Some(0.25)), Some(None));
    assert_eq!(usd(&without, Some(3.0), None), Some(Some(3.0)));
}
