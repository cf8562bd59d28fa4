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

/// The tables of a page, each with the text between it and the one before.
fn tables(html: &str) -> Vec<(&str, &str)> {
    let mut before = "";
    let mut tables = Vec::new();
    for part in html.split("<div class=\"table\">") {
        let (table, after) = part.split_once("</table></div>").unwrap_or(("", part));
        tables.push((before, table));
        before = after;
    }
    tables
}

/// What stands above tables whose numbers are no metric of a cell: errors of the instrument, and
/// statistics of two cells.
const NO_METRICS: [&str; 4] =
    ["Error of the client", "against the baseline", "Success rate", "Ranking by"];

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
        for (before, table) in tables(&html) {
            if NO_METRICS.iter().any(|words| before.contains(words)) {
                continue;
            }
            for (value, shown) in numbers(table) {
                assert!(
                    known.contains(value),
                    "{name}: {shown} ({value}) of{before} is in no export"
                );
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
        let shown = shown.trim_end_matches(" %");
        let (digits, exponent) = shown.split_once('e').unwrap_or((shown, "0"));
        let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let exponent: i32 = exponent.parse().unwrap();
        let half = 0.5 * 10_f64.powi(exponent - i32::try_from(decimals).unwrap());
        let (value, shown): (f64, f64) = (value.parse().unwrap(), shown.parse().unwrap());
        assert!((value - shown).abs() <= half * (1.0 + 1e-9), "{value} shown as {shown}");
        walked += 1;
    }
    assert!(walked > 200, "{walked}");
}
