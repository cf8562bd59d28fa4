//! What a manifest says of metrics, held against those that there are.

use super::claim::quantity;
use super::unit;
use crate::manifest::criterion::Statistic;
use crate::manifest::nearest::{nearest, suggest};
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Claim, ClaimOver, ClaimStatistic, Quantity};
use crate::manifest::{ManifestErrors, Study};
use crate::metrics::{self, DeclaredMetric, Scope};

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

/// A published number is of metrics that exist, in a unit that can be compared.
pub fn claim_problems(study: &Study) -> Result<(), ManifestErrors> {
    let mut problems = Problems::new(&study.source);
    let declared = metrics::declared(study);
    let section = At::ROOT.key("claim");
    for claim in &study.claims {
        let at = section.key(&claim.name);
        let mut named = Vec::new();
        if let Quantity::Metric(metric) = &claim.quantity {
            named.push(("metric", metric));
        }
        if let ClaimStatistic::Correlation(with) = &claim.statistic {
            named.push(("with", with));
        }
        let before = problems.len();
        for (key, metric) in &named {
            let at = at.key(key);
            if metrics::find(&declared, metric).is_none() {
                let help = suggest(metric, metrics::all(&declared).map(|info| info.name));
                problems.value(&at, format!("there is no metric `{metric}`"), help);
            } else if claim.agent.is_some()
                && claim.over != ClaimOver::Calls
                && !metrics::OF_AGENTS.contains(&metric.as_str())
            {
                let known = metrics::OF_AGENTS.join(", ");
                let message = format!("`{metric}` is the run's and not an agent's");
                problems.value(&at, message, Some(format!("those of agents are {known}")));
            }
        }
        if let (Quantity::Metric(metric), true) = (&claim.quantity, problems.len() == before) {
            let info = metrics::find(&declared, metric);
            let ranked = matches!(claim.statistic, ClaimStatistic::Rank { .. });
            if ranked && info.is_some_and(|info| info.better.is_none()) {
                let message = format!("of `{metric}` neither more nor less is better");
                problems.value(&at.key("metric"), message, None);
            }
            let of_calls = [Scope::CallAndRun, Scope::CallAndRunAgainstSolo, Scope::Imported];
            if claim.over == ClaimOver::Calls
                && info.is_some_and(|info| !of_calls.contains(&info.scope))
            {
                let message = format!("`{metric}` is the run's and not a call's");
                problems.value(&at.key("metric"), message, None);
            }
        }
        if problems.len() == before {
            unit_problem(&at, claim, &declared, &mut problems);
        }
    }
    problems.finish()
}

fn unit_problem(
    at: &At<'_>,
    claim: &Claim,
    declared: &[DeclaredMetric],
    problems: &mut Problems<'_>,
) {
    let Some(written) = &claim.unit else { return };
    let own = quantity::unit(claim, declared);
    if unit::factor(&own, written).is_some() {
        return;
    }
    let name = if own.is_empty() { "a pure number" } else { &own };
    let message = format!("{} is in {name}, not in `{written}`", quantity::subject(claim));
    let help = match own.as_str() {
        "" => "leave `unit` out".to_owned(),
        unit => format!("one of {}", unit::alike(unit).join(", ")),
    };
    problems.value(&at.key("unit"), message, Some(help));
}

/// The unit of a statistic of a metric; a coefficient of variation has none.
pub(super) fn unit_of(metric: &str, statistic: Statistic) -> &str {
    if statistic == Statistic::Cv { "" } else { metric }
}
