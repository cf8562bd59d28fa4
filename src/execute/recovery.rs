//! After an exec that was killed: its orphan is ended, what it left unfinished is set aside.

use std::path::Path;

use agent::wire::secrets::Secrets;

use super::{ExecError, ExecEvent};
use super::{artifacts, keys};
use crate::os::process;
use crate::store::failed::{self, Failure};
use crate::store::journal::{self, Damage, Journal, RunName, What};
use crate::store::sealed::Sealed;
use crate::store::verify::{self, Wrong};
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
        What::Started { pid, mark, .. } | What::Calibrating { pid, mark, .. } => Some((pid, mark)),
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
    secrets: &Secrets,
    journal: &mut Journal,
    emit: &mut dyn FnMut(ExecEvent),
) -> Result<(), ExecError> {
    for (folder, repeat) in layout.partials() {
        // What was found when an attempt ends well or badly was not looked for when it was killed.
        super::folder::clear_abandoned(&folder)?;
        // What cannot be searched is removed.
        let _ = keys::cover_below(secrets, &folder);
        let message = "an earlier exec ended before this run did".to_owned();
        let failure = failure(layout, &folder, repeat, "abandoned", message);
        let kept = layout.relative(&failed::keep(layout, &folder, &failure)?);
        emit(ExecEvent::Note { message: format!("an unfinished run was moved to {kept}") });
        journal.write(What::Abandoned { cell: None, repeat, kept })?;
    }
    Ok(())
}

/// Moves whatever lies at a run's place without being that run to `failed/`; the run is measured again. What
/// cannot be trusted may lie under an earlier name of the cell as well.
pub fn set_damaged_aside(
    store: &Store,
    (cell, cell_folder): (&str, &Path),
    repeat: u32,
    journal: &mut Journal,
    emit: &mut dyn FnMut(ExecEvent),
) -> Result<(), ExecError> {
    let layout = store.layout();
    // The journal knows what lies there by the id of the place.
    let damaged = store.damaged_at(cell, repeat);
    let mut places: Vec<(&Path, &str, &str)> =
        damaged.map(|(id, own)| (own.folder.as_path(), id, own.reason.as_str())).collect();
    let place = cell_folder.join(repeat.to_string());
    if places.iter().all(|(folder, ..)| *folder != place) {
        places.push((&place, cell, "it is no sealed run"));
    }
    for (place, id, reason) in places {
        if place.symlink_metadata().is_err() {
            continue;
        }
        let failure = failure(layout, place, repeat, "damaged", reason.to_owned());
        let kept = layout.relative(&failed::keep(layout, place, &failure)?);
        emit(ExecEvent::Note { message: format!("a damaged run was moved to {kept}: {reason}") });
        journal.write(What::Abandoned { cell: Some(id.to_owned()), repeat, kept })?;
    }
    Ok(())
}

/// Adds to the journal what a kill kept out of it: that runs were sealed which are there. Their files are
/// held against their records first, so that nothing that was edited meanwhile is sealed; and a run that the
/// journal does not even say was begun comes from elsewhere and is only named. Where there was no journal, or
/// where a part of it was lost, it cannot say that until all that are there were looked at.
pub fn seal_the_unsealed(store: &Store, emit: &mut dyn FnMut(ExecEvent)) -> Result<(), ExecError> {
    let layout = store.layout();
    // What was lost may have been seen only now, when the journal was repaired.
    let knows_all = Sealed::read(layout)?.knows_all();
    if store.unsealed().is_empty() && (knows_all || !layout.journal().exists()) {
        return Ok(());
    }
    let mut journal = Journal::open(layout)?;
    let mut without = Vec::new();
    for own in store.unsealed() {
        let folder = layout.relative(&own.folder);
        let mut note = |message: String| emit(ExecEvent::Note { message });
        let Some(record) = store.runs(&own.current).get(&own.repeat) else { continue };
        if knows_all && !own.begun {
            note(format!(
                "{folder}: the journal knows nothing of this run, so it was made elsewhere; it counts. If it \
                 does not belong here, move it away"
            ));
            continue;
        }
        let compared = match verify::compare(&own.folder, record, &Sealed::default()) {
            Ok(compared) => compared,
            Err(error) => {
                note(format!("{folder}: it stays unsealed: {error}"));
                without.push(RunName { cell: own.cell.clone(), repeat: own.repeat });
                continue;
            }
        };
        let mut unknown = compared.wrong.iter().filter(|wrong| wrong.is_unaccepted());
        if let Some(file) = unknown.find_map(Wrong::file) {
            without.push(RunName { cell: own.cell.clone(), repeat: own.repeat });
            note(format!(
                "{folder}: the journal does not say that it was sealed, and {file} is not as its record says; \
                 it stays unsealed, `runner verify` names what differs"
            ));
        } else if compared.record.sha256 == own.sha256 {
            journal.write(What::Finished {
                cell: own.cell.clone(),
                repeat: own.repeat,
                attempt: record.attempt,
                sha256: own.sha256.clone(),
            })?;
            note(format!(
                "{folder}: the journal did not say that it was sealed; its files are as its record says, and \
                 the line was added"
            ));
        }
    }
    if !knows_all {
        journal.write(What::Settled { without })?;
    }
    Ok(())
}

fn failure(layout: &Layout, folder: &Path, repeat: u32, cause: &str, message: String) -> Failure {
    let name = layout.cell_part(folder).display().to_string();
    let calls = artifacts::outcomes(&artifacts::left_calls(folder));
    Failure { calls, ..Failure::new(name, repeat, cause, message) }
}
