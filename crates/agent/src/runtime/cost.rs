//! What the probes beside each read cost, learnt after the calls from rows and reads that are made up:
//! measuring each as it comes would cost more than it does itself.

use std::hint::black_box;

use formats::clock;

use super::call::ChunkRow;
use crate::os;

/// Rows that are made up.
const MADE_UP: usize = 2_000;

/// CPU time of as many rows: two looks at the clock and the row itself. `None`: this system does not
/// tell a thread's CPU time.
pub(super) fn chunk_rows_ns(rows: usize) -> Option<u64> {
    let mut kept = Vec::new();
    let began_ns = os::thread_cpu_ns()?;
    for _ in 0..MADE_UP {
        let read_ns = clock::monotonic_ns();
        let time_ns = clock::monotonic_ns();
        let parse_ns = time_ns - read_ns;
        kept.push(ChunkRow { time_ns, read_ns, bytes: rows, parse_ns, text: true });
    }
    let used_ns = os::thread_cpu_ns()?.saturating_sub(began_ns);
    black_box(&kept);
    u64::try_from(u128::from(used_ns) * rows as u128 / MADE_UP as u128).ok()
}

/// CPU time that the stamps of so many reads took. `None`: they have none, or it cannot be told.
pub(super) fn read_stamps_ns(reads: usize) -> Option<u64> {
    if reads == 0 {
        return None;
    }
    os::receive::stamp_cost_ns()?.checked_mul(reads as u64)
}
