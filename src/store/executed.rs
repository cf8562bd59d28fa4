//! `plan.json`: the last plan that was executed, and which criteria were declared when.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Layout, StoreError, seal};
use crate::manifest::study::{Defaults, Hypothesis, Order, Until};
use crate::os::files;
use crate::plan::Plan;

/// The version of `plan.json` that this program writes.
pub const PLAN_FORMAT: u32 = 2;

/// The plan of the last exec that had something to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutedPlan {
    /// [`PLAN_FORMAT`].
    pub format: u32,
    pub study: String,
    pub profile: Option<String>,
    /// RFC 3339, UTC.
    pub executed: String,
    /// [`digest`]: over the cells, the criteria of the manifest and the planned repeats.
    pub digest: String,
    /// The manifest as it was read.
    pub manifest: String,
    pub cells: Vec<PlannedCell>,
    /// The first criterion by `<experiment>/<hypothesis>`; one that left the manifest is kept.
    pub hypotheses: BTreeMap<String, Declared>,
    /// Further criteria under the same names, in the order in which they were declared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, Vec<Declared>>,
    /// By experiment, how many repeats were planned when, in the order of the changes. Empty in plans of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repeats: BTreeMap<String, Vec<PlannedRepeats>>,
}

/// The repeats of an experiment as they were planned when an exec began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedRepeats {
    /// When they were first seen; RFC 3339, UTC.
    pub since: String,
    pub repeats: u32,
    /// Repeats at which the data may be looked at; empty: at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looks: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// Runs of the experiment's cells that were finished by then. `None`: an earlier version had planned the
    /// experiment, and did not keep its repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_before: Option<usize>,
}

impl PlannedRepeats {
    /// What the settings of an experiment ask for; since when, and how many runs there were, is not known here.
    #[must_use]
    pub fn of(settings: &Defaults) -> Self {
        Self {
            since: String::new(),
            repeats: settings.repeats,
            looks: settings.looks.clone(),
            until: settings.until.clone(),
            order: Some(settings.order),
            runs_before: None,
        }
    }

    /// Whether the same is planned.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        (self.repeats, &self.looks, &self.until, self.order)
            == (other.repeats, &other.looks, &other.until, other.order)
    }

    /// Whether somebody could have seen data when it was planned.
    #[must_use]
    pub fn is_look(&self) -> bool {
        self.runs_before.is_some_and(|runs| runs > 0)
    }
}

impl ExecutedPlan {
    /// Every criterion that was declared under a name, the first one first.
    pub fn declared(&self, name: &str) -> impl Iterator<Item = &Declared> {
        self.hypotheses.get(name).into_iter().chain(self.changed.get(name).into_iter().flatten())
    }
}

/// A cell of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCell {
    /// 32 hex digits.
    pub id: String,
    pub name: String,
    pub repeats: u32,
    /// Names of the experiments it belongs to, or that need it as a control.
    pub experiments: Vec<String>,
}

/// A criterion as it stood when an exec began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// When it was first seen; RFC 3339, UTC.
    pub since: String,
    pub criterion: serde_json::Value,
    /// SHA-256 of the criterion's canonical JSON (RFC 8785).
    pub digest: String,
    /// Runs of the cells that it concerns which were finished by then, those included that were
    /// measured again later; 0: declared before there were data. `None`: written by a version that did
    /// not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_before: Option<usize>,
    /// What it was about; `None`: written by a version that did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// Finished runs that the same criterion had by then in cells that it is no longer about: it was tried before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub runs_elsewhere: usize,
}

/// What a criterion is about, beyond its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The cells that it selects (32 hex digits each), sorted.
    pub cells: Vec<String>,
    /// Where its declared metrics are picked from, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, String>,
}

