//! The figure of a claim in words, and its unit.

use std::fmt::Write as _;

use crate::manifest::study::{Claim, ClaimAs, ClaimOver, ClaimSide, ClaimStatistic, Quantity};
use crate::metrics::{self, DeclaredMetric};
use crate::verdict::words;

/// The unit of a claim's figure; `1` for a share, empty for a pure number.
pub(in crate::verdict) fn unit(claim: &Claim, declared: &[DeclaredMetric]) -> String {
    let compared = match &claim.against {
        Some((_, ClaimAs::Percent)) => Some("%"),
        Some((_, ClaimAs::Ratio)) => Some(SHARE),
        Some((_, ClaimAs::Difference)) | None => None,
    };
    if let Some(unit) = compared.filter(|_| claim.over != ClaimOver::Pairs) {
        return unit.to_owned();
    }
    let of_cells = matches!(claim.over, ClaimOver::Cells | ClaimOver::Pairs);
    let unit = match (&claim.statistic, compared, &claim.of) {
        (ClaimStatistic::RangePercent, ..) => "%",
        (ClaimStatistic::Cv | ClaimStatistic::Share(..), ..) => SHARE,
        (ClaimStatistic::Of(_) | ClaimStatistic::Range, Some(unit), _) => unit,
        (ClaimStatistic::Of(_) | ClaimStatistic::Range, None, of) => match of {
            ClaimStatistic::Cv if of_cells => SHARE,
            ClaimStatistic::RangePercent if of_cells => "%",
            ClaimStatistic::Distinct if of_cells => "",
            _ => match &claim.quantity {
                Quantity::Metric(name) => {
                    metrics::find(declared, name).map_or("", |info| info.unit)
                }
                Quantity::Level(_) => "",
            },
        },
        _ => "",
    };
    unit.to_owned()
}

/// A part of a whole.
pub(super) const SHARE: &str = "1";

/// What is taken: `mean of ttft_ms`.
pub(in crate::verdict) fn subject(claim: &Claim) -> String {
    let (Quantity::Metric(name) | Quantity::Level(name)) = &claim.quantity;
    let (statistic, of) = (claim.statistic.name(), claim.of.name());
    let is = match claim.statistic {
        ClaimStatistic::Count(Some((sign, bound))) | ClaimStatistic::Share(sign, bound) => {
            format!(" {} {bound}", sign.written())
        }
        _ => String::new(),
    };
    let how = claim.against.as_ref().map(|(_, how)| how);
    let mut subject = match claim.over {
        ClaimOver::Runs => format!("{statistic} of {name}{is}"),
        ClaimOver::Calls => format!("{statistic} of {name}{is} over calls"),
        ClaimOver::Cells => format!("{statistic} of {name}{is} over the {of}s of cells"),
        ClaimOver::Pairs => {
            let change = match how {
                Some(ClaimAs::Percent) => "change in per cent",
                Some(ClaimAs::Ratio) => "ratio",
                Some(ClaimAs::Difference) | None => "difference",
            };
            format!("{statistic} of the {change}{is}, pair by pair, of the {of} of {name}")
        }
    };
    if let Some(agent) = &claim.agent {
        let _ = write!(subject, " of agent {agent}");
    }
    if let Some(stage) = claim.stage {
        let _ = write!(subject, " in stage {}", stage.name());
    }
    if let Some(repeat) = claim.repeat {
        let _ = write!(subject, " in repeat {repeat}");
    }
    if claim.uncounted {
        subject.push_str(", calls that do not count included");
    }
    if claim.complete {
        subject.push_str(", of runs whose calls all count");
    }
    subject
}

/// What is taken, of which cells, and what it is held against.
pub(super) fn in_words(claim: &Claim) -> String {
    let mut text = subject(claim) + &place(&claim.side);
    if let Some((other, how)) = &claim.against {
        text.push_str(match (&claim.statistic, claim.over, how) {
            (ClaimStatistic::P, ..) | (_, ClaimOver::Pairs, _) => " against that",
            (_, _, ClaimAs::Difference) => " less that",
            (_, _, ClaimAs::Percent) => " in per cent more than that",
            (_, _, ClaimAs::Ratio) => " divided by that",
        });
        text.push_str(&place(other));
    }
    if let ClaimStatistic::Rank { among, by } = &claim.statistic {
        if let Some(axis) = by {
            let _ = write!(text, ", by {axis}");
        }
        text.push_str(&words::place(", among", among));
    }
    if !claim.except.0.is_empty() {
        let _ = write!(text, ", without {}", words::levels(&claim.except));
    }
    text
}

fn place(side: &ClaimSide) -> String {
    let experiment = side.experiment.as_ref();
    words::place("at", &side.cells)
        + &experiment.map_or_else(String::new, |name| format!(" in experiment {name}"))
}
