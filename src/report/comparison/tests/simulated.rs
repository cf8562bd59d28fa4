//! Experiments that are drawn by chance, in memory: for tests of what the tables promise.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{cell, of_one, run};
use crate::report::data::{Axis, Cell, Data, Experiment, ExperimentCell, NamedLevel, NamedText};

/// The name of the experiment.
pub const EXPERIMENT: &str = "simulated";
/// The axis on which its cells differ; the first level is the baseline.
const AXIS: &str = "level";

/// One experiment with a baseline.
#[derive(Debug, Clone, Copy)]
pub struct Simulated<'s> {
    pub cells: usize,
    /// Per cell.
    pub runs: u32,
    /// By their names in the catalogue; independent of each other.
    pub metrics: &'s [&'s str],
    /// Sd of the logarithm of a run's value; the geometric mean is 100 in every cell.
    pub spread: f64,
    /// By how much the logarithm of every cell after the first is higher.
    pub effect: f64,
    /// Runs in blocks, so that repeats are pairs; else a cell after the other.
    pub interleaved: bool,
}

impl Simulated<'_> {
    /// The same for the same seed.
    pub fn data(&self, seed: u64) -> Data {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let level = |cell: usize| NamedLevel {
            name: AXIS.to_owned(),
            level: cell.into(),
            text: cell.to_string(),
            number: Some(cell as f64),
        };
        let mut cells = Vec::new();
        for number in 0..self.cells {
            let shift = if number == 0 { 0.0 } else { self.effect };
            let mut runs = BTreeMap::new();
            for repeat in 1..=self.runs {
                let (block, place) = if self.interleaved {
                    (u64::from(repeat), number as u64)
                } else {
                    (number as u64, u64::from(repeat))
                };
                let started = format!("2026-01-{:02}T00:{:02}:00Z", 1 + block % 28, place % 60);
                let mut run = run(self.metrics[0], repeat, &started, None);
                for metric in self.metrics {
                    let value = (100_f64.ln() + shift + self.spread * normal(&mut rng)).exp();
                    run.metrics.insert((*metric).to_owned(), Some(value));
                }
                runs.insert(repeat, run);
            }
            let name = format!("{AXIS}={number}");
            cells.push(Cell { name, ..cell(number, vec![level(number)], self.runs, runs) });
        }
        let experiment = Experiment {
            name: EXPERIMENT.to_owned(),
            axes: vec![Axis {
                name: AXIS.to_owned(),
                varies: self.cells > 1,
                numeric: true,
                levels: (0..self.cells).map(|cell| cell.to_string()).collect(),
            }],
            baseline: vec![NamedText::new(AXIS, "0")],
            interleaved: self.interleaved,
            cells: (0..self.cells)
                .map(|cell| ExperimentCell { cell, levels: vec![level(cell)], merged: Vec::new() })
                .collect(),
            ..Experiment::default()
        };
        of_one(experiment, cells)
    }
}

/// Box & Muller, "A note on the generation of random normal deviates" (1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}
