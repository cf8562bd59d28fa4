//! Which fault, if any, strikes a call.

use formats::pacing::Fault;

#[cfg(test)]
mod tests;

/// The first of the faults that applies to the call with this number (from 1).
pub fn strike(faults: &[Fault], call: u64) -> Option<&Fault> {
    faults.iter().find(|fault| {
        fault.first.is_none_or(|first| call <= u64::from(first))
            && fault.every.is_none_or(|every| call.is_multiple_of(u64::from(every)))
    })
}
