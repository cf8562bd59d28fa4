//! Checks of hypotheses: one criterion each, on cells that exist.

use indexmap::IndexMap;

use super::selection::Selections;
use crate::manifest::criterion::{
    ALPHA, Across, Bound, Cells, Criterion, Over, Statistic, Terms, Test,
};
use crate::manifest::factor;
use crate::manifest::nearest::suggest;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Hypothesis, Level};
use crate::manifest::written::{self, Scalar};

/// Beyond it a decision says next to nothing.
const LARGEST_ALPHA: f64 = 0.25;

pub(super) fn hypothesis(
    at: &At<'_>,
    name: &str,
    written: &written::Hypothesis,
    selections: &Selections<'_>,
    problems: &mut Problems<'_>,
) -> Option<Hypothesis> {
    let before = problems.len();
    let Some(claim) = written.claim.clone() else {
        problems.key(at, format!("hypothesis `{name}` says no `claim`"), None);
        return None;
    };
    if written.alpha.is_some_and(|alpha| !(alpha > 0.0 && alpha <= LARGEST_ALPHA)) {
        let message = format!("`alpha` lies above 0 and is {LARGEST_ALPHA} at most");
        let help = "it is the chance of a decision where nothing is there: 0.05 unless it is said";
        problems.value(&at.key("alpha"), message, Some(help.to_owned()));
    }
    let mut normal = written.clone();
    let criterion = Reader { selections, problems }.criterion(at, &mut normal);
    let terms = Terms::written(written);
    if let (Some(criterion), Some(test)) = (&criterion, terms.test) {
        tests(&at.key("test"), criterion, test, problems);
    }
    if problems.len() > before {
        return None;
    }
    // what means the same as leaving it out is left out, so that it is the same criterion
    normal.alpha = normal.alpha.filter(|alpha| alpha.total_cmp(&ALPHA).is_ne());
    normal.over = normal.over.filter(|over| *over != Over::default());
    normal.despite_failures = normal.despite_failures.filter(|despite| *despite);
    normal.despite_drift = normal.despite_drift.filter(|despite| *despite);
    let mut document = serde_json::to_value(&normal).unwrap_or_default();
    without_nulls(&mut document);
    Some(Hypothesis {
        name: name.to_owned(),
        claim,
        alpha: written.alpha.unwrap_or(ALPHA),
        criterion: criterion?,
        terms,
        document,
    })
}

/// A test that can say something of the criterion.
fn tests(at: &At<'_>, criterion: &Criterion, test: Test, problems: &mut Problems<'_>) {
    let (kind, known): (&str, &[Test]) = match criterion {
        Criterion::Difference { .. } => ("a difference", &[Test::T, Test::Rank, Test::Permutation]),
        Criterion::Ratio { .. } => ("a ratio", &[Test::T, Test::Log, Test::Rank]),
        Criterion::Equivalent { .. } => ("an equivalence", &[Test::T, Test::Rank]),
        Criterion::Correlation { .. } => ("a correlation", &[Test::Rank]),
        Criterion::Threshold { statistic: Statistic::Mean, .. } => ("a mean", &[Test::T]),
        Criterion::Threshold { statistic: Statistic::Sd | Statistic::Cv, .. } => {
            ("a spread", &[Test::Chi2])
        }
        Criterion::Threshold { .. } => ("this statistic", &[]),
        Criterion::Steadier { .. } => ("two spreads", &[]),
        Criterion::All(parts) | Criterion::Any(parts) => {
            for part in parts {
                tests(at, part, test, problems);
            }
            return;
        }
    };
    if !known.contains(&test) {
        let names: Vec<&str> = known.iter().map(|test| test.name()).collect();
        let help = if names.is_empty() {
            "leave `test` out".to_owned()
        } else {
            format!("leave `test` out, or one of {}", names.join(", "))
        };
        let message = format!("`{}` is no test of {kind}", test.name());
        problems.value(at, message, Some(help));
    }
}

fn without_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Reads criteria and normalises them as they are written.
struct Reader<'r, 'c, 's> {
    selections: &'r Selections<'c>,
    problems: &'r mut Problems<'s>,
}

