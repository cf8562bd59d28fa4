//! What a hypothesis predicts: a metric, cells and a bound. How data are held against it is left to
//! `verdict`.

use indexmap::IndexMap;

use super::study::Level;

/// Level of significance of hypotheses that name none.
pub const ALPHA: f64 = 0.05;

/// A checked criterion; levels are normalised and exist in the experiment's matrix.
#[derive(Debug, Clone, PartialEq)]
pub enum Criterion {
    /// Two metrics go together over the runs.
    Correlation {
        x: String,
        y: String,
        cells: Cells,
        bound: Bound,
    },
    /// The mean `at` minus the mean at `than`.
    Difference {
        metric: String,
        at: Cells,
        than: Cells,
        bound: Bound,
    },
    /// The mean `of` divided by the mean `to`.
    Ratio {
        metric: String,
        of: Cells,
        to: Cells,
        bound: Bound,
    },
    /// The means differ by less than the margin.
    Equivalent {
        metric: String,
        at: Cells,
        to: Cells,
        margin: f64,
    },
    Threshold {
        metric: String,
        cells: Cells,
        statistic: Statistic,
        bound: Bound,
    },
    All(Vec<Criterion>),
    Any(Vec<Criterion>),
}

/// The side of a number on which a claim says that something lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    Above(f64),
    Below(f64),
}

impl Bound {
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Bound::Above(value) | Bound::Below(value) => value,
        }
    }
}

/// Levels that select cells; none selects all of the experiment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cells(pub IndexMap<String, Level>);

impl Cells {
    /// Whether a cell with these levels is selected.
    #[must_use]
    pub fn select(&self, levels: &[(String, Level)]) -> bool {
        self.0.iter().all(|(axis, wanted)| {
            levels.iter().any(|(name, level)| name == axis && level == wanted)
        })
    }
}

impl Criterion {
    /// Its selections of cells, those of its parts included.
    #[must_use]
    pub fn selections(&self) -> Vec<&Cells> {
        match self {
            Self::Correlation { cells, .. } | Self::Threshold { cells, .. } => vec![cells],
            Self::Difference { at, than: other, .. } | Self::Equivalent { at, to: other, .. } => {
                vec![at, other]
            }
            Self::Ratio { of, to, .. } => vec![of, to],
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().flat_map(Self::selections).collect()
            }
        }
    }

    /// Whether it concerns a cell with these levels.
    #[must_use]
    pub fn concerns(&self, levels: &[(String, Level)]) -> bool {
        self.selections().iter().any(|cells| cells.select(levels))
    }

    /// The metrics that it names, those of its parts included.
    #[must_use]
    pub fn metrics(&self) -> Vec<&str> {
        match self {
            Self::Correlation { x, y, .. } => vec![x, y],
            Self::Difference { metric, .. }
            | Self::Ratio { metric, .. }
            | Self::Equivalent { metric, .. }
            | Self::Threshold { metric, .. } => vec![metric],
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::metrics).collect(),
        }
    }
}

/// A statistic over runs that a threshold or a claim is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    Mean,
    Median,
    Sd,
    Cv,
    Min,
    Max,
    P95,
    P99,
}

impl Statistic {
    pub const ALL: [Self; 8] =
        [Self::Mean, Self::Median, Self::Sd, Self::Cv, Self::Min, Self::Max, Self::P95, Self::P99];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Median => "median",
            Self::Sd => "sd",
            Self::Cv => "cv",
            Self::Min => "min",
            Self::Max => "max",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|statistic| statistic.name() == name)
    }
}
