//! What the verdicts promise, setting by setting: each draws a study in which the truth is known.

use rand_chacha::ChaCha8Rng;
use runner::manifest::criterion::{Across, Bound, Cells, Criterion, Over, Statistic, Terms, Test};
use runner::verdict::{Finding, Verdict};

use crate::data::{ALL, Data, METRIC, OTHER, Study, Turns, normal, side};
use crate::stopping;

pub const ALPHA: f64 = 0.05;
/// A decision in one direction by chance: 2.5 % are meant.
const SIDE: f64 = 3.5;
/// Of 95 % intervals.
const COVERS: f64 = 93.0;

/// One study that was drawn and judged.
#[derive(Debug, Clone, Copy)]
pub struct Drawn {
    pub verdict: Verdict,
    /// Whether the interval holds the truth; `None`: there is none.
    pub covers: Option<bool>,
}

/// What is promised of a setting, in per cent of the studies.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    pub supported: f64,
    /// `None`: a refutation is right, or not looked at.
    pub refuted: Option<f64>,
    pub covered: Option<f64>,
}

type Draw = Box<dyn Fn(&mut ChaCha8Rng) -> Drawn + Sync>;

pub struct Setting {
    pub name: &'static str,
    pub data: &'static str,
    pub n: String,
    pub promise: Promise,
    pub draw: Draw,
}

pub const BOTH: Promise = Promise { supported: SIDE, refuted: Some(SIDE), covered: Some(COVERS) };
/// Heavy tails that two metrics share widen what a strong correlation may be by chance.
const STRONG: Promise = Promise { supported: SIDE, refuted: Some(6.0), covered: None };
/// Of a difference between skewed sides of unlike size few runs know little.
const UNLIKE: Promise = Promise { supported: 4.5, refuted: Some(4.5), covered: None };
pub const DECISIONS: Promise = Promise { covered: None, ..BOTH };
const NONE: Promise = Promise { supported: 0.0, refuted: Some(0.0), covered: None };

/// All of them; `short` leaves those for a test of a few seconds.
pub fn all(short: bool) -> Vec<Setting> {
    let repeats: &[u32] = if short { &[5] } else { &[2, 3, 5, 10] };
    let mut found = Vec::new();
    // heavy tails are the mildest of the three
    for data in ALL.into_iter().filter(|data| !short || *data != Data::HeavyTails) {
        for n in repeats.iter().copied() {
            found.extend(of_two_sides(data, n));
            found.extend(of_one_side(data, n));
            if !short {
                found.extend(of_each_cell(data, n));
            }
            found.extend(of_several_cells(data, n));
            found.extend(of_unlike_sides(data, n));
        }
        found.extend(of_correlations(data, repeats));
        found.extend(of_correlations_beside(data, repeats));
        found.extend(stopping::of_stopping(data, short));
        found.extend(of_what_may_not_decide(data));
    }
    found
}

pub fn setting(
    name: &'static str,
    (data, n): (Data, impl ToString),
    promise: Promise,
    draw: impl Fn(&mut ChaCha8Rng) -> Drawn + Sync + 'static,
) -> Setting {
    Setting { name, data: data.name(), n: n.to_string(), promise, draw: Box::new(draw) }
}

pub fn found(finding: &Finding, truth: f64) -> Drawn {
    let covers = finding.interval.map(|own| own.low <= truth && truth <= own.high);
    Drawn { verdict: finding.verdict, covers }
}

pub fn values(data: Data, rng: &mut ChaCha8Rng, n: u32, mean: f64) -> Vec<(f64, f64)> {
    (0..n).map(|_| (data.value(rng, mean), 1.0)).collect()
}

/// A third of so many runs.
fn fewer(n: u32) -> u32 {
    n.div_ceil(3).max(2)
}

/// Two cells with these values; the runs of the one that has fewer lie among those of the other.
pub fn two(turns: Turns, one: &[(f64, f64)], other: &[(f64, f64)]) -> Study {
    let mut study = Study::new(turns);
    if other.len() < one.len() {
        let stride = one.len() / other.len();
        let among = |n: usize| 2 * (n * stride + stride / 2) + 1;
        study.add_at((0, 0), &(0..other.len()).map(among).collect::<Vec<_>>(), other);
        study.add_at((1, 0), &(0..one.len()).map(|n| 2 * n).collect::<Vec<_>>(), one);
        return study;
    }
    study.add((0, 0), 2, other);
    study.add((1, 0), 2, one);
    study
}

