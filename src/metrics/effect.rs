//! How differences of a metric are told, and from which size on they matter.

use super::MetricInfo;

/// A difference below this matters to nobody, however surely it is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SmallestEffect {
    /// A share of what it is compared with: 0.01 is 1 %.
    Relative(f64),
    /// In the metric's unit.
    Absolute(f64),
}

impl SmallestEffect {
    /// As text with the metric's unit.
    #[must_use]
    pub fn text(self, unit: &str) -> String {
        match self {
            SmallestEffect::Relative(share) => format!("{} %", round(100.0 * share)),
            SmallestEffect::Absolute(size) => {
                let unit = if unit == "%" { "pp" } else { unit };
                format!("{} {unit}", round(size)).trim_end().to_owned()
            }
        }
    }
}

/// Without the digits that binary fractions leave.
fn round(number: f64) -> f64 {
    (number * 1e9).round() / 1e9
}

/// How a metric's values differ from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// A positive time, rate, energy or cost: what changes it multiplies it, and long ones vary by more.
    /// Compared by the ratio of geometric means where all values are above 0.
    Ratio,
    /// A share in percent: compared by its difference in percentage points.
    Share,
    /// Anything else, compared by the difference of means.
    Other,
}

/// Names of differences between two figures: around 0, so that no share of them means anything.
const DIFFERENCES: [&str; 4] = ["_delta", "_above_", "_drop_", "_residue_"];

/// The scale by the metric's unit.
#[must_use]
pub fn scale(metric: &MetricInfo<'_>) -> Scale {
    let difference = DIFFERENCES.iter().any(|part| metric.name.contains(part));
    match metric.unit {
        "%" => Scale::Share,
        _ if difference => Scale::Other,
        "ns" | "µs" | "us" | "ms" | "s" | "min" | "h" | "×" | "W" | "J" | "J/token" | "token/J"
        | "USD" => Scale::Ratio,
        unit if unit.ends_with("/s") => Scale::Ratio,
        _ => Scale::Other,
    }
}

/// The smallest effect of interest: what the manifest says of a declared metric, or else by its unit 1 % of
/// what is on [`Scale::Ratio`] and 1 percentage point of a share.
///
/// Others have none, and every difference of theirs that is shown is one: counts of tokens and calls are
/// exact, so that one more may matter; memory matters when it runs out, and temperature when it throttles,
/// at no share of themselves; differences between two figures are around 0; and what a pure number
/// stands for is not known here.
#[must_use]
pub fn smallest_effect(metric: &MetricInfo<'_>) -> Option<SmallestEffect> {
    metric.smallest_effect.or(match (scale(metric), metric.unit) {
        (Scale::Ratio, _) => Some(SmallestEffect::Relative(0.01)),
        (Scale::Share, _) | (Scale::Other, "pp") => Some(SmallestEffect::Absolute(1.0)),
        (Scale::Other, _) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{catalogue, info};

    #[test]
    fn a_percent_of_times_and_rates_a_point_of_shares_nothing_of_the_rest() {
        let of = |name: &str| smallest_effect(info(name).unwrap());
        let percent = Some(SmallestEffect::Relative(0.01));
        for name in
            ["ttft_ms", "cpu_s", "tokenizer_pieces_p50_us", "tokenizer_mb_per_s", "slowdown"]
        {
            assert_eq!(of(name), percent, "{name}");
        }
        assert_eq!(of("aggregate_tokens_per_s"), percent);
        for name in ["efficiency_percent", "efficiency_drop_pp", "others_cpu_percent"] {
            assert_eq!(of(name), Some(SmallestEffect::Absolute(1.0)), "{name}");
        }
        let none = ["tokens", "peak_rss_mb", "gpu_temperature_max_c", "ttft_delta_ms", "agents"];
        for name in none {
            assert_eq!(of(name), None, "{name}");
        }
        assert_eq!(of("loop_lag_p99_ms_above_idle"), None);
        let known = catalogue().iter().filter(|metric| smallest_effect(metric).is_some()).count();
        assert!(known > catalogue().len() / 2, "{known}");
    }

    #[test]
    fn what_a_manifest_says_comes_first() {
        let own = MetricInfo {
            unit: "lines/s",
            smallest_effect: Some(SmallestEffect::Absolute(2.5)),
            ..*info("ttft_ms").unwrap()
        };
        assert_eq!(smallest_effect(&own), Some(SmallestEffect::Absolute(2.5)));
        let unsaid = MetricInfo { smallest_effect: None, ..own };
        assert_eq!(smallest_effect(&unsaid), Some(SmallestEffect::Relative(0.01)));
    }

    #[test]
    fn it_is_written_as_people_do() {
        assert_eq!(SmallestEffect::Relative(0.07).text("ms"), "7 %");
        assert_eq!(SmallestEffect::Absolute(1.0).text("%"), "1 pp");
        assert_eq!(SmallestEffect::Absolute(0.1).text("MB"), "0.1 MB");
    }
}
