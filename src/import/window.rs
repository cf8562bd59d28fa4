//! The part of a series that belongs to one run, where a file holds those of several one after the other.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::place::Scope;
use super::value::{Companions, Wrong, column_number, holds};
use crate::manifest::import::Window;

/// From the first to the last moment, both included, in the unit of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    from: f64,
    until: f64,
}

impl Span {
    #[must_use]
    pub fn has(&self, moment: f64) -> bool {
        (self.from..=self.until).contains(&moment)
    }
}

/// The part of the run of this repeat.
pub fn span(
    window: &Window,
    repeat: u32,
    scope: &Scope<'_>,
    companions: &mut Companions,
) -> Result<Span, Wrong> {
    let opened = scope.open(&window.from)?;
    let origin = &opened.document.origin;
    if opened.is_companion && !companions.contains(origin) {
        companions.push(origin.clone());
    }
    let rows: Vec<&Json> =
        scope.all(&window.from, &opened).iter().map(|found| found.value).collect();
    let wrong = |reason: String| format!("{}: {reason}", origin.path);
    // By group, when each run began.
    let mut begins: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut moments = Vec::with_capacity(rows.len());
    for row in rows {
        let moment = column_number(row, &window.time).map_err(wrong)?;
        moments.push(moment);
        let mut fits = true;
        for condition in &window.conditions {
            fits &= holds(condition, row).map_err(wrong)?;
        }
        if fits {
            let group = match &window.by {
                None => String::new(),
                Some(by) => row
                    .get(by)
                    .ok_or_else(|| wrong(format!("the rows have no column `{by}`")))?
                    .to_string(),
            };
            begins.entry(group).or_default().push(moment);
        }
    }
    let begin = |repeat: usize| {
        let own = begins.values().filter_map(|group| group.get(repeat.checked_sub(1)?)).copied();
        own.min_by(f64::total_cmp)
    };
    let repeat = repeat as usize;
    let from =
        begin(repeat).ok_or_else(|| wrong(format!("no row begins the run of repeat {repeat}")))?;
    let next = begin(repeat + 1).unwrap_or(f64::INFINITY);
    let last = moments.into_iter().filter(|moment| *moment < next).max_by(f64::total_cmp);
    Ok(Span { from, until: last.unwrap_or(from) })
}
