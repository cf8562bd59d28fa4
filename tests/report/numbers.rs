//! Every number of the report's tables is in the export.

use std::collections::BTreeSet;
use std::sync::Arc;

use runner::report::tidy::{self, Rows};
use runner::report::{self, Data, Template};
use serde_json::Value;

use crate::stored::{MANIFEST, Stored};

/// Every number of every table of the export, as it is written there.
fn exported(data: &Data) -> BTreeSet<String> {
    let tables = Rows::ALL.map(|rows| tidy::table(data, rows));
    for table in &tables {
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));
    }
    let values = tables.iter().flat_map(|table| table.rows.iter().flatten());
    // an interval without an end
    let ends = |value: &Value| value.as_str().filter(|text| text.ends_with("inf"))?.parse().ok();
    let numbers = values.filter_map(|value| value.as_f64().or_else(|| ends(value)));
    numbers.map(|number| number.to_string()).collect()
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

/// Walks every number of every table of both built-in reports; returns what stands above the tables.
fn walk(data: &Arc<Data>) -> String {
    let known = exported(data);
    let mut above = String::new();
    for name in ["study.md.j2", "tr117.md.j2"] {
        let template = Template::builtin(name).unwrap();
        let html = report::study(data, &template, false).unwrap().html();
        let mut walked = 0;
        for (before, table) in tables(&html) {
            for (value, shown) in numbers(table) {
                assert!(
                    known.contains(value),
                    "{name}: {shown} ({value}) of{before} is in no export"
                );
                walked += 1;
            }
            above.push_str(before);
        }
        assert!(walked > 200, "{walked}");
    }
    above
}

#[test]
fn every_number_of_a_table_is_found_in_the_export() {
    let stored = Stored::with_solo();
    stored.add_probe_files();
    let above = walk(&stored.data());
    assert!(above.contains("Error of the client") && above.contains("against the baseline"));
}

#[test]
fn numbers_of_comparisons_and_verdicts_are_found_in_the_export() {
    // A third level gives rankings and success rates; a far run is an outlier.
    let manifest = MANIFEST
        .replace("warmup  = 1", "warmup = 1\noutliers = { metrics = [\"wall_ms\"] }")
        .replace("repeats = 3", "repeats = 5")
        .replacen("\"60 tok/s\"]", "\"60 tok/s\", \"30 tok/s\"]", 1);
    let stored = Stored::of(&format!("{manifest}{JUDGED}"));
    stored.measure(|cell, repeat| {
        let by = if cell.contains("60") { 50.0 } else { 7.0 };
        let far = if repeat == 4 { 400.0 } else { f64::from(repeat) * 1.37 };
        vec![("wall_ms", 300.0 / 7.0 + by + far), ("ttft_ms", 53.3 + far / 3.0 + by)]
    });
    let data = stored.data();
    let above = walk(&data);
    for words in ["Ranking by", "Success rate", "Published numbers", "Hypotheses", "Outliers"] {
        assert!(above.contains(words), "no table of {words}");
    }
    for rows in [Rows::Comparisons, Rows::Success, Rows::Verdicts, Rows::Claims, Rows::Outliers] {
        assert!(!tidy::table(&data, rows).rows.is_empty(), "{rows:?}");
    }
    // What only templates of one's own ask for.
    let own = "{% import \"_comparison.md.j2\" as c %}{% set e = experiments | first %}\
               {{ c.normalised_table(e, metric(\"wall_ms\"), \"throttle\") }}";
    let template = Template { name: "own.md.j2".into(), source: own.into() };
    let html = report::study(&data, &template, false).unwrap().html();
    let known = exported(&data);
    let shown = numbers(&html);
    assert!(shown.len() >= 3 && shown.iter().all(|(value, _)| known.contains(*value)), "{shown:?}");
}

const JUDGED: &str = r#"
[experiment.throttle.hypothesis.slower]
claim = "Slower takes longer"
greater = { metric = "wall_ms", at = { throttle = "60 tok/s" }, than = { throttle = "off" }, by = 10 }
[experiment.throttle.hypothesis.both]
claim = "Slower starts later and stays under a bound"
all = [
  { greater = { metric = "ttft_ms", at = { throttle = "60 tok/s" }, than = { throttle = "off" } } },
  { threshold = { metric = "wall_ms", stat = "mean", below = 1000 } },
]
[claim.ttft]
value = 54.5
metric = "ttft_ms"
where = { throttle = 60 }
tolerance = 0.01
source = "TR1"
"#;

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
