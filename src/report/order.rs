//! In which order the runs of an experiment were really made, by their start times.
//!
//! A manifest says what order was asked for. A level that was added later, a run that was made again or an
//! exec that was interrupted change what became of it, and with it what a difference may hold besides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::completeness::fresh;
use super::data::Cell;
use crate::manifest::study::Order;
use crate::store::blocks::{OutOfTurn, is_mixed, out_of_turn, share_before};

/// Pairs of repeats that are named.
const NAMED: usize = 3;

/// What became of the order that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// As a table of settings has it.
    pub text: String,
    /// How well the two cells that are mixed worst are mixed in time; `None` where there are no two with
    /// more than one run.
    pub mixed: Option<String>,
    /// Why a drift may be in differences between these cells, a sentence; `None`: it is shared by them.
    pub drift: Option<String>,
}

/// The order of the planned runs of these cells; those under other circumstances are left out.
pub fn happened<'a>(
    asked: Order,
    repeats: u32,
    cells: impl IntoIterator<Item = &'a Cell>,
) -> Happened {
    let cells: Vec<Timed> = cells.into_iter().filter_map(Timed::of).collect();
    let began: Vec<BTreeMap<u32, &str>> = cells.iter().map(|cell| cell.began.clone()).collect();
    let done = began.iter().map(BTreeMap::len).max().unwrap_or(0);
    let most = began.iter().flat_map(BTreeMap::keys).max().copied().unwrap_or(0).max(repeats);
    let found = Found {
        cells: cells.len(),
        done,
        planned: most as usize,
        out_of_turn: out_of_turn(&began),
        pairs: pairs(&cells),
        pause: pause(&cells),
    };
    Happened { text: text(asked, &found), mixed: found.mixed(), drift: drift(asked, &found) }
}

/// A cell with runs, and when each repeat began.
struct Timed<'a> {
    name: &'a str,
    began: BTreeMap<u32, &'a str>,
    /// Those that can be read.
    moments: BTreeMap<u32, Timestamp>,
    /// The same in ascending order.
    sorted: Vec<Timestamp>,
    ended: BTreeMap<u32, Timestamp>,
}

impl<'a> Timed<'a> {
    fn of(cell: &'a Cell) -> Option<Self> {
        let planned = || fresh(cell).filter(|run| run.repeat <= cell.repeats);
        let began: BTreeMap<u32, &str> = planned().map(|run| (run.repeat, run.began())).collect();
        let ended =
            planned().filter_map(|run| Some((run.repeat, run.finished.as_ref()?.parse().ok()?)));
        let ended = ended.collect();
        let moments: BTreeMap<u32, Timestamp> =
            began.iter().filter_map(|(repeat, time)| Some((*repeat, time.parse().ok()?))).collect();
        let mut sorted: Vec<Timestamp> = moments.values().copied().collect();
        sorted.sort_unstable();
        (!began.is_empty()).then_some(Self { name: &cell.name, began, moments, sorted, ended })
    }

    /// The share of pairs of runs in which the own one began before the other's, and whether the two are mixed
    /// by it. Taken over the repeats that both have, since a block that is not complete yet says nothing of the
    /// order; where they do not share two, over all.
    fn before(&self, other: &Self) -> Option<(f64, bool)> {
        if self.moments.len() < 2 || other.moments.len() < 2 {
            return None;
        }
        let of = |own: &[Timestamp], others: &[Timestamp]| {
            let share = share_before(own, others)?;
            Some((share, is_mixed(share, own.len(), others.len())))
        };
        if !self.moments.keys().eq(other.moments.keys()) {
            let (own, others) = (self.shared_with(other), other.shared_with(self));
            if own.len() > 1 {
                return of(&own, &others);
            }
        }
        of(&self.sorted, &other.sorted)
    }

    /// In ascending order, the times of the repeats that the other has too.
    fn shared_with(&self, other: &Self) -> Vec<Timestamp> {
        let own = self.moments.iter();
        let shared = own.filter(|(repeat, _)| other.moments.contains_key(repeat));
        let mut times: Vec<Timestamp> = shared.map(|(_, time)| *time).collect();
        times.sort_unstable();
        times
    }
}

/// Pairs of cells of which each has several runs.
#[derive(Default)]
struct Pairs<'a> {
    all: usize,
    /// Of these, not mixed in time.
    apart: usize,
    /// Of these, one wholly after the other.
    one_after_the_other: usize,
    /// The pair that is mixed worst: in which share of pairs of runs the first began before the second.
    worst: Option<(&'a str, &'a str, f64)>,
}

