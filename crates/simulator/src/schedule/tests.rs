use formats::endpoint::Api;

use super::*;

fn pacing() -> Pacing {
    Pacing {
        protocol: Api::Ollama,
        ttft: Duration::from_millis(50),
        rate: 100.0,
        gaps: Vec::new(),
        jitter: Duration::ZERO,
        jitter_shape: JitterShape::Uniform,
        seed: 7,
        tokens_per_chunk: 1,
        tokens: None,
        load: Duration::ZERO,
        slots: None,
        faults: Vec::new(),
    }
}

fn due(pacing: &Pacing, request: &str, chunks: usize) -> Vec<u64> {
    schedule(pacing, request).take(chunks).collect()
}

/// Gaps after the first chunk, in ms.
fn gaps(pacing: &Pacing, chunks: usize) -> Vec<f64> {
    let due = due(pacing, "run/agent/1", chunks + 1);
    due.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e6).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn without_jitter_the_schedule_is_exact() {
    assert_eq!(due(&pacing(), "x", 4), [50_000_000, 60_000_000, 70_000_000, 80_000_000]);
    let chunky = Pacing { tokens_per_chunk: 3, ..pacing() };
    assert_eq!(due(&chunky, "x", 3), [50_000_000, 80_000_000, 110_000_000]);
}

#[test]
fn rounding_never_adds_up() {
    let thirds = Pacing { rate: 3.0, ttft: Duration::ZERO, ..pacing() };
    assert_eq!(schedule(&thirds, "x").nth(3_000), Some(1_000_000_000_000));
}

#[test]
fn a_trace_repeats_when_it_ends() {
    let gaps = vec![Duration::from_millis(1), Duration::from_millis(30)];
    let traced = Pacing { gaps, ..pacing() };
    let ms: Vec<_> = due(&traced, "x", 5).iter().map(|ns| ns / 1_000_000).collect();
    assert_eq!(ms, [50, 51, 81, 82, 112]);
}

#[test]
fn the_same_request_has_the_same_schedule_and_others_have_others() {
    let jittered = Pacing { jitter: Duration::from_millis(2), ..pacing() };
    assert_eq!(due(&jittered, "run/a/1", 100), due(&jittered, "run/a/1", 100));
    assert_ne!(due(&jittered, "run/a/1", 100), due(&jittered, "run/a/2", 100));
    let reseeded = Pacing { seed: 8, ..jittered.clone() };
    assert_ne!(due(&jittered, "run/a/1", 100), due(&reseeded, "run/a/1", 100));
    // A longer answer begins like a shorter one.
    assert_eq!(due(&jittered, "run/a/1", 100)[..10], due(&jittered, "run/a/1", 10));
}

#[test]
fn jitter_has_the_declared_shape() {
    let shaped = |jitter_shape| {
        let jittered = Pacing { jitter: Duration::from_millis(2), jitter_shape, ..pacing() };
        gaps(&jittered, 20_000)
    };
    let uniform = shaped(JitterShape::Uniform);
    assert!((mean(&uniform) - 10.0).abs() < 0.05, "{}", mean(&uniform));
    assert!((deviation(&uniform) - 2.0 / 3f64.sqrt()).abs() < 0.05, "{}", deviation(&uniform));
    assert!(uniform.iter().all(|gap| (8.0..=12.001).contains(gap)));

    let normal = shaped(JitterShape::Normal);
    assert!((mean(&normal) - 10.0).abs() < 0.1, "{}", mean(&normal));
    assert!((deviation(&normal) - 2.0).abs() < 0.1, "{}", deviation(&normal));
    assert!(normal.iter().any(|gap| *gap > 14.0), "no gap beyond two deviations");

    let exponential = shaped(JitterShape::Exponential);
    assert!((mean(&exponential) - 12.0).abs() < 0.1, "{}", mean(&exponential));
    assert!((deviation(&exponential) - 2.0).abs() < 0.1, "{}", deviation(&exponential));
    assert!(exponential.iter().all(|gap| *gap > 9.999));
}

#[test]
fn a_jitter_larger_than_the_gap_never_goes_back_in_time() {
    let wild =
        Pacing { jitter: Duration::from_secs(1), jitter_shape: JitterShape::Normal, ..pacing() };
    let due = due(&wild, "x", 1_000);
    assert!(due.windows(2).all(|pair| pair[0] <= pair[1]));
}

#[test]
fn the_ttft_deviates_too() {
    let jittered = Pacing { jitter: Duration::from_millis(5), ..pacing() };
    let first: Vec<_> = (0..50).map(|n| due(&jittered, &format!("#{n}"), 1)[0]).collect();
    assert!(first.iter().all(|ns| (45_000_000..=55_000_000).contains(ns)));
    assert!(first.iter().any(|ns| *ns < 49_000_000) && first.iter().any(|ns| *ns > 51_000_000));
}
