//! Processor, memory, and what they are doing now. Pure.

use std::fmt::Write as _;

use super::Line;
use crate::os::condition::Condition;
use crate::preflight::machine as check;
use crate::store::record::MachineEvidence;

const GB: f64 = 1e9;

pub(super) fn lines(met: &MachineEvidence, now: &Condition) -> Vec<Line> {
    vec![
        known("system", met.os.clone().or_else(|| met.kernel.clone())),
        known("cpu", cpu(met)),
        if now.governors.is_empty() {
            let advice = "a virtual machine shows none: its host decides";
            Line::unavailable("governor", "the system does not tell it", advice)
        } else {
            Line::judged("governor", now.governors.join(", "), check::governor(now))
        },
        known("frequency", frequency(now)),
        match now.others_busy {
            Some(share) => {
                let mut found = format!("others take {:.0} % of the cores' time", 100.0 * share);
                if let Some(load) = now.load_1m {
                    let _ = write!(found, ", load {load:.2} over a minute");
                }
                Line::judged("load", found, check::busy(now))
            }
            None => known("load", now.load_1m.map(|load| format!("{load:.2} over a minute"))),
        },
        match now.throttled {
            Some(times) => {
                let found = format!("slowed down {times} times since the system started");
                Line::judged("throttling", found, check::throttled(now))
            }
            None => known("throttling", None),
        },
        known(
            "temperature",
            now.hottest
                .as_ref()
                .map(|(sensor, degrees)| format!("{degrees:.0} °C at most ({sensor})")),
        ),
        match now.memory_total_bytes.zip(now.memory_available_bytes) {
            Some((total, free)) => {
                let found =
                    format!("{:.1} of {:.1} GB available", free as f64 / GB, total as f64 / GB);
                Line::judged("memory", found, check::available(now))
            }
            None => known("memory", None),
        },
        match now.swap_used_bytes {
            Some(used) => {
                let found = format!("{:.1} GB in use", used as f64 / GB);
                Line::judged("swap", found, check::swap(now))
            }
            None => known("swap", None),
        },
        match &now.clock_source {
            Some(source) => Line::judged("clock source", source, check::clock(now)),
            None => known("clock source", None),
        },
    ]
}

fn known(name: &str, found: Option<String>) -> Line {
    match found {
        Some(found) => Line::ok(name, found),
        None => Line::unavailable(name, "the system does not tell it", ""),
    }
}

fn cpu(met: &MachineEvidence) -> Option<String> {
    let cores = met.cores.map(|cores| format!("{cores} cores"));
    match (&met.cpu, cores) {
        (Some(cpu), Some(cores)) => Some(format!("{cpu}, {cores}")),
        (cpu, cores) => cpu.clone().or(cores),
    }
}

fn frequency(now: &Condition) -> Option<String> {
    let (low, high) = now.frequency_mhz?;
    let range = if low == high { format!("{low} MHz") } else { format!("{low} to {high} MHz") };
    Some(match now.top_frequency_mhz {
        Some(top) => format!("{range} now, {top} MHz at most"),
        None => format!("{range} now"),
    })
}
