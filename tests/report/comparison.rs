//! Comparisons as templates show them, and how they fail.

use runner::report::tidy::{self, Rows};
use runner::report::{self, Data, RenderError, Template};

use crate::stored::Stored;

const MANIFEST: &str = r#"
schema = 1
name   = "small"

[defaults]
repeats = 3

[endpoint]
collector = { simulated = { ttft = "50ms", rate = "100 tok/s" } }
insight   = { ollama = "http://localhost:11435" }

[prompt]
collector = { text = "Collect." }
insight   = { text = "Analyse." }

[options]
tuned = { temperature = 0.8 }

[scenario]
plain = [
  { agent = "collector", endpoint = "collector", prompt = "collector" },
  { agent = "insight",   endpoint = "insight",   prompt = "insight" },
]
tuned = [
  { agent = "collector", endpoint = "collector", prompt = "collector" },
  { agent = "insight",   endpoint = "insight",   prompt = "insight", options = "tuned" },
]

[experiment.grid]
matrix   = { model = ["gemma3:latest"], scenario = ["plain", "tuned"], num_ctx = [512, 1024], throttle = ["off", "60 tok/s"] }
baseline = { scenario = "plain" }

[experiment.no_baseline]
matrix = { model = ["gemma3:latest"], scenario = ["plain"] }
"#;

fn stored() -> Stored {
    let stored = Stored::of(MANIFEST);
    stored.fill();
    stored
}

fn rendered(stored: &Stored, source: &str) -> Result<String, String> {
    let source = format!("{{% import \"_comparison.md.j2\" as c %}}\n{source}");
    let template = Template { name: "own.md.j2".into(), source };
    let report = report::study(&stored.data(), &template, true);
    report.map(|report| report.markdown()).map_err(|error| match error {
        RenderError::Template(error) => error.to_string(),
        error => unreachable!("partial reports take what there is: {error}"),
    })
}

#[test]
fn every_table_of_a_comparison() {
    let stored = stored();
    let text = rendered(
        &stored,
        r#"{% set e = experiments | first %}
{{ c.baseline_table(e, metric("aggregate_tokens_per_s")) }}
{{ c.success_table(e, [metric("aggregate_tokens_per_s"), metric("wall_ms")]) }}
{{ c.ranking_table(e, metric("aggregate_tokens_per_s")) }}
{{ c.normalised_table(e, metric("wall_ms"), "throttle", "off") }}
{{ c.winner_table(e, metric("wall_ms"), "throttle", ["scenario", "num_ctx"]) }}
{{ c.winner_table(e, metric("tokens"), "throttle", ["scenario"], "higher") }}
{{ c.frontier_table(e, metric("aggregate_tokens_per_s"), metric("peak_rss_mb")) }}
{{ c.share_table(e, metric("speedup"), "<", 1.65, ["throttle"]) }}
"#,
    )
    .unwrap();
    insta::assert_snapshot!("comparisons", text);
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair.iter().all(|line| line.starts_with('|'))) {
        let cells = |line: &str| line.matches('|').count();
        assert_eq!(cells(pair[0]), cells(pair[1]), "{pair:?}");
    }
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
}

#[test]
fn options_that_reach_nobody_still_have_a_counterpart() {
    let stored = stored();
    let data: std::sync::Arc<Data> = stored.data();
    // plain with 512 and with 1024 is one cell
    assert_eq!(data.experiments[0].cells.len(), 6);
    let text = rendered(
        &stored,
        r#"{% for row in against_baseline("wall_ms", experiment="grid", scenario="tuned") %}
{{ row.baseline }}{% if row.why %} {{ row.why }}{% endif %},
{% endfor %}"#,
    )
    .unwrap();
    assert!(!text.contains("None") && !text.contains("no cell has"), "{text}");
}

