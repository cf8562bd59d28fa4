//! Runs that are far from the others of their cell. They are named, never dropped.

use crate::manifest::study::{Mad, Outliers};
use crate::stats::{OutlierRule, Sample, flag_rate, outliers};
use crate::store::record::RunRecord;

/// A run that is far from the others of its cell in one metric.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Outlier {
    pub repeat: u32,
    pub metric: String,
    pub value: f64,
    pub median: f64,
    /// On the scale of the rule.
    pub mad: f64,
    /// |value − median| in MADs; `None` where the MAD is 0.
    pub distance: Option<f64>,
    /// Runs that it was flagged among.
    pub n: usize,
    /// The share of as many clean normal values that the rule flags.
    pub flagged_of_clean: f64,
}

/// The values of a metric, with their repeats.
#[must_use]
pub fn known<'r>(
    runs: &(impl Iterator<Item = &'r RunRecord> + Clone),
    metric: &str,
) -> Vec<(u32, f64)> {
    let value = |run: &'r RunRecord| {
        let value = run.metrics.get(metric).copied().flatten();
        Some((run.repeat, value.filter(|value| value.is_finite())?))
    };
    runs.clone().filter_map(value).collect()
}

/// Outliers among runs of one cell that were measured under the same circumstances, by metric, then
/// by repeat. Runs that do not know a metric say nothing of it.
#[must_use]
pub fn flagged<'r>(
    runs: &(impl Iterator<Item = &'r RunRecord> + Clone),
    rule: &Outliers,
) -> Vec<Outlier> {
    let scaled = rule.mad == Mad::Scaled;
    let mut found = Vec::new();
    for metric in &rule.metrics {
        let known = known(runs, metric);
        let Ok(sample) = Sample::new(known.iter().map(|(_, value)| *value).collect()) else {
            continue;
        };
        let median = sample.median();
        let mad = if scaled {
            sample.scaled_median_absolute_deviation()
        } else {
            sample.median_absolute_deviation()
        };
        let own = OutlierRule { deviations: rule.k, scaled };
        for place in outliers(&sample, own) {
            let (repeat, value) = known[place];
            let distance = (value - median).abs() / mad;
            found.push(Outlier {
                repeat,
                metric: metric.clone(),
                value,
                median,
                mad,
                distance: distance.is_finite().then_some(distance),
                n: known.len(),
                flagged_of_clean: flag_rate(own, known.len()),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(repeat: u32, value: Option<f64>) -> RunRecord {
        let metrics = [("m".to_owned(), value)].into();
        let record = serde_json::json!({
            "format": 1, "cell": "c", "cell_name": "c", "repeat": repeat, "attempt": 1,
            "identity": null, "started": "", "finished": "", "evidence": {
                "runner": { "version": "", "digest": null },
                "agent": { "runtime": "", "digest": null },
                "machine": {}, "endpoints": {}
            },
            "process": {}, "calls": [], "metrics": {}, "files": {}
        });
        RunRecord { metrics, ..serde_json::from_value(record).unwrap() }
    }

    #[test]
    fn the_far_run_is_named_with_its_distance() {
        let values = [Some(100.0), Some(101.0), None, Some(99.0), Some(110.0), Some(100.5)];
        let runs: Vec<RunRecord> = (1..).zip(values).map(|(repeat, v)| run(repeat, v)).collect();
        let rule = |k, mad| Outliers { metrics: vec!["m".to_owned()], k, mad };
        let found = flagged(&runs.iter(), &rule(2.0, Mad::Raw));
        // median 100.5, deviations 0.5, 0.5, 1.5, 9.5, 0: MAD 0.5
        let named: Vec<(u32, Option<f64>)> =
            found.iter().map(|outlier| (outlier.repeat, outlier.distance)).collect();
        assert_eq!(named, [(4, Some(3.0)), (5, Some(19.0))]);
        assert!((found[1].median - 100.5).abs() < 1e-12 && (found[1].mad - 0.5).abs() < 1e-12);
        // of five: the run without the metric is none; 2 raw MAD flag more than a fifth of clean values
        assert!(found.iter().all(|outlier| outlier.n == 5));
        assert!((0.2..0.4).contains(&found[0].flagged_of_clean), "{}", found[0].flagged_of_clean);
        let found = flagged(&runs.iter(), &rule(3.5, Mad::Scaled));
        assert_eq!(found.iter().map(|outlier| outlier.repeat).collect::<Vec<_>>(), [5]);
        assert!(flagged(&runs.iter(), &Outliers::default()).is_empty());
        assert!(flagged(&runs[..2].iter(), &rule(2.0, Mad::Raw)).is_empty());
    }
}
