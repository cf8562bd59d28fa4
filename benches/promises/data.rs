//! Run records in memory, drawn with a known truth.

use rand::{Rng, RngExt};
use runner::cells::NamedLevel;
use runner::manifest::criterion::{Cells, Criterion, Terms};
use runner::manifest::study::Level;
use runner::store::record::RunRecord;
use runner::verdict::{Cell, Finding, Question, drawn, judge};

/// What a run's value is drawn from, around its mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// sd 5 % of 100.
    Normal,
    /// Lognormal with an sd of 0.5 of the logarithm: skewed, as latencies are.
    Skewed,
    /// Student's t with 3 degrees of freedom, times 3.
    HeavyTails,
}

pub const ALL: [Data; 3] = [Data::Normal, Data::Skewed, Data::HeavyTails];

/// sd of the logarithm of [`Data::Skewed`].
const SKEW: f64 = 0.5;

impl Data {
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Skewed => "lognormal",
            Self::HeavyTails => "heavy tails",
        }
    }

    /// A value with this mean.
    pub fn value(self, rng: &mut impl Rng, mean: f64) -> f64 {
        match self {
            Self::Normal => mean * (1.0 + 0.05 * normal(rng)),
            Self::Skewed => mean * (SKEW * normal(rng) - SKEW * SKEW / 2.0).exp(),
            Self::HeavyTails => {
                let squares: f64 = (0..3).map(|_| normal(rng).powi(2)).sum();
                mean * (1.0 + 0.03 * normal(rng) / (squares / 3.0).sqrt())
            }
        }
    }

    /// The value below which so many deviations of a normal distribution lie, for a mean of 100; `t` is that
    /// quantile of Student's t with 3 degrees of freedom.
    pub fn quantile(self, z: f64, t: f64) -> f64 {
        match self {
            Self::Normal => 100.0 + 5.0 * z,
            Self::Skewed => 100.0 * (SKEW * z - SKEW * SKEW / 2.0).exp(),
            Self::HeavyTails => 100.0 + 3.0 * t,
        }
    }

    /// Two values that go together by so much, by Pearson's r.
    pub fn pair(self, rng: &mut impl Rng, r: f64) -> (f64, f64) {
        let variance = SKEW * SKEW;
        // of lognormal values r is that of the exponentials, and not below what those can have
        let r = if self == Self::Skewed {
            ((r * variance.exp_m1()).max((-variance).exp_m1() * 0.95).ln_1p() / variance).max(-0.95)
        } else {
            r
        };
        let (common, own) = (normal(rng), normal(rng));
        let squares: f64 = (0..3).map(|_| normal(rng).powi(2)).sum();
        let root = (squares / 3.0).sqrt();
        let of = |z: f64| match self {
            Self::Normal => 100.0 + 5.0 * z,
            Self::Skewed => 100.0 * (SKEW * z - SKEW * SKEW / 2.0).exp(),
            Self::HeavyTails => 100.0 + 3.0 * z / root,
        };
        (of(common), of(r * common + (1.0 - r * r).sqrt() * own))
    }

    /// Standard deviation ÷ mean.
    pub fn cv(self) -> f64 {
        match self {
            Self::Normal => 0.05,
            Self::Skewed => (SKEW * SKEW).exp_m1().sqrt(),
            Self::HeavyTails => 0.03 * 3_f64.sqrt(),
        }
    }
}

/// By Box and Muller.
pub fn normal(rng: &mut impl Rng) -> f64 {
    let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A positive time.
pub const METRIC: &str = "wall_ms";
/// A second metric, for correlations.
pub const OTHER: &str = "ttft_ms";

/// When runs are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// Each cell once before any cell's next repeat.
    Blocks,
    /// The same, by an experiment that does not promise it.
    Shuffled,
    /// One cell after the other.
    OneByOne,
}

/// A study of one experiment with the axes `a` and `b`.
#[derive(Debug)]
pub struct Study {
    cells: Vec<Made>,
    pub turns: Turns,
    pub failed: usize,
}

#[derive(Debug)]
struct Made {
    name: String,
    levels: Vec<NamedLevel>,
    runs: Vec<RunRecord>,
}

impl Study {
    pub fn new(turns: Turns) -> Self {
        Self { cells: Vec::new(), turns, failed: 0 }
    }

    /// Adds the cell `(a, b)` whose repeats have these values of the metric, and of the other one. `cells` is how
    /// many there will be.
    pub fn add(&mut self, cell: (u32, u32), cells: usize, values: &[(f64, f64)]) {
        let place = self.cells.len();
        let at = |index: usize| match self.turns {
            Turns::Blocks | Turns::Shuffled => index * cells + place,
            Turns::OneByOne => place * values.len() + index,
        };
        let places: Vec<usize> = (0..values.len()).map(at).collect();
        self.add_at(cell, &places, values);
    }

    /// The same with repeats that are made in these places of the study.
    pub fn add_at(&mut self, (a, b): (u32, u32), places: &[usize], values: &[(f64, f64)]) {
        let number = |n: usize| u32::try_from(n).expect("few runs");
        let run = |(index, ((x, y), at)): (usize, (&(f64, f64), &usize))| {
            let values = [(METRIC.to_owned(), *x), (OTHER.to_owned(), *y)];
            drawn::run(number(index + 1), number(*at), values)
        };
        let runs = values.iter().zip(places).enumerate().map(run).collect();
        let levels = [("a", a), ("b", b)].map(|(axis, n)| NamedLevel::new(axis, &level(n)));
        let levels = levels.to_vec();
        self.cells.push(Made { name: format!("a{a}b{b}"), levels, runs });
    }

    /// What the program says of a criterion over these runs.
    pub fn judge(&self, criterion: &Criterion, terms: Terms, alpha: f64, looks: &[u32]) -> Finding {
        let cells: Vec<Cell> = self.cells.iter().map(|own| self.cell(own)).collect();
        judge(&Question {
            criterion,
            terms,
            alpha,
            cells: &cells,
            interleaved: self.turns != Turns::Shuffled,
            looks,
            declared: &[],
        })
    }

    fn cell<'a>(&'a self, own: &'a Made) -> Cell<'a> {
        let planned = u32::try_from(own.runs.len()).expect("few runs");
        Cell {
            id: &own.name,
            name: &own.name,
            levels: own.levels.clone(),
            planned,
            open: Vec::new(),
            runs: own.runs.iter().collect(),
            stale: 0,
            failed: vec![1; self.failed],
        }
    }
}

fn level(number: u32) -> Level {
    Level::Number(f64::from(number))
}

/// The cells with this level of `a`.
pub fn side(a: u32) -> Cells {
    Cells([("a".to_owned(), level(a))].into_iter().collect())
}