pub fn greater(by: f64) -> Criterion {
    Criterion::Difference {
        metric: METRIC.to_owned(),
        at: side(1),
        than: side(0),
        bound: Bound::Above(by),
    }
}

fn ratio(bound: f64) -> Criterion {
    Criterion::Ratio {
        metric: METRIC.to_owned(),
        of: side(1),
        to: side(0),
        bound: Bound::Above(bound),
    }
}

pub fn threshold(cells: Cells, statistic: Statistic, bound: f64) -> Criterion {
    Criterion::Threshold { metric: METRIC.to_owned(), cells, statistic, bound: Bound::Above(bound) }
}

pub fn terms(test: Option<Test>) -> Terms {
    Terms { test, ..Terms::default() }
}

/// Nothing lies between the sides, or exactly the bound does.
fn of_two_sides(data: Data, n: u32) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut add = |name, turns, test, criterion: fn() -> Criterion, truth: f64, few: bool| {
        settings.push(setting(name, (data, n), BOTH, move |rng| {
            let others = if few { fewer(n) } else { n };
            let (one, other) = (values(data, rng, n, 100.0), values(data, rng, others, 100.0));
            found(&two(turns, &one, &other).judge(&criterion(), terms(test), ALPHA, &[]), truth)
        }));
    };
    let no_difference = || greater(0.0);
    let no_ratio = || ratio(1.0);
    add("`greater`, pairs", Turns::Blocks, None, no_difference, 0.0, false);
    add("`greater`, no pairs", Turns::Shuffled, None, no_difference, 0.0, false);
    add(
        "`greater`, three times the runs on one side",
        Turns::Shuffled,
        None,
        no_difference,
        0.0,
        true,
    );
    add("`greater`, `rank`", Turns::Shuffled, Some(Test::Rank), no_difference, 0.0, false);
    add(
        "`greater`, `permutation`",
        Turns::Shuffled,
        Some(Test::Permutation),
        no_difference,
        0.0,
        false,
    );
    add("`ratio`, pairs", Turns::Blocks, None, no_ratio, 1.0, false);
    add("`ratio`, no pairs", Turns::Shuffled, None, no_ratio, 1.0, false);
    // the side that is looked at is the margin's
    settings.push(setting(
        "`equivalent`, at the margin",
        (data, n),
        Promise { supported: 6.0, refuted: Some(6.0), covered: None },
        move |rng| {
            let (one, other) = (values(data, rng, n, 105.0), values(data, rng, n, 100.0));
            let criterion = Criterion::Equivalent {
                metric: METRIC.to_owned(),
                at: side(1),
                to: side(0),
                margin: 5.0,
            };
            found(&two(Turns::Blocks, &one, &other).judge(&criterion, terms(None), ALPHA, &[]), 5.0)
        },
    ));
    settings.push(setting("`steadier`", (data, n), BOTH, move |rng| {
        let (one, other) = (values(data, rng, n, 100.0), values(data, rng, n, 100.0));
        let (metric, at, than) = (METRIC.to_owned(), side(1), side(0));
        let criterion = Criterion::Steadier { metric, at, than, below: 1.0 };
        found(&two(Turns::Blocks, &one, &other).judge(&criterion, terms(None), ALPHA, &[]), 1.0)
    }));
    settings
}

