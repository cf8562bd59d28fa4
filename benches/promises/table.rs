//! Draws every setting and holds it against its promise.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use runner::verdict::Verdict;

use crate::settings::{Drawn, Promise, Setting};

/// Shares of the studies, per cent.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: &'static str,
    pub data: &'static str,
    pub n: String,
    pub promise: Promise,
    pub supported: f64,
    pub refuted: f64,
    /// Of the intervals that there are; `None`: too few.
    pub covered: Option<f64>,
}

/// Below so many intervals their share says nothing.
const FEWEST: usize = 100;

impl Row {
    pub fn of(setting: &Setting, draws: u64) -> Self {
        let studies: Vec<Drawn> = (0..draws)
            .into_par_iter()
            .map(|seed| (setting.draw)(&mut ChaCha8Rng::seed_from_u64(seed)))
            .collect();
        let share = |part: usize, whole: usize| 100.0 * part as f64 / whole as f64;
        let verdicts = |wanted| studies.iter().filter(|own| own.verdict == wanted).count();
        let intervals: Vec<bool> = studies.iter().filter_map(|own| own.covers).collect();
        let held = intervals.iter().filter(|held| **held).count();
        Self {
            name: setting.name,
            data: setting.data,
            n: setting.n.clone(),
            promise: setting.promise,
            supported: share(verdicts(Verdict::Supported), studies.len()),
            refuted: share(verdicts(Verdict::Refuted), studies.len()),
            covered: (intervals.len() >= FEWEST).then(|| share(held, intervals.len())),
        }
    }

    /// Whether everything that is promised is kept.
    pub fn is_kept(&self) -> bool {
        let Promise { supported, refuted, covered } = self.promise;
        self.supported <= supported
            && refuted.is_none_or(|most| self.refuted <= most)
            && covered.zip(self.covered).is_none_or(|(least, share)| share >= least)
    }

    pub fn line(&self) -> String {
        let covered =
            |share: Option<f64>| share.map_or("–".to_owned(), |own| format!("{own:.1}"));
        format!(
            "| {} | {} | {} | {:.2} | {:.2} | {} | {} | {} | {} |",
            self.name,
            self.data,
            self.n,
            self.supported,
            self.refuted,
            self.promise.supported,
            covered(self.covered),
            covered(self.promise.covered),
            if self.is_kept() { "kept" } else { "**NOT KEPT**" }
        )
    }
}
