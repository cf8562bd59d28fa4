//! Reports and tables from a store that was filled by hand.

mod browser;
mod calls;
mod claims;
mod command;
mod compare;
mod comparison;
mod controls;
mod figures;
mod joins;
mod machine;
mod numbers;
mod page;
mod probe_files;
mod sample;
mod stored;
mod templates;
mod verdicts;

use runner::report::{self, RenderError, Template};

use stored::Stored;

fn general() -> Template {
    Template::builtin("study.md.j2").unwrap()
}

#[test]
fn a_complete_study() {
    let stored = Stored::complete();
    stored.fail(1, "model said: <script>alert(1)</script> | `rm`\n# not a heading");
    let data = stored.data();
    let text = report::study(&data, &general(), false).unwrap().markdown();
    insta::assert_snapshot!("study", text);
}

#[test]
fn a_cell_page() {
    let pages = report::cells(&Stored::complete().data()).unwrap();
    assert_eq!(pages.len(), 2);
    insta::assert_snapshot!("cell", pages[1]);
}

#[test]
fn tr117_says_what_there_is_no_data_for() {
    let stored = Stored::empty();
    let template = Template::builtin("tr117.md.j2").unwrap();
    let text = report::study(&stored.data(), &template, true).unwrap().markdown();
    insta::assert_snapshot!("tr117_empty", text);
    let full = report::study(&Stored::complete().data(), &template, false).unwrap().markdown();
    assert!(full.contains("every planned run is stored | go"), "{full}");
}

#[test]
fn the_same_bytes_every_time() {
    let stored = Stored::complete();
    let once = report::study(&stored.data(), &general(), false).unwrap().markdown();
    for _ in 0..3 {
        assert_eq!(report::study(&stored.data(), &general(), false).unwrap().markdown(), once);
    }
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let stored = Stored::complete();
    stored.fail(0, "<script>alert(1)</script> | `x` [a](javascript:b)\n\n# heading");
    let text = report::study(&stored.data(), &general(), false).unwrap().markdown();
    assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt; \\|"), "{text}");
    assert!(!text.contains("<script>") && !text.contains("<b>"));
    assert!(!text.lines().any(|line| line.starts_with("# heading")));
    assert!(text.contains("# A small study \\| with &lt;b&gt;markup&lt;/b&gt;"));
    // every row of a table has as many cells as its head
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair.iter().all(|line| line.starts_with('|'))) {
        assert_eq!(cells(pair[0]), cells(pair[1]), "{pair:?}");
    }
}

#[test]
fn missing_runs_fail_unless_partial() {
    let stored = Stored::complete();
    stored.remove(1, 2);
    let error = report::study(&stored.data(), &general(), false).unwrap_err();
    let RenderError::Incomplete { missing, stale } = error else { panic!("{error}") };
    assert_eq!((missing.len(), missing[0].repeats.as_slice(), stale.len()), (1, &[2][..], 0));
    let text = report::study(&stored.data(), &general(), true).unwrap().markdown();
    assert!(text.contains("**PARTIAL**: 5 of 6 runs"), "{text}");
    assert!(text.contains("2 of 3"), "{text}");
}

#[test]
fn stale_runs_are_never_pooled() {
    let stored = Stored::complete();
    stored.remove(0, 1);
    let mut other = stored.run(0, 1);
    let insight = other.evidence.endpoints.get_mut("insight").unwrap();
    insight.models.get_mut("gemma3:latest").unwrap().digest = Some("sha256:fedcba".into());
    stored.seal(0, &other);
    let error = report::study(&stored.data(), &general(), false).unwrap_err();
    let RenderError::Incomplete { missing, stale } = error else { panic!("{error}") };
    assert!(missing.is_empty());
    assert_eq!(stale.len(), 1);
    assert!(stale[0].differences[0].contains("gemma3:latest"), "{stale:?}");
    let text = report::study(&stored.data(), &general(), true).unwrap().markdown();
    assert!(text.contains("| 2 of 3 |"), "{text}");
    assert!(text.contains("Stale runs, left out"), "{text}");
}

#[test]
fn what_no_run_knows_is_unknown_and_what_was_not_run_is_no_data() {
    let stored = Stored::complete();
    for repeat in 1..=3 {
        stored.remove(1, repeat);
    }
    let row =
        |text: &str| text.lines().find(|line| line.starts_with("| 60 tok/s")).map(str::to_owned);
    let text = report::study(&stored.data(), &general(), true).unwrap().markdown();
    assert!(row(&text).unwrap().contains("| 0 of 3 | no data | – |"), "{text}");
    for repeat in 1..=3 {
        let mut run = stored.run(1, repeat);
        run.metrics.insert("efficiency_percent".into(), None);
        stored.seal(1, &run);
    }
    let text = report::study(&stored.data(), &general(), false).unwrap().markdown();
    assert!(row(&text).unwrap().contains("| 0 of 3 | unknown | – |"), "{text}");
}
