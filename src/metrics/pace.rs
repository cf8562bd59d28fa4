//! How fast the client took an answer: tokens and time between the first and the last moment at which text came.
//!
//! What came together was made before it came: a proxy that flushes now and then, or a server that sends
//! several tokens at once, would otherwise have the first of them made in no time.

use formats::protocol::CallRecord;

use super::checked::plural;
use super::ms;

/// Chunks that came this close after one another came together, however fast the server is: no engine makes
/// 20 000 tokens a second for one stream.
const TOGETHER_NS: u64 = 50_000;
/// And chunks further apart than this did not, however slow the others are.
const APART_NS: u64 = 500_000;
/// Moments at which text must have come for there to be a rate.
const MOMENTS: usize = 3;
/// A stream this fast is believed only if it takes a fair part of the call: mean time between its chunks.
const FAST_NS: u64 = 500_000;

/// Tokens whose text came after the first moment, and the time from the first moment to the last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    pub span_ns: u64,
    pub tokens: f64,
}

impl Pace {
    /// `tokens`: those with text; `decode_ns`: what the server says that it took to make them, if the client
    /// was to take them as they came. Without a number of tokens there is none. The error says why there
    /// cannot be a rate of this answer.
    pub fn of(
        call: &CallRecord,
        tokens: Option<u64>,
        decode_ns: Option<u64>,
    ) -> Result<Option<Self>, String> {
        let times = &call.text_offsets_ns;
        let Some((first, last)) = times.first().zip(times.last()) else { return Ok(None) };
        let whole_ns = last.saturating_sub(*first);
        let gaps = (times.len() as u64).saturating_sub(1).max(1);
        let together = (whole_ns / gaps / 10).clamp(TOGETHER_NS, APART_NS);
        // Chunks that began a moment.
        let begins = |index: &usize| times[*index].saturating_sub(times[*index - 1]) >= together;
        let moments: Vec<usize> = (1..times.len()).filter(begins).collect();
        let count = 1 + moments.len();
        if count < MOMENTS {
            if times.len() == 1 {
                return Err("all text came in one chunk".to_owned());
            }
            let (chunks, moments) =
                (plural(times.len() as u64, "chunk"), plural(count as u64, "moment"));
            return Err(format!("the text came in {chunks} at {moments}"));
        }
        let latest = moments.last().map_or(*first, |index| times[*index]);
        let span_ns = latest.saturating_sub(*first);
        let held_back = decode_ns.is_some_and(|decode| whole_ns.saturating_mul(2) < decode);
        let gathered = whole_ns / gaps < FAST_NS && whole_ns < first / 10;
        if held_back || gathered {
            let (within, after) = (ms(whole_ns), ms(*first).round());
            return Err(format!(
                "all text came within {within:.1} ms, {after} ms after the start, so something had gathered it"
            ));
        }
        let in_first = moments.first().copied().unwrap_or(1);
        let tokens = tokens.and_then(|tokens| after(call, tokens, in_first));
        Ok(tokens.filter(|tokens| *tokens > 0.0).map(|tokens| Self { span_ns, tokens }))
    }
}

/// Of so many tokens with text, those whose text came after the first chunks. One to a chunk, or as many to
/// each chunk as their numbers show; else by the length of the text.
fn after(call: &CallRecord, tokens: u64, first: usize) -> Option<f64> {
    let chunks = call.text_offsets_ns.len();
    if first >= chunks || tokens == 0 {
        return None;
    }
    if tokens == chunks as u64 {
        return Some((chunks - first) as f64);
    }
    let in_first = (call.text_bytes.len() == chunks).then(|| {
        let bytes: u64 = call.text_bytes.iter().sum();
        let own: u64 = call.text_bytes.iter().take(first).sum();
        tokens as f64 * own as f64 / bytes as f64
    });
    let each = tokens.div_ceil(chunks as u64);
    let even = each > 1 && tokens.div_ceil(each) == chunks as u64;
    let of_even = (each * first as u64) as f64;
    let fits = |in_first: f64| (0.6..=1.4).contains(&(in_first / of_even));
    if even && in_first.is_none_or(fits) {
        return Some(tokens as f64 - of_even);
    }
    Some(tokens as f64 - in_first.unwrap_or(tokens as f64 * first as f64 / chunks as f64))
}
