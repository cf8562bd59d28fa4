//! Checks of hypotheses: one criterion each, on cells that exist.

use indexmap::IndexMap;

use super::selection::Selections;
use crate::manifest::factor;
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::Hypothesis;
use crate::manifest::written::{self, Scalar};

/// Statistics that a threshold can bound.
const STATISTICS: [&str; 8] = ["mean", "median", "sd", "cv", "min", "max", "p95", "p99"];

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
    let mut normal = written.clone();
    normal.claim = None;
    criterion(at, &mut normal, selections, problems);
    if problems.len() > before {
        return None;
    }
    let mut criterion = serde_json::to_value(&normal).unwrap_or_default();
    if let Some(object) = criterion.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    Some(Hypothesis { name: name.to_owned(), claim, criterion })
}

/// Checks a criterion and normalises the levels in it.
fn criterion(
    at: &At<'_>,
    written: &mut written::Hypothesis,
    selections: &Selections<'_>,
    problems: &mut Problems<'_>,
) {
    let kinds = [
        ("correlation", written.correlation.is_some()),
        ("greater", written.greater.is_some()),
        ("less", written.less.is_some()),
        ("ratio", written.ratio.is_some()),
        ("equivalent", written.equivalent.is_some()),
        ("threshold", written.threshold.is_some()),
        ("all", written.all.is_some()),
        ("any", written.any.is_some()),
    ];
    let given = kinds.iter().filter(|(_, given)| *given).count();
    if given != 1 {
        let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
        let message = format!("`{at}` needs exactly one criterion, it has {given}");
        problems.key(at, message, Some(format!("one of {}", names.join(", "))));
    }
    if written.alpha.is_some_and(|alpha| !(alpha > 0.0 && alpha < 1.0)) {
        problems.value(&at.key("alpha"), "`alpha` lies between 0 and 1", None);
    }
    let mut cells = |at: &At<'_>, cells: &mut IndexMap<String, Scalar>| {
        let checked = selections.one(at, cells, true, problems);
        *cells = checked
            .iter()
            .map(|(axis, level)| (axis.clone(), Scalar::Text(factor::show(axis, level))))
            .collect();
    };
    let mut bounds: Vec<(&'static str, bool, &'static str)> = Vec::new();
    if let Some(body) = &mut written.correlation {
        let at = at.key("correlation");
        cells(&at.key("where"), &mut body.cells);
        bounds.push((
            "correlation",
            body.at_least.is_some() ^ body.at_most.is_some(),
            "`at_least` and `at_most`",
        ));
    }
    for (key, body) in [("greater", &mut written.greater), ("less", &mut written.less)] {
        if let Some(body) = body {
            let at = at.key(key);
            cells(&at.key("at"), &mut body.at);
            cells(&at.key("than"), &mut body.than);
        }
    }
    if let Some(body) = &mut written.ratio {
        let at = at.key("ratio");
        cells(&at.key("of"), &mut body.of);
        cells(&at.key("to"), &mut body.to);
        bounds.push(("ratio", body.above.is_some() ^ body.below.is_some(), "`above` and `below`"));
    }
    if let Some(body) = &mut written.equivalent {
        let at = at.key("equivalent");
        cells(&at.key("at"), &mut body.at);
        cells(&at.key("to"), &mut body.to);
    }
    if let Some(body) = &mut written.threshold {
        let at = at.key("threshold");
        cells(&at.key("where"), &mut body.cells);
        bounds.push((
            "threshold",
            body.above.is_some() ^ body.below.is_some(),
            "`above` and `below`",
        ));
        if let Some(stat) = &body.stat
            && !STATISTICS.contains(&stat.as_str())
        {
            let help = crate::manifest::nearest::suggest(stat, STATISTICS);
            problems.value(&at.key("stat"), format!("`{stat}` is not a statistic"), help);
        }
    }
    for (key, one, names) in bounds {
        if !one {
            problems.key(&at.key(key), format!("`{key}` needs exactly one of {names}"), None);
        }
    }
    for (key, parts) in [("all", &mut written.all), ("any", &mut written.any)] {
        let at = at.key(key);
        for (index, part) in parts.iter_mut().flatten().enumerate() {
            criterion(&at.index(index), part, selections, problems);
        }
    }
}
