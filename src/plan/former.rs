//! Ids that cells had before: under version 1 of the document, and under old names of endpoints.
//!
//! Computed only where runs are stored that no cell of today asks for.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

use super::identity::{self, Servers};
use super::resolve::Resolved;
use super::{CellId, Plan, small};
use crate::manifest::study::Experiment;

/// Endpoints of one cell whose old names are tried in every combination; of more of them, all at once.
const COMBINED: usize = 4;

/// Whom former ids could be of.
#[derive(Debug, Default)]
pub struct Formers {
    claims: HashMap<CellId, Vec<Claim>>,
    /// By old name of an endpoint, today's.
    renamed: HashMap<String, String>,
}

/// A cell that had an id before.
#[derive(Debug)]
struct Claim {
    current: CellId,
    /// It is measured in place of another after failures.
    stands_in: bool,
    /// Of the document that the former id is of.
    version: u32,
    /// Today's names.
    endpoints: BTreeSet<String>,
}

impl Formers {
    /// The former ids.
    pub fn ids(&self) -> impl Iterator<Item = &CellId> {
        self.claims.keys()
    }

    /// The id that the cell with this former id has today; `None` where several could be meant. Version 1 did
    /// not tell endpoints apart, but `endpoints`, those that a run met, do (none: nobody knows). A cell that
    /// stands in after failures comes after those of the matrices.
    #[must_use]
    pub fn current<'n>(
        &self,
        former: &CellId,
        endpoints: impl IntoIterator<Item = &'n str>,
    ) -> Option<CellId> {
        let met: BTreeSet<&str> = endpoints
            .into_iter()
            .map(|name| self.renamed.get(name).map_or(name, String::as_str))
            .collect();
        let fits = |own: &&Claim| {
            met.is_empty()
                || own.version > 1
                || own.endpoints.iter().map(String::as_str).eq(met.iter().copied())
        };
        let claims: Vec<&Claim> = self.claims.get(former)?.iter().filter(fits).collect();
        let has_own = claims.iter().any(|own| !own.stands_in);
        let mut claims = claims.into_iter().filter(|own| own.stands_in != has_own);
        let current = claims.next()?.current;
        claims.all(|own| own.current == current).then_some(current)
    }
}

impl Plan {
    /// The stored ids (none of a cell of today) that cells of the whole manifest had before. With `version_1`,
    /// runs of that version are among them.
    #[must_use]
    pub fn formers(&self, is_stored: impl Fn(&CellId) -> bool + Sync, version_1: bool) -> Formers {
        let whole = self.whole();
        let renamed = whole.study.renamed_endpoints.iter();
        let renamed = renamed.map(|(name, was)| (was.clone(), name.clone())).collect();
        let mut formers = Formers { renamed, claims: HashMap::new() };
        if !version_1 && whole.study.renamed_endpoints.is_empty() {
            return formers;
        }
        let claims = |stands_in: bool, experiment: &Experiment, resolved: &Resolved<'_>| {
            let mut ids = whole.former(experiment, resolved, version_1);
            ids.retain(|(_, id)| is_stored(id));
            let claim = |(version, id): (u32, CellId)| {
                let endpoints = resolved.agents.iter().map(|own| own.endpoint_name.to_owned());
                let endpoints = endpoints.collect();
                let current = whole.id_of(experiment, resolved);
                (id, Claim { current, stands_in, version, endpoints })
            };
            ids.into_iter().map(claim).collect::<Vec<_>>()
        };
        let of_cell = |cell: u32| {
            let (experiment, resolved) = whole.resolved(cell);
            let mut found = claims(false, experiment, &resolved);
            for step in 1..=whole.fallback_steps(cell) {
                if let Some((experiment, _, resolved)) = whole.resolved_step(cell, step) {
                    found.extend(claims(true, experiment, &resolved));
                }
            }
            found
        };
        let cells = 0..small(whole.cells.len());
        let found: Vec<(CellId, Claim)> = cells.into_par_iter().flat_map_iter(of_cell).collect();
        for (id, claim) in found {
            formers.claims.entry(id).or_default().push(claim);
        }
        formers
    }

    /// Every id that this cell had before, with the version of its document.
    fn former(
        &self,
        experiment: &Experiment,
        resolved: &Resolved<'_>,
        version_1: bool,
    ) -> Vec<(u32, CellId)> {
        let mut ids = Vec::new();
        if version_1 {
            let document = self.document_of(experiment, resolved, Servers::Numbered);
            ids.push((1, identity::id_in(1, &document)));
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
            ids.push((identity::VERSION, identity::id(&document)));
        }
        ids
    }
}
