use formats::protocol::{PassRecord, TokenizeMode, Window};

use super::*;

const US: u64 = 1_000;

fn pass(mode: TokenizeMode, pass: u32, warmup: bool) -> PassRecord {
    let ids_sha256 = String::new();
    PassRecord {
        mode,
        pass,
        warmup,
        start_ns: 0,
        end_ns: 0,
        parts: 0,
        bytes: 0,
        tokens: 0,
        ids_sha256,
    }
}

fn record() -> TokenizeRecord {
    let passes = TokenizeMode::ALL
        .iter()
        .flat_map(|mode| [pass(*mode, 0, true), pass(*mode, 1, false), pass(*mode, 2, false)]);
    TokenizeRecord {
        load: Window { start_ns: 5 * US, end_ns: 2_005 * US },
        vocabulary: 600,
        passes: passes.collect(),
    }
}

fn row(mode: TokenizeMode, pass: u32, part: u64, bytes: u64, tokens: u64, us: u64) -> PartRow {
    PartRow { mode, pass, part, bytes, tokens, encode_ns: us * US }
}

fn metric(metrics: &Metrics, name: &str) -> f64 {
    metrics[name].unwrap_or_else(|| panic!("{name} is unknown"))
}

#[test]
fn rates_are_over_the_sums_of_the_measured_passes() {
    use TokenizeMode::{Lines, Pieces, Whole};
    let rows = [
        // The first pass fills caches: however slow it is, it changes nothing.
        row(Whole, 0, 0, 1000, 250, 900_000),
        row(Whole, 1, 0, 1000, 250, 100),
        row(Whole, 2, 0, 1000, 250, 300),
        row(Lines, 0, 0, 500, 100, 900_000),
        row(Lines, 1, 0, 500, 100, 10),
        row(Lines, 1, 1, 500, 150, 30),
        row(Lines, 2, 0, 500, 100, 20),
        row(Lines, 2, 1, 500, 150, 40),
        row(Pieces, 1, 0, 50, 25, 5),
        row(Pieces, 2, 0, 50, 25, 15),
    ];
    let process =
        ProcessUsage { startup_ms: Some(7.0), cpu_s: Some(1.0), ..ProcessUsage::default() };
    let metrics = compute(&record(), &rows, &process);
    let expected = [
        // 500 tokens and 2000 bytes in 400 µs.
        ("tokenizer_tokens_per_s", 1_250_000.0),
        ("tokenizer_mb_per_s", 5.0),
        ("tokenizer_latency_ms", 0.2),
        ("tokenizer_tokens", 250.0),
        ("tokenizer_bytes_per_token", 4.0),
        ("tokenizer_load_ms", 2.0),
        ("tokenizer_vocabulary", 600.0),
        ("tokenizer_lines_tokens_per_s", 5_000_000.0),
        ("tokenizer_lines_mb_per_s", 20.0),
        ("tokenizer_lines_bytes_per_token", 4.0),
        ("tokenizer_lines_p50_us", 25.0),
        ("tokenizer_pieces_tokens_per_s", 2_500_000.0),
        ("tokenizer_pieces_p50_us", 10.0),
        ("tokenizer_pieces_p99_us", 14.9),
        ("startup_ms", 7.0),
        ("cpu_s", 1.0),
    ];
    for (name, value) in expected {
        let found = metric(&metrics, name);
        assert!((found / value - 1.0).abs() < 1e-9, "{name}: {found}, not {value}");
    }
    assert_eq!(metrics["peak_rss_mb"], None);
}

#[test]
fn what_cannot_be_told_is_unknown() {
    let none = compute(&record(), &[], &ProcessUsage::default());
    let known: Vec<_> = none.iter().filter(|(_, value)| value.is_some()).collect();
    assert_eq!(known.len(), 2, "{known:?}");
    // A text without any token has no bytes per token, and no time has no rate.
    let rows = [row(TokenizeMode::Whole, 1, 0, 10, 0, 0)];
    let metrics = compute(&record(), &rows, &ProcessUsage::default());
    assert_eq!(metrics["tokenizer_bytes_per_token"], None);
    assert_eq!(metrics["tokenizer_tokens_per_s"], None);
    assert_eq!(metrics["tokenizer_tokens"], Some(0.0));
}

#[test]
fn the_catalogue_lists_what_is_computed_and_nothing_else() {
    use crate::metrics::{Scope, catalogue};
    let metrics = compute(&record(), &[], &ProcessUsage::default());
    let mut listed: Vec<&str> = catalogue()
        .iter()
        .filter(|info| info.scope == Scope::Tokenizer)
        .map(|info| info.name)
        .chain(["cpu_s", "peak_rss_mb", "startup_ms"])
        .collect();
    listed.sort_unstable();
    assert_eq!(metrics.keys().map(String::as_str).collect::<Vec<_>>(), listed);
}