fn pairs<'a>(cells: &[Timed<'a>]) -> Pairs<'a> {
    let mut found = Pairs::default();
    for (place, one) in cells.iter().enumerate() {
        for other in &cells[place + 1..] {
            let Some((before, mixed)) = one.before(other) else { continue };
            let (first, second, share) = if before < 0.5 {
                (other.name, one.name, 1.0 - before)
            } else {
                (one.name, other.name, before)
            };
            found.all += 1;
            found.apart += usize::from(!mixed);
            found.one_after_the_other += usize::from(share >= 1.0);
            if found.worst.is_none_or(|(_, _, worst)| share > worst) {
                found.worst = Some((first, second, share));
            }
        }
    }
    found
}

struct Found<'a> {
    /// With runs.
    cells: usize,
    /// Repeats that a cell has.
    done: usize,
    planned: usize,
    out_of_turn: Vec<OutOfTurn>,
    pairs: Pairs<'a>,
    pause: Option<Pause>,
}

/// A time within a repeat in which nothing of it was made: what changed meanwhile is between its runs.
struct Pause {
    repeat: u32,
    seconds: f64,
}

/// Shorter ones are no pauses, nor is what is less than so many times as long as between any two runs.
const SHORTEST_PAUSE_S: f64 = 300.0;
const LONGER_THAN_USUAL: f64 = 10.0;

/// The longest within a repeat.
fn pause(cells: &[Timed<'_>]) -> Option<Pause> {
    let repeats: BTreeSet<u32> =
        cells.iter().flat_map(|cell| cell.moments.keys().copied()).collect();
    let mut gaps: Vec<Pause> = Vec::new();
    for repeat in repeats {
        let of = |cell: &Timed<'_>| {
            cell.moments.get(&repeat).zip(cell.ended.get(&repeat)).map(|(a, b)| (*a, *b))
        };
        let mut runs: Vec<(Timestamp, Timestamp)> = cells.iter().filter_map(of).collect();
        runs.sort_unstable();
        gaps.extend(runs.windows(2).map(|pair| Pause {
            repeat,
            seconds: pair[1].0.duration_since(pair[0].1).as_secs_f64(),
        }));
    }
    gaps.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let usual = gaps.get(gaps.len() / 2)?.seconds.max(0.0);
    gaps.pop().filter(|longest| {
        longest.seconds >= SHORTEST_PAUSE_S && longest.seconds > LONGER_THAN_USUAL * usual
    })
}

impl Found<'_> {
    fn is_cell_by_cell(&self) -> bool {
        self.pairs.all > 0 && self.pairs.one_after_the_other == self.pairs.all
    }

    fn is_apart(&self) -> bool {
        self.pairs.apart > 0
    }

    fn pairs_apart(&self) -> String {
        match (self.pairs.apart, self.pairs.all) {
            (1, 1) => "the two cells are not mixed in time".to_owned(),
            (1, all) => format!("1 of {all} pairs of cells is not mixed in time"),
            (apart, all) => format!("{apart} of {all} pairs of cells are not mixed in time"),
        }
    }

    fn mixed(&self) -> Option<String> {
        let (first, second, share) = self.pairs.worst?;
        let which = if self.pairs.all == 1 { "" } else { "of all pairs of cells the worst: " };
        Some(format!(
            "{which}{first} began before {second} in {:.0} % of the pairs of their runs (50 %: mixed, \
             100 %: one after the other)",
            100.0 * share
        ))
    }
}

