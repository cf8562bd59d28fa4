//! After a failed run: the next step of its fallbacks, until one can be made.
//!
//! Every decision is in the journal before anything is done, so that an exec that is killed goes on
//! with what was decided. A run whose fallback is there counts as done; one whose fallbacks are used
//! up has failed, and the next exec tries it anew. A step that preflight doomed is passed over while there
//! is one after it that can be made. A run that preflight doomed was never tried, so it
//! tells nothing that a fallback could answer: it has failed, and stands in nobody's place.

use super::session::{FailedRun, Made, Session, Target};
use super::{ExecError, ExecEvent};
use crate::plan::RunKey;
use crate::store::fallback::Decision;
use crate::store::journal::What;
use crate::store::record::FallbackOf;

/// Where to begin.
pub(super) struct First {
    step: usize,
    because: String,
    /// It stands in the journal already.
    journaled: bool,
}

impl From<FailedRun> for First {
    fn from(failed: FailedRun) -> Self {
        Self { step: 1, because: failed.because, journaled: false }
    }
}

impl From<&Decision> for First {
    fn from(decision: &Decision) -> Self {
        Self { step: decision.step, because: decision.because.clone(), journaled: true }
    }
}

impl Session<'_> {
    /// Whether a run of this cell that failed like this has fallbacks.
    pub(super) fn falls_back(&self, cell: u32, failed: &FailedRun) -> bool {
        failed.cause.is_some_and(|cause| self.plan.falls_back(cell, cause))
    }

    /// The next step after this one that changes something and can be made, as far as is known.
    fn step_after(&self, cell: u32, step: usize) -> Option<usize> {
        let can_be_made = |step: &usize| {
            let other = self.plan.fallback(cell, *step);
            other.is_some_and(|other| !self.doomed.contains_key(&other.id))
        };
        (step + 1..=self.plan.fallback_steps(cell)).find(can_be_made)
    }

    /// Makes what stands in for a run that failed.
    pub(super) fn fall_back(
        &mut self,
        index: usize,
        run: RunKey,
        first: First,
        emit: &mut dyn FnMut(ExecEvent),
    ) -> Result<Made, ExecError> {
        let (cell, repeat) = (self.plan.id(run.cell).hex(), run.repeat);
        let name = self.plan.name(run.cell);
        let First { step: from, mut because, mut journaled } = first;
        for step in from..=self.plan.fallback_steps(run.cell) {
            let Some(other) = self.plan.fallback(run.cell, step) else {
                let message = format!(
                    "fallback {step} of {name} changes nothing in its cell, so it is left out; an \
                     option only reaches agents that have `options`"
                );
                emit(ExecEvent::Note { message });
                continue;
            };
            let to = other.id.hex();
            if !std::mem::take(&mut journaled) {
                let (cell, to, because) = (cell.clone(), to.clone(), because.clone());
                self.journal.write(What::FellBack { cell, repeat, step, to, because })?;
            }
            let measured = self.is_sealed(other.id, repeat);
            let doomed = self.doomed.get(&other.id).filter(|_| !measured).cloned();
            if let Some(reason) = &doomed
                && self.step_after(run.cell, step).is_some()
            {
                let message = format!(
                    "fallback {step} of {name} repeat {repeat} cannot be made, so it is passed over: \
                     {reason}"
                );
                emit(ExecEvent::Note { message });
                because = format!("{because}; fallback {step} was passed over: {reason}");
                continue;
            }
            emit(ExecEvent::FellBack {
                name: name.clone(),
                repeat,
                step,
                to: other.name.clone(),
                measured,
            });
            if measured {
                return Ok(Made::FellBack);
            }
            if self.cancel.is_asked() {
                // The next exec goes on with what was decided.
                return Ok(Made::Cancelled);
            }
            let target = Target {
                id: other.id,
                name: other.name,
                cell: &other.spec,
                repeat,
                fallback_of: Some(FallbackOf {
                    cell: cell.clone(),
                    cell_name: name.clone(),
                    repeat,
                    step,
                    because: because.clone(),
                }),
                rerun_of: None,
            };
            if let Some(reason) = doomed {
                // The decision stands: the next exec goes on with it.
                self.refuse(index, &target, &reason, emit)?;
                return Ok(Made::Failed(FailedRun { because: reason, cause: None }));
            }
            self.surroundings.meet_runtime(&other.spec, self.plan.study());
            self.surroundings.meet_models(other.id, &other.spec);
            match self.make(index, &target, None, emit)? {
                Made::Sealed => return Ok(Made::FellBack),
                Made::Failed(failed) => {
                    let goes_on = self.falls_back(run.cell, &failed);
                    because = failed.because;
                    if !goes_on {
                        break;
                    }
                }
                made => return Ok(made),
            }
        }
        self.journal.write(What::FallbacksUsedUp { cell, repeat })?;
        Ok(Made::Failed(FailedRun { because, cause: None }))
    }
}
