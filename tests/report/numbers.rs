//! Every number of the report's tables is in the export.

use std::collections::BTreeSet;

use runner::report::tidy::{self, Rows};
use runner::report::{self, Data, Template};

use crate::stored::Stored;

/// Every number of every table of the export, as it is written there.
fn exported(data: &Data) -> BTreeSet<String> {
    let tables = [Rows::Runs, Rows::Calls, Rows::Cells].map(|rows| tidy::table(data, rows));
    let values = tables.iter().flat_map(|table| table.rows.iter().flatten());
    values.filter_map(serde_json::Value::as_f64).map(|number| number.to_string()).collect()
}

/// The parts of a page between its headings, with their ids.
fn sections(html: &str) -> Vec<(&str, &str)> {
    let parts = html.split("<h2 id=\"").skip(1).filter_map(|part| part.split_once("\">"));
    parts.collect()
}

/// Full values of the numbers in the tables of a part, with what is shown.
fn numbers(html: &str) -> Vec<(&str, &str)> {
    let cells = html.split("<td").skip(1).filter_map(|cell| cell.split_once("</td>"));
    cells
        .flat_map(|(cell, _)| cell.split("<data value=\"").skip(1))
        .map(|data| {
            let (value, rest) = data.split_once("\">").unwrap();
            (value, rest.split_once("</data>").unwrap().0)
        })
        .collect()
}

#[test]
fn every_number_of_a_table_is_found_in_the_export() {
    let stored = Stored::with_solo();
    stored.add_probe_files();
    let data = stored.data();
    let known = exported(&data);
    for name in ["study.md.j2", "tr117.md.j2"] {
        let template = Template::builtin(name).unwrap();
        let html = report::study(&data, &template, false).unwrap().html();
        let mut walked = 0;
        for (id, section) in sections(&html) {
            // the error of the instrument and of its idle loop are evidence, not metrics of a cell
            let (own, _) = section.split_once("Error of the client").unwrap_or((section, ""));
            for (value, shown) in numbers(own) {
                assert!(known.contains(value), "{name}, {id}: {shown} ({value}) is in no export");
                walked += 1;
            }
        }
        assert!(walked > 200, "{walked}");
    }
}

#[test]
fn what_is_shown_is_the_full_value_rounded() {
    let data = Stored::with_solo().data();
    let template = Template::builtin("study.md.j2").unwrap();
    let html = report::study(&data, &template, false).unwrap().html();
    let mut walked = 0;
    for (value, shown) in numbers(&html) {
        let (value, shown): (f64, f64) =
            (value.parse().unwrap(), shown.trim_end_matches(" %").parse().unwrap());
        // three digits are the fewest that a table shows
        assert!((value - shown).abs() <= 0.005 * value.abs().max(1.0), "{value} shown as {shown}");
        walked += 1;
    }
    assert!(walked > 200, "{walked}");
}
