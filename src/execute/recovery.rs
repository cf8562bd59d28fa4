//! After an exec that was killed: its orphan is ended, what it left unfinished is set aside.

use std::path::Path;

use super::artifacts;
use super::{ExecError, ExecEvent};
use crate::os::process;
use crate::store::failed::{self, Failure};
use crate::store::journal::{self, Damage, Journal, What};
use crate::store::{Layout, Store, StoreError, executed, set_aside};

/// Sees to the study's own files after a crash or a loss of power: what cannot be read is kept beside them and
/// said. Runs do not depend on them. `true`: the plan that was executed is to be written anew.
pub fn repair(layout: &Layout, emit: &mut dyn FnMut(ExecEvent)) -> Result<bool, ExecError> {
    if let Some(Damage { lines, first, kept }) = journal::repair(layout)? {
        let kept = layout.relative(&kept);
        let lines = if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") };
        let message = format!(
            "a crash or a loss of power spoiled {lines} of the journal, from line {first} on; what can be \
             read of it stays, and the journal as it was is kept as {kept}"
        );
        emit(ExecEvent::Note { message });
    }
    let plan = layout.plan();
    let Err(StoreError::Malformed { reason, .. }) = executed::read(layout) else {
        return Ok(false);
    };
    let kept = layout.relative(&set_aside(&plan, &layout.root().join("plan.json.damaged"))?);
    let message = format!(
        "plan.json cannot be read ({reason}); it is kept as {kept} and written anew. When hypotheses were \
         declared is not known any more: those with runs count as declared after them"
    );
    emit(ExecEvent::Note { message });
    Ok(true)
}

/// Ends the agent of the last exec if it still runs: it would disturb what is measured now. Its
/// process is known by its start mark, so that a later process with its id is left alone.
pub fn end_orphan(layout: &Layout, emit: &mut dyn FnMut(ExecEvent)) -> Result<(), ExecError> {
    let entries = journal::read(&layout.journal())?;
    let last = entries.into_iter().rev().find_map(|entry| match entry.what {
        What::Started { pid, mark, .. } => Some((pid, mark)),
        _ => None,
    });
    if let Some((pid, Some(mark))) = last
        && process::start_mark(pid) == Some(mark)
    {
        process::kill_group(pid);
        let message = format!("ended process {pid}, the agent of an exec that was killed");
        emit(ExecEvent::Note { message });
    }
    Ok(())
}

/// Moves unfinished runs to `failed/`.
pub fn set_partials_aside(
    layout: &Layout,
    journal: &mut Journal,
    emit: &mut dyn FnMut(ExecEvent),
) -> Result<(), ExecError> {
    for (folder, repeat) in layout.partials() {
        let message = "an earlier exec ended before this run did".to_owned();
        let failure = failure(layout, &folder, repeat, "abandoned", message);
        let kept = layout.relative(&failed::keep(layout, &folder, &failure)?);
        emit(ExecEvent::Note { message: format!("an unfinished run was moved to {kept}") });
        journal.write(What::Abandoned { repeat, kept })?;
    }
    Ok(())
}

/// Moves whatever lies at a run's place without being a run to `failed/`; the run is measured again.
pub fn set_damaged_aside(
    store: &Store,
    cell_folder: &Path,
    repeat: u32,
    journal: &mut Journal,
    emit: &mut dyn FnMut(ExecEvent),
) -> Result<(), ExecError> {
    let place = cell_folder.join(repeat.to_string());
    if place.symlink_metadata().is_err() {
        return Ok(());
    }
    let layout = store.layout();
    let damaged = store.damaged().iter().find(|damaged| damaged.folder == place);
    let reason = damaged.map_or("it is no sealed run", |damaged| &damaged.reason);
    let failure = failure(layout, &place, repeat, "damaged", reason.to_owned());
    let kept = layout.relative(&failed::keep(layout, &place, &failure)?);
    emit(ExecEvent::Note { message: format!("a damaged run was moved to {kept}") });
    journal.write(What::Abandoned { repeat, kept })?;
    Ok(())
}

fn failure(layout: &Layout, folder: &Path, repeat: u32, cause: &str, message: String) -> Failure {
    let name = layout.cell_part(folder).display().to_string();
    let calls = artifacts::outcomes(&artifacts::left_calls(folder));
    Failure { calls, ..Failure::new(name, repeat, cause, message) }
}
