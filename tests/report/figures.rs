//! Figures of a filled store: what they show, that they are XML, and the same bytes every time.

use std::collections::BTreeSet;

use runner::report::{self, Figure, Report, Template};

use crate::stored::Stored;

fn render(stored: &Stored, source: &str) -> Report {
    let template = Template { name: "own.md.j2".into(), source: source.into() };
    report::study(&stored.data(), &template, true).unwrap()
}

fn figure(stored: &Stored, call: &str) -> Figure {
    let report = render(stored, &format!("{{{{ figure({call}) }}}}"));
    let [figure] = report.figures() else { panic!("{call}: {}", report.markdown()) };
    let link = format!("(figures/{}.svg)\n", figure.name);
    assert!(report.markdown().contains(&link), "{}", report.markdown());
    figure.clone()
}

/// Parses a picture; the text of its titles.
fn titles(figure: &Figure) -> Vec<String> {
    let svg = figure.standalone();
    let mut reader = quick_xml::Reader::from_str(&svg);
    let (mut titles, mut in_title, mut depth) = (Vec::new(), false, 0);
    loop {
        use quick_xml::events::Event;
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                depth += 1;
                in_title = tag.name().as_ref() == b"title";
                if in_title {
                    titles.push(String::new());
                }
            }
            Event::End(_) => {
                depth -= 1;
                in_title = false;
            }
            Event::Text(text) if in_title => {
                titles.last_mut().unwrap().push_str(&String::from_utf8_lossy(&text));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    titles
}

#[test]
fn every_run_is_a_dot_and_every_cell_a_mean_with_its_interval() {
    let stored = Stored::complete();
    let shown = figure(&stored, r#""by_cell", metric="ttft_ms", experiment="throttle""#);
    let titles = titles(&shown);
    let runs = titles.iter().filter(|title| title.contains(", run ")).count();
    assert_eq!(runs, 6, "{titles:?}");
    assert!(
        titles.iter().any(|title| title.starts_with("60 tok/s: mean 53.000 ms (95 % CI 50.516 to"))
    );
    assert!(shown.standalone().contains(">ttft_ms (ms)</text>"));
    assert!(shown.caption.contains("95 % intervals") && shown.caption.contains("SIMULATED"));
    insta::assert_snapshot!("by_cell.svg", shown.standalone());
}

#[test]
fn every_kind_is_drawn_from_the_same_data_with_the_same_bytes() {
    let stored = Stored::with_solo();
    stored.add_probe_files();
    let calls = [
        r#""by_cell", metric="aggregate_tokens_per_s", bars=true, experiment="throttle""#,
        r#""by_cell", metric="scaling_efficiency_percent", reference=100, experiment="throttle""#,
        r#""by_cell", metric="ttft_ms", log=true"#,
        r#""by_factor", metric="efficiency_percent", factor="throttle", experiment="throttle""#,
        r#""drift", metric="efficiency_percent", experiment="throttle""#,
        r#""frontier", x="aggregate_tokens_per_s", y="ttft_ms", experiment="throttle""#,
        r#""lag_over_time", experiment="throttle""#,
        r#""lag_distribution", experiment="throttle""#,
        r#""gap_distribution", experiment="throttle""#,
        r#""gpu_over_time", experiment="throttle""#,
    ];
    let mut names = BTreeSet::new();
    for call in calls {
        let first = figure(&stored, call);
        assert!(!titles(&first).is_empty(), "{call}");
        assert_eq!(figure(&stored, call), first, "{call}");
        assert!(names.insert(first.name.clone()), "{call}");
        show(&first.name, &first);
    }
}

#[test]
fn a_figure_without_data_says_so_in_a_sentence() {
    let empty = Stored::empty();
    let says = |stored: &Stored, call: &str, sentence: &str| {
        let report = render(stored, &format!("{{{{ figure({call}) }}}}"));
        assert_eq!((report.markdown().as_str(), report.figures().len()), (sentence, 0));
    };
    says(
        &empty,
        r#""by_cell", metric="ttft_ms", experiment="throttle""#,
        "No figure: ttft\\_ms is in no run of experiment = \"throttle\".",
    );
    let stored = Stored::complete();
    says(
        &stored,
        r#""gpu_over_time", throttle=60"#,
        "No figure: no run of throttle = 60 has values in gpu\\_metrics.csv.",
    );
    says(
        &stored,
        r#""lag_distribution""#,
        "No figure: no run of the whole study has such values in loop\\_lag.csv.",
    );
    stored.add_probe_files();
    stored.damage("gpu_metrics.csv", "time_ns,gpu\n1,zero\n");
    let report = render(&stored, r#"{{ figure("gpu_over_time", throttle=60) }}"#);
    let text = report.markdown();
    assert!(
        text.starts_with("No figure: gpu\\_metrics.csv of run ") && !text.contains("/tmp"),
        "{text}"
    );
}

#[test]
fn wrong_names_name_the_line() {
    let stored = Stored::complete();
    for (call, parts) in [
        (r#""by_sell", metric="ttft_ms""#, &["`by_sell`", "did you mean `by_cell`?"][..]),
        (r#""by_cell""#, &["figure `by_cell` needs `metric = …`"]),
        (r#""by_cell", metric="ttft_sm""#, &["`ttft_sm`", "did you mean `ttft_ms`?"]),
        (r#""by_cell", metric="ttft_ms", trottle="off""#, &["`trottle`", "`throttle`?"]),
        (r#""by_cell", metric="ttft_ms", bars=3"#, &["`bars` is true or false"]),
        (r#""by_factor", metric="ttft_ms", factor="throtle""#, &["`throtle`", "`throttle`?"]),
        (r#""lag_over_time", run="ffffffff/1""#, &["has no run `ffffffff/1`"]),
    ] {
        let source = format!("one\n\n{{{{ figure({call}) }}}}\n");
        let template = Template { name: "own.md.j2".into(), source };
        let error = report::study(&stored.data(), &template, true).unwrap_err().to_string();
        assert!(error.starts_with("own.md.j2:3: "), "{error}");
        for part in parts {
            assert!(error.contains(part), "{error} does not say {part:?}");
        }
    }
}

#[test]
fn from_one_to_two_hundred_cells_with_long_names_and_an_outlier() {
    let stored = Stored::with_levels(200);
    for (experiment, cells) in [("again", 1), ("throttle", 200)] {
        let call = format!("\"by_cell\", metric=\"ttft_ms\", experiment=\"{experiment}\"");
        let figure = figure(&stored, &call);
        let runs = titles(&figure).iter().filter(|title| title.contains(", run ")).count();
        assert_eq!(runs, cells);
        show(&format!("cells-{cells}"), &figure);
    }
    let report = render(&stored, r#"{{ figure("by_cell", metric="ttft_ms") }}"#);
    assert!(report.markdown().contains("201 cells are too many"), "{}", report.markdown());
}

/// Writes the picture where someone wants to look at it.
fn show(name: &str, figure: &Figure) {
    if let Some(folder) = std::env::var_os("RUNNER_SCREENSHOTS") {
        let file = std::path::PathBuf::from(folder).join(format!("{name}.svg"));
        std::fs::write(file, figure.standalone()).unwrap();
    }
}

#[test]
fn text_from_outside_is_text_in_a_picture() {
    let stored = Stored::with_model("<b>&\"']]></text><script>");
    let figure = figure(&stored, r#""by_cell", metric="ttft_ms""#);
    let svg = figure.standalone();
    titles(&figure);
    assert!(!svg.contains("<script>") && !svg.contains("<b>"), "{svg}");
}
