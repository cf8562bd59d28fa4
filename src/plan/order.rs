//! The order of runs: interleaved blocks, shuffled, or cell by cell; seeded, so that it can be repeated.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::RunKey;
use crate::manifest::study::Order;

/// A cell to be ordered: its repeats, and what servers must hold in memory for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub cell: u32,
    pub repeats: u32,
    /// Cells with equal ones follow each other without loading a model again.
    pub load: u64,
}

/// All runs of the cells of one experiment, or of several in common blocks. `seed` and `experiment`, the
/// first of them, choose the shuffle.
pub(super) fn order(order: Order, items: &[Item], seed: u64, experiment: usize) -> Vec<RunKey> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(experiment as u64);
    let most = items.iter().map(|item| item.repeats).max().unwrap_or(0);
    let runs = |item: &Item| {
        let cell = item.cell;
        (1..=item.repeats).map(move |repeat| RunKey { cell, repeat })
    };
    match order {
        Order::Sequential => items.iter().flat_map(runs).collect(),
        Order::Shuffled => {
            let mut all: Vec<RunKey> = items.iter().flat_map(runs).collect();
            all.shuffle(&mut random);
            all
        }
        Order::Interleaved => {
            let mut all = Vec::with_capacity(items.iter().map(|i| i.repeats as usize).sum());
            for repeat in 1..=most {
                let block: Vec<Item> =
                    items.iter().filter(|item| item.repeats >= repeat).copied().collect();
                let block = grouped(block, &mut random);
                all.extend(block.iter().map(|item| RunKey { cell: item.cell, repeat }));
            }
            all
        }
    }
}

/// Shuffles a block, keeping cells that need the same loaded model together.
fn grouped(mut block: Vec<Item>, random: &mut ChaCha8Rng) -> Vec<Item> {
    block.shuffle(random);
    // The shuffle decides the order inside a group, and the first of a group the group's place.
    let mut place = std::collections::HashMap::new();
    for (index, item) in block.iter().enumerate() {
        place.entry(item.load).or_insert(index);
    }
    block.sort_by_key(|item| place[&item.load]);
    block
}
