//! Published numbers against stored runs.

use std::fmt::Write as _;
use std::process::Output;

use crate::command::runner;
use crate::stored::{MANIFEST, Stored};

fn study(claim: &str) -> Stored {
    // TTFT of repeat r is 51 + r ms, so 53 on average
    let stored =
        Stored::of(&format!("{MANIFEST}\n[claim.ttft]\n{claim}\nsource = \"TR1, table 2\"\n"));
    stored.measure(|_, _| vec![]);
    stored
}

fn check(stored: &Stored, code: i32) -> String {
    let output: Output = runner(stored, &["check-claims", "small.toml"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    String::from_utf8(output.stdout).unwrap() + &error
}

const OF: &str = "metric = \"ttft_ms\"\nwhere = { throttle = 60 }";

#[test]
fn a_number_that_stored_runs_give_is_reproduced() {
    let said = check(&study(&format!("value = 53.2\n{OF}\ntolerance = 0.01")), 0);
    let first = said.lines().next().unwrap();
    assert_eq!(
        first,
        "reproduced: ttft: mean of ttft_ms at throttle 60 tok/s: 53.2 ms published (TR1, table 2), \
         53 ms from 3 run(s) of 1 cell(s), 0.532 ms allowed"
    );
    assert!(said.ends_with("1 reproduced, 0 contradicted, 0 without data\n"), "{said}");
    check(&study(&format!("value = 0.053\nunit = \"s\"\n{OF}\ntolerance_abs = 0")), 0);
    check(&study(&format!("value = 54\nstat = \"max\"\n{OF}\ntolerance_abs = 0")), 0);
}

#[test]
fn a_number_that_they_do_not_give_is_contradicted() {
    let stored = study(&format!("value = 54\n{OF}\ntolerance = 0.01"));
    let said = check(&stored, 6);
    assert!(said.starts_with("contradicted: ttft: "), "{said}");
    assert!(said.contains("53 ms from 3 run(s)"), "{said}");
    let json = runner(&stored, &["check-claims", "small.toml", "--json"]);
    assert_eq!(json.status.code(), Some(6));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json[0]["result"], "contradicted");
    assert_eq!(json[0]["recomputed"], 53.0);
    let report = runner(&stored, &["report", "small.toml", "--stdout"]);
    let report = String::from_utf8(report.stdout).unwrap();
    let row = "| `ttft` | **contradicted** | 54.0000 ms | 53.0000 ms |";
    assert!(report.contains(row), "{report}");
}

#[test]
fn without_runs_nothing_is_said() {
    let stored = study(&format!("value = 54\n{OF}\ntolerance = 0.01"));
    (1..=3).for_each(|repeat| stored.remove(1, repeat));
    let said = check(&stored, 0);
    assert!(said.starts_with("no data: ttft: "), "{said}");
    assert!(said.contains("has 0 of 3 runs"), "{said}");
    let said = check(&Stored::complete(), 2);
    assert!(said.contains("small.toml has no [claim.NAME]"), "{said}");
}

#[test]
fn metrics_and_units_are_checked() {
    let problem = |claim: &str, parts: &[&str]| {
        let stored = study(claim);
        for command in ["check", "check-claims", "report"] {
            let output = runner(&stored, &[command, "small.toml"]);
            assert_eq!(output.status.code(), Some(4), "{command}");
            let said = String::from_utf8(output.stderr).unwrap();
            for part in parts {
                assert!(said.contains(part), "{command}: {said}");
            }
        }
    };
    let metric = "value = 1\ntolerance = 0.1\nmetric = \"ttft_sm\"";
    problem(metric, &["there is no metric `ttft_sm`", "did you mean `ttft_ms`?"]);
    let unit = "value = 1\ntolerance = 0.1\nmetric = \"ttft_ms\"\nunit = \"tok/s\"";
    problem(unit, &["mean of ttft_ms is in ms, not in `tok/s`", "one of ns, µs"]);
}

/// Rates of 10, 20, 30 and of 40, 40, 70 tok/s; TTFT of agents as they were measured.
fn with_rates(claims: &str) -> Stored {
    let stored = Stored::of(&format!("{MANIFEST}\n{claims}"));
    stored.measure(|cell, repeat| {
        let rates = if cell.contains("60") { [40.0, 40.0, 70.0] } else { [10.0, 20.0, 30.0] };
        let lags = [1.0, 2.0, 4.0];
        let place = repeat as usize - 1;
        vec![("client_tokens_per_s", rates[place]), ("loop_lag_p99_ms", lags[place])]
    });
    stored
}

#[test]
fn every_statistic_is_what_it_is_by_hand() {
    let rate = "metric = \"client_tokens_per_s\", experiment = \"throttle\"";
    let off = format!("{rate}, where = {{ throttle = \"off\" }}");
    let both = rate;
    let against = "against = { throttle = \"off\" }";
    let throttled = format!("{rate}, where = {{ throttle = 60 }}, {against}");
    let ttft = "metric = \"ttft_ms\", experiment = \"throttle\", where = { throttle = 60 }";
    // pearsonr and ttest_ind are SciPy's
    let cases: Vec<(String, f64)> = vec![
        (off.clone(), 20.0),
        (format!("{off}, stat = \"median\""), 20.0),
        (format!("{off}, stat = \"sd\""), 10.0),
        (format!("{off}, stat = \"cv\""), 0.5),
        (format!("{off}, stat = \"cv\", unit = \"%\""), 50.0),
        (format!("{off}, stat = \"min\""), 10.0),
        (format!("{off}, stat = \"max\""), 30.0),
        (format!("{off}, stat = \"sum\""), 60.0),
        (format!("{off}, stat = \"p90\""), 28.0),
        (format!("{off}, stat = \"range\""), 20.0),
        (format!("{off}, stat = \"range_percent\""), 200.0),
        (format!("{off}, stat = \"count\""), 3.0),
        (format!("{off}, stat = \"count\", is = \">= 20\""), 2.0),
        (format!("{off}, stat = \"count\", is = \"< 0\""), 0.0),
        (format!("{both}, stat = \"share\", is = \"> 20\", unit = \"%\""), 400.0 / 6.0),
        (format!("{both}, stat = \"distinct\""), 5.0),
        (format!("{off}, repeat = 3"), 30.0),
        (format!("{both}, repeat = 1"), 25.0),
        (format!("{both}, over = \"cells\", stat = \"max\""), 50.0),
        (format!("{both}, over = \"cells\", of = \"sd\", stat = \"min\""), 10.0),
        (format!("{both}, over = \"cells\", of = \"cv\", stat = \"max\", unit = \"%\""), 50.0),
        (throttled.clone(), 30.0),
        (format!("{throttled}, as = \"percent\""), 150.0),
        (format!("{throttled}, as = \"ratio\""), 2.5),
        (format!("{throttled}, as = \"ratio\", unit = \"%\""), 250.0),
        (format!("{throttled}, stat = \"max\""), 40.0),
        (format!("{throttled}, stat = \"p\""), 0.075_376_393_580_581_44),
        (format!("{off}, stat = \"rank\""), 2.0),
        (format!("{off}, stat = \"rank\", by = \"throttle\""), 2.0),
        (format!("{off}, stat = \"rank\", among = {{ throttle = \"off\" }}"), 1.0),
        (format!("{ttft}, stat = \"rank\""), 1.0),
        (
            format!("{both}, stat = \"correlation\", with = \"loop_lag_p99_ms\""),
            0.564_744_966_402_014,
        ),
        (format!("{ttft}, over = \"calls\", stat = \"count\""), 6.0),
        (format!("{ttft}, over = \"calls\", stat = \"max\""), 55.0),
        (format!("{ttft}, over = \"calls\", agent = \"collector\""), 52.0),
        (format!("{ttft}, agent = \"insight\""), 54.0),
        (format!("{ttft}, agent = \"insight\", repeat = 2"), 54.0),
        (format!("{ttft}, complete = true"), 53.0),
    ];
    let mut claims = String::new();
    for (place, (claim, value)) in cases.iter().enumerate() {
        let claim = format!("{claim}, source = \"by hand\", tolerance_abs = 1e-9");
        writeln!(claims, "claim.c{place:02} = {{ value = {value:?}, {claim} }}").unwrap();
    }
    // keys of the root stand before its tables
    let stored = with_rates("");
    let path = stored.dir.path().join("small.toml");
    let manifest = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, claims + &manifest).unwrap();
    let output = runner(&stored, &["check-claims", "small.toml", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&said);
    for ((claim, _), own) in cases.iter().zip(checked.as_array().unwrap()) {
        assert_eq!(own["result"], "reproduced", "{claim}: {own:#}");
    }
    assert_eq!(checked.as_array().unwrap().len(), cases.len());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn cells_are_held_against_their_counterparts() {
    let of = "metric = \"wall_ms\", experiment = \"throttle\", where = { throttle = 60 }, \
              against = { throttle = \"off\" }, as = \"percent\", over = \"pairs\"";
    let cases = [
        (format!("{of}, value = 75"), "mean"),
        (format!("{of}, value = 50, stat = \"min\""), "min"),
        (format!("{of}, value = 1, stat = \"count\", is = \"> 60\""), "count"),
        (format!("{of}, value = 50, stat = \"share\", is = \"> 60\", unit = \"%\""), "share"),
        (format!("{of}, value = 50, except = {{ model = \"one\" }}"), "mean"),
    ];
    let mut claims = String::new();
    for (place, (claim, _)) in cases.iter().enumerate() {
        let claim = format!("{claim}, source = \"by hand\", tolerance_abs = 1e-9");
        writeln!(claims, "claim.c{place} = {{ {claim} }}").unwrap();
    }
    let manifest = claims + &MANIFEST.replacen("\"gemma3:latest\"", "\"one\", \"two\"", 1);
    let stored = Stored::of(&manifest);
    // the second is the slower, and less so
    stored.measure(|cell, _| {
        let (base, more) = if cell.contains("one") { (10.0, 2.0) } else { (20.0, 1.5) };
        vec![("wall_ms", if cell.contains("60") { base * more } else { base })]
    });
    let output = runner(&stored, &["check-claims", "small.toml", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&said);
    for (own, (claim, statistic)) in checked.as_array().unwrap().iter().zip(&cases) {
        assert_eq!(own["result"], "reproduced", "{claim}: {own:#}");
        assert!(own["quantity"].as_str().unwrap().starts_with(statistic), "{own:#}");
    }
    assert_eq!(checked.as_array().unwrap().len(), cases.len());
    assert_eq!(checked[0]["runs"], 12);
    // the counterpart of the cell that is left out is no part of it
    assert_eq!((&checked[4]["runs"], &checked[4]["cells"]), (&6.into(), &2.into()));
    assert_eq!(
        checked[4]["quantity"],
        "mean of the change in per cent, pair by pair, of the mean of wall_ms at throttle 60 tok/s \
         in experiment throttle against that at throttle off in experiment throttle, without model one"
    );
}

/// What `check-claims` says of one claim about `wall_ms`, of two models with and without a throttle; the throttled runs
/// of the second are the only ones that are better than those of the first.
fn of_four_cells(claim: &str, unknown: &[(&str, u32)]) -> serde_json::Value {
    let claim = format!(
        "claim.a = {{ metric = \"wall_ms\", experiment = \"throttle\", source = \"by hand\", {claim} }}\n"
    );
    let manifest = claim + &MANIFEST.replacen("\"gemma3:latest\"", "\"one\", \"two\"", 1);
    let stored = Stored::of(&manifest);
    stored.measure(|cell, repeat| {
        let value = match (cell.contains("one"), cell.contains("60")) {
            (true, false) => 1.0,
            (true, true) => 100.0,
            (false, false) => 50.0,
            (false, true) => 60.0,
        };
        let is_unknown = unknown.iter().any(|(part, of)| cell.contains(part) && *of == repeat);
        vec![("wall_ms", if is_unknown { f64::NAN } else { value })]
    });
    let output = runner(&stored, &["check-claims", "small.toml", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&said);
    checked[0].clone()
}

#[test]
fn a_rank_is_taken_in_the_place_that_is_selected() {
    // less is better: of model one 1 ms, and 100 ms throttled
    let rank = "stat = \"rank\", by = \"model\", tolerance_abs = 0, where = { model = \"one\"";
    let first = of_four_cells(&format!("{rank} , throttle = \"off\" }}, value = 1"), &[]);
    assert_eq!(first["result"], "reproduced", "{first:#}");
    assert_eq!((&first["runs"], &first["cells"]), (&6.into(), &2.into()), "those ranked");
    assert!(first["quantity"].as_str().unwrap().contains(", by model"), "{first:#}");
    let second = of_four_cells(&format!("{rank} , throttle = 60 }}, value = 2"), &[]);
    assert_eq!(second["result"], "reproduced", "{second:#}");
    let elsewhere = of_four_cells(
        &format!("{rank} , throttle = 60 }}, value = 2, among = {{ throttle = \"off\" }}"),
        &[],
    );
    let reason = elsewhere["reason"].as_str().unwrap();
    assert!(reason.contains("is not among those ranked"), "{reason}");
}

#[test]
fn runs_without_the_figure_are_named_and_not_counted() {
    let all = of_four_cells("value = 1, tolerance_abs = 1e3", &[("one", 2)]);
    assert_eq!((&all["runs"], &all["cells"]), (&10.into(), &4.into()), "{all:#}");
    let note = "`wall_ms` is unknown in 2 of 12 runs, which are left out";
    assert!(all["notes"].as_array().unwrap().contains(&note.into()), "{all:#}");
    let unknown = [("one", 1), ("one", 2), ("one", 3)];
    let half = of_four_cells("value = 1, tolerance_abs = 1e3", &unknown);
    assert_eq!((&half["runs"], &half["cells"]), (&6.into(), &2.into()), "{half:#}");
    assert!(half["notes"][0].as_str().unwrap().contains("further 6 run(s)"), "{half:#}");
    // of cells each must have one
    let cells = of_four_cells("value = 1, tolerance_abs = 1e3, over = \"cells\"", &unknown);
    assert!(cells["reason"].as_str().unwrap().starts_with("no run of cell "), "{cells:#}");
}

#[test]
fn a_cell_is_not_held_against_itself() {
    let pairs = "over = \"pairs\", against = { throttle = \"off\" }, tolerance_abs = 1e-9, as = \"percent\"";
    // 9900 % and 20 %
    let both = of_four_cells(&format!("{pairs}, value = 4960"), &[]);
    assert_eq!(both["result"], "reproduced", "{both:#}");
    assert_eq!((&both["runs"], &both["cells"]), (&12.into(), &4.into()), "{both:#}");
    let p = "stat = \"p\", value = 1, tolerance_abs = 1, where = { model = \"one\" }, against = { throttle = \"off\" }";
    let overlap = of_four_cells(p, &[]);
    let reason = overlap["reason"].as_str().unwrap();
    assert!(reason.contains("is on both sides of the test"), "{reason}");
    // neither side names the throttle, which differs between them
    let mixed = "value = 1, tolerance_abs = 1e3, where = { model = \"one\" }, against = { model = \"two\", throttle = 60 }";
    let mixed = of_four_cells(mixed, &[]);
    assert_eq!(mixed["notes"], serde_json::json!([]), "the throttle is named: {mixed:#}");
}

#[test]
fn a_bound_is_kept_or_broken() {
    let of = "metric = \"client_tokens_per_s\"\nwhere = { throttle = 60 }\nsource = \"TR1\"";
    let said = check(&with_rates(&format!("[claim.a]\nabove = 50\n{of}")), 0);
    let first = "reproduced: a: mean of client_tokens_per_s at throttle 60 tok/s: \
                 ≥ 50 tok/s published (TR1), 50 tok/s from 3 run(s) of 1 cell(s)\n";
    assert!(said.starts_with(first), "{said}");
    let said = check(&with_rates(&format!("[claim.a]\nbelow = 49.9\n{of}")), 6);
    assert!(said.starts_with("contradicted: a: "), "{said}");
    assert!(said.contains(": ≤ 49.9 tok/s published (TR1), 50 tok/s from"), "{said}");
}

#[test]
fn a_claim_names_the_runs_whose_calls_do_not_count() {
    let claim = "[claim.a]\nmetric = \"ttft_ms\"\nvalue = 53\ntolerance_abs = 2\n\
                 where = { throttle = 60 }\nsource = \"TR1\"\n";
    let stored = with_rates(claim);
    let mut run = stored.run(1, 2);
    run.calls[2].outcome = formats::protocol::Outcome::Truncated;
    stored.remove(1, 2);
    stored.seal(1, &run);
    let id = &run.cell[..8];
    let said = check(&stored, 0);
    let note = format!("; calls do not count in 1 of its runs: {id}/2\n");
    assert!(said.contains(&note), "{said}");
    assert!(said.contains("from 3 run(s)"), "{said}");
    let mut stored = stored;
    stored.edit(|manifest| manifest.replace("[claim.a]", "[claim.a]\ncomplete = true"));
    let said = check(&stored, 0);
    assert!(said.contains("from 2 run(s) of 1 cell(s)"), "{said}");
    assert!(said.contains("; 1 run(s) with calls that do not count are left out"), "{said}");
}

#[test]
fn what_a_claim_cannot_be_of_is_said() {
    let problem = |claim: &str, part: &str| {
        let stored = Stored::empty();
        let path = stored.dir.path().join("small.toml");
        let claim = format!("[claim.a]\nsource = \"TR1\"\n{claim}\n");
        std::fs::write(&path, format!("{MANIFEST}\n{claim}")).unwrap();
        let output = runner(&stored, &["check", "small.toml"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{claim}: {said}");
        assert!(said.contains(part), "{claim}: {said}");
    };
    let ttft = "metric = \"ttft_ms\"\nvalue = 1\ntolerance = 0.1\n";
    problem(&format!("{ttft}above = 2"), "one of `value`, `above` and `below`");
    problem("metric = \"ttft_ms\"", "one of `value`, `above` and `below`");
    problem("metric = \"ttft_ms\"\nbelow = 1\ntolerance = 1", "a bound has no tolerance");
    problem("value = 1\ntolerance = 1", "a claim is about a `metric` or about a `level`");
    problem(&format!("{ttft}stat = \"avg\""), "`avg` is not a statistic");
    problem(&format!("{ttft}stat = \"share\""), "a share is of what is so");
    problem(&format!("{ttft}stat = \"share\"\nis = \"many\""), "`many` compares nothing");
    problem(&format!("{ttft}stat = \"p\""), "a test is of two sides");
    problem(&format!("{ttft}stat = \"correlation\""), "is with another metric");
    problem(&format!("{ttft}stat = \"correlation\"\nwith = \"x\""), "no metric `x`");
    problem(&format!("{ttft}of = \"sd\""), "`of` is for over = \"cells\"");
    problem(&format!("{ttft}stage = \"respond\""), "`stage`");
    problem(&format!("{ttft}as = \"ratio\""), "`as` is for `against`");
    problem(&format!("{ttft}against = {{ throtle = 60 }}"), "did you mean `throttle`?");
    problem(&format!("{ttft}stat = \"rank\"\nagainst = {{ throttle = 60 }}"), "takes no `against`");
    problem(&format!("{ttft}over = \"pairs\""), "a pair is of two sides");
    problem(&format!("{ttft}repeat = 0"), "repeats are counted from 1");
    problem(&format!("{ttft}stat = \"rank\"\nby = \"throtle\""), "did you mean `throttle`?");
    let level = "level = \"throttle\"\nvalue = 1\ntolerance = 0.1\n";
    problem(&format!("{level}agent = \"collector\""), "a level is the run's");
    problem(&format!("{level}over = \"calls\""), "a level is the run's, and no call's");
    let wall = "metric = \"wall_ms\"\nvalue = 1\ntolerance = 0.1\n";
    problem(&format!("{wall}over = \"calls\""), "`wall_ms` is the run's and not a call's");
    let calls = "metric = \"measured_calls\"\nvalue = 1\ntolerance = 0.1\n";
    problem(&format!("{calls}stat = \"rank\""), "neither more nor less is better");
    problem(
        "metric = \"wall_ms\"\nvalue = 1\ntolerance = 0.1\nagent = \"collector\"",
        "`wall_ms` is the run's and not an agent's",
    );
}
