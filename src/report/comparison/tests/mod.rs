mod chance;
mod golden;
mod hostile;
mod simulated;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use crate::report::data::{
    Axis, Cell, Data, Experiment, ExperimentCell, NamedLevel, NamedText, StudyFacts,
};
use crate::report::outliers::OutlierTable;
use crate::report::select::{self, Selection};
use crate::store::record::RunRecord;

/// Cells of one experiment, `(levels of its axes, values by repeat)`, of the metric that a test names.
pub struct Built {
    axes: Vec<&'static str>,
    baseline: Vec<(&'static str, &'static str)>,
    interleaved: bool,
    cells: Vec<(Vec<String>, Vec<Option<f64>>)>,
    metric: &'static str,
    /// In the order in which the cells are listed.
    order: Option<Vec<usize>>,
}

pub const METRIC: &str = "aggregate_tokens_per_s";

impl Built {
    pub fn new(axes: &[&'static str], baseline: &[(&'static str, &'static str)]) -> Self {
        Self {
            axes: axes.to_vec(),
            baseline: baseline.to_vec(),
            interleaved: true,
            cells: Vec::new(),
            metric: METRIC,
            order: None,
        }
    }

    /// Levels as `a/b`.
    pub fn cell(mut self, levels: &str, values: &[f64]) -> Self {
        let values = values.iter().map(|value| Some(*value)).collect();
        self.cells.push((levels.split('/').map(str::to_owned).collect(), values));
        self
    }

    pub fn unknown(mut self, levels: &str, runs: usize) -> Self {
        self.cells.push((levels.split('/').map(str::to_owned).collect(), vec![None; runs]));
        self
    }

    pub fn of(mut self, metric: &'static str) -> Self {
        self.metric = metric;
        self
    }

    pub fn sequential(mut self) -> Self {
        self.interleaved = false;
        self
    }

    pub fn listed(mut self, order: Vec<usize>) -> Self {
        self.order = Some(order);
        self
    }

    pub fn data(&self) -> Data {
        let order = self.order.clone().unwrap_or_else(|| (0..self.cells.len()).collect());
        let level = |axis: &str, text: &str| NamedLevel {
            name: axis.to_owned(),
            text: text.to_owned(),
            level: text.into(),
            number: text.parse().ok(),
        };
        let mut cells = Vec::new();
        let mut own = Vec::new();
        for (place, index) in order.into_iter().enumerate() {
            let (texts, values) = &self.cells[index];
            let levels: Vec<NamedLevel> =
                self.axes.iter().zip(texts).map(|(axis, text)| level(axis, text)).collect();
            let runs = (1..).zip(values).map(|(repeat, value)| {
                let time = if self.interleaved {
                    format!("2025-06-01T10:{repeat:02}:{index:02}Z")
                } else {
                    format!("2025-06-01T{index:02}:{repeat:02}:00Z")
                };
                (repeat, run(self.metric, repeat, &time, *value))
            });
            let runs: BTreeMap<u32, RunRecord> = runs.collect();
            cells.push(cell(index, levels.clone(), 5, runs));
            own.push(ExperimentCell { cell: place, levels, merged: Vec::new() });
        }
        let axes = self.axes.iter().enumerate().map(|(axis, name)| {
            let mut levels: Vec<String> = Vec::new();
            for (texts, _) in &self.cells {
                if !levels.contains(&texts[axis]) {
                    levels.push(texts[axis].clone());
                }
            }
            Axis { name: (*name).to_owned(), varies: levels.len() > 1, numeric: false, levels }
        });
        let experiment = Experiment {
            name: "e".into(),
            axes: axes.collect(),
            baseline: self.baseline.iter().map(|(a, l)| NamedText::new(*a, *l)).collect(),
            interleaved: self.interleaved,
            cells: own,
            ..Experiment::default()
        };
        of_one(experiment, cells)
    }
}

/// Of one experiment with these cells, and of nothing else.
fn of_one(experiment: Experiment, cells: Vec<Cell>) -> Data {
    Data {
        imports: None,
        study: StudyFacts::default(),
        experiments: vec![experiment],
        cells,
        flamegraphs: Vec::new(),
        failed: Vec::new(),
        fallbacks: Vec::new(),
        stand_ins: Vec::new(),
        outliers: OutlierTable::default(),
        hypotheses: Vec::new(),
        claims: Vec::new(),
        recommendations: Vec::new(),
        declared: Vec::new(),
    }
}

/// A cell with these levels and runs.
fn cell(
    index: usize,
    levels: Vec<NamedLevel>,
    repeats: u32,
    runs: BTreeMap<u32, RunRecord>,
) -> Cell {
    let texts: Vec<&str> = levels.iter().map(|level| level.text.as_str()).collect();
    Cell {
        id: format!("{index:08x}{}", "0".repeat(24)),
        name: texts.join("_"),
        repeats,
        control: false,
        factors: levels,
        scenario: None,
        simulated: false,
        imported: false,
        throttled: false,
        runs,
        folders: BTreeMap::new(),
        stale: BTreeMap::new(),
        fell_back: BTreeSet::new(),
        damaged: BTreeMap::new(),
        unsealed: BTreeSet::new(),
    }
}

fn run(metric: &str, repeat: u32, time: &str, value: Option<f64>) -> RunRecord {
    let record = serde_json::json!({
        "format": 1, "cell": "", "cell_name": "", "repeat": repeat, "attempt": 1,
        "identity": {}, "started": time, "finished": time,
        "evidence": { "runner": { "version": "" }, "agent": { "runtime": "rust" },
            "machine": { "hostname": "bench" }, "endpoints": {} },
        "process": {}, "calls": [], "metrics": { metric: value }, "files": {},
    });
    serde_json::from_value(record).unwrap()
}

pub fn whole(data: &Data) -> Selection<'_> {
    select::cells(data, Some("e"), &[]).unwrap()
}
