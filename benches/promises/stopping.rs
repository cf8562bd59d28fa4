//! Settings of those who look early, stop when it suits, or delete what did not come true.

use rand_chacha::ChaCha8Rng;
use runner::execute::until::is_wide;
use runner::manifest::criterion::{Criterion, Statistic, Test};
use runner::manifest::study::HalfWidth;
use runner::store::executed::PlannedRepeats;
use runner::verdict::{self, Verdict};

use crate::data::{Data, METRIC, Turns, side};
use crate::settings::{
    ALPHA, BOTH, DECISIONS, Drawn, Promise, Setting, found, greater, setting, terms, threshold,
    two, values,
};

/// Who looks early, or stops when it suits.
pub fn of_stopping(data: Data, short: bool) -> Vec<Setting> {
    const LOOKS: [u32; 4] = [3, 5, 10, 20];
    const OFTEN: [u32; 5] = [4, 8, 12, 16, 20];
    let null = move |rng: &mut ChaCha8Rng, n: u32| {
        (values(data, rng, n, 100.0), values(data, rng, n, 100.0))
    };
    let mut settings = Vec::new();
    for looks in [&LOOKS[..], &OFTEN[..]] {
        settings.push(setting(
            "looks that were declared",
            (data, format!("{looks:?}")),
            DECISIONS,
            move |rng| {
                let (one, other) = null(rng, 20);
                found(
                    &two(Turns::Blocks, &one, &other).judge(
                        &greater(0.0),
                        terms(None),
                        ALPHA,
                        looks,
                    ),
                    0.0,
                )
            },
        ));
    }
    // the author raises `repeats` as long as nothing is decided
    settings.push(setting(
        "repeats raised until it is decided, undeclared",
        (data, "3, 5, 10, 20"),
        DECISIONS,
        move |rng| {
            let (one, other) = null(rng, 20);
            let mut history: Vec<PlannedRepeats> = Vec::new();
            let mut last = Drawn { verdict: Verdict::Inconclusive, covers: None };
            for (place, n) in LOOKS.into_iter().enumerate() {
                let before = if place == 0 { 0 } else { LOOKS[place - 1] as usize * 2 };
                let today = PlannedRepeats {
                    since: String::new(),
                    repeats: n,
                    looks: Vec::new(),
                    until: None,
                    order: None,
                    runs_before: Some(before),
                };
                let alpha = ALPHA * verdict::repeats(&history, &today).share();
                history.push(today);
                let n = n as usize;
                let study = two(Turns::Blocks, &one[..n], &other[..n]);
                last = found(&study.judge(&greater(0.0), terms(None), alpha, &[]), 0.0);
                if last.verdict.is_decided() {
                    break;
                }
            }
            last
        },
    ));
    settings.extend(of_width(data, short));
    settings.extend(of_deletion(data, short));
    settings
}

/// Runs that end when the interval of every mean is narrow.
fn of_width(data: Data, short: bool) -> Vec<Setting> {
    let null = move |rng: &mut ChaCha8Rng, n: u32| {
        (values(data, rng, n, 100.0), values(data, rng, n, 100.0))
    };
    let mut settings = Vec::new();
    let widths: &[f64] = if short { &[0.05] } else { &[0.02, 0.05, 0.1] };
    for (fewest, width) in [3, 5].into_iter().flat_map(|n| widths.iter().map(move |w| (n, *w))) {
        let n = format!("{fewest} to 30, ± {} %", 100.0 * width);
        settings.push(setting("`until` each mean is known", (data, n), BOTH, move |rng| {
            let (one, other) = null(rng, 30);
            let of = |values: &[(f64, f64)]| values.iter().map(|own| own.0).collect::<Vec<f64>>();
            let wide = |n: usize| {
                [&one, &other]
                    .iter()
                    .any(|own| is_wide(&of(&own[..n]), HalfWidth::Relative(width)).is_some())
            };
            let n = (fewest..30).find(|n| !wide(*n)).unwrap_or(30);
            let study = two(Turns::Blocks, &one[..n], &other[..n]);
            found(&study.judge(&greater(0.0), terms(None), ALPHA, &[]), 0.0)
        }));
    }
    // skewed values are so wide that nothing narrower is reached
    let wider = if data == Data::Skewed { 6.0 } else { 1.0 };
    for width in widths.iter().map(|width| wider * width) {
        settings.extend(of_stopping_by_width(data, width));
    }
    settings
}

/// Ten hypotheses of which the author shows the best.
fn of_deletion(data: Data, short: bool) -> Vec<Setting> {
    let null = move |rng: &mut ChaCha8Rng, n: u32| {
        (values(data, rng, n, 100.0), values(data, rng, n, 100.0))
    };
    let mut settings = Vec::new();
    let repeats: &[u32] = if short { &[5] } else { &[3, 5, 10] };
    for n in repeats.iter().copied() {
        let promise = Promise { supported: 6.5, refuted: Some(0.0), covered: None };
        settings.push(setting(
            "ten hypotheses, the best one kept and nine deleted",
            (data, n),
            promise,
            move |rng| {
                let mut findings = Vec::new();
                for _ in 0..10 {
                    let (one, other) = null(rng, n);
                    findings.push(two(Turns::Blocks, &one, &other).judge(
                        &greater(0.0),
                        terms(None),
                        ALPHA,
                        &[],
                    ));
                }
                let adjusted = verdict::adjust(&findings.iter().collect::<Vec<_>>(), 0);
                let best = adjusted.into_iter().flatten().fold(1.0, f64::min);
                let verdict = if best < ALPHA { Verdict::Supported } else { Verdict::Inconclusive };
                Drawn { verdict, covers: None }
            },
        ));
    }
    settings
}

/// A name, the criterion with its truth, and the test.
type Kind = (&'static str, fn(Data) -> (Criterion, f64), Option<Test>);

/// Other kinds where the runs end when the interval of every mean is narrow.
fn of_stopping_by_width(data: Data, width: f64) -> Vec<Setting> {
    let kinds: [Kind; 3] = [
        (
            "`until`, `threshold` of a mean",
            |_| (threshold(side(0), Statistic::Mean, 100.0), 100.0),
            None,
        ),
        (
            "`until`, `threshold` of a cv, `chi2`",
            |data| (threshold(side(0), Statistic::Cv, data.cv()), data.cv()),
            Some(Test::Chi2),
        ),
        (
            "`until`, `steadier`",
            |_| {
                let (metric, at, than) = (METRIC.to_owned(), side(1), side(0));
                (Criterion::Steadier { metric, at, than, below: 1.0 }, 1.0)
            },
            None,
        ),
    ];
    let n = format!("3 to 30, ± {:.0} %", 100.0 * width);
    let of = |(name, asked, test): Kind| {
        setting(name, (data, n.clone()), DECISIONS, move |rng| {
            let (one, other) = (values(data, rng, 30, 100.0), values(data, rng, 30, 100.0));
            let wide = |n: usize| {
                [&one, &other].iter().any(|own| {
                    let own: Vec<f64> = own[..n].iter().map(|own| own.0).collect();
                    is_wide(&own, HalfWidth::Relative(width)).is_some()
                })
            };
            let n = (3..30).find(|n| !wide(*n)).unwrap_or(30);
            let study = two(Turns::Blocks, &one[..n], &other[..n]);
            let (criterion, truth) = asked(data);
            found(&study.judge(&criterion, terms(test), ALPHA, &[]), truth)
        })
    };
    kinds
        .into_iter()
        .filter(|(.., test)| test.is_none() || data != Data::HeavyTails)
        .map(of)
        .collect()
}
