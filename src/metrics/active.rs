//! When a run was at work, and what counters and rates gained in that time.

use formats::protocol::{AgentRecord, TokenizeRecord, Window};

use super::lag::measured_window;
use super::seconds;

/// A curve says nothing of a time in which it has no point for longer than ten of its usual steps, or
/// for this long, whichever is longer.
const HOLE_NS: u64 = 1_000_000_000;
const STEPS: u64 = 10;

/// When the measured work was done, for probes that look all the time.
#[derive(Debug, Clone, Default)]
pub struct WorkTimes {
    /// Without loading, warm-up and idling; in the order of time, without overlaps.
    pub active: Vec<Window>,
    /// From the first start to the last end.
    pub measured: Option<Window>,
    /// The idle control.
    pub idle: Option<Window>,
}

impl WorkTimes {
    /// Of agents that make calls.
    pub fn of_calls(record: &AgentRecord) -> Self {
        let (active, measured) = (active(record), measured_window(record));
        Self { active, measured, idle: record.idle }
    }

    /// Of a tokenizer: its measured passes.
    pub fn of_passes(record: &TokenizeRecord) -> Self {
        let measured = record.passes.iter().filter(|pass| !pass.warmup);
        let spans = measured.map(|pass| Window { start_ns: pass.start_ns, end_ns: pass.end_ns });
        let active = union(spans.collect());
        let measured = active
            .first()
            .zip(active.last())
            .map(|(first, last)| Window { start_ns: first.start_ns, end_ns: last.end_ns });
        Self { active, measured, idle: None }
    }

    /// Of a process of which nothing is known but when it ran.
    pub fn of_process(window: Window) -> Self {
        Self { active: vec![window], measured: Some(window), idle: None }
    }
}

/// Active inference: the union of the measured calls, each without the loading of the model that the
/// server tells of, which comes first. In the order of time, without overlaps.
pub fn active(record: &AgentRecord) -> Vec<Window> {
    let measured = record.calls.iter().filter(|call| !call.warmup);
    let spans = measured.map(|call| Window {
        start_ns: call.start_ns.saturating_add(call.server.load_ns.unwrap_or(0)),
        end_ns: call.end_ns,
    });
    union(spans.collect())
}

/// In the order of time, without overlaps and without what has no length.
fn union(mut spans: Vec<Window>) -> Vec<Window> {
    spans.retain(|span| span.start_ns < span.end_ns);
    spans.sort_by_key(|span| span.start_ns);
    let mut union: Vec<Window> = Vec::new();
    for span in spans {
        match union.last_mut() {
            Some(last) if span.start_ns <= last.end_ns => {
                last.end_ns = last.end_ns.max(span.end_ns);
            }
            _ => union.push(span),
        }
    }
    union
}

/// Length of spans, seconds.
pub fn length_s(spans: &[Window]) -> f64 {
    spans.iter().map(|span| seconds(span.end_ns.saturating_sub(span.start_ns))).sum()
}

/// Whether a time lies in one of the spans.
pub fn is_in(spans: &[Window], time_ns: u64) -> bool {
    spans.iter().any(|span| (span.start_ns..=span.end_ns).contains(&time_ns))
}

/// What has come together until a time. Between its points a counter is linear, and so is the rate of
/// an integral.
#[derive(Debug)]
pub struct Curve {
    points: Vec<(u64, f64)>,
    /// At the points, of an integral; empty for a counter.
    rates: Vec<f64>,
    hole_ns: u64,
}

impl Curve {
    /// Of a counter; `None` with fewer than two points, or if it once went back.
    pub fn of_counter(points: Vec<(u64, f64)>) -> Option<Self> {
        let sound = points.len() >= 2
            && points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1);
        if !sound {
            return None;
        }
        let mut steps: Vec<u64> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        steps.sort_unstable();
        let usual = steps[steps.len() / 2];
        Some(Self { points, rates: Vec::new(), hole_ns: HOLE_NS.max(usual.saturating_mul(STEPS)) })
    }

    /// The integral of a rate per second by trapezoids.
    pub fn of_rate(rates: &[(u64, f64)]) -> Option<Self> {
        let mut sum = 0.0;
        let mut before: Option<(u64, f64)> = None;
        let points = rates.iter().map(|(time, rate)| {
            if let Some((earlier, last)) = before {
                sum += seconds(time.saturating_sub(earlier)) * f64::midpoint(last, *rate);
            }
            before = Some((*time, *rate));
            (*time, sum)
        });
        let curve = Self::of_counter(points.collect())?;
        Some(Self { rates: rates.iter().map(|(_, rate)| *rate).collect(), ..curve })
    }

    /// What came together within the spans; `None` where the points do not enclose one, or leave a
    /// hole in it.
    pub fn gain(&self, spans: &[Window]) -> Option<f64> {
        if spans.is_empty() {
            return None;
        }
        spans.iter().map(|span| self.gain_in(*span)).sum()
    }

    fn gain_in(&self, span: Window) -> Option<f64> {
        let from = self.points.partition_point(|point| point.0 <= span.start_ns).checked_sub(1)?;
        let to = self.points.partition_point(|point| point.0 < span.end_ns);
        let within = self.points.get(from..=to)?;
        if within.windows(2).any(|pair| pair[1].0 - pair[0].0 > self.hole_ns) {
            return None;
        }
        Some(self.at(span.end_ns)? - self.at(span.start_ns)?)
    }

    fn at(&self, time_ns: u64) -> Option<f64> {
        let after = self.points.partition_point(|point| point.0 < time_ns);
        let (later, value) = *self.points.get(after)?;
        if later == time_ns {
            return Some(value);
        }
        let (earlier, before) = self.points[after.checked_sub(1)?];
        let share = (time_ns - earlier) as f64 / (later - earlier) as f64;
        Some(match (self.rates.get(after - 1), self.rates.get(after)) {
            (Some(first), Some(last)) => {
                let here = first + share * (last - first);
                before + seconds(time_ns - earlier) * f64::midpoint(*first, here)
            }
            _ => before + share * (value - before),
        })
    }
}
