//! What the probes outside the agent say of themselves, over all runs: what they watched, how well they
//! kept their schedules, what they cost, and what they could not see.

use serde::Serialize;

use super::completeness::fresh;
use super::data::Data;
use crate::probe::sampling::Sampling;
use crate::probe::schedule::Spread;
use crate::stats::Sample;

/// Things watched and notes that are listed for one probe; more are counted.
const LISTED: usize = 12;

/// The probes of all runs; nothing where no run has one.
#[derive(Debug, Default, Serialize)]
pub struct Probes {
    /// By probe, in alphabetical order: how it fared.
    pub outcomes: Vec<Said>,
    pub schedules: Vec<Kept>,
    /// What was watched.
    pub watched: Vec<Said>,
    /// GPUs that were not seen to the end of a run.
    pub lost: Vec<Said>,
    /// Columns that were never known, with the reason.
    pub hidden: Vec<Said>,
    pub notes: Vec<Said>,
}

/// A sentence, and how many runs say it.
#[derive(Debug, PartialEq, Serialize)]
pub struct Said {
    pub probe: String,
    pub text: String,
    pub runs: usize,
}

/// How runs with one source and interval kept their schedule.
#[derive(Debug, Serialize)]
pub struct Kept {
    pub probe: String,
    pub source: String,
    pub asked_ms: f64,
    pub runs: usize,
    pub rows: u64,
    pub missed: u64,
    /// Mean over runs of the mean interval.
    pub interval_mean_ms: Option<f64>,
    /// The worst run's.
    pub interval_p99_ms: Option<f64>,
    pub interval_max_ms: Option<f64>,
    pub late_p99_ms: Option<f64>,
    pub late_max_ms: Option<f64>,
    /// Mean over runs, of one core.
    pub cpu_percent: Option<f64>,
}

/// Of every run that is not stale.
pub(super) fn probes(data: &Data) -> Probes {
    let mut probes = Probes::default();
    let mut groups: indexmap::IndexMap<(&str, &str, u64), Vec<&Sampling>> =
        indexmap::IndexMap::new();
    for run in data.cells.iter().flat_map(fresh) {
        for (probe, outcome) in &run.probes {
            count(&mut probes.outcomes, probe, outcome);
        }
        for (probe, sampling) in &run.sampling {
            let key = (probe.as_str(), sampling.source.as_str(), sampling.pace.asked_ms.to_bits());
            groups.entry(key).or_default().push(sampling);
            for watched in &sampling.watched {
                count(&mut probes.watched, probe, watched);
            }
            for loss in sampling.losses() {
                count(&mut probes.lost, probe, &loss);
            }
            for (column, reason) in &sampling.unavailable {
                count(&mut probes.hidden, probe, &format!("{column}: {reason}"));
            }
            for note in &sampling.notes {
                count(&mut probes.notes, probe, note);
            }
        }
    }
    probes.schedules =
        groups.into_iter().map(|((probe, source, _), of)| kept(probe, source, &of)).collect();
    for list in [
        &mut probes.outcomes,
        &mut probes.watched,
        &mut probes.lost,
        &mut probes.hidden,
        &mut probes.notes,
    ] {
        list.sort_by(|a, b| a.probe.cmp(&b.probe));
        shorten(list);
    }
    probes
}

fn count(list: &mut Vec<Said>, probe: &str, text: &str) {
    match list.iter_mut().find(|said| said.probe == probe && said.text == text) {
        Some(said) => said.runs += 1,
        None => list.push(Said { probe: probe.to_owned(), text: text.to_owned(), runs: 1 }),
    }
}

/// Process numbers and times of day differ from run to run.
fn shorten(list: &mut Vec<Said>) {
    if list.len() > LISTED {
        let rest = list.drain(LISTED..).map(|said| said.runs).collect::<Vec<_>>();
        let text = format!("… and {} more in run.json", rest.len());
        list.push(Said { probe: String::new(), text, runs: rest.into_iter().sum() });
    }
}

fn kept(probe: &str, source: &str, of: &[&Sampling]) -> Kept {
    let spreads = |spread: fn(&Sampling) -> Option<Spread>| -> Vec<Spread> {
        of.iter().filter_map(|sampling| spread(sampling)).collect()
    };
    let worst = |spreads: &[Spread], figure: fn(&Spread) -> f64| {
        spreads.iter().map(figure).max_by(f64::total_cmp)
    };
    let mean = |values: Vec<f64>| Sample::new(values).ok().map(|known| known.mean());
    let intervals = spreads(|sampling| sampling.pace.interval_ms);
    let late = spreads(|sampling| sampling.pace.late_ms);
    Kept {
        probe: probe.to_owned(),
        source: source.to_owned(),
        asked_ms: of.first().map_or(0.0, |sampling| sampling.pace.asked_ms),
        runs: of.len(),
        rows: of.iter().map(|sampling| sampling.rows).sum(),
        missed: of.iter().map(|sampling| sampling.pace.missed).sum(),
        interval_mean_ms: mean(intervals.iter().map(|spread| spread.mean).collect()),
        interval_p99_ms: worst(&intervals, |spread| spread.p99),
        interval_max_ms: worst(&intervals, |spread| spread.max),
        late_p99_ms: worst(&late, |spread| spread.p99),
        late_max_ms: worst(&late, |spread| spread.max),
        cpu_percent: mean(of.iter().filter_map(|sampling| sampling.cpu_percent).collect()),
    }
}
