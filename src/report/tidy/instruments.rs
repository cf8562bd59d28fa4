//! What the instruments are worth, one row per figure: the client's error by calibration, the noise floor
//! of the loop-lag probe, how the probes outside the agent kept their schedules.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Table, number, words};
use crate::report::context::calibrations;
use crate::report::controls::idle_floors;
use crate::report::data::Data;
use crate::report::probes::probes;
use crate::report::witness::{Witness, witness};

/// `of` is a runtime or a probe; `under` is what it was measured under, in words.
const COLUMNS: [&str; 7] = ["instrument", "of", "under", "quantity", "unit", "value", "runs"];

pub fn instruments(data: &Data) -> Table {
    let mut rows = Vec::new();
    let mut add = |who: [&str; 3], runs: usize, figures: &[(&str, &str, Option<f64>)]| {
        for (quantity, unit, value) in figures {
            let words = who.into_iter().chain([*quantity, *unit]).map(Value::from);
            rows.push(words.chain([number(*value), runs.into()]).collect());
        }
    };
    for row in calibrations(data) {
        let own = &row.calibration;
        let under = settings(&own.settings);
        let (ttft, gap) = (own.ttft_error_ms, own.gap_error_ms);
        let apis: Vec<&str> = own.apis.iter().map(|api| api.name()).collect();
        let apis = if apis.is_empty() { String::new() } else { format!("; {}", apis.join(", ")) };
        let under = format!("{under}{apis}; {} streams", own.streams);
        add(
            ["calibration", &own.runtime, &under],
            row.runs,
            &[
                ("rate", "tok/s", Some(own.rate_tok_s)),
                ("calls", "", own.calls.map(|calls| calls as f64)),
                ("gaps", "", Some(own.samples as f64)),
                ("ttft_error_p50", "ms", Some(ttft.p50)),
                ("ttft_error_p99", "ms", ttft.p99),
                ("ttft_error_mean", "ms", ttft.mean),
                ("ttft_error_max", "ms", Some(ttft.max)),
                ("gap_error_p50", "ms", Some(gap.p50)),
                ("gap_error_p99", "ms", gap.p99),
                ("gap_error_mean", "ms", gap.mean),
                ("gap_error_max", "ms", Some(gap.max)),
            ],
        );
    }
    witnesses(data, &mut add);
    for own in idle_floors(data) {
        let under = format!("{}; sleep {}", settings(&own.settings), own.sleep);
        add(
            ["idle loop lag", own.runtime, &under],
            own.runs,
            &[
                ("p50", "ms", own.p50_ms),
                ("p99", "ms", own.p99_ms),
                ("max", "ms", own.max_ms),
                ("stalls", "", own.stalls),
                ("probe_cost", "%", own.probe_cost_percent),
            ],
        );
    }
    for own in probes(data).schedules {
        let under = format!("{}; every {} ms", own.source, own.asked_ms);
        add(
            ["probe", &own.probe, &under],
            own.runs,
            &[
                ("asked", "ms", Some(own.asked_ms)),
                ("rows", "", Some(own.rows as f64)),
                ("missed", "", Some(own.missed as f64)),
                ("interval_mean", "ms", own.interval_mean_ms),
                ("interval_p99", "ms", own.interval_p99_ms),
                ("interval_max", "ms", own.interval_max_ms),
                ("late_p99", "ms", own.late_p99_ms),
                ("late_max", "ms", own.late_max_ms),
                ("own_cost", "%", own.cpu_percent),
            ],
        );
    }
    Table { columns: words(&COLUMNS), rows }
}

/// Takes who says something under which circumstances, of how many runs, and its figures.
type Add<'a> = dyn FnMut([&str; 3], usize, &[(&str, &str, Option<f64>)]) + 'a;

/// What was the client's own, and what the packet captures say of themselves.
fn witnesses(data: &Data, add: &mut Add<'_>) {
    let Witness { clients, captures, .. } = witness(data);
    for own in clients {
        let throttle = own.throttle.map_or_else(String::new, |rate| format!("; throttle {rate}"));
        let under = format!("{}; {} streams{throttle}", settings(&own.settings), own.streams);
        let mut figures = vec![
            ("calls", "", Some(own.calls as f64)),
            ("ttft", "ms", own.ttft_ms),
            ("wire_ttft", "ms", own.wire_ttft_ms),
            ("own_ttft", "%", own.own_ttft_percent),
            ("own_gap_p50", "ms", own.own_gap_p50_ms),
            ("own_gap_p99", "ms", own.own_gap_p99_ms),
        ];
        for (names, spread) in [
            (["own_ttft_p50", "own_ttft_p99", "own_ttft_max"], own.own_ttft_ms),
            (["send_delay_p50", "send_delay_p99", "send_delay_max"], own.send_delay_ms),
            (["chunk_delay_p50", "chunk_delay_p99", "chunk_delay_max"], own.chunk_delay_ms),
            (["read_delay_p50", "read_delay_p99", "read_delay_max"], own.read_delay_ms),
        ] {
            let values = spread.map(|own| [Some(own.p50), own.p99, Some(own.max)]);
            let values = values.unwrap_or_default();
            figures.extend(names.into_iter().zip(values).map(|(name, value)| (name, "ms", value)));
        }
        add(["witness", own.runtime, &under], own.runs, &figures);
    }
    if let Some(own) = captures {
        add(
            ["packet capture", "wire", "all runs"],
            own.runs,
            &[
                ("segments", "", Some(own.segments as f64)),
                ("dropped", "", Some(own.dropped as f64)),
                ("retransmitted", "", Some(own.retransmitted as f64)),
                ("out_of_order", "", Some(own.out_of_order as f64)),
                ("calls", "", Some(own.calls as f64)),
                ("encrypted", "", Some(own.encrypted as f64)),
                ("calls_without_figures", "", Some(own.without.values().sum::<u64>() as f64)),
                ("own_cost", "%", own.cpu_percent),
            ],
        );
    }
}

/// Those that are not at their defaults.
fn settings<K: std::fmt::Display, V: std::fmt::Display>(settings: &BTreeMap<K, V>) -> String {
    if settings.is_empty() {
        return "defaults".to_owned();
    }
    let parts: Vec<String> =
        settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
    parts.join(", ")
}
