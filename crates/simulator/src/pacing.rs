//! Pacings that cannot be played are refused before a server starts.

use formats::pacing::{FaultKind, Pacing};

use super::SimulatorError;

/// Checks what the types leave open.
pub fn check(pacing: &Pacing) -> Result<(), SimulatorError> {
    let refuse = |key, reason: &str| Err(SimulatorError::Pacing { key, reason: reason.to_owned() });
    if pacing.gaps.is_empty() && !(pacing.rate.is_finite() && pacing.rate > 0.0) {
        return refuse("rate", "must be above 0 tok/s");
    }
    if pacing.tokens_per_chunk == 0 {
        return refuse("tokens_per_chunk", "must be at least 1");
    }
    if pacing.slots == Some(0) {
        return refuse("slots", "must be at least 1");
    }
    for fault in &pacing.faults {
        if fault.every == Some(0) {
            return refuse("every", "must be at least 1");
        }
        if let FaultKind::Status(status) = fault.kind
            && !(400..=599).contains(&status)
        {
            return refuse("status", "must be an error, from 400 to 599");
        }
    }
    Ok(())
}