/// The sides have the means that are asked for and are spread unlike.
fn of_unlike_sides(data: Data, n: u32) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (turns, constant, twice) in [
        (Turns::Blocks, "`greater`, a constant side, pairs", "`greater` by its own size, pairs"),
        (Turns::Shuffled, "`greater`, a constant side", "`greater` by its own size"),
    ] {
        settings.push(setting(constant, (data, n), UNLIKE, move |rng| {
            let constant = vec![(100.0, 1.0); n as usize];
            let study = two(turns, &constant, &values(data, rng, n, 100.0));
            found(&study.judge(&greater(0.0), terms(None), ALPHA, &[]), 0.0)
        }));
        settings.push(setting(twice, (data, n), UNLIKE, move |rng| {
            let (one, other) = (values(data, rng, n, 200.0), values(data, rng, n, 100.0));
            found(&two(turns, &one, &other).judge(&greater(100.0), terms(None), ALPHA, &[]), 100.0)
        }));
    }
    let around = move |rng: &mut ChaCha8Rng, n: u32, times: f64| -> Vec<(f64, f64)> {
        (0..n).map(|_| (100.0 + times * (data.value(rng, 100.0) - 100.0), 1.0)).collect()
    };
    let mut spread = |name, test, few: bool| {
        settings.push(setting(name, (data, n), DECISIONS, move |rng| {
            let others = if few { fewer(n) } else { n };
            let (one, other) = (around(rng, n, 0.1), around(rng, others, 1.0));
            let study = two(Turns::Shuffled, &one, &other);
            found(&study.judge(&greater(0.0), terms(Some(test)), ALPHA, &[]), 0.0)
        }));
    };
    spread("`permutation`, ten times the spread, as many runs", Test::Permutation, false);
    spread("`permutation`, ten times the spread, a third of the runs", Test::Permutation, true);
    // of skewed values a shift by order is none of the means
    if data != Data::Skewed {
        spread("`rank`, ten times the spread, as many runs", Test::Rank, false);
        spread("`rank`, ten times the spread, a third of the runs", Test::Rank, true);
        // who writes `t` takes the runs for normal
        settings.push(setting("`greater` by its own size, `t`", (data, n), BOTH, move |rng| {
            let (one, other) = (values(data, rng, n, 200.0), values(data, rng, n, 100.0));
            let study = two(Turns::Blocks, &one, &other);
            found(&study.judge(&greater(100.0), terms(Some(Test::T)), ALPHA, &[]), 100.0)
        }));
    }
    settings
}

/// The bound is the truth of one cell.
fn of_one_side(data: Data, n: u32) -> Vec<Setting> {
    let statistics = [
        ("`threshold` of a mean", Statistic::Mean, None, 100.0),
        ("`threshold` of a median", Statistic::Median, None, data.quantile(0.0, 0.0)),
        ("`threshold` of a p95", Statistic::P95, None, data.quantile(1.644_854, 2.353_363)),
        ("`threshold` of an sd", Statistic::Sd, None, 100.0 * data.cv()),
        ("`threshold` of an sd, `chi2`", Statistic::Sd, Some(Test::Chi2), 100.0 * data.cv()),
        ("`threshold` of a cv, `chi2`", Statistic::Cv, Some(Test::Chi2), data.cv()),
    ];
    statistics
        .into_iter()
        .filter(|(_, statistic, test, _)| {
            // who writes `chi2` says that the runs are normal, or for `cv` their logarithms
            let shaped = match statistic {
                Statistic::Cv => data != Data::HeavyTails,
                _ => data == Data::Normal,
            };
            test.is_none() || shaped
        })
        .map(|(name, statistic, test, truth)| {
            let promise = match (statistic, test) {
                (Statistic::Sd, None) => NONE,
                _ => BOTH,
            };
            setting(name, (data, n), promise, move |rng| {
                let mut study = Study::new(Turns::Blocks);
                study.add((0, 0), 1, &values(data, rng, n, 100.0));
                let criterion = threshold(side(0), statistic, truth);
                found(&study.judge(&criterion, terms(test), ALPHA, &[]), truth)
            })
        })
        .collect()
}

/// Cells that differ for reasons of their own, and not by what is asked.
const OWN: f64 = 0.1;

fn of_several_cells(data: Data, n: u32) -> Vec<Setting> {
    let own = |rng: &mut ChaCha8Rng| 100.0 * (1.0 + OWN * normal(rng));
    let four = move |rng: &mut ChaCha8Rng, data: Data| {
        let mut study = Study::new(Turns::Blocks);
        for b in 0..4 {
            for a in 0..2 {
                let mean = own(rng);
                study.add((a, b), 8, &values(data, rng, n, mean));
            }
        }
        study
    };
    let of_cells = |name, criterion: Criterion, truth: f64| {
        setting(name, (data, n), BOTH, move |rng| {
            found(&four(rng, data).judge(&criterion, terms(None), ALPHA, &[]), truth)
        })
    };
    vec![
        of_cells("`greater` over four cells a side", greater(0.0), 0.0),
        of_cells("`ratio` over four cells a side", ratio(1.0), 1.0),
        of_cells(
            "`threshold` of a mean over four cells",
            threshold(side(0), Statistic::Mean, 100.0),
            100.0,
        ),
    ]
}

