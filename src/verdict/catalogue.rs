//! What a manifest says of metrics, held against those that there are.

use super::unit;
use crate::manifest::criterion::Statistic;
use crate::manifest::nearest::{nearest, suggest};
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::{ManifestErrors, Study};
use crate::metrics;

/// Metrics that hypotheses and the outlier rule name and this version does not compute: a later one
/// may, or it is a typo.
#[must_use]
pub fn unknown_metrics(study: &Study) -> Vec<String> {
    let declared = metrics::declared(study);
    let unknown = |name: &str| -> Option<String> {
        if metrics::find(&declared, name).is_some() {
            return None;
        }
        let hint = nearest(name, metrics::all(&declared).map(|info| info.name));
        let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Some(format!("this version computes no metric `{name}`{hint}"))
    };
    let outliers = study.outliers.metrics.iter();
    let mut warnings: Vec<String> =
        outliers.filter_map(|name| Some(format!("outliers: {}", unknown(name)?))).collect();
    for experiment in &study.experiments {
        for hypothesis in &experiment.hypotheses {
            let found = hypothesis.criterion.metrics().into_iter().filter_map(unknown);
            warnings.extend(found.map(|unknown| {
                format!(
                    "experiment `{}`, hypothesis `{}`: {unknown}",
                    experiment.name, hypothesis.name
                )
            }));
        }
    }
    warnings
}

/// A published number is of a metric that exists, in a unit that can be compared.
pub fn claim_problems(study: &Study) -> Result<(), ManifestErrors> {
    let mut problems = Problems::new(&study.source);
    let declared = metrics::declared(study);
    let section = At::ROOT.key("claim");
    for claim in &study.claims {
        let at = section.key(&claim.name);
        let Some(info) = metrics::find(&declared, &claim.metric) else {
            let known = metrics::all(&declared).map(|info| info.name);
            let help = suggest(&claim.metric, known);
            let message = format!("there is no metric `{}`", claim.metric);
            problems.value(&at.key("metric"), message, help);
            continue;
        };
        let of_metric = unit_of(info.unit, claim.statistic);
        if let Some(written) = &claim.unit
            && unit::factor(written, of_metric).is_none()
        {
            let name = if of_metric.is_empty() { "a pure number" } else { of_metric };
            let message = format!("`{}` is in {name}, not in `{written}`", claim.metric);
            let help = match of_metric {
                "" => "leave `unit` out".to_owned(),
                unit => format!("one of {}", unit::alike(unit).join(", ")),
            };
            problems.value(&at.key("unit"), message, Some(help));
        }
    }
    problems.finish()
}

/// The unit of a statistic of a metric; a coefficient of variation has none.
pub(super) fn unit_of(metric: &str, statistic: Statistic) -> &str {
    if statistic == Statistic::Cv { "" } else { metric }
}
