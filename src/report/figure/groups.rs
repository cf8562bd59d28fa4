//! The selected cells as figures show them: a label, single values, mean and interval.

use std::collections::BTreeMap;

use super::plot::MOST_DOTS;
use crate::metrics::MetricInfo;
use crate::report::completeness::fresh;
use crate::report::data::{Cell, NamedLevel};
use crate::report::format;
use crate::report::select::{Selection, value};
use crate::stats::{Interval, Sample};

/// Level of every interval.
const LEVEL: f64 = 0.95;
const DIGITS: usize = 5;

/// One cell with its values of a metric.
#[derive(Debug)]
pub struct Group<'a> {
    pub cell: &'a Cell,
    /// What tells it from the others: its levels of the factors that vary.
    pub label: String,
    /// `<id8>/<repeat>` and value, by repeat.
    pub runs: Vec<(String, f64)>,
    pub sample: Option<Sample>,
}

impl Group<'_> {
    pub fn mean(&self) -> Option<f64> {
        self.sample.as_ref().map(Sample::mean)
    }

    pub fn interval(&self) -> Option<Interval> {
        self.sample.as_ref()?.mean_ci(LEVEL)
    }

    /// Everything that is drawn of it.
    pub fn extent(&self) -> impl Iterator<Item = f64> {
        let interval = self.interval().map(|ci| [ci.low, ci.high]).into_iter().flatten();
        self.runs.iter().map(|(_, value)| *value).chain(interval)
    }

    /// `mean 98.73 % (95 % CI 97.1 to 100.3), n = 3 of 3`.
    pub fn said(&self, unit: &str) -> String {
        let Some(mean) = self.mean() else { return "no value".to_owned() };
        let interval = self.interval().map_or_else(String::new, |ci| {
            format!(" (95 % CI {} to {})", number(ci.low), number(ci.high))
        });
        format!(
            "mean {}{interval}, n = {} of {}",
            with_unit(mean, unit),
            self.runs.len(),
            self.cell.planned()
        )
    }
}

/// What a caption says of the single runs, and whether there are few enough to be drawn.
pub fn dots(groups: &[Group]) -> (bool, String) {
    let runs: usize = groups.iter().map(|group| group.runs.len()).sum();
    if runs > MOST_DOTS {
        return (false, format!("The {runs} single runs are too many to be drawn"));
    }
    (true, "Small marks: single runs".to_owned())
}

/// The selected cells in their order; those without a value too.
pub fn groups<'a>(selection: &Selection<'a>, metric: &MetricInfo) -> Vec<Group<'a>> {
    let labels = labels(selection, &[]);
    let groups = selection.cells.iter().zip(labels).map(|(cell, label)| {
        let label = if label.is_empty() { cell.name.clone() } else { label };
        let runs: Vec<(String, f64)> = fresh(cell)
            .filter_map(|run| {
                Some((format!("{}/{}", cell.short(), run.repeat), value(run, metric.name)?))
            })
            .collect();
        let sample = Sample::new(runs.iter().map(|(_, value)| *value).collect()).ok();
        Group { cell, label, runs, sample }
    });
    groups.collect()
}

/// What tells each selected cell from the others: its levels of the factors that vary among them, some
/// left out. Empty where nothing does.
pub fn labels(selection: &Selection, except: &[&str]) -> Vec<String> {
    let cells = &selection.cells;
    let axes = selection.experiment.map_or(&[][..], |experiment| &experiment.axes);
    let is_axis = |name: &str| axes.is_empty() || axes.iter().any(|axis| axis.name == name);
    // by factor the first level met, and whether all cells have it
    let mut factors: BTreeMap<&str, (&str, usize, bool)> = BTreeMap::new();
    for level in cells.iter().flat_map(|cell| &cell.factors) {
        let known = factors.entry(&level.name).or_insert((&level.text, 0, true));
        known.1 += 1;
        known.2 &= known.0 == level.text;
    }
    let tells = |level: &&NamedLevel| {
        let (_, having, same) = factors[level.name.as_str()];
        let varies = !same || having != cells.len();
        varies && is_axis(&level.name) && !except.contains(&level.name.as_str())
    };
    let label = |cell: &&Cell| {
        let told: Vec<&str> =
            cell.factors.iter().filter(tells).map(|level| level.text.as_str()).collect();
        told.join(" · ")
    };
    cells.iter().map(label).collect()
}

/// As tooltips show it.
pub fn number(value: f64) -> String {
    format::significant(value, DIGITS)
}

pub fn with_unit(value: f64, unit: &str) -> String {
    if unit.is_empty() { number(value) } else { format!("{} {unit}", number(value)) }
}

/// Name and unit as an axis shows them.
pub fn axis_title(metric: &MetricInfo) -> String {
    if metric.unit.is_empty() {
        metric.name.to_owned()
    } else {
        format!("{} ({})", metric.name, metric.unit)
    }
}
