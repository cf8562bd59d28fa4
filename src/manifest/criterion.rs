//! What a hypothesis predicts: a metric, cells and a bound. How data are held against it is left to
//! `verdict`.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::study::Level;
use super::written::{self, Scalar};

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
        across: Across,
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
    /// The spread `at` divided by the spread at `than` lies below the bound.
    Steadier {
        metric: String,
        at: Cells,
        than: Cells,
        below: f64,
    },
    All(Vec<Criterion>),
    Any(Vec<Criterion>),
}

/// How a criterion is held against data, beyond what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// `None`: what the kind of the criterion and the metric ask for.
    pub test: Option<Test>,
    pub over: Over,
    /// Judged although many attempts failed.
    pub despite_failures: bool,
    /// Judged although the sides were measured one after the other.
    pub despite_drift: bool,
}

/// How a criterion is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Student's, Welch's or the paired t, on the values as they are.
    T,
    /// The same on the logarithms.
    Log,
    /// By order alone.
    Rank,
    /// By exchanging the values of both sides.
    Permutation,
    /// Of a spread: takes the runs for normal.
    Chi2,
}

impl Test {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::T => "t",
            Self::Log => "log",
            Self::Rank => "rank",
            Self::Permutation => "permutation",
            Self::Chi2 => "chi2",
        }
    }
}

/// What several cells of one selection are to a criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Each cell is one value: the mean of its runs.
    #[default]
    Cells,
    /// The criterion must hold in each of them.
    Each,
}

/// What a correlation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Across {
    /// The runs within each cell, the cells' means taken out.
    #[default]
    Runs,
    /// The means of the cells.
    Cells,
}

/// The side of a number on which a claim says that something lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    Above(f64),
    Below(f64),
}

impl Bound {
    fn of(above: Option<f64>, below: Option<f64>) -> Option<Self> {
        above.map(Self::Above).or(below.map(Self::Below))
    }

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
    /// Levels as texts, for words only.
    fn written(levels: &IndexMap<String, Scalar>) -> Self {
        let text =
            |(axis, level): (&String, &Scalar)| (axis.clone(), Level::Text(level.to_string()));
        Self(levels.iter().map(text).collect())
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
            Self::Steadier { at, than, .. } => vec![at, than],
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().flat_map(Self::selections).collect()
            }
        }
    }

    /// The criterion from the document that a plan keeps of it, with its terms and its level of significance.
    /// `None` where this version cannot read it.
    #[must_use]
    pub fn stored(document: &serde_json::Value) -> Option<(Self, Terms, f64)> {
        let written: written::Hypothesis = serde_json::from_value(document.clone()).ok()?;
        let alpha = written.alpha.unwrap_or(ALPHA);
        Some((Self::written(&written)?, Terms::written(&written), alpha))
    }

    /// Without checks: it was checked before it was stored.
    fn written(body: &written::Hypothesis) -> Option<Self> {
        let difference = |body: &written::Difference, bound| Self::Difference {
            metric: body.metric.clone(),
            at: Cells::written(&body.at),
            than: Cells::written(&body.than),
            bound,
        };
        let parts =
            |parts: &[written::Hypothesis]| parts.iter().map(Self::written).collect::<Option<_>>();
        if let Some(body) = &body.correlation {
            let bound = Bound::of(body.at_least, body.at_most)?;
            let (x, y) = (body.x.clone(), body.y.clone());
            let (cells, across) = (Cells::written(&body.cells), body.across.unwrap_or_default());
            return Some(Self::Correlation { x, y, cells, across, bound });
        }
        if let Some(body) = &body.greater {
            return Some(difference(body, Bound::Above(body.by.unwrap_or(0.0))));
        }
        if let Some(body) = &body.less {
            return Some(difference(body, Bound::Below(-body.by.unwrap_or(0.0))));
        }
        if let Some(body) = &body.ratio {
            return Some(Self::Ratio {
                metric: body.metric.clone(),
                of: Cells::written(&body.of),
                to: Cells::written(&body.to),
                bound: Bound::of(body.above, body.below)?,
            });
        }
        if let Some(body) = &body.equivalent {
            return Some(Self::Equivalent {
                metric: body.metric.clone(),
                at: Cells::written(&body.at),
                to: Cells::written(&body.to),
                margin: body.margin,
            });
        }
        if let Some(body) = &body.threshold {
            return Some(Self::Threshold {
                metric: body.metric.clone(),
                cells: Cells::written(&body.cells),
                statistic: body.stat.as_deref().map_or(Some(Statistic::Mean), Statistic::named)?,
                bound: Bound::of(body.above, body.below)?,
            });
        }
        if let Some(body) = &body.steadier {
            return Some(Self::Steadier {
                metric: body.metric.clone(),
                at: Cells::written(&body.at),
                than: Cells::written(&body.than),
                below: body.below.unwrap_or(1.0),
            });
        }
        match (&body.all, &body.any) {
            (Some(all), _) => parts(all).map(Self::All),
            (_, Some(any)) => parts(any).map(Self::Any),
            _ => None,
        }
    }

    /// Changes every selection of cells that it makes, those of its parts included.
    pub(crate) fn each_selection(&mut self, change: &mut impl FnMut(&mut Cells)) {
        match self {
            Self::Correlation { cells, .. } | Self::Threshold { cells, .. } => change(cells),
            Self::Difference { at: one, than: other, .. }
            | Self::Equivalent { at: one, to: other, .. }
            | Self::Ratio { of: one, to: other, .. }
            | Self::Steadier { at: one, than: other, .. } => {
                change(one);
                change(other);
            }
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.each_selection(change);
                }
            }
        }
    }

    /// The metrics that it names, those of its parts included.
    #[must_use]
    pub fn metrics(&self) -> Vec<&str> {
        match self {
            Self::Correlation { x, y, .. } => vec![x, y],
            Self::Difference { metric, .. }
            | Self::Ratio { metric, .. }
            | Self::Equivalent { metric, .. }
            | Self::Threshold { metric, .. }
            | Self::Steadier { metric, .. } => vec![metric],
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::metrics).collect(),
        }
    }
}

impl Terms {
    pub(super) fn written(body: &written::Hypothesis) -> Self {
        Self {
            test: body.test,
            over: body.over.unwrap_or_default(),
            despite_failures: body.despite_failures.unwrap_or_default(),
            despite_drift: body.despite_drift.unwrap_or_default(),
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