/// Each of four cells must hold, and in one of them there is nothing.
fn of_each_cell(data: Data, n: u32) -> Vec<Setting> {
    vec![setting(
        "`greater`, `each` of four cells, nothing in one",
        (data, n),
        DECISIONS,
        move |rng| {
            let mut study = Study::new(Turns::Blocks);
            for b in 0..4 {
                let more = if b == 0 { 100.0 } else { 400.0 };
                study.add((0, b), 8, &values(data, rng, n, 100.0));
                study.add((1, b), 8, &values(data, rng, n, more));
            }
            let terms = Terms { over: Over::Each, ..Terms::default() };
            found(&study.judge(&greater(0.0), terms, ALPHA, &[]), 0.0)
        },
    )]
}

fn correlation(across: Across, bound: f64) -> Criterion {
    let (x, y) = (METRIC.to_owned(), OTHER.to_owned());
    Criterion::Correlation { x, y, cells: Cells::default(), across, bound: Bound::Above(bound) }
}

fn of_correlations(data: Data, repeats: &[u32]) -> Vec<Setting> {
    let free = move |rng: &mut ChaCha8Rng| (data.value(rng, 100.0), data.value(rng, 100.0));
    let mut settings = Vec::new();
    for n in repeats.iter().copied() {
        settings.push(setting(
            "`correlation` of what is independent",
            (data, n),
            DECISIONS,
            move |rng| {
                let mut study = Study::new(Turns::Blocks);
                for a in 0..2 {
                    study.add((a, 0), 2, &(0..n).map(|_| free(rng)).collect::<Vec<_>>());
                }
                found(&study.judge(&correlation(Across::Runs, 0.0), terms(None), ALPHA, &[]), 0.0)
            },
        ));
        let right = Promise { refuted: None, ..DECISIONS };
        settings.push(setting(
            "`correlation` of −0.9 within cells that lie on a line",
            (data, n),
            Promise { supported: 0.5, ..right },
            move |rng| {
                let mut study = Study::new(Turns::Blocks);
                for a in 0..4 {
                    let apart = 1000.0 * f64::from(a);
                    let values =
                        (0..n).map(|_| data.pair(rng, -0.9)).map(|(x, y)| (x + apart, y + apart));
                    study.add((a, 0), 4, &values.collect::<Vec<_>>());
                }
                found(&study.judge(&correlation(Across::Runs, 0.8), terms(None), ALPHA, &[]), -0.9)
            },
        ));
        settings.push(setting(
            "`correlation` over the means of eight cells, independent",
            (data, n),
            DECISIONS,
            move |rng| {
                let mut study = Study::new(Turns::Blocks);
                for a in 0..8 {
                    let (x, y) = (100.0 * OWN * normal(rng), 100.0 * OWN * normal(rng));
                    let values = (0..n).map(|_| free(rng)).map(|(a, b)| (a + x, b + y));
                    study.add((a, 0), 8, &values.collect::<Vec<_>>());
                }
                found(&study.judge(&correlation(Across::Cells, 0.0), terms(None), ALPHA, &[]), 0.0)
            },
        ));
    }
    settings
}

/// Correlations in blocks that have something in common, under a drift, and of a bound that is not 0.
fn of_correlations_beside(data: Data, repeats: &[u32]) -> Vec<Setting> {
    let none = correlation(Across::Runs, 0.0);
    let free = move |rng: &mut ChaCha8Rng| (data.value(rng, 100.0), data.value(rng, 100.0));
    let drifting = move |rng: &mut ChaCha8Rng, place: u32| {
        let (x, y) = free(rng);
        (x + DRIFT * f64::from(place), y + DRIFT * f64::from(place))
    };
    let mut settings = Vec::new();
    for n in repeats.iter().copied().filter(|n| *n > 2) {
        let asked = none.clone();
        settings.push(setting(
            "`correlation`, twenty cells in blocks that share half of the variance",
            (data, n),
            DECISIONS,
            move |rng| {
                let blocks: Vec<(f64, f64)> = (0..n).map(|_| free(rng)).collect();
                let mut study = Study::new(Turns::Blocks);
                for a in 0..20 {
                    let with = |block: &(f64, f64)| (free(rng), *block);
                    let values = blocks.iter().map(with).map(|(own, b)| (own.0 + b.0, own.1 + b.1));
                    let values: Vec<_> = values.collect();
                    study.add((a, 0), 20, &values);
                }
                found(&study.judge(&asked, terms(None), ALPHA, &[]), 0.0)
            },
        ));
        for (cells, name) in [
            (1, "`correlation`, a drift of both metrics in one cell"),
            (4, "`correlation`, a drift of both metrics over four cells, one after the other"),
        ] {
            let asked = none.clone();
            settings.push(setting(name, (data, n), DECISIONS, move |rng| {
                let mut study = Study::new(Turns::OneByOne);
                for a in 0..cells {
                    let values = (0..n).map(|repeat| drifting(rng, a * n + repeat));
                    study.add((a, 0), cells as usize, &values.collect::<Vec<_>>());
                }
                found(&study.judge(&asked, terms(None), ALPHA, &[]), 0.0)
            }));
        }
    }
    let many: &[u32] = if repeats.contains(&10) { &[10, 20, 40] } else { &[10] };
    for (n, truth) in many.iter().flat_map(|n| [(*n, 0.5), (*n, 0.8)]) {
        let name = if truth < 0.6 { "`correlation` of 0.5" } else { "`correlation` of 0.8" };
        settings.push(setting(name, (data, n), STRONG, move |rng| {
            let values = (0..n).map(|_| data.pair(rng, truth));
            let mut study = Study::new(Turns::Blocks);
            study.add((0, 0), 1, &values.collect::<Vec<_>>());
            found(&study.judge(&correlation(Across::Runs, truth), terms(None), ALPHA, &[]), truth)
        }));
    }
    settings
}

