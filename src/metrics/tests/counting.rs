//! How tokens are counted, and what a record refutes of itself.

use formats::protocol::{CallRecord, Outcome, ServerCounts};

use super::{by, call, close, serving, unknown};
use crate::metrics::Conditions;
use crate::metrics::checked::Checked;
use crate::store::record::Serving;

const MS: u64 = 1_000_000;

/// What a server says otherwise.
type Change = fn(&mut ServerCounts);

/// `chunks` of one token each, 10 ms apart, with the server's count and time of decoding.
fn answer(chunks: u64, outcome: Outcome, tokens: u64, decode_ms: u64) -> CallRecord {
    let times: Vec<u64> = (0..chunks).map(|index| 50 + 10 * index).collect();
    let mut answer = call("a", 0, &times, 60 + 10 * chunks);
    answer.outcome = outcome;
    answer.finish_reason = Some(if outcome == Outcome::Length { "length" } else { "stop" }.into());
    answer.text_bytes = vec![4; times.len()];
    answer.server.tokens = Some(tokens);
    answer.server.decode_ns = Some(decode_ms * MS);
    answer
}

#[test]
fn each_engine_is_read_by_its_own_way_of_counting() {
    let gemma = serving("ollama", Some("0.13.5"), Some("gemma3"));
    let smollm = serving("ollama", Some("0.13.5"), Some("llama"));
    let newer = serving("ollama", Some("0.32.15"), Some("gemma3"));
    let between = serving("ollama", Some("v0.20.1-rc2"), None);
    let vllm = serving("vllm", Some("0.32.0"), None);
    let (length, stop) = (Outcome::Length, Outcome::Ok);
    // Chunks, outcome, count, ms of decoding; then the rates of client and server.
    for (served, (chunks, outcome, count, decode_ms), client, server) in [
        // Ten are counted, nine made, eight fall into the duration.
        (&gemma, (9, length, 10, 80), Some(100.0), Some(100.0)),
        (&gemma, (10, length, 10, 90), Some(100.0), Some(100.0)),
        (&gemma, (9, stop, 10, 90), Some(100.0), Some(100.0)),
        (&gemma, (9, stop, 11, 90), Some(100.0), Some(100.0)),
        // Nine made in seven chunks of the same length, some of them with characters of two tokens.
        (&gemma, (7, length, 10, 60), Some(129.0), None),
        (&gemma, (9, length, 20, 90), Some(211.0), None),
        // Whether the tenth was made is not known.
        (&serving("ollama", Some("0.13.5"), None), (9, length, 10, 80), None, None),
        (&smollm, (10, length, 10, 90), Some(100.0), Some(100.0)),
        (&smollm, (9, stop, 10, 90), Some(100.0), Some(100.0)),
        (&smollm, (20, length, 40, 195), Some(200.0), Some(200.0)),
        (&newer, (10, length, 10, 90), Some(100.0), Some(100.0)),
        (&newer, (9, stop, 10, 90), Some(100.0), Some(100.0)),
        // Here a character took two tokens.
        (&newer, (9, length, 10, 85), Some(111.0), Some(106.0)),
        (&between, (10, length, 10, 90), Some(100.0), Some(100.0)),
        (&vllm, (10, length, 10, 90), Some(100.0), None),
        (&serving("ollama", None, Some("gemma3")), (10, length, 10, 90), Some(100.0), None),
        (&serving("ollama", Some("0.0.0"), Some("llama")), (9, stop, 10, 90), Some(100.0), None),
        (&serving("ollama", Some("0.5.0"), Some("gemma3")), (9, stop, 10, 90), Some(100.0), None),
        (
            &serving("ollama", Some("0.5.0"), Some("llama")),
            (10, length, 10, 90),
            Some(100.0),
            Some(100.0),
        ),
        (&serving("llama.cpp", None, None), (9, stop, 10, 90), Some(100.0), Some(100.0)),
        (&serving("another", Some("1"), None), (9, stop, 10, 90), Some(100.0), None),
        (&Serving::default(), (10, length, 10, 90), Some(100.0), None),
    ] {
        let one = answer(chunks, outcome, count, decode_ms);
        let metrics = &by(served, vec![one]).calls[0].metrics;
        let what = format!("{served:?} {chunks} {outcome:?} {count}");
        assert_eq!(metrics["decode_tokens_per_s"].map(f64::round), server, "{what}");
        assert_eq!(metrics["client_tokens_per_s"].map(f64::round), client, "{what}");
        let inverse = metrics["tpot_ms"].map(|ms| (1000.0 / ms).round());
        assert_eq!(inverse, client, "{what}");
        close(metrics, "eval_rate_tokens_per_s", count as f64 * 1e3 / decode_ms as f64);
    }
    let counted = by(&gemma, vec![answer(9, length, 10, 80)]);
    close(&counted.run, "tokens", 10.0);
    close(&counted.run, "made_tokens", 9.0);
}

