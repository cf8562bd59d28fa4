//! Draws from a stream of bits that a seed fixes for ever.
//!
//! Distributions of a library may change between its versions; a cipher's stream may not, and what
//! is made of it here are integers only.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// The stream.
#[derive(Debug)]
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    pub fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..22].copy_from_slice(b"runner/corpus/");
        Self(ChaCha8Rng::from_seed(key))
    }

    /// From 0 to `limit` − 1; 0 for a limit of 0.
    pub fn below(&mut self, limit: usize) -> usize {
        // The high half of a product: off from uniform by less than `limit` in 2^32.
        let bits = u64::from(self.0.next_u32());
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        usize::try_from((bits * limit) >> 32).unwrap_or_default()
    }

    pub fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Early entries often, late ones seldom, as words of a language are used.
    pub fn early<T: Copy>(&mut self, list: &[T]) -> T {
        let place = self.below(list.len()).min(self.below(list.len())).min(self.below(list.len()));
        list[place]
    }
}
