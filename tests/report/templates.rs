//! What an author's own template may say, and how it fails.

use runner::report::{self, RenderError, Template, TemplateError};

use crate::stored::Stored;

fn render(stored: &Stored, source: &str, partial: bool) -> Result<String, Box<TemplateError>> {
    let template = Template { name: "own.md.j2".into(), source: source.into() };
    let report = report::study(&stored.data(), &template, partial);
    report.map(|report| report.markdown()).map_err(|error| match error {
        RenderError::Template(error) => error,
        RenderError::Incomplete { .. } | RenderError::Json(_) => panic!("{error}"),
    })
}

#[track_caller]
fn says(source: &str, text: &str) {
    assert_eq!(render(&Stored::complete(), source, false).unwrap(), text);
}

#[track_caller]
fn fails(source: &str, line: usize, parts: &[&str]) {
    let error = render(&Stored::complete(), source, false).unwrap_err();
    assert_eq!((error.name.as_str(), error.line), ("own.md.j2", line), "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{error} does not say {part:?}");
    }
}

#[test]
fn prose_with_values_bound_in_place() {
    // TTFT of repeat r: mean of 50 + r and 52 + r
    let of = r#"experiment="throttle", throttle="60 tok/s""#;
    says(&format!(r#"{{{{ mean("ttft_ms", {of}) | num }}}}"#), "53.00");
    says(&format!(r#"{{{{ median("ttft_ms", {of}) | unit("ms") }}}}"#), "53.00 ms");
    says(&format!(r#"{{{{ sd("ttft_ms", {of}) | fixed(1) }}}}"#), "1.0");
    says(&format!(r#"{{{{ n("ttft_ms", {of}) }}}}"#), "3");
    // t(2; 0.975) = 4.302653; 53 ± 4.302653 ÷ √3
    says(&format!(r#"{{{{ ci("ttft_ms", {of}) | interval }}}}"#), "50.52 to 55.48");
    says(r#"{{ mean("ttft_ms", throttle=60) | num }}"#, "53.00");
    says(r#"{{ mean("ttft_ms", where={"throttle": 60}) | num }}"#, "53.00");
    says(r#"{{ runs(experiment="again") | length }}"#, "3");
    says(r#"{{ mean("wall_ms", throttle="off") | pct }}"#, "153.0 %");
    says(r#"{{ n("decode_tokens_per_s") }}"#, "0");
    says(r#"{{ "a|b" }} {{ none }} {{ "x_y" | code }}"#, "a\\|b unknown `x_y`");
}

#[test]
fn unknown_names_name_the_line() {
    fails("one\n{{ stauts.done }}", 2, &["undefined"]);
    fails("one\n\n{{ mean(\"ttft_sm\") }}", 3, &["`ttft_sm`", "did you mean `ttft_ms`?"]);
    fails("{{ mean(\"ttft_ms\", throtle=\"off\") }}", 1, &["`throtle`", "`throttle`?"]);
    fails("{{ mean(\"ttft_ms\", experiment=\"trottle\") }}", 1, &["`trottle`", "`throttle`?"]);
    fails("{{ study.nmae }}", 1, &["undefined"]);
    fails("{{ 1 | percent }}", 1, &["percent"]);
    fails("{% if %}", 1, &["syntax"]);
}

#[test]
fn empty_selections_say_what_was_selected() {
    fails(
        "\n{{ mean(\"ttft_ms\", experiment=\"throttle\", throttle=\"80 tok/s\") }}",
        2,
        &["experiment = \"throttle\", throttle = \"80 tok/s\"", "60 tok/s"],
    );
    fails("{{ mean(\"load_ms\", throttle=60) }}", 1, &["`load_ms` is unknown in all 3 runs"]);
    let error = render(&Stored::empty(), "{{ mean(\"tfft\") }}", true).unwrap_err();
    assert!(error.to_string().contains("`tfft`"), "{error}");
}

#[test]
fn without_data_a_partial_report_says_so() {
    let source = "{{ mean(\"ttft_ms\", throttle=60) | num }} {{ runs(throttle=60) | length }}";
    assert_eq!(render(&Stored::empty(), source, true).unwrap(), "no data 0");
}

#[test]
fn a_template_of_ones_own_replaces_parts_of_a_built_in_one() {
    let stored = Stored::complete();
    let source = "{% extends \"study.md.j2\" %}\n{% import \"_sections.md.j2\" as s %}\n\
                  {% block limits %}## Limits\n\nMine: {{ n(\"ttft_ms\") }} runs.\n\n\
                  {{ s.limits(status) }}{% endblock %}\n\
                  {% block method %}{{ super() }}And my words.\n\n{% endblock %}\n";
    let text = render(&stored, source, false).unwrap();
    assert!(text.contains("## Limits\n\nMine: 6 runs.\n\n- **Simulated endpoint.**"), "{text}");
    assert!(text.contains("And my words.\n") && text.contains("## Reproducibility"), "{text}");
    assert_eq!(text.matches("## Limits").count(), 1);
    let broken =
        "{% extends \"study.md.j2\" %}\n{% block limits %}\n{{ mean(\"x\") }}{% endblock %}";
    let error = render(&stored, broken, false).unwrap_err();
    assert_eq!((error.name.as_str(), error.line), ("own.md.j2", 3), "{error}");
}

/// A loop that writes without end is stopped at the line that writes, not when the memory is gone.
#[test]
fn a_page_has_a_bound() {
    let long = "x".repeat(20_000);
    let endless = format!(
        "{{% set long = \"{long}\" %}}\n{{% for n in range(100000) %}}\n{{{{ long }}}}\n{{% endfor %}}\n"
    );
    fails(&endless, 3, &["gets longer than 256 MiB", "a loop"]);
    // Text without a value tells of no place; the page is refused all the same.
    let silent = format!("{{% for n in range(100000) %}}{long}{{% endfor %}}");
    let error = render(&Stored::complete(), &silent, false).unwrap_err();
    assert!(error.to_string().contains("gets longer than 256 MiB"), "{error}");
}