#[test]
fn tokens_are_apportioned_to_chunks_that_hold_several() {
    let rate = |tokens: u64, text_bytes: &[u64], outcome| {
        let mut one = answer(text_bytes.len() as u64, outcome, tokens, 30);
        one.text_bytes = text_bytes.to_vec();
        let paced = serving("paced endpoint", None, None);
        by(&paced, vec![one]).calls[0].metrics["client_tokens_per_s"]
    };
    let length = Outcome::Length;
    // Four to a chunk, the last with what is left: 8 tokens in 20 ms, 6 in 20 ms.
    assert_eq!(rate(12, &[20, 24, 22], length), Some(400.0));
    assert_eq!(rate(10, &[20, 24, 10], length), Some(300.0));
    assert_eq!(rate(12, &[20, 24, 22], Outcome::Ok), Some(400.0), "it has no end-of-text token");
    // The first chunk holds one, the others three: what length tells.
    assert_eq!(rate(13, &[4, 12, 12, 12, 12], length).map(f64::round), Some(300.0));
    // A character that takes several tokens.
    assert_eq!(rate(40, &[3; 20], length), Some(200.0));
    assert_eq!(rate(3, &[4, 4, 4, 4], length).map(f64::round), Some(75.0), "fewer than chunks");
}

#[test]
fn what_came_together_was_made_before_it_came() {
    /// 100 tokens with text, that came at these times.
    fn rate(times_us: &[u64], decode_ms: u64) -> Option<f64> {
        let mut one = answer(times_us.len() as u64, Outcome::Length, 100, decode_ms);
        one.text_offsets_ns = times_us.iter().map(|time| time * 1000).collect();
        one.end_ns = 3000 * MS;
        let run = by(&serving("paced endpoint", None, None), vec![one]);
        let known = run.calls[0].metrics["client_tokens_per_s"];
        let said = run.calls[0]
            .notes
            .iter()
            .any(|note| note.starts_with("client_tokens_per_s is unknown"));
        assert_ne!(known.is_some(), said, "{times_us:?} {:?}", run.calls[0].notes);
        unknown(&run.calls[0].metrics, if known.is_some() { &[] } else { &["tpot_ms"] });
        known.map(f64::round)
    }
    assert_eq!(rate(&[1_000_000], 1), None);
    assert_eq!(rate(&[500_000, 1_000_000], 1), None);
    assert_eq!(rate(&[500_000, 500_104, 1_000_000], 1), None);
    assert_eq!(rate(&[1_000_000, 1_000_020, 1_000_040, 1_000_060], 1), None);
    // Two came close after one another, and yet apart: 80 of 100 tokens came after the first.
    assert_eq!(rate(&[500_000, 501_100, 545_000, 622_000, 700_000], 1), Some(400.0));
    // Gathered by something: the server says so, or else that it came late and all at once.
    assert_eq!(rate(&[1_000_000, 1_001_000, 1_002_000, 1_003_000], 980), None);
    let flushed: Vec<u64> = (0..60).map(|index| 800_000 + 250 * index).collect();
    assert_eq!(rate(&flushed, 1), None);
    assert_eq!(rate(&[500_000, 750_000, 1_000_000, 1_250_000], 480), Some(100.0));
    let fast: Vec<u64> = (0..100).map(|index| 50_000 + 400 * index).collect();
    assert_eq!(rate(&fast, 1), Some(2500.0));
    // Four bursts of 25, one token to a chunk, every 250 ms; two of 50, the first token alone before them.
    let bursts = |starts: &[u64], each: u64| -> Vec<u64> {
        starts.iter().flat_map(|start| (0..each).map(move |index| start + 20 * index)).collect()
    };
    let four = bursts(&[100_000, 350_000, 600_000, 850_000], 25);
    assert_eq!(rate(&four, 1), Some(100.0));
    assert_eq!(
        rate(&bursts(&[100_000, 600_000, 1_100_000, 1_600_000, 2_100_000], 20), 1),
        Some(40.0)
    );
}

