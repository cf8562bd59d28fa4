//! What the verdicts promise: how often they are wrong where the truth is known, from run records to the verdict.
//!
//! `cargo bench --bench promises` draws 2 000 studies of each setting with fixed seeds, and takes minutes. It ends
//! with 1 where a promise of docs/verdicts.md is not kept.

mod data;
mod settings;
mod stopping;
mod table;

use std::process::ExitCode;

use table::Row;

const DRAWS: u64 = 2_000;

fn main() -> ExitCode {
    println!("| setting | data | n | supported % | refuted % | at most | covered % | at least | |");
    println!("|---|---|---|---:|---:|---:|---:|---:|---|");
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let settings = settings::all(false);
    let chosen = settings
        .iter()
        .filter(|own| wanted.as_ref().is_none_or(|wanted| own.name.contains(wanted.as_str())));
    let mut rows: Vec<Row> = Vec::new();
    for setting in chosen {
        let row = Row::of(setting, DRAWS);
        println!("{}", row.line());
        rows.push(row);
    }
    println!("\nThe worst of each, over data and n:\n");
    println!("| setting | supported % | refuted % | promised, each | covered % | promised |");
    println!("|---|---:|---:|---:|---:|---:|");
    let mut names: Vec<&str> = Vec::new();
    for row in &rows {
        if !names.contains(&row.name) {
            names.push(row.name);
        }
    }
    for name in names {
        let own = || rows.iter().filter(|row| row.name == name);
        let most = |of: fn(&Row) -> f64| own().map(of).fold(0.0, f64::max);
        let least = own().filter_map(|row| row.covered).fold(f64::INFINITY, f64::min);
        let Some(first) = own().next() else { continue };
        let covered = first.promise.covered.filter(|_| least.is_finite());
        println!(
            "| {name} | {:.1} | {} | {} | {} | {} |",
            most(|row| row.supported),
            first
                .promise
                .refuted
                .map_or("–".to_owned(), |_| format!("{:.1}", most(|row| row.refuted))),
            promised(&first.promise),
            covered.map_or("–".to_owned(), |_| format!("{least:.1}")),
            covered.map_or("–".to_owned(), |least| least.to_string()),
        );
    }
    let broken = rows.iter().filter(|row| !row.is_kept()).count();
    println!("\n{} of {} settings keep their promise", rows.len() - broken, rows.len());
    if broken > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Of both sides, where they differ: `3.5, 6`.
fn promised(promise: &settings::Promise) -> String {
    match promise.refuted {
        Some(refuted) if (refuted - promise.supported).abs() > 1e-9 => {
            format!("{}, {refuted}", promise.supported)
        }
        _ => promise.supported.to_string(),
    }
}
