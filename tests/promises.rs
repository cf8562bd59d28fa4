//! The promises of docs/verdicts.md in a short form; `cargo bench --bench promises` draws all of them.

#[path = "../benches/promises/data.rs"]
mod data;
#[path = "../benches/promises/settings.rs"]
mod settings;
#[path = "../benches/promises/stopping.rs"]
mod stopping;
#[path = "../benches/promises/table.rs"]
mod table;

use table::Row;

/// Of the same seeds as the benchmark's, the first.
const DRAWS: u64 = 200;
/// By so many standard errors a share of so few draws may lie above its promise.
const ERRORS: f64 = 3.0;

#[test]
fn verdicts_are_wrong_no_more_often_than_is_promised() {
    let above = |share: f64, most: f64| {
        let error = (most * (100.0 - most) / DRAWS as f64).sqrt();
        share > most + ERRORS * error
    };
    for setting in settings::all(true) {
        let row = Row::of(&setting, DRAWS);
        let promise = row.promise;
        assert!(!above(row.supported, promise.supported), "{}", row.line());
        assert!(promise.refuted.is_none_or(|most| !above(row.refuted, most)), "{}", row.line());
        let missed = row.covered.zip(promise.covered);
        let missed = missed.map(|(share, least)| above(100.0 - share, 100.0 - least));
        assert_ne!(missed, Some(true), "{}", row.line());
    }
}