fn text(asked: Order, found: &Found<'_>) -> String {
    let (done, planned) = (found.done, found.planned);
    let as_planned = if done < planned { "as planned so far" } else { "as planned" };
    let pause = found.pause.as_ref().map(|Pause { repeat, seconds }| {
        format!(", with a pause of {:.0} min in repeat {repeat}", seconds / 60.0)
    });
    let in_turn = format!("{done} of {planned} repeats in turn{}", pause.unwrap_or_default());
    match asked {
        Order::Interleaved if done == 0 => {
            "interleaved blocks are planned: every cell once per block, shuffled".to_owned()
        }
        Order::Shuffled if done == 0 => "all runs are to be shuffled together".to_owned(),
        Order::Sequential if done == 0 => {
            "cell by cell is planned: drift will be in every difference".to_owned()
        }
        Order::Interleaved if found.is_cell_by_cell() => {
            "interleaved was asked for; it was measured cell by cell: drift is in every difference"
                .to_owned()
        }
        Order::Interleaved if found.is_apart() => {
            let pairs = found.pairs_apart();
            format!("interleaved was asked for; {pairs}: drift is in their differences")
        }
        Order::Interleaved if found.out_of_turn.is_empty() => {
            format!("interleaved blocks ({as_planned}: {in_turn})")
        }
        Order::Interleaved => {
            format!("interleaved blocks, but {} were not made in turn", repeats(&found.out_of_turn))
        }
        Order::Shuffled if found.is_apart() => {
            let pairs = found.pairs_apart();
            format!("all runs shuffled together; {pairs}: drift is in their differences")
        }
        Order::Shuffled => format!("all runs shuffled together ({as_planned})"),
        Order::Sequential if found.cells < 2 => "one cell, repeat after repeat".to_owned(),
        Order::Sequential if done < 2 => "every cell once: drift is in every difference".to_owned(),
        Order::Sequential if found.is_cell_by_cell() => {
            "cell by cell: drift is in every difference".to_owned()
        }
        Order::Sequential if found.is_apart() => {
            let pairs = found.pairs_apart();
            format!("sequential was asked for; {pairs}: drift is in their differences")
        }
        Order::Sequential => {
            "sequential was asked for; the cells are mixed in time all the same".to_owned()
        }
    }
}

fn drift(asked: Order, found: &Found<'_>) -> Option<String> {
    let with_time = "whatever else changed with time";
    if found.is_cell_by_cell() {
        return Some(format!(
            "The cells were measured one after the other, so that {with_time} cannot be told from a \
             difference between them."
        ));
    }
    if found.is_apart() {
        let (first, second, share) = found.pairs.worst?;
        return Some(format!(
            "{} ({first} began before {second} in {:.0} % of the pairs of their runs), so that {with_time} \
             cannot be told from a difference between them.",
            sentence(&found.pairs_apart()),
            100.0 * share
        ));
    }
    (asked == Order::Sequential && found.cells > 1 && found.done < 2).then(|| {
        format!(
            "Every cell was measured once, one after the other, so that {with_time} cannot be told from a \
             difference between them."
        )
    })
}

/// `repeats 1 and 2, 2 and 3`.
fn repeats(out_of_turn: &[OutOfTurn]) -> String {
    let named = out_of_turn.iter().take(NAMED);
    let named: Vec<String> = named.map(|own| format!("{} and {}", own.repeat, own.next)).collect();
    let further = out_of_turn.len().saturating_sub(NAMED);
    let more = if further > 0 { format!(" and {further} more pairs") } else { String::new() };
    format!("repeats {}{more}", named.join(", "))
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of a minute each, at these minutes of the day by repeat.
    fn cell(minutes: &[(u32, i64)]) -> Timed<'static> {
        let at = |minute: i64| Timestamp::from_second(60 * minute).unwrap();
        let moments: BTreeMap<u32, Timestamp> =
            minutes.iter().map(|(repeat, minute)| (*repeat, at(*minute))).collect();
        let ended = minutes.iter().map(|(repeat, minute)| (*repeat, at(*minute + 1))).collect();
        Timed { name: "c", began: BTreeMap::new(), sorted: Vec::new(), moments, ended }
    }

    #[test]
    fn a_pause_counts_within_a_repeat_and_not_between_two() {
        let found = |cells: &[Timed<'_>]| pause(cells).map(|own| (own.repeat, own.seconds / 60.0));
        // the second repeat began an hour after the first: nothing lies between the runs of either
        let apart = [cell(&[(1, 0), (2, 70)]), cell(&[(1, 2), (2, 72)]), cell(&[(1, 4), (2, 74)])];
        assert_eq!(found(&apart), None);
        let broken = [cell(&[(1, 0), (2, 10)]), cell(&[(1, 2), (2, 50)]), cell(&[(1, 4), (2, 52)])];
        assert_eq!(found(&broken), Some((2, 39.0)));
        // where other experiments are made in between it is always so long
        let shared =
            [cell(&[(1, 0), (2, 30)]), cell(&[(1, 10), (2, 40)]), cell(&[(1, 20), (2, 50)])];
        assert_eq!(found(&shared), None);
        assert_eq!(found(&[]), None);
    }
}
