//! Whether repeats of two sides were measured block by block, so that they can be taken as pairs.
//!
//! A plan may ask for interleaved repeats, but runs can have been made at any time: a level that was added
//! later, a run that was repeated. What counts is when the stored runs began.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// When the runs of one repeat on one side began; RFC 3339, UTC. The two are the same for one run.
#[derive(Debug, Clone, Copy)]
pub struct Began<'a> {
    pub first: &'a str,
    pub last: &'a str,
}

impl<'a> Began<'a> {
    #[must_use]
    pub fn one(started: &'a str) -> Self {
        Self { first: started, last: started }
    }
}

/// The same as moments: as letters, a whole second comes after a part of it.
#[derive(Debug, Clone, Copy)]
struct Moments {
    first: Timestamp,
    last: Timestamp,
}

impl Moments {
    /// `None` where a time cannot be read.
    fn of(began: Began<'_>) -> Option<Self> {
        Some(Self { first: began.first.parse().ok()?, last: began.last.parse().ok()? })
    }

    fn and(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// Whether all runs of one repeat had begun before the next; of what cannot be read nobody knows.
fn in_turn(before: Option<Moments>, after: Option<Moments>) -> bool {
    before.zip(after).is_some_and(|(before, after)| before.last < after.first)
}

/// Two successive repeats of which the later began before all runs of the earlier had begun: between such
/// partners lies more than the difference of their cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfTurn {
    pub repeat: u32,
    pub next: u32,
}

/// What both sides have, by repeat; an error unless every repeat began before the next.
pub fn pairs<'a, T: Copy>(
    one: &BTreeMap<u32, T>,
    other: &BTreeMap<u32, T>,
    began: impl Fn(T) -> Began<'a>,
) -> Result<Vec<(T, T)>, OutOfTurn> {
    let common: Vec<(u32, T, T)> = one
        .iter()
        .filter_map(|(repeat, left)| Some((*repeat, *left, *other.get(repeat)?)))
        .collect();
    let moments = common.iter().map(|(repeat, left, right)| {
        let both = Moments::of(began(*left)).zip(Moments::of(began(*right)));
        (*repeat, both.map(|(left, right)| left.and(right)))
    });
    let moments: Vec<(u32, Option<Moments>)> = moments.collect();
    for pair in moments.windows(2) {
        let [(repeat, before), (next, after)] = *pair else { continue };
        if !in_turn(before, after) {
            return Err(OutOfTurn { repeat, next });
        }
    }
    Ok(common.into_iter().map(|(_, left, right)| (left, right)).collect())
}

/// Successive repeats of several cells of which the later began before all runs of the earlier had begun.
/// By cell, when each repeat began (RFC 3339, UTC).
#[must_use]
pub fn out_of_turn(cells: &[BTreeMap<u32, &str>]) -> Vec<OutOfTurn> {
    let mut repeats: BTreeMap<u32, Option<Moments>> = BTreeMap::new();
    for (repeat, started) in cells.iter().flatten() {
        let one = Moments::of(Began::one(started));
        let own = repeats.entry(*repeat).or_insert(one);
        *own = own.zip(one).map(|(own, one)| own.and(one));
    }
    let successive = repeats.iter().zip(repeats.iter().skip(1));
    successive
        .filter(|((_, before), (_, after))| !in_turn(**before, **after))
        .map(|((repeat, _), (next, _))| OutOfTurn { repeat: *repeat, next: *next })
        .collect()
}

/// So many standard deviations of the [`precedence`] of runs in an order by chance may it lie from a half.
///
/// What drifts evenly, and nothing else, then decides a test of the sides in no more than about 3.5 % on either side,
/// however large it is; runs that are made in turn lie nearer, from two of each side on.
const DEVIATIONS: f64 = 1.0;

/// Whether two sides with this [`precedence`] and so many runs share what changes with time.
#[must_use]
pub fn is_mixed(precedence: f64, first: usize, second: usize) -> bool {
    let (n, m) = (first as f64, second as f64);
    let by_chance = ((n + m + 1.0) / (12.0 * n * m)).sqrt();
    (precedence - 0.5).abs() <= DEVIATIONS * by_chance
}

/// How two sides are mixed in time: the share of pairs, one run of each side, in which the first side's
/// run began earlier (0.5: mixed; 0 or 1: one side after the other; two that began together count half).
/// Times are RFC 3339. `None` where a side has no run or a time cannot be read.
#[must_use]
pub fn precedence(first: &[&str], second: &[&str]) -> Option<f64> {
    share_before(&moments(first)?, &moments(second)?)
}

/// [`precedence`] of times in ascending order.
#[must_use]
pub fn share_before(first: &[Timestamp], second: &[Timestamp]) -> Option<f64> {
    // For each run of the second side, those of the first that began before it and those that began with it.
    let before: f64 = second
        .iter()
        .map(|own| {
            let earlier = first.partition_point(|other| other < own);
            let not_later = first.partition_point(|other| other <= own);
            (earlier + not_later) as f64 / 2.0
        })
        .sum();
    let pairs = first.len() as f64 * second.len() as f64;
    (pairs > 0.0).then(|| before / pairs)
}

