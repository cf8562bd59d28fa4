//! Up to which load a metric stays under a limit.

use std::collections::BTreeSet;

use serde::Serialize;

use super::completeness::fresh;
use super::data::{Cell, NamedLevel};
use super::select::{Selection, value};
use crate::metrics::MetricInfo;
use crate::stats::Sample;

/// Where a metric's median over runs leaves a limit as the load grows. A cell of which it is unknown,
/// or of which a run failed, is not under the limit: a client that breaks must not look best.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ceiling {
    /// The largest load at which, and below which, every cell is under the limit; `None`: none is.
    pub load: Option<f64>,
    /// The largest load of all cells that know the metric.
    pub measured: Option<f64>,
    /// The cell with the smallest load that is not known to be under the limit; of several one that
    /// is over it, and the worst of those.
    pub over: Option<Over>,
}

/// A cell that is not known to be under the limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Over {
    pub load: f64,
    /// `None`: no run knows the metric.
    pub median: Option<f64>,
    /// A run of it failed and none took its place.
    pub failed: bool,
    /// Its levels of the factors that make up the load.
    pub levels: Vec<NamedLevel>,
}

/// The load of a cell is the product of its levels of these factors; `failed` are the cells of which
/// an attempt failed. The error is the name of a factor that is not a number in every cell.
pub fn ceiling(
    selection: &Selection<'_>,
    metric: &MetricInfo<'_>,
    limit: f64,
    factors: &[String],
    failed: &BTreeSet<&str>,
) -> Result<Ceiling, String> {
    let mut points: Vec<Over> = Vec::new();
    for cell in &selection.cells {
        let levels = levels(cell, factors)?;
        let values = fresh(cell).filter_map(|run| value(run, metric.name)).collect();
        let median = Sample::new(values).ok().map(|sample| sample.median());
        let missing = cell.runs.len() < cell.repeats as usize;
        let failed = missing && failed.contains(cell.id.as_str());
        let load = levels.iter().filter_map(|level| level.number).product();
        points.push(Over { load, median, failed, levels });
    }
    let by_load = |a: &f64, b: &f64| a.total_cmp(b);
    let known = points.iter().filter(|point| point.median.is_some());
    let measured = known.map(|point| point.load).max_by(by_load);
    let over = points
        .iter()
        .filter(|point| point.failed || point.median.is_none_or(|median| median >= limit))
        .min_by(|a, b| {
            let median = |point: &Over| point.median.unwrap_or(f64::NEG_INFINITY);
            a.load.total_cmp(&b.load).then(median(b).total_cmp(&median(a)))
        })
        .cloned();
    let under = points
        .iter()
        .map(|point| point.load)
        .filter(|load| over.as_ref().is_none_or(|over| *load < over.load));
    Ok(Ceiling { load: under.max_by(by_load), measured, over })
}

fn levels(cell: &Cell, factors: &[String]) -> Result<Vec<NamedLevel>, String> {
    let level = |name: &String| {
        let own = cell.factors.iter().find(|own| own.name == *name && own.number.is_some());
        own.cloned().ok_or_else(|| name.clone())
    };
    factors.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::metrics;
    use crate::store::record::RunRecord;

    /// A cell at this load with runs of these gap errors.
    fn cell(streams: f64, errors: &[f64]) -> Cell {
        let runs = (1..).zip(errors).map(|(repeat, error)| {
            let metrics = serde_json::json!({ "gap_error_p99_ms": error });
            let record = serde_json::json!({
                "format": 1, "cell": "", "cell_name": "", "repeat": repeat, "attempt": 1,
                "identity": {}, "started": "", "finished": "",
                "evidence": { "runner": { "version": "" }, "agent": { "runtime": "" },
                    "machine": {}, "endpoints": {} },
                "process": {}, "calls": [], "metrics": metrics, "files": {},
            });
            (repeat, serde_json::from_value::<RunRecord>(record).unwrap())
        });
        let level = |name: &str, number: f64| NamedLevel {
            name: name.to_owned(),
            text: number.to_string(),
            level: number.into(),
            number: Some(number),
        };
        Cell {
            id: String::new(),
            name: String::new(),
            repeats: 3,
            control: false,
            factors: vec![level("rate", 100.0), level("concurrency", streams)],
            scenario: None,
            simulated: true,
            imported: false,
            throttled: false,
            runs: runs.collect(),
            folders: BTreeMap::new(),
            fell_back: std::collections::BTreeSet::new(),
            stale: BTreeMap::new(),
            damaged: BTreeMap::new(),
            unsealed: std::collections::BTreeSet::new(),
        }
    }

    fn of(cells: &[Cell], limit: f64) -> Ceiling {
        let selection =
            Selection { experiment: None, cells: cells.iter().collect(), said: String::new() };
        let factors = ["rate".to_owned(), "concurrency".to_owned()];
        let metric = metrics::info("gap_error_p99_ms").unwrap();
        ceiling(&selection, metric, limit, &factors, &BTreeSet::from(["failed"])).unwrap()
    }

    #[test]
    fn a_cell_beyond_the_first_that_is_over_does_not_raise_the_ceiling() {
        let cells = [
            cell(4.0, &[0.2, 0.3, 9.0]),
            cell(1.0, &[0.1]),
            cell(64.0, &[0.5]),
            cell(16.0, &[7.0]),
        ];
        let found = of(&cells, 1.0);
        assert_eq!((found.load, found.measured), (Some(400.0), Some(6400.0)));
        let over = found.over.unwrap();
        assert_eq!((over.load, over.median, over.levels.len()), (1600.0, Some(7.0), 2));
        assert_eq!(of(&cells, 10.0).load, Some(6400.0));
        assert_eq!(of(&cells, 10.0).over, None);
    }

    #[test]
    fn nothing_under_the_limit_and_nothing_known() {
        assert_eq!(of(&[cell(1.0, &[2.0])], 1.0).load, None);
        let unknown = of(&[cell(1.0, &[])], 1.0);
        assert_eq!((unknown.load, unknown.measured), (None, None));
        assert_eq!(unknown.over.map(|over| (over.median, over.failed)), Some((None, false)));
    }

    #[test]
    fn a_cell_that_broke_is_not_under_the_limit() {
        let broken = |errors: &[f64]| Cell { id: "failed".to_owned(), ..cell(4.0, errors) };
        for (errors, median) in [(&[][..], None), (&[0.1, 0.1], Some(0.1))] {
            let found = of(&[cell(1.0, &[0.1]), broken(errors), cell(16.0, &[0.1])], 1.0);
            assert_eq!((found.load, found.measured), (Some(100.0), Some(1600.0)));
            let over = found.over.unwrap();
            assert_eq!((over.load, over.median, over.failed), (400.0, median, true));
        }
        // Another attempt took its place.
        let whole = of(&[broken(&[0.1, 0.1, 0.1]), cell(16.0, &[0.1])], 1.0);
        assert_eq!((whole.load, whole.over), (Some(1600.0), None));
    }

    #[test]
    fn a_factor_without_a_number_is_named() {
        let cells = [cell(1.0, &[1.0])];
        let selection =
            Selection { experiment: None, cells: cells.iter().collect(), said: String::new() };
        let metric = metrics::info("gap_error_p99_ms").unwrap();
        assert_eq!(
            ceiling(&selection, metric, 1.0, &["model".to_owned()], &BTreeSet::new()),
            Err("model".to_owned())
        );
    }
}