impl Subject {
    /// What a hypothesis of this experiment (index into the study's) is about, whatever is filtered out.
    #[must_use]
    pub fn of(plan: &Plan, experiment: usize, hypothesis: &Hypothesis) -> Self {
        let whole = plan.whole();
        let cells = whole
            .experiment_cells(experiment)
            .into_iter()
            .filter(|cell| hypothesis.criterion.concerns(&whole.row_levels(experiment, *cell)));
        let mut cells: Vec<String> = cells.map(|cell| whole.id(cell).hex()).collect();
        cells.sort_unstable();
        let named = hypothesis.criterion.metrics();
        let picks = whole.study().experiments[experiment].picks().iter();
        let metrics = picks
            .filter(|pick| named.contains(&pick.name.as_str()))
            .map(|pick| {
                let definition = format!("{} {}", pick.formula(), pick.unit);
                (pick.name.clone(), definition.trim_end().to_owned())
            })
            .collect();
        Self { cells, metrics }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Declared {
    #[must_use]
    pub fn new(since: &str, criterion: &serde_json::Value, runs_before: usize) -> Self {
        Self {
            runs_before: Some(runs_before),
            since: since.to_owned(),
            criterion: criterion.clone(),
            digest: criterion_digest(criterion),
            subject: None,
            runs_elsewhere: 0,
        }
    }

    /// Whether it is the same criterion of the same cells and metrics, as far as that was kept.
    #[must_use]
    pub fn is_as(&self, digest: &str, subject: Option<&Subject>) -> bool {
        let own = self.subject.as_ref();
        self.digest == digest && (own.is_none() || subject.is_none() || own == subject)
    }
}

/// The name under which the criterion of a hypothesis is kept.
#[must_use]
pub fn name(experiment: &str, hypothesis: &str) -> String {
    format!("{experiment}/{hypothesis}")
}

/// SHA-256 of a criterion's canonical JSON.
#[must_use]
pub fn criterion_digest(criterion: &serde_json::Value) -> String {
    formats::digest::of_bytes(&serde_json_canonicalizer::to_vec(criterion).unwrap_or_default())
}

/// SHA-256 over the compact JSON of what is planned and predicted: the cells, each criterion by its name, and
/// the repeats, looks and widths of each experiment. When it was first seen is no part of it.
#[must_use]
pub fn digest(
    cells: &[PlannedCell],
    hypotheses: &BTreeMap<String, Declared>,
    repeats: &BTreeMap<String, Vec<PlannedRepeats>>,
) -> String {
    let criteria: BTreeMap<&String, &String> =
        hypotheses.iter().map(|(name, declared)| (name, &declared.digest)).collect();
    let planned =
        |own: &PlannedRepeats| (own.repeats, own.looks.clone(), own.until.clone(), own.order);
    let repeats: BTreeMap<&String, Vec<_>> =
        repeats.iter().map(|(name, all)| (name, all.iter().map(planned).collect())).collect();
    let whole = (cells, criteria, repeats);
    formats::digest::of_bytes(&serde_json::to_vec(&whole).unwrap_or_default())
}

/// The stored plan; `None` if none was executed yet.
pub fn read(layout: &Layout) -> Result<Option<ExecutedPlan>, StoreError> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let path = layout.plan();
    let text = match files::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        // Something else lies in its place.
        Err(error) if error.kind() == std::io::ErrorKind::Other => {
            return Err(StoreError::Malformed { path, reason: error.to_string() });
        }
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    let malformed = |error: serde_json::Error| StoreError::Malformed {
        path: path.clone(),
        reason: error.to_string(),
    };
    let Format { format } = serde_json::from_slice(&text).map_err(malformed)?;
    if format > u64::from(PLAN_FORMAT) {
        return Err(StoreError::NewerFormat { path, found: format, known: PLAN_FORMAT });
    }
    serde_json::from_slice(&text).map(Some).map_err(malformed)
}

/// As [`read`], for who only reads: one that is damaged is no plan, and why it is none is told.
pub fn read_if_sound(
    layout: &Layout,
) -> Result<(Option<ExecutedPlan>, Option<String>), StoreError> {
    match read(layout) {
        Ok(plan) => Ok((plan, None)),
        Err(StoreError::Malformed { reason, .. }) => Ok((None, Some(reason))),
        Err(error) => Err(error),
    }
}

/// Replaces the stored plan. What was declared before is kept where `has_data` says that data existed under it,
/// by its name: it could have been chosen by them. A criterion that is new under its name is added, and so are
/// repeats that changed.
pub fn write(
    layout: &Layout,
    mut plan: ExecutedPlan,
    has_data: impl Fn(&Declared) -> bool,
) -> Result<(), StoreError> {
    if let Some(mut before) = read(layout)? {
        drop_undated(&mut before, &plan, has_data);
        keep_repeats(&mut before, &mut plan);
        for (name, declared) in std::mem::take(&mut plan.hypotheses) {
            let (digest, subject) = (&declared.digest, declared.subject.as_ref());
            if before.declared(&name).any(|earlier| earlier.is_as(digest, subject)) {
                continue;
            }
            match before.hypotheses.entry(name) {
                Entry::Vacant(first) => {
                    first.insert(declared);
                }
                Entry::Occupied(first) => {
                    before.changed.entry(first.key().clone()).or_default().push(declared);
                }
            }
        }
        (plan.hypotheses, plan.changed) = (before.hypotheses, before.changed);
    }
    let text = serde_json::to_vec_pretty(&plan).map_err(|error| StoreError::Malformed {
        path: layout.plan(),
        reason: error.to_string(),
    })?;
    seal::write_whole(&layout.plan(), &text)
}

/// Adds the repeats of today to what earlier execs planned. An experiment that has cells of one that is gone is
/// that one under another name.
fn keep_repeats(before: &mut ExecutedPlan, plan: &mut ExecutedPlan) {
    let of = |cells: &[PlannedCell], name: &str| -> BTreeSet<String> {
        let own = |cell: &&PlannedCell| cell.experiments.iter().any(|own| own == name);
        cells.iter().filter(own).map(|cell| cell.id.clone()).collect()
    };
    let gone: Vec<String> =
        before.repeats.keys().filter(|name| !plan.repeats.contains_key(*name)).cloned().collect();
    for (name, planned) in std::mem::take(&mut plan.repeats) {
        if !before.repeats.contains_key(&name) {
            let own = of(&plan.cells, &name);
            let former = gone.iter().find(|gone| !of(&before.cells, gone).is_disjoint(&own));
            let history = former.and_then(|former| before.repeats.get(former)).cloned();
            before.repeats.insert(name.clone(), history.unwrap_or_default());
        }
        let known = before.repeats.entry(name).or_default();
        for now in planned {
            let unseen = |own: &PlannedRepeats| own.runs_before == Some(0);
            if known.last().is_some_and(unseen) && unseen(&now) {
                known.clear();
            }
            if known.last().is_none_or(|last| !last.is_as(&now)) {
                known.push(now);
            }
        }
    }
    plan.repeats = std::mem::take(&mut before.repeats);
}

/// Takes out the criteria that left the manifest before there were data: whoever changes their mind before the
/// first run has looked at nothing.
fn drop_undated(
    before: &mut ExecutedPlan,
    plan: &ExecutedPlan,
    has_data: impl Fn(&Declared) -> bool,
) {
    let stays = |name: &str, declared: &Declared| {
        let today = plan.hypotheses.get(name);
        today.is_some_and(|today| declared.is_as(&today.digest, today.subject.as_ref()))
            || has_data(declared)
    };
    let names: Vec<String> =
        before.hypotheses.keys().chain(before.changed.keys()).cloned().collect();
    for name in names {
        let kept: Vec<Declared> =
            before.declared(&name).filter(|declared| stays(&name, declared)).cloned().collect();
        before.hypotheses.remove(&name);
        before.changed.remove(&name);
        let mut kept = kept.into_iter();
        if let Some(first) = kept.next() {
            before.hypotheses.insert(name.clone(), first);
        }
        let further: Vec<Declared> = kept.collect();
        if !further.is_empty() {
            before.changed.insert(name, further);
        }
    }
}
