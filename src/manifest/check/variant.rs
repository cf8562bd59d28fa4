//! Settings that only some runtimes know: with one that does not, a cell would measure something
//! else than it says.
//!
//! What is excluded by a selection of just the two axes, never paired by a zip, or set to its default
//! by an override is fine. More than that is not worked out here: when in doubt it is an error, whose
//! help says how to write it plainly.

use indexmap::IndexMap;

use crate::manifest::factor::{self, Place};
use crate::manifest::problem::Problems;
use crate::manifest::source::At;
use crate::manifest::study::{Level, Override};

/// Of the Python runtime's settings those that the Rust runtime knows too.
const KNOWN_TO_RUST: [&str; 2] = ["rechunk", "batch"];

const RUNTIME: &str = "runtime";
const RUST: &str = "rust";

/// An experiment's matrix, as far as it is checked.
pub(super) struct Matrix<'e> {
    pub fixed: &'e IndexMap<String, Level>,
    pub axes: &'e IndexMap<String, Vec<Level>>,
    pub zip: &'e [Vec<String>],
    pub exclude: &'e [IndexMap<String, Level>],
    pub include: &'e [IndexMap<String, Level>],
    pub overrides: &'e [Override],
}

/// Reports every setting that could meet the Rust runtime though it does not know it.
pub(super) fn variants(at: &At<'_>, matrix: &Matrix<'_>, problems: &mut Problems<'_>) {
    for (name, level) in matrix.fixed {
        if is_foreign(name) && matrix.meets(name, level, None) {
            report(&at.key("fixed").key(name), name, level, problems);
        }
    }
    let at_matrix = at.key("matrix");
    for (name, levels) in matrix.axes {
        let at = at_matrix.key(name);
        for (index, level) in levels.iter().enumerate() {
            if is_foreign(name) && matrix.meets(name, level, Some(index)) {
                report(&at.index(index), name, level, problems);
            }
        }
    }
    let at_include = at.key("include");
    for (index, cell) in matrix.include.iter().enumerate() {
        let at = at_include.index(index);
        let rust = is_rust(cell.get(RUNTIME).or_else(|| matrix.fixed.get(RUNTIME)));
        for (name, level) in cell.iter().filter(|(name, level)| rust && differs(name, level)) {
            report(&at.key(name), name, level, problems);
        }
    }
    let at_override = at.key("override");
    for (index, change) in matrix.overrides.iter().enumerate() {
        let at = at_override.index(index);
        let at = at.key("set");
        for (name, level) in change.set.iter().filter(|(name, level)| differs(name, level)) {
            if matrix.override_meets_rust(change) {
                report(&at.key(name), name, level, problems);
            }
        }
    }
}

/// A setting of the Python runtime alone.
fn is_foreign(name: &str) -> bool {
    let place = factor::lookup(name).map(|factor| factor.place);
    place == Some(Place::Python) && !KNOWN_TO_RUST.contains(&name)
}

fn differs(name: &str, level: &Level) -> bool {
    is_foreign(name) && *level != Level::Default
}

fn is_rust(level: Option<&Level>) -> bool {
    matches!(level, Some(Level::Text(name)) if name == RUST)
}

impl Matrix<'_> {
    /// Whether a cell of the product has this level of the setting and the Rust runtime. `index`:
    /// the level's place on its axis; `None`: it is fixed.
    fn meets(&self, name: &str, level: &Level, index: Option<usize>) -> bool {
        if *level == Level::Default {
            return false;
        }
        let Some(runtimes) = self.axes.get(RUNTIME) else {
            let runtime = self.fixed.get(RUNTIME);
            return runtime.is_some_and(|runtime| self.pair(name, level, runtime));
        };
        let zipped = |group: &Vec<String>| {
            group.iter().any(|axis| axis == RUNTIME) && group.iter().any(|axis| axis == name)
        };
        let zipped = self.zip.iter().any(zipped);
        runtimes.iter().enumerate().any(|(place, runtime)| {
            !(zipped && Some(place) != index) && self.pair(name, level, runtime)
        })
    }

    /// Whether cells with both levels are left, and the Rust runtime in them.
    fn pair(&self, name: &str, level: &Level, runtime: &Level) -> bool {
        // Says something of these two axes alone, and that they are as they are here.
        let matches = |selection: &IndexMap<String, Level>| {
            selection.iter().all(|(axis, wanted)| match axis.as_str() {
                RUNTIME => wanted == runtime,
                axis => axis == name && wanted == level,
            })
        };
        if self.exclude.iter().any(matches) {
            return false;
        }
        // Says nothing else of these two axes, whatever it says of others.
        let may_match = |selection: &IndexMap<String, Level>| {
            let fits = |axis: &str, now: &Level| selection.get(axis).is_none_or(|own| own == now);
            fits(RUNTIME, runtime) && fits(name, level)
        };
        let mut ends = vec![(runtime, level)];
        for change in self.overrides.iter().filter(|change| may_match(&change.when)) {
            let changed: Vec<_> = ends
                .iter()
                .map(|(runtime, level)| {
                    (
                        change.set.get(RUNTIME).unwrap_or(runtime),
                        change.set.get(name).unwrap_or(level),
                    )
                })
                .collect();
            if matches(&change.when) {
                ends.clear();
            }
            ends.extend(changed.into_iter().filter(|end| !ends.contains(end)).collect::<Vec<_>>());
        }
        ends.into_iter().any(|(runtime, level)| is_rust(Some(runtime)) && *level != Level::Default)
    }

    /// Whether any cell can have the Rust runtime.
    pub(super) fn may_have_rust(&self) -> bool {
        let gone = |selection: &IndexMap<String, Level>| {
            selection.len() == 1 && is_rust(selection.get(RUNTIME))
        };
        let given =
            |cells: &[IndexMap<String, Level>]| cells.iter().any(|c| is_rust(c.get(RUNTIME)));
        let product = !self.exclude.iter().any(gone)
            && self
                .axes
                .get(RUNTIME)
                .into_iter()
                .flatten()
                .chain(self.fixed.get(RUNTIME))
                .any(|runtime| is_rust(Some(runtime)));
        product
            || given(self.include)
            || self.overrides.iter().any(|change| is_rust(change.set.get(RUNTIME)))
    }

    /// Whether cells that an override changes can have the Rust runtime.
    fn override_meets_rust(&self, change: &Override) -> bool {
        if let Some(runtime) = change.set.get(RUNTIME) {
            return is_rust(Some(runtime));
        }
        // Another override may give the same cells another runtime.
        let meets = |other: &&Override| {
            let fits = |(axis, own): (&String, &Level)| {
                change.when.get(axis).is_none_or(|wanted| wanted == own)
            };
            other.when.iter().all(fits)
        };
        let set = self.overrides.iter().filter(meets).filter_map(|other| other.set.get(RUNTIME));
        let wanted = change.when.get(RUNTIME);
        let any = self.axes.get(RUNTIME).into_iter().flatten().chain(self.fixed.get(RUNTIME));
        any.filter(|runtime| wanted.is_none_or(|wanted| wanted == *runtime))
            .chain(set)
            .any(|runtime| is_rust(Some(runtime)))
    }
}

fn report(at: &At<'_>, name: &str, level: &Level, problems: &mut Problems<'_>) {
    let shown = factor::show(name, level);
    let message = format!("the runtime `rust` has no setting `{name}`: `{shown}` would do nothing");
    let help = format!(
        "write `runtime = \"python\"`; where the experiment has both, add `exclude = [{{ runtime = \
         \"rust\", {name} = \"{shown}\" }}]`, or an experiment for each"
    );
    problems.value(at, message, Some(help));
}