#[test]
fn a_study_without_runs_says_no_data() {
    let text = rendered(
        &Stored::of(MANIFEST),
        r#"{% set e = experiments | first %}
{{ c.baseline_table(e, metric("wall_ms")) }}
{{ c.ranking_table(e, metric("wall_ms")) }}
{{ c.frontier_table(e, metric("aggregate_tokens_per_s"), metric("wall_ms")) }}
{{ c.share_table(e, metric("speedup"), "<", 1.5) }}
{{ c.winner_table(e, metric("wall_ms"), "throttle", ["scenario"]) }}"#,
    )
    .unwrap();
    assert!(text.contains("no data: no run is stored"), "{text}");
    assert!(text.contains("no cell has a mean."), "{text}");
    assert!(text.contains("| 0 of 0 | no data | – |"), "{text}");
}

#[test]
fn wrong_names_name_the_line() {
    let stored = stored();
    for (call, part) in [
        ("against_baseline(\"wal_ms\", experiment=\"grid\")", "did you mean `wall_ms`?"),
        ("against_baseline(\"wall_ms\", experiment=\"gird\")", "did you mean `grid`?"),
        ("against_baseline(\"wall_ms\")", "add experiment ="),
        ("against_baseline(\"wall_ms\", experiment=\"no_baseline\")", "has no baseline"),
        (
            "against_baseline(\"wall_ms\", {\"throtle\": \"off\"}, experiment=\"grid\")",
            "has no axis `throtle`; its axes: model, scenario, num_ctx, throttle",
        ),
        (
            "normalised(\"wall_ms\", \"throttle\", \"80 tok/s\", experiment=\"grid\")",
            "has no level `\"80 tok/s\"`; its levels: off, 60 tok/s",
        ),
        ("ranking(\"tokens\", experiment=\"grid\")", "no direction of `tokens`"),
        ("ranking(\"tokens\", \"best\", experiment=\"grid\")", "`best` is no direction"),
        ("winners(\"wall_ms\", \"modle\", [\"scenario\"], experiment=\"grid\")", "no axis `modle`"),
        ("winners(\"wall_ms\", \"model\", [], experiment=\"grid\")", "not of 0"),
        ("frontier(\"wall_ms\", \"tokens\", experiment=\"grid\")", "no direction of `tokens`"),
        ("shares(\"speedup\", \"=\", 1.5, experiment=\"grid\")", "`=` compares nothing"),
        ("shares(\"speedup\", \"<\", 1.5, [\"rate\"], experiment=\"grid\")", "no axis `rate`"),
    ] {
        let error = rendered(&stored, &format!("\n{{{{ {call} }}}}")).unwrap_err();
        assert!(error.starts_with("own.md.j2:3: ") && error.contains(part), "{call}: {error}");
    }
}

#[test]
fn the_export_says_what_was_judged_within_what_and_the_page_what_its_columns_are() {
    let data = stored().data();
    let table = tidy::table(&data, Rows::Comparisons);
    let place = |name: &str| table.columns.iter().position(|column| column == name).unwrap();
    let rows: Vec<Vec<&str>> = table
        .rows
        .iter()
        .filter(|row| row[place("metric")] == "wall_ms" && !row[place("p_adjusted")].is_null())
        .map(|row| {
            let text = |name: &str| row[place(name)].as_str().unwrap_or("–");
            ["comparison", "judged", "replicate", "family", "matters_from"].map(text).to_vec()
        })
        .collect();
    let geometric = "ratio of geometric means";
    assert!(rows.contains(&vec![
        "baseline",
        geometric,
        "pair of runs",
        "of this experiment",
        "1 %"
    ]));
    assert!(rows.contains(&vec!["baseline", geometric, "run", "of this experiment", "1 %"]));
    let ranked = ["ranking", geometric, "pair of runs", "in rankings of this experiment", "1 %"];
    assert!(rows.contains(&ranked.to_vec()), "{rows:?}");
    assert!(rows.contains(&vec!["normalised", geometric, "–", "of this experiment", "1 %"]));
    let page = include_str!("../../docs/comparisons.md");
    let named: Vec<&str> = page.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for column in &table.columns {
        assert!(named.contains(&column.as_str()), "docs/comparisons.md lacks `{column}`");
    }
}
