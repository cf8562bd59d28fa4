//! `runner plan --why CELL`: what makes this cell another one than those that are stored.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::{Failure, exit, output};
use crate::plan::Plan;
use crate::plan::why::{Difference, differences, locate};
use crate::shown;
use crate::store::Store;

pub(super) fn explain(
    plan: &Plan,
    store: &Store,
    wanted: &str,
    json: bool,
) -> Result<String, Failure> {
    let cell = find(plan, wanted)?;
    let spec = plan.spec(cell);
    let own = store.runs(&plan.id(cell).hex()).range(..=plan.repeats(cell)).count();
    let experiment = plan.home_experiment(cell);
    let nearest = store
        .cells()
        .into_iter()
        .filter(|id| *id != plan.id(cell).hex())
        .filter_map(|id| store.runs(id).values().next())
        .map(|run| (differences(&run.identity, &spec.identity), run))
        .min_by_key(|(differences, run)| (differences.len(), run.cell.clone()));
    let nearest = nearest.map(|(mut differences, run)| {
        let scenario = spec.scenario().map_or("", |scenario| &scenario.name);
        locate(&mut differences, plan.study(), experiment, scenario);
        (differences, run)
    });
    if json {
        let document = serde_json::json!({
            "cell": plan.id(cell).hex(),
            "name": plan.name(cell),
            "stored": own,
            "repeats": plan.repeats(cell),
            "identity": spec.identity,
            "nearest": nearest.as_ref().map(|(differences, run)| serde_json::json!({
                "cell": run.cell, "name": run.cell_name, "differences": differences,
            })),
        });
        return output::json(&document);
    }
    let mut text = format!("{}  {}\n", plan.id(cell).short(), plan.name(cell));
    let repeats = plan.repeats(cell);
    let _ = writeln!(text, "stored: {own} of {repeats} runs");
    let Some((differences, run)) = nearest else {
        text.push_str("no other cell is stored\n");
        return Ok(text);
    };
    let _ = writeln!(text, "nearest stored cell: {}  {}", short(&run.cell), run.cell_name);
    let manifest = plan.study().path.display().to_string();
    for Difference { field, stored, planned, line } in &differences {
        let _ = write!(
            text,
            "  {field}: stored {}, here {}",
            show(stored.as_ref()),
            show(planned.as_ref())
        );
        if let Some(line) = line {
            let _ = write!(text, "  ({manifest}:{line})");
        }
        text.push('\n');
    }
    Ok(text)
}

/// The first digits of an id.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn show(value: Option<&Value>) -> String {
    match value {
        None => "the default".to_owned(),
        Some(Value::String(text)) if text.len() == 64 => shown::excerpt(text, 12),
        Some(value) => value.to_string(),
    }
}

fn find(plan: &Plan, wanted: &str) -> Result<u32, Failure> {
    let cells: Vec<u32> = (0..).take(plan.cells()).collect();
    let by_id = |cell: &&u32| !wanted.is_empty() && plan.id(**cell).hex().starts_with(wanted);
    let mut found: Vec<u32> = cells.iter().filter(by_id).copied().collect();
    if found.is_empty() {
        found = cells.into_iter().filter(|cell| plan.name(*cell).contains(wanted)).collect();
    }
    match found.as_slice() {
        [cell] => Ok(*cell),
        [] => {
            let message = format!("no cell has the id or name `{wanted}`");
            Err(Failure::new(exit::USAGE, message, Some("`runner plan` lists the cells")))
        }
        several => {
            let mut names = String::new();
            for cell in several.iter().take(5) {
                let _ = write!(names, "\n  {}  {}", plan.id(*cell).short(), plan.name(*cell));
            }
            let message = format!("`{wanted}` fits {} cells:{names}", several.len());
            Err(Failure::new(exit::USAGE, message, Some("give its id")))
        }
    }
}
