//! What is said of runs whose records are not, or may not be, what was sealed.

use super::output;
use crate::store::{Damaged, Store, Unsealed};

/// Runs that are named before they are only counted.
const LISTED: usize = 20;

/// One sentence for each run folder that cannot be trusted, with what to do.
pub fn damaged(store: &Store) -> Vec<String> {
    let sentence = |Damaged { folder, reason }: &Damaged| {
        format!(
            "{}: {reason}; it counts as missing. Put back what was sealed there, or let `runner exec` move \
             the folder aside and make a missing run again; `runner verify` compares all files",
            folder.display()
        )
    };
    shortened(store.damaged().iter().map(sentence).collect())
}

/// One sentence for each run that the journal does not vouch for; for all in one where there is no journal.
pub fn unsealed(store: &Store) -> Vec<String> {
    // Without a journal that knows all there is one sentence for those that it does not know.
    let is_named = |own: &&Unsealed| own.begun || store.journal_knows_all();
    let (named, unknown): (Vec<&Unsealed>, Vec<&Unsealed>) =
        store.unsealed().iter().partition(is_named);
    let mut sentences = Vec::new();
    if !unknown.is_empty() {
        let (runs, root) = (unknown.len(), store.layout().root().display());
        sentences.push(format!(
            "{root} has no journal of {runs} run(s): whether their records are those that were sealed cannot be \
             told; they count"
        ));
    }
    let sentence = |Unsealed { folder, begun, .. }: &Unsealed| {
        let folder = folder.display();
        if *begun {
            format!(
                "{folder}: the journal lacks the line that it was sealed, as after a kill; it counts, and the \
                 next `runner exec` checks its files and adds the line"
            )
        } else {
            format!(
                "{folder}: the journal knows nothing of this run, so it was made elsewhere; it counts. If it \
                 does not belong here, move it away"
            )
        }
    };
    sentences.extend(named.into_iter().map(sentence));
    shortened(sentences)
}

/// Says both on standard error.
pub fn warn(store: &Store) {
    for sentence in damaged(store).into_iter().chain(unsealed(store)) {
        output::say(format!("warning: {sentence}"));
    }
}

fn shortened(mut sentences: Vec<String>) -> Vec<String> {
    let more = sentences.len().saturating_sub(LISTED);
    sentences.truncate(LISTED);
    if more > 0 {
        sentences.push(format!("… and {more} more"));
    }
    sentences
}
