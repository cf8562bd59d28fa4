//! How long what arrives at a random moment waits for a loop, from the times for which it was held.
//!
//! A percentile of the probe's samples hides a loop that is held for long, since such a loop gives few
//! samples. An arrival sees time and not samples: it meets a hold of length L with a probability that
//! is proportional to L, and waits L/2 in it on average, so its mean wait is Σ L²/2 ÷ time (the mean
//! residual life of renewal theory; L. Kleinrock, Queueing Systems, volume 1, Wiley 1975, section 5.2).

/// One time for which a loop was held: the waits of what arrives in it, evenly spread between the two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hold {
    /// Of the last arrival: 0 unless the window ends before the hold does.
    pub shortest_ms: f64,
    /// Of the first.
    pub longest_ms: f64,
}

impl Hold {
    pub fn length_ms(self) -> f64 {
        self.longest_ms - self.shortest_ms
    }

    /// Sum of the waits over the arrival times, ms².
    fn waits(self) -> f64 {
        (self.longest_ms.powi(2) - self.shortest_ms.powi(2)) / 2.0
    }
}

/// Time of all holds together, ms.
pub(super) fn held_ms(holds: &[Hold]) -> f64 {
    holds.iter().map(|hold| hold.length_ms()).sum()
}

/// Mean wait over all moments of the time looked at.
pub(super) fn mean_ms(holds: &[Hold], looked_ms: f64) -> Option<f64> {
    super::ratio(holds.iter().map(|hold| hold.waits()).sum(), looked_ms)
}

/// The wait that this share of all moments of the time looked at exceeds.
pub(super) fn exceeded_ms(holds: &[Hold], looked_ms: f64, share: f64) -> Option<f64> {
    if looked_ms <= 0.0 {
        return None;
    }
    // From the longest wait down: how much time has waits above the one that is looked at, and by how
    // much it grows for each millisecond less.
    let mut bends: Vec<(f64, f64)> =
        holds.iter().flat_map(|hold| [(hold.longest_ms, 1.0), (hold.shortest_ms, -1.0)]).collect();
    bends.sort_by(|a, b| b.0.total_cmp(&a.0));
    let wanted_ms = share * looked_ms;
    let (mut above_ms, mut growth) = (0.0, 0.0);
    let mut from_ms = bends.first().map_or(0.0, |bend| bend.0);
    for (to_ms, change) in bends {
        let gained_ms = growth * (from_ms - to_ms);
        if above_ms + gained_ms >= wanted_ms && growth > 0.0 {
            return Some(from_ms - (wanted_ms - above_ms) / growth);
        }
        above_ms += gained_ms;
        growth += change;
        from_ms = to_ms;
    }
    // Fewer moments than that meet a hold at all.
    Some(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(shortest_ms: f64, longest_ms: f64) -> Hold {
        Hold { shortest_ms, longest_ms }
    }

    #[test]
    fn the_wait_that_a_share_of_moments_exceeds() {
        let close = |holds: &[Hold], share, expected: f64| {
            let found = exceeded_ms(holds, 100.0, share).unwrap();
            assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
        };
        // Of 20 ms in 100 ms the first one waits for more than 19 ms.
        close(&[hold(0.0, 20.0)], 0.01, 19.0);
        // Half of that time belongs to each of two.
        close(&[hold(0.0, 20.0), hold(0.0, 20.0)], 0.01, 19.5);
        // Above 10 ms only the longer one counts, below it both do.
        close(&[hold(0.0, 20.0), hold(0.0, 10.0)], 0.12, 9.0);
        // It was cut at the window's end: nobody waits for less than 15 ms.
        close(&[hold(15.0, 20.0), hold(0.0, 1.0)], 0.055, 0.5);
        close(&[hold(0.0, 0.5)], 0.01, 0.0);
        close(&[], 0.01, 0.0);
        assert_eq!(exceeded_ms(&[], 0.0, 0.01), None);
    }
}