impl Reader<'_, '_, '_> {
    fn criterion(&mut self, at: &At<'_>, written: &mut written::Hypothesis) -> Option<Criterion> {
        // words do not change what is predicted
        written.claim = None;
        let kinds = [
            ("correlation", written.correlation.is_some()),
            ("greater", written.greater.is_some()),
            ("less", written.less.is_some()),
            ("ratio", written.ratio.is_some()),
            ("equivalent", written.equivalent.is_some()),
            ("threshold", written.threshold.is_some()),
            ("steadier", written.steadier.is_some()),
            ("all", written.all.is_some()),
            ("any", written.any.is_some()),
        ];
        let given = kinds.iter().filter(|(_, given)| *given).count();
        // one that is written and cannot be read is a problem of its own
        let unread = kinds.iter().any(|(name, given)| !given && self.is_written(&at.key(name)));
        if given > 1 || given == 0 && !unread {
            let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
            let message = format!("`{at}` needs exactly one criterion, it has {given}");
            self.problems.key(at, message, Some(format!("one of {}", names.join(", "))));
        }
        let correlation = written.correlation.as_mut().map(|body| self.correlation(at, body));
        let greater =
            written.greater.as_mut().map(|body| Some(self.difference(at, "greater", body)));
        let less = written.less.as_mut().map(|body| Some(self.difference(at, "less", body)));
        let ratio = written.ratio.as_mut().map(|body| self.ratio(at, body));
        let equivalent = written.equivalent.as_mut().map(|body| Some(self.equivalent(at, body)));
        let threshold = written.threshold.as_mut().map(|body| self.threshold(at, body));
        let steadier = written.steadier.as_mut().map(|body| Some(self.steadier(at, body)));
        let all =
            written.all.as_mut().map(|parts| self.parts(at, "all", parts).map(Criterion::All));
        let any =
            written.any.as_mut().map(|parts| self.parts(at, "any", parts).map(Criterion::Any));
        let found = [correlation, greater, less, ratio, equivalent, threshold, steadier, all, any];
        found.into_iter().flatten().next()?
    }

    fn correlation(&mut self, at: &At<'_>, body: &mut written::Correlation) -> Option<Criterion> {
        let at = at.key("correlation");
        let cells = self.cells(&at.key("where"), &mut body.cells);
        let bounds = [("at_least", body.at_least), ("at_most", body.at_most)];
        let bound = self.bound(&at, "correlation", bounds)?;
        let key = if body.at_least.is_some() { "at_least" } else { "at_most" };
        if bound.value().abs() >= 1.0 {
            let message = format!("a correlation lies between −1 and 1, not at {}", bound.value());
            self.problems.value(&at.key(key), message, None);
        }
        if body.x == body.y {
            self.problems.value(&at.key("y"), "a metric always goes together with itself", None);
        }
        body.across = body.across.filter(|across| *across != Across::default());
        let across = body.across.unwrap_or_default();
        Some(Criterion::Correlation { x: body.x.clone(), y: body.y.clone(), cells, across, bound })
    }

    fn difference(
        &mut self,
        at: &At<'_>,
        key: &'static str,
        body: &mut written::Difference,
    ) -> Criterion {
        let at = at.key(key);
        let one = self.cells(&at.key("at"), &mut body.at);
        let other = self.cells(&at.key("than"), &mut body.than);
        self.apart(&at.key("than"), &one, &other);
        let by = body.by.unwrap_or(0.0);
        self.finite(&at.key("by"), by);
        body.by = body.by.filter(|by| *by != 0.0);
        let bound = if key == "greater" { Bound::Above(by) } else { Bound::Below(-by) };
        let metric = body.metric.clone();
        Criterion::Difference { metric, at: one, than: other, bound }
    }

    fn ratio(&mut self, at: &At<'_>, body: &mut written::Ratio) -> Option<Criterion> {
        let at = at.key("ratio");
        let of = self.cells(&at.key("of"), &mut body.of);
        let to = self.cells(&at.key("to"), &mut body.to);
        self.apart(&at.key("to"), &of, &to);
        let bound = self.bound(&at, "ratio", [("above", body.above), ("below", body.below)])?;
        Some(Criterion::Ratio { metric: body.metric.clone(), of, to, bound })
    }

    fn equivalent(&mut self, at: &At<'_>, body: &mut written::Equivalent) -> Criterion {
        let at = at.key("equivalent");
        let one = self.cells(&at.key("at"), &mut body.at);
        let other = self.cells(&at.key("to"), &mut body.to);
        self.apart(&at.key("to"), &one, &other);
        let margin = body.margin;
        if !(margin > 0.0 && margin.is_finite()) {
            let message = format!("`margin` is a number above 0, not {margin}");
            self.problems.value(&at.key("margin"), message, None);
        }
        Criterion::Equivalent { metric: body.metric.clone(), at: one, to: other, margin }
    }

    fn steadier(&mut self, at: &At<'_>, body: &mut written::Steadier) -> Criterion {
        let at = at.key("steadier");
        let one = self.cells(&at.key("at"), &mut body.at);
        let other = self.cells(&at.key("than"), &mut body.than);
        self.apart(&at.key("than"), &one, &other);
        let below = body.below.unwrap_or(1.0);
        if !(below > 0.0 && below.is_finite()) {
            let message = format!("`below` is a ratio above 0, not {below}");
            self.problems.value(&at.key("below"), message, None);
        }
        body.below = body.below.filter(|below| below.total_cmp(&1.0).is_ne());
        Criterion::Steadier { metric: body.metric.clone(), at: one, than: other, below }
    }

    fn threshold(&mut self, at: &At<'_>, body: &mut written::Threshold) -> Option<Criterion> {
        let at = at.key("threshold");
        let cells = self.cells(&at.key("where"), &mut body.cells);
        let statistic = match &body.stat {
            None => Some(Statistic::Mean),
            Some(name) => statistic(&at.key("stat"), name, self.problems),
        };
        body.stat = body.stat.take().filter(|name| name != Statistic::Mean.name());
        let bound = self.bound(&at, "threshold", [("above", body.above), ("below", body.below)])?;
        Some(Criterion::Threshold {
            metric: body.metric.clone(),
            cells,
            statistic: statistic?,
            bound,
        })
    }

    fn parts(
        &mut self,
        at: &At<'_>,
        key: &'static str,
        parts: &mut [written::Hypothesis],
    ) -> Option<Vec<Criterion>> {
        let at = at.key(key);
        if parts.is_empty() {
            self.problems.value(&at, format!("`{key}` needs at least one criterion"), None);
        }
        let mut read = Vec::new();
        for (index, part) in parts.iter_mut().enumerate() {
            let at = at.index(index);
            let of_whole = [
                ("alpha", part.alpha.is_some()),
                ("test", part.test.is_some()),
                ("over", part.over.is_some()),
                ("despite_failures", part.despite_failures.is_some()),
                ("despite_drift", part.despite_drift.is_some()),
            ];
            for (key, _) in of_whole.into_iter().filter(|(_, given)| *given) {
                let help = "write it beside the claim; parts are judged by it too";
                let message = format!("`{key}` belongs to the whole hypothesis");
                self.problems.key(&at.key(key), message, Some(help.into()));
            }
            read.extend(self.criterion(&at, part));
        }
        (read.len() == parts.len()).then_some(read)
    }

    /// A selection of cells that exist, normalised as it is written.
    fn cells(&mut self, at: &At<'_>, written: &mut IndexMap<String, Scalar>) -> Cells {
        let checked = self.selections.one(at, written, true, self.problems);
        *written = checked
            .iter()
            .map(|(axis, level)| (axis.clone(), Scalar::Text(factor::show(axis, level))))
            .collect();
        Cells(checked)
    }

    /// Two sides share no cell when an axis has different levels on them.
    fn apart(&mut self, at: &At<'_>, one: &Cells, other: &Cells) {
        let differs = |(axis, level): (&String, &Level)| {
            other.0.get(axis).is_some_and(|theirs| theirs != level)
        };
        if !one.0.is_empty() && !other.0.is_empty() && !one.0.iter().any(differs) {
            let help = "give one axis different levels on both sides";
            let message = "both sides may select the same cells";
            self.problems.value(at, message, Some(help.into()));
        } else if one.0.is_empty() || other.0.is_empty() {
            let help = "name the levels of both sides";
            self.problems.value(at, "a side that selects every cell", Some(help.into()));
        }
    }

    fn bound(
        &mut self,
        at: &At<'_>,
        kind: &str,
        [(above, low), (below, high)]: [(&'static str, Option<f64>); 2],
    ) -> Option<Bound> {
        let (key, value, bound) = match (low, high) {
            (Some(value), None) => (above, value, Bound::Above(value)),
            (None, Some(value)) => (below, value, Bound::Below(value)),
            (None, None) if [above, below].iter().any(|key| self.is_written(&at.key(key))) => {
                return None;
            }
            _ => {
                let message = format!("`{kind}` needs exactly one of `{above}` and `{below}`");
                self.problems.key(at, message, None);
                return None;
            }
        };
        self.finite(&at.key(key), value);
        Some(bound)
    }

    /// Whether the manifest has this key, be its value right or wrong.
    fn is_written(&self, at: &At<'_>) -> bool {
        self.problems.source().line_of(at).is_some()
    }

    fn finite(&mut self, at: &At<'_>, value: f64) {
        if !value.is_finite() {
            self.problems.value(at, format!("a bound is a finite number, not {value}"), None);
        }
    }
}

/// The statistic of that name.
pub(super) fn statistic(at: &At<'_>, name: &str, problems: &mut Problems<'_>) -> Option<Statistic> {
    let found = Statistic::named(name);
    if found.is_none() {
        let help = suggest(name, Statistic::ALL.map(Statistic::name));
        problems.value(at, format!("`{name}` is not a statistic"), help);
    }
    found
}