/// In ascending order.
fn moments(times: &[&str]) -> Option<Vec<Timestamp>> {
    let mut times: Vec<Timestamp> =
        times.iter().map(|time| time.parse().ok()).collect::<Option<_>>()?;
    times.sort_unstable();
    Some(times)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Began, OutOfTurn, is_mixed, out_of_turn, pairs, precedence};

    /// Cells whose repeats began in these seconds.
    fn turns(cells: &[&[u32]]) -> Vec<OutOfTurn> {
        let times: Vec<Vec<String>> = cells
            .iter()
            .map(|own| own.iter().map(|s| format!("2026-01-01T00:00:{s:02}.000Z")).collect())
            .collect();
        let cells: Vec<BTreeMap<u32, &str>> =
            times.iter().map(|own| (1..).zip(own.iter().map(String::as_str)).collect()).collect();
        out_of_turn(&cells)
    }

    #[test]
    fn blocks_are_in_turn() {
        assert_eq!(turns(&[&[1, 5, 7], &[2, 4, 9], &[3, 6, 8]]), []);
        for cells in [&[&[1, 2, 3][..]][..], &[&[1], &[2], &[3]], &[], &[&[]]] {
            assert_eq!(turns(cells), [], "{cells:?}");
        }
    }

    #[test]
    fn repeats_of_a_cell_that_came_later_and_a_run_that_was_made_again_are_out_of_turn() {
        let pairs = [OutOfTurn { repeat: 1, next: 2 }, OutOfTurn { repeat: 2, next: 3 }];
        assert_eq!(turns(&[&[1, 3, 5], &[2, 4, 6], &[7, 8, 9]]), pairs);
        assert_eq!(turns(&[&[9, 3, 5], &[2, 4, 6]]), pairs[..1]);
    }

    #[test]
    fn turns_are_read_and_not_compared_as_letters() {
        let (whole, later) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z");
        let of = |second: &'static str| out_of_turn(&[BTreeMap::from([(1, whole), (2, second)])]);
        assert_eq!(of(later), []);
        assert_eq!(of("yesterday"), [OutOfTurn { repeat: 1, next: 2 }]);
        let pairs = pairs(
            &BTreeMap::from([(1, whole), (2, later)]),
            &BTreeMap::from([(1, whole), (2, later)]),
            Began::one,
        );
        assert!(pairs.is_ok());
    }

    #[test]
    fn two_runs_of_each_side_in_turn_are_mixed() {
        let one = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z"];
        let other = ["2026-01-01T00:00:01Z", "2026-01-01T00:00:03Z"];
        assert!(is_mixed(precedence(&one, &other).unwrap(), 2, 2));
        assert!(is_mixed(precedence(&other, &one).unwrap(), 2, 2));
        let later = ["2026-01-01T00:00:04Z", "2026-01-01T00:00:05Z"];
        assert!(!is_mixed(precedence(&one, &later).unwrap(), 2, 2));
        assert!(!is_mixed(precedence(&later, &one).unwrap(), 2, 2));
    }

    #[test]
    fn runs_in_turn_are_mixed_and_a_side_that_joined_late_is_not() {
        for n in [2, 3, 5, 10, 20, 100] {
            let in_turn = 0.5 + 0.5 / n as f64;
            assert!(is_mixed(in_turn, n, n) && is_mixed(1.0 - in_turn, n, n), "{n}");
        }
        for n in [5, 10, 20] {
            assert!(!is_mixed(0.75, n, n), "{n}");
        }
    }

    #[test]
    fn precedence_tells_mixed_runs_from_one_side_after_the_other() {
        let early = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"];
        let late = ["2026-01-01T00:00:02Z", "2026-01-01T00:00:03Z"];
        assert_eq!(precedence(&early, &late), Some(1.0));
        assert_eq!(precedence(&late, &early), Some(0.0));
        assert_eq!(precedence(&early, &early), Some(0.5));
        let around = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:03Z"];
        let between = ["2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"];
        assert_eq!(precedence(&around, &between), Some(0.5));
    }

    #[test]
    fn precedence_reads_times_and_does_not_compare_their_letters() {
        // As letters, the second is before the first.
        let (whole, later) = (["2026-01-01T00:00:00Z"], ["2026-01-01T00:00:00.5Z"]);
        assert_eq!(precedence(&whole, &later), Some(1.0));
        let elsewhere = ["2026-01-01T01:00:00+02:00"];
        assert_eq!(precedence(&elsewhere, &whole), Some(1.0));
    }

    #[test]
    fn precedence_of_nothing_is_unknown() {
        let one = ["2026-01-01T00:00:00Z"];
        assert_eq!(precedence(&one, &[]), None);
        assert_eq!(precedence(&[], &one), None);
        assert_eq!(precedence(&one, &["yesterday"]), None);
    }
}