#[test]
fn what_the_record_refutes_is_unknown_with_the_reason() {
    let checked = |server: ServerCounts, texts: &[u64]| {
        let mut one = call("a", 0, texts, 100);
        one.finish_reason = Some("stop".into());
        one.server = server;
        Checked::new(&one, &Serving::default(), &Conditions::default())
    };
    let texts = [10, 20, 30];
    let told = ServerCounts {
        total_ns: Some(95 * MS),
        load_ns: Some(MS),
        prompt_tokens: Some(9),
        prefill_ns: Some(5 * MS),
        tokens: Some(3),
        decode_ns: Some(30 * MS),
        decode_tokens: None,
        cached_tokens: Some(4),
    };
    let fine = checked(told.clone(), &texts);
    assert_eq!((&fine.server, fine.notes.as_slice()), (&told, &[][..]));
    let beside_no_text = checked(told.clone(), &[]).server;
    assert_eq!(beside_no_text.tokens, None);
    let wrong: [(Change, &str); 9] = [
        (|told| told.tokens = Some(0), "no tokens beside text"),
        (|told| told.tokens = Some(1 << 52), "tokens in a call of 100 ms"),
        (
            |told| told.decode_ns = Some(516_371_613_757_000),
            "decode time of 516371614 ms is longer than the call of 100 ms",
        ),
        (|told| told.decode_ns = Some(64), "64 ns cannot be for 3 tokens"),
        (
            |told| told.total_ns = Some(104 * MS),
            "total time of 104 ms is longer than the call of 100 ms",
        ),
        (|told| told.load_ns = Some(200 * MS), "load time of 200 ms"),
        (|told| told.prefill_ns = Some(12), "prefill time of 12 ns"),
        (|told| told.prompt_tokens = Some(0), "no tokens of the prompt"),
        (|told| told.cached_tokens = Some(10), "10 cached tokens of a prompt of 9"),
    ];
    for (change, words) in wrong {
        let mut wrong = told.clone();
        change(&mut wrong);
        let found = checked(wrong.clone(), &texts);
        assert_ne!(found.server, wrong, "{words}");
        assert!(found.notes.iter().any(|note| note.contains(words)), "{words}: {:?}", found.notes);
    }
    let mut stages = told;
    stages.load_ns = Some(90 * MS);
    let found = checked(stages, &texts);
    assert!(found.notes[0].contains("longer than its total"), "{:?}", found.notes);
}

#[test]
fn what_became_of_the_work_is_said() {
    let served = |context, limit, ignores_end| Serving {
        context,
        limit,
        ignores_end,
        ..serving("ollama", Some("0.32.15"), None)
    };
    let notes = |prompt: u64, reason: Option<&str>, serving: &Serving| {
        let mut one = answer(5, Outcome::Ok, 5, 40);
        one.server.prompt_tokens = Some(prompt);
        one.finish_reason = reason.map(str::to_owned);
        Checked::new(&one, serving, &Conditions::default()).notes
    };
    assert!(notes(59, Some("stop"), &served(Some(64), Some(9), false)).is_empty());
    let says = |notes: Vec<String>, words: &str| {
        assert!(matches!(notes.as_slice(), [note] if note.contains(words)), "{words}: {notes:?}");
    };
    says(notes(60, Some("stop"), &served(Some(64), None, false)), "the window moved: 60 tokens");
    says(notes(64, Some("stop"), &served(Some(64), None, false)), "it was cut");
    says(notes(9, Some("stop"), &served(None, Some(9), true)), "ended with 5 of 9 tokens");
    says(notes(9, None, &served(None, None, false)), "no finish reason");
    let mut with_tool = notes(9, Some("tool_calls"), &served(None, None, false));
    says(with_tool.drain(..).filter(|note| note.contains("tool")).collect(), "tool_calls");
}

#[test]
fn prefill_has_a_rate_only_where_it_is_known_what_was_not_cached() {
    let rate = |served: &Serving, cached: Option<u64>, cold: bool| {
        let mut one = answer(5, Outcome::Ok, 5, 30);
        one.server = ServerCounts {
            prompt_tokens: Some(30),
            cached_tokens: cached,
            prefill_ns: Some(10 * MS),
            ..one.server
        };
        let serving = [("a".to_owned(), served.clone())].into();
        let conditions = Conditions { cold, serving: &serving, ..Conditions::default() };
        let found = Checked::new(&one, served, &conditions);
        found.prefilled
    };
    let ollama = serving("ollama", Some("0.32.15"), None);
    assert_eq!(rate(&ollama, None, false), None);
    assert_eq!(rate(&ollama, None, true), Some(30));
    assert_eq!(rate(&serving("llama.cpp", None, None), Some(10), false), Some(20));
    assert_eq!(rate(&serving("vllm", None, None), None, false), None);
    assert_eq!(rate(&serving("paced endpoint", None, None), None, false), Some(30));
    assert_eq!(rate(&Serving::default(), None, false), None);
}
