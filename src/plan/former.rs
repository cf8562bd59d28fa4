//! Ids that cells had before: under version 1 of the document, and under old names of endpoints.
//!
//! Computed only where runs are stored that no cell of today asks for.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::identity::{self, Servers};
use super::resolve::Resolved;
use super::{CellId, Plan, small};
use crate::manifest::study::Experiment;

/// Endpoints of one cell whose old names are tried in every combination; of more of them, all at once.
const COMBINED: usize = 4;

impl Plan {
    /// For those of the stored ids (none of a cell of today) that a cell had before: the id that it has
    /// today. An id that would fit several cells of the whole manifest fits none; a cell that stands in
    /// after failures comes after those of the matrices. With `version_1`, runs of that version are among
    /// them.
    #[must_use]
    pub fn today(
        &self,
        is_stored: impl Fn(&CellId) -> bool + Sync,
        version_1: bool,
    ) -> HashMap<CellId, CellId> {
        let whole = self.whole();
        if !version_1 && whole.study.renamed_endpoints.is_empty() {
            return HashMap::new();
        }
        let cells = 0..small(whole.cells.len());
        let of_cell = |cell: u32| {
            let (experiment, resolved) = whole.resolved(cell);
            whole.former(experiment, &resolved, version_1).map(move |id| (id, whole.id(cell)))
        };
        let of_steps = |cell: u32| {
            (1..=whole.fallback_steps(cell)).flat_map(move |step| {
                let resolved = whole.resolved_step(cell, step);
                let ids = resolved.into_iter().flat_map(|(experiment, _, resolved)| {
                    let today = whole.id_of(experiment, &resolved);
                    let former: Vec<_> = whole.former(experiment, &resolved, version_1).collect();
                    former.into_iter().map(move |id| (id, today))
                });
                ids.collect::<Vec<_>>()
            })
        };
        let fits = |(id, _): &(CellId, CellId)| is_stored(id);
        let own: Vec<(CellId, CellId)> =
            cells.clone().into_par_iter().flat_map_iter(of_cell).filter(fits).collect();
        let stand_ins: Vec<(CellId, CellId)> =
            cells.into_par_iter().flat_map_iter(of_steps).filter(fits).collect();
        let mut today = unambiguous(own.iter().copied());
        let claimed: HashSet<CellId> = own.into_iter().map(|(former, _)| former).collect();
        let others = stand_ins.into_iter().filter(|(former, _)| !claimed.contains(former));
        today.extend(unambiguous(others));
        today
    }

    /// Every id that this cell had before.
    fn former(
        &self,
        experiment: &Experiment,
        resolved: &Resolved<'_>,
        version_1: bool,
    ) -> std::vec::IntoIter<CellId> {
        let mut ids = Vec::new();
        if version_1 {
            let document = self.document_of(experiment, resolved, Servers::Numbered);
            ids.push(identity::id_in(1, &document));
        }
        let mut renamed: Vec<(&str, &str)> = resolved
            .agents
            .iter()
            .filter_map(|agent| {
                let was = self.study.renamed_endpoints.get(agent.endpoint_name)?;
                Some((agent.endpoint_name, was.as_str()))
            })
            .collect();
        renamed.sort_unstable();
        renamed.dedup();
        let combinations: Vec<Vec<(&str, &str)>> = if renamed.len() > COMBINED {
            vec![renamed]
        } else {
            let chosen = |bits: usize| {
                let of =
                    renamed.iter().enumerate().filter(move |(place, _)| bits >> place & 1 == 1);
                of.map(|(_, names)| *names).collect()
            };
            (1..1_usize << renamed.len()).map(chosen).collect()
        };
        for before in combinations {
            let document = self.document_of(experiment, resolved, Servers::Named(&before));
            ids.push(identity::id(&document));
        }
        ids.into_iter()
    }
}

/// Those that stand for one cell only.
fn unambiguous(pairs: impl Iterator<Item = (CellId, CellId)>) -> HashMap<CellId, CellId> {
    let mut found: HashMap<CellId, Option<CellId>> = HashMap::new();
    for (former, today) in pairs {
        let known = found.entry(former).or_insert(Some(today));
        *known = known.filter(|known| *known == today);
    }
    found.into_iter().filter_map(|(former, today)| Some((former, today?))).collect()
}