/// The machine slows down by this much from one run to the next.
const DRIFT: f64 = 2.0;

fn of_what_may_not_decide(data: Data) -> Vec<Setting> {
    let drifting = move |rng: &mut ChaCha8Rng, turns: Turns| {
        let at = |index: u32, place: u32| match turns {
            Turns::OneByOne => place * 10 + index,
            _ => index * 2 + place,
        };
        let side = |rng: &mut ChaCha8Rng, place: u32| -> Vec<(f64, f64)> {
            (0..10)
                .map(|index| (data.value(rng, 100.0) + DRIFT * f64::from(at(index, place)), 1.0))
                .collect()
        };
        let (other, one) = (side(rng, 0), side(rng, 1));
        two(turns, &one, &other)
    };
    vec![
        setting("a drift of the machine, one side after the other", (data, 10), NONE, move |rng| {
            let study = drifting(rng, Turns::OneByOne);
            found(&study.judge(&greater(0.0), terms(None), ALPHA, &[]), 0.0)
        }),
        setting("a drift of the machine, in blocks", (data, 10), DECISIONS, move |rng| {
            // what one place in a block costs is in the difference, and no more
            let study = drifting(rng, Turns::Blocks);
            found(&study.judge(&greater(DRIFT), terms(None), ALPHA, &[]), DRIFT)
        }),
        late(data, 3),
        late(data, 5),
        late(data, 10),
        late(data, 20),
        setting("13 of 18 attempts failed", (data, 5), NONE, move |rng| {
            let (one, other) = (values(data, rng, 5, 200.0), values(data, rng, 5, 100.0));
            let mut study = two(Turns::Blocks, &one, &other);
            study.failed = 13;
            found(&study.judge(&greater(0.0), terms(None), ALPHA, &[]), 0.0)
        }),
    ]
}

/// A level that was added when half of the other's runs were made, under a drift that is all there is between them.
fn late(data: Data, n: u32) -> Setting {
    let name = "a drift of the machine, one side joined late";
    setting(name, (data, n), DECISIONS, move |rng| {
        let n = n as usize;
        let alone = n / 2;
        let together = (n - alone) + n;
        // what joined is made twice for each run of the other
        let (mut old, mut new): (Vec<usize>, Vec<usize>) = ((0..alone).collect(), Vec::new());
        for place in alone..alone + together {
            if old.len() < n && (place - alone) % 3 == 1 || new.len() == n {
                old.push(place);
            } else {
                new.push(place);
            }
        }
        let mut side = |places: &[usize]| -> Vec<(f64, f64)> {
            places.iter().map(|at| (data.value(rng, 100.0) + DRIFT * *at as f64, 1.0)).collect()
        };
        let (of_old, of_new) = (side(&old), side(&new));
        let mut study = Study::new(Turns::Shuffled);
        study.add_at((0, 0), &old, &of_old);
        study.add_at((1, 0), &new, &of_new);
        found(&study.judge(&greater(0.0), terms(None), ALPHA, &[]), 0.0)
    })
}
