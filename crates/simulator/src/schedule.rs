//! When each chunk is due: a pure function of the pacing and the request's name.

use std::f64::consts::TAU;
use std::time::Duration;

use formats::pacing::{JitterShape, Pacing};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

#[cfg(test)]
mod tests;

/// The endless schedule of one request. The same pacing and name always give the same schedule.
#[must_use]
pub fn schedule<'p>(pacing: &'p Pacing, request: &str) -> Schedule<'p> {
    let deviation = (!pacing.jitter.is_zero()).then(|| {
        let seed = Sha256::new()
            .chain_update(pacing.seed.to_le_bytes())
            .chain_update(request.as_bytes())
            .finalize();
        ChaCha8Rng::from_seed(seed.into())
    });
    Schedule { pacing, deviation, chunk: 0, due_ns: 0.0 }
}

/// Nanoseconds from the start of the prefill to each chunk with text; never decreasing.
#[derive(Debug, Clone)]
pub struct Schedule<'p> {
    pacing: &'p Pacing,
    deviation: Option<ChaCha8Rng>,
    chunk: usize,
    /// Summed as a float, so that rounding a gap to whole nanoseconds never adds up.
    due_ns: f64,
}

impl Schedule<'_> {
    /// The time before this chunk, before jitter: the TTFT for the first, then the gap.
    fn nominal_ns(&self) -> f64 {
        let Some(gap) = self.chunk.checked_sub(1) else { return nanoseconds(self.pacing.ttft) };
        if self.pacing.gaps.is_empty() {
            1e9 * f64::from(self.pacing.tokens_per_chunk) / self.pacing.rate
        } else {
            nanoseconds(self.pacing.gaps[gap % self.pacing.gaps.len()])
        }
    }

    fn deviation_ns(&mut self) -> f64 {
        let Some(random) = &mut self.deviation else { return 0.0 };
        let scale = nanoseconds(self.pacing.jitter);
        // `random` is in [0, 1), so 1 − u is never 0 and its logarithm is finite.
        let u: f64 = random.random();
        match self.pacing.jitter_shape {
            JitterShape::Uniform => scale * (2.0 * u - 1.0),
            JitterShape::Exponential => -scale * (1.0 - u).ln(),
            JitterShape::Normal => {
                // Box–Muller.
                let angle: f64 = random.random();
                scale * (-2.0 * (1.0 - u).ln()).sqrt() * (TAU * angle).cos()
            }
        }
    }
}

impl Iterator for Schedule<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let wait = self.nominal_ns() + self.deviation_ns();
        self.due_ns += wait.max(0.0);
        self.chunk += 1;
        Some(whole(self.due_ns))
    }
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative; beyond 584 years it saturates"
)]
fn whole(nanoseconds: f64) -> u64 {
    nanoseconds.round() as u64
}
