//! Hypotheses judged on stored runs, and whether they were declared before those.

use runner::report::{self, Judged, Template};

use crate::stored::Stored;

const HYPOTHESIS: &str = r#"
[experiment.throttle.hypothesis.slower]
claim = "Slower takes longer"
greater = { metric = "wall_ms", at = { throttle = "60 tok/s" }, than = { throttle = "off" }, by = 10 }
"#;

/// Three runs of each cell; those of the throttled one take 50, 49 and 51 ms longer.
fn study() -> Stored {
    Stored::of(&format!("{}{HYPOTHESIS}", crate::stored::MANIFEST))
}

fn declared() -> Stored {
    let stored = study();
    stored.declare();
    stored
}

fn longer(cell: &str, repeat: u32) -> Vec<(&'static str, f64)> {
    let by = if cell.contains("60") { [50.0, 49.0, 51.0][repeat as usize - 1] } else { 0.0 };
    vec![("wall_ms", 100.0 + 7.0 * f64::from(repeat) + by)]
}

fn only(stored: &Stored) -> Judged {
    let data = stored.data();
    let standing: Vec<&Judged> =
        data.hypotheses.iter().filter(|judged| judged.withdrawn.is_none()).collect();
    assert_eq!(standing.len(), 1);
    standing[0].clone()
}

fn rendered(stored: &Stored) -> String {
    let template = Template::builtin("study.md.j2").unwrap();
    report::study(&stored.data(), &template, true).unwrap().markdown()
}

#[track_caller]
fn near(ours: Option<f64>, expected: f64) {
    let ours = ours.unwrap();
    assert!((ours - expected).abs() < 1e-3 * expected.abs(), "{ours} instead of {expected}");
}

#[test]
fn a_verdict_stands_with_all_that_it_is_based_on() {
    let stored = study();
    stored.declare();
    stored.measure(longer);
    let judged = only(&stored);
    assert_eq!(judged.verdict, "supported");
    // differences of 50, 49, 51: mean 50, sd 1; t(2; 0.975) = 4.30265
    near(judged.effect, 50.0);
    near(judged.interval.map(|interval| interval[0]), 50.0 - 4.302_65 / 3_f64.sqrt());
    assert!(judged.test.starts_with("paired t (repeats are interleaved"), "{}", judged.test);
    assert_eq!(
        (judged.n.as_str(), judged.needed.as_deref()),
        ("3 pairs", Some("2 pairs (2 to 3)"))
    );
    // t = 40 ÷ (1 ÷ √3) = 69.28 with 2 degrees of freedom
    near(judged.p, 2.0828e-4);
    assert_eq!((judged.adjusted_p, judged.survives), (judged.p, Some(true)));
    let text = rendered(&stored);
    assert!(text.contains("- **supported**: Slower takes longer"), "{text}");
    assert!(text.contains("Declared on 20"), "{text}");
}

/// A recommendation that rests on these grounds.
fn recommended(grounds: &str) -> String {
    format!("[recommendation.slow]\ntext = \"Do not throttle.\"\nrests_on = [{grounds}]\n")
}

#[test]
fn a_recommendation_stands_with_its_verdicts() {
    let of = |manifest: &str| {
        let stored = Stored::of(manifest);
        stored.declare();
        stored.measure(longer);
        rendered(&stored)
    };
    let study = format!("{}{HYPOTHESIS}", crate::stored::MANIFEST);
    let name = "throttle/slower";
    let text = of(&format!("{study}\n{}", recommended(&format!("{{ hypothesis = \"{name}\" }}"))));
    let stands =
        "- **Stands** (`slow`): Do not throttle. Rests on `throttle/slower`, which is supported.";
    assert!(text.contains(stands), "{text}");
    let refuted = format!("{{ hypothesis = \"{name}\", is = \"refuted\" }}");
    let text = of(&format!("{study}\n{}", recommended(&refuted)));
    let falls = "- **Does not stand** (`slow`): Do not throttle. Rests on `throttle/slower`, which must be \
                 refuted and is supported.";
    assert!(text.contains(falls), "{text}");
    let claim = "[claim.wall]\nmetric = \"wall_ms\"\nvalue = 1\ntolerance = 0.1\nsource = \"TR1\"\n\
                 where = { throttle = 60 }\n";
    let both = format!("{{ hypothesis = \"{name}\" }}, {{ claim = \"wall\" }}");
    let text = of(&format!("{study}\n{claim}\n{}", recommended(&both)));
    let falls = "`throttle/slower`, which is supported; `wall`, which must be reproduced and is contradicted.";
    assert!(text.contains(falls), "{text}");
    // what came after the data holds nothing
    let stored =
        Stored::of(&format!("{study}\n{}", recommended(&format!("{{ hypothesis = \"{name}\" }}"))));
    stored.measure(longer);
    let text = rendered(&stored);
    assert!(text.contains("must be supported and is supported, post hoc."), "{text}");
}

#[test]
fn grounds_of_a_recommendation_are_checked() {
    for (grounds, part) in [
        ("{ hypothesis = \"throttle/slowr\" }", "did you mean `throttle/slower`?"),
        ("{ hypothesis = \"throttle/slower\", is = \"suported\" }", "did you mean `supported`?"),
        ("{ claim = \"x\" }", "there is no claim named `x`"),
        ("{ is = \"supported\" }", "a ground is one hypothesis or one claim"),
        ("", "a recommendation rests on a verdict or a claim"),
    ] {
        let stored = Stored::empty();
        let manifest = format!("{}{HYPOTHESIS}\n{}", crate::stored::MANIFEST, recommended(grounds));
        std::fs::write(stored.dir.path().join("small.toml"), manifest).unwrap();
        let output = crate::command::runner(&stored, &["check", "small.toml"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{grounds}: {said}");
        assert!(said.contains(part), "{grounds}: {said}");
    }
}

#[test]
fn a_bound_that_is_moved_across_the_effect_flips_the_verdict() {
    for (by, verdict) in [("10", "supported"), ("90", "refuted"), ("50", "inconclusive")] {
        let stored = Stored::of(
            &format!("{}{HYPOTHESIS}", crate::stored::MANIFEST)
                .replace("by = 10", &format!("by = {by}")),
        );
        stored.measure(longer);
        assert_eq!(only(&stored).verdict, verdict, "by = {by}");
    }
}

#[test]
fn a_criterion_that_is_edited_after_the_data_is_post_hoc() {
    let mut stored = study();
    stored.declare();
    stored.measure(longer);
    assert_eq!(only(&stored).post_hoc, None);

    stored.edit(|text| text.replace("Slower takes longer", "In other words"));
    assert!(only(&stored).declared.is_some(), "words are no criterion");
    stored.edit(|text| text.replace("by = 10", "by = 40"));
    let judged = only(&stored);
    assert!(judged.post_hoc.unwrap().starts_with("it was changed after 20"));
    let replaced = "wall_ms at throttle 60 tok/s is greater than at throttle off by more than 10, \
                    at alpha 0.05";
    assert_eq!(judged.replaced.as_deref(), Some(replaced));
    let text = rendered(&stored);
    assert!(text.contains("**supported, post hoc**"), "{text}");
    assert!(text.contains("it replaced: wall\\_ms at throttle 60 tok/s is greater"), "{text}");

    // another exec declares it: late all the same
    stored.declare();
    let judged = only(&stored);
    assert!(judged.post_hoc.unwrap().contains("after 6 of its runs were made"));
    assert!(judged.replaced.is_some());
    // and the first one is judged on, and counts among the chances
    let data = stored.data();
    let withdrawn = data.hypotheses.iter().find(|judged| judged.withdrawn.is_some()).unwrap();
    assert!(withdrawn.criterion.ends_with("by more than 10"), "{withdrawn:?}");
    assert_eq!(withdrawn.verdict, "supported");
    // the criterion that was there first is still that
    stored.edit(|text| text.replace("by = 40", "by = 10"));
    assert!(only(&stored).declared.is_some());
}

#[test]
fn a_criterion_that_is_edited_before_the_data_is_not_post_hoc() {
    let mut stored = study();
    stored.declare();
    stored.edit(|text| text.replace("by = 10", "by = 40"));
    stored.declare();
    stored.measure(longer);
    assert_eq!(only(&stored).post_hoc, None);
    assert!(only(&stored).declared.is_some());
}

#[test]
fn a_hypothesis_that_is_added_or_renamed_after_the_data() {
    let mut stored = Stored::complete();
    stored.declare();
    stored.edit(|text| format!("{text}{HYPOTHESIS}"));
    assert_eq!(only(&stored).post_hoc.unwrap(), "it was not declared before its first run");

    let mut stored = study();
    stored.declare();
    stored.measure(longer);
    stored.edit(|text| text.replace("hypothesis.slower", "hypothesis.slower_is_longer"));
    assert!(only(&stored).declared.is_some(), "a new name is no new criterion");
}

#[test]
fn runs_that_were_measured_again_do_not_clear_a_late_criterion() {
    use runner::store::journal::{Journal, What};
    let mut stored = Stored::complete();
    stored.declare();
    let layout = stored.store().layout().clone();
    let mut journal = Journal::open(&layout).unwrap();
    for cell in 0..2 {
        for repeat in 1..=3 {
            let cell = stored.plan.id(cell).hex();
            let sha256 = String::new();
            journal.write(What::Finished { cell, repeat, attempt: 1, sha256 }).unwrap();
        }
        for repeat in 1..=3 {
            stored.remove(cell, repeat);
        }
    }
    stored.edit(|text| format!("{text}{HYPOTHESIS}"));
    stored.declare();
    stored.measure(longer);
    assert!(only(&stored).post_hoc.unwrap().contains("after 6 of its runs were made"));
}

#[test]
fn tr117_is_judged_on_stored_runs() {
    let stored = tr117("ollama", 8.0);
    let data = stored.data();
    let verdicts: Vec<(&str, &str)> =
        data.hypotheses.iter().map(|one| (one.name.as_str(), one.verdict)).collect();
    insta::assert_debug_snapshot!(verdicts);
    let text = report_of_tr117(&stored);
    let start = text.find("## Executive summary").unwrap();
    let end = text.find("## Environment and provenance").unwrap();
    insta::assert_snapshot!("tr117_summary", text[start..end]);
    let start = text.find("## Hypotheses").unwrap();
    let end = text.find("## Controls and calibration").unwrap();
    // when it was declared is today
    let day = without_times(&text[start..end]);
    insta::assert_snapshot!("tr117_hypotheses", day);
}

/// The answers and the conditions for publication follow from the verdicts, and from nothing else.
#[test]
fn tr117_answers_its_questions_by_its_verdicts() {
    let lag = report_of_tr117(&tr117("ollama", 8.0));
    assert!(lag.contains("lag of the event loop makes it: given on purpose it lowered efficiency"));
    assert!(lag.contains("| the bottleneck of Python is identified | go: there is a ceiling"));
    assert!(
        lag.contains("**Answer**: there is a deficit, and the tokenizer is more than twice as")
    );
    let other = report_of_tr117(&tr117("ollama", 0.0));
    assert!(other.contains("lag of the event loop is not what makes it: a fifth of the time"));
    assert!(other.contains("| the bottleneck of Python is identified | NO-GO: there is a ceiling"));
    // names of one schedule answer nothing of models
    let paced = report_of_tr117(&tr117("simulated", 8.0));
    let none =
        "the mechanism of the ranking flip is shown | NO-GO: not answered, because the paced";
    assert!(paced.contains(none), "{paced}");
}

/// TR117 with runs in which Python is less efficient than Rust, and a large dose of lag costs Python as many
/// points of efficiency.
fn tr117(profile: &str, cost: f64) -> Stored {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut stored = Stored::elsewhere(&root.join("experiments/tr117.toml"), Some(profile));
    // a correlation takes more of them than the rest
    stored.repeats(9);
    stored.declare();
    stored.measure(|cell, repeat| {
        let jitter = [0.0, 0.4, -0.3, 0.2, -0.1][(repeat as usize - 1) % 5];
        let has = |part: &str| cell.contains(part);
        // each speed has its better and worse runs, and not in the same blocks
        let own_turn = if has("60_tok_s") { 2 } else { 1 + u32::from(has("100_tok_s")) * 2 };
        let wait = if has("60_tok_s") { 2.5 } else { 1.0 }
            + f64::from(repeat) / 10.0
            + f64::from(repeat * own_turn % 5) / 12.0;
        let noise = f64::from(repeat * own_turn * 3 % 7) / 300.0;
        let own = match has("python") {
            true if has("20ms") => 86.0 - cost + jitter,
            true if has("llama") && !has("60_tok_s") => 88.0 + jitter,
            true => 88.2 - 2.0 * wait - jitter / 10.0 - noise,
            false if has("qwen") => 90.0 - jitter,
            false if has("llama") => 98.0 + jitter / 4.0,
            false => 99.0 + jitter / 8.0,
        };
        let given = if has("20ms") { 19.0 + jitter } else { 2.0 - jitter };
        let tokenizer = if has("tokenizer-gemma3") { 1_000.0 } else { 400.0 };
        vec![
            ("tokenizer_tokens_per_s", tokenizer + jitter),
            ("redline_percent", if has("qwen") { 60.0 + 40.0 * jitter } else { 55.0 - jitter }),
            ("loop_wait_mean_ms", wait),
            ("loop_blocked_percent", given),
            ("client_delay_p99_ms", given),
            ("scaling_efficiency_percent", own),
            ("aggregate_tokens_per_s", 180.0 + jitter),
            ("efficiency_percent", own),
            ("efficiency_drop_pp", 100.0 - own),
        ]
    });
    stored
}

fn report_of_tr117(stored: &Stored) -> String {
    let template = Template::builtin("tr117.md.j2").unwrap();
    report::study(&stored.data(), &template, true).unwrap().markdown()
}

/// Replaces the times at which criteria were declared.
fn without_times(text: &str) -> String {
    let mut parts = text.split("Declared on ");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        out += "Declared on TIME";
        out += &part[part.find(',').unwrap()..];
    }
    out
}

#[test]
fn what_bad_data_say_is_said_plainly() {
    let says = |stored: &Stored, verdict: &str, reason: &str| {
        let judged = only(stored);
        assert_eq!(judged.verdict, verdict, "{judged:?}");
        let said = judged.reason.clone().into_iter().chain(judged.notes.clone());
        assert!(said.clone().any(|text| text.contains(reason)), "{judged:?}");
        let text = rendered(stored);
        assert!(text.contains(&format!("**{verdict}**: Slower takes longer")), "{text}");
        assert!(!text.contains("NaN") && !text.contains("inf "), "{text}");
    };
    // no run at all, and why
    let stored = declared();
    stored.fail(1, "out of memory");
    says(&stored, "no data", "has 0 of 3 runs; 1 attempt(s) failed");
    // one cell missing
    let stored = declared();
    stored.measure(longer);
    (1..=3).for_each(|repeat| stored.remove(0, repeat));
    says(&stored, "no data", "has 0 of 3 runs");
    // one run on a side
    let stored = declared();
    stored.measure(longer);
    stored.remove(0, 2);
    stored.remove(0, 3);
    says(&stored, "no data", "needs at least 2 pairs, there are 1");
    // all equal
    let stored = declared();
    stored.measure(|_, _| vec![("wall_ms", 100.0)]);
    says(&stored, "inconclusive", "do not vary, so a difference of means has no interval");
    // a metric that no run knows
    let stored = declared();
    stored.measure(|_, _| vec![]);
    for (cell, repeat) in (1..=3).flat_map(|repeat| [(0, repeat), (1, repeat)]) {
        let mut run = stored.run(cell, repeat);
        run.metrics.insert("wall_ms".into(), None);
        stored.remove(cell, repeat);
        stored.seal(cell, &run);
    }
    says(&stored, "no data", "`wall_ms` is unknown in all 3 run(s)");
    // an outlier
    let mut stored = study();
    stored.edit(|text| text.replace("repeats = 3", "repeats = 5"));
    stored.declare();
    stored.measure(|cell, repeat| {
        let own = if cell.contains("60") && repeat == 5 { 1e9 } else { 100.0 };
        vec![("wall_ms", own + f64::from(repeat * repeat))]
    });
    says(&stored, "inconclusive", "outlier, kept: run bb5dfa3f/5 has wall_ms 1000000000");
}

#[test]
fn stale_runs_are_left_out_of_verdicts_and_said() {
    let stored = study();
    stored.measure(longer);
    for repeat in 1..=2 {
        stored.remove(1, repeat);
        let mut other = stored.run(1, repeat);
        other.metrics.insert("wall_ms".into(), Some(-1e6));
        other.evidence.machine.hostname = Some("elsewhere".into());
        stored.seal(1, &other);
    }
    let judged = only(&stored);
    assert_eq!(judged.verdict, "no data");
    assert!(judged.notes.iter().any(|note| note.contains("4 of 6 planned runs count (2 stale)")));
}

#[test]
fn repeats_that_time_has_mixed_are_no_pairs() {
    let stored = study();
    stored.measure(longer);
    // the throttled cell's first run was lost and made again at the end
    let mut late = stored.run(1, 1);
    late.metrics.insert("wall_ms".into(), Some(157.0));
    late.started = Some("2025-06-02T10:00:00.000Z".into());
    stored.remove(1, 1);
    stored.seal(1, &late);
    let judged = only(&stored);
    assert_eq!(judged.test, "Welch's t (repeats 1 and 2 were not measured one after the other)");
    assert_eq!(judged.n, "3 and 3 runs");
    let mut stored = study();
    stored.measure(longer);
    stored.edit(|text| text.replace("repeats = 3", "repeats = 3\norder = \"shuffled\""));
    assert_eq!(only(&stored).test, "Welch's t (repeats are not interleaved)");
}

#[test]
fn a_correlation_over_runs_that_do_not_vary() {
    let manifest = crate::stored::MANIFEST.replace("repeats = 3", "repeats = 8");
    let stored = Stored::of(&format!(
        "{manifest}[experiment.again.hypothesis.lag]\nclaim = \"Slower takes longer\"\ncorrelation = {{ x = \
         \"loop_lag_p99_ms\", y = \"efficiency_drop_pp\", at_least = 0.8 }}\n"
    ));
    stored.measure(|_, repeat| {
        vec![("loop_lag_p99_ms", 3.5), ("efficiency_drop_pp", f64::from(repeat))]
    });
    let judged = only(&stored);
    assert_eq!(judged.verdict, "inconclusive");
    let said =
        "`loop_lag_p99_ms` does not vary over 8 runs: without variation there is no correlation";
    assert_eq!(judged.reason.as_deref(), Some(said));
}

/// Ten hypotheses of which nine are deleted once the data are there.
#[test]
fn whoever_asks_ten_and_deletes_nine_has_asked_ten() {
    let one = |n: u32| {
        format!(
            "\n[experiment.throttle.hypothesis.h{n}]\nclaim = \"Claim {n}\"\ngreater = {{ metric = \
             \"wall_ms\", at = {{ throttle = \"60 tok/s\" }}, than = {{ throttle = \"off\" }}, by = {n} }}\n"
        )
    };
    let ten: String = (40..50).map(one).collect();
    let mut stored = Stored::of(&format!("{}{ten}", crate::stored::MANIFEST));
    stored.declare();
    stored.measure(longer);
    let all = stored.data().hypotheses.clone();
    assert!(all.iter().all(|own| own.family == 10));
    let best = all.iter().find(|own| own.name == "h40").unwrap().clone();
    stored.edit(|text| text.replace(&ten, &one(40)));
    for again in [false, true] {
        if again {
            stored.declare();
        }
        let kept = only(&stored);
        assert_eq!((kept.family, kept.p, kept.adjusted_p), (10, best.p, best.adjusted_p));
        assert!(kept.adjusted_p > kept.p);
        let data = stored.data();
        let withdrawn = data.hypotheses.iter().filter(|own| own.withdrawn.is_some());
        assert_eq!(withdrawn.count(), 9);
        let text = rendered(&stored);
        assert!(text.contains("9 criteria were withdrawn after there were data"), "{text}");
        assert!(text.contains("is over the 10 criteria of the study"), "{text}");
    }
    // without data nobody has seen anything
    let mut early = Stored::of(&format!("{}{ten}", crate::stored::MANIFEST));
    early.declare();
    early.edit(|text| text.replace(&ten, &one(40)));
    early.declare();
    early.measure(longer);
    assert_eq!((only(&early).family, early.data().hypotheses.len()), (1, 1));
}

#[test]
fn repeats_that_were_raised_after_the_data_are_looks_that_nobody_declared() {
    let mut stored = study();
    stored.declare();
    stored.measure(longer);
    let before = only(&stored);
    assert!(before.declared.is_some());
    // a claim that three runs do not quite show is tried with more
    stored.edit(|text| text.replace("repeats = 3", "repeats = 5"));
    stored.declare();
    let waiting = only(&stored);
    assert_eq!(waiting.verdict, "inconclusive");
    assert!(waiting.reason.unwrap().starts_with("interim: 4 of 10 planned runs"));
    let raised = "the planned repeats were changed when there were data (3, then 5 after 6 runs), which makes 2 \
                  looks, none of them declared; it is judged at alpha ÷ 4";
    assert_eq!(waiting.post_hoc.as_deref(), Some(raised));
    // looks that were declared are none of these
    let mut stored = study();
    stored.edit(|text| text.replace("repeats = 3", "repeats = 3\nlooks = [2, 3]"));
    stored.declare();
    stored.measure(longer);
    let judged = only(&stored);
    assert!(judged.declared.is_some() && judged.post_hoc.is_none());
    assert!(judged.notes.iter().any(|note| note.starts_with("look ")), "{judged:?}");
}

/// The same claim of a metric that is picked from other files, of other cells, or under another order.
#[test]
fn a_criterion_of_other_cells_is_another_criterion() {
    // a level is taken out once the data are there
    let three = |text: &str| {
        text.replace(
            "throttle = [\"off\", \"60 tok/s\"]",
            "throttle = [\"off\", \"60 tok/s\", \"90 tok/s\"]",
        )
    };
    let over_all = "\n[experiment.throttle.hypothesis.long]\nclaim = \"All take long\"\nover = \"each\"\n\
                    threshold = { metric = \"wall_ms\", above = 10 }\n";
    let mut stored = Stored::of(&format!("{}{over_all}", three(crate::stored::MANIFEST)));
    stored.declare();
    stored.measure(longer);
    assert!(only(&stored).declared.is_some());
    stored.edit(|text| text.replace(", \"90 tok/s\"]", "]"));
    for again in [false, true] {
        if again {
            stored.declare();
        }
        let judged = only(&stored);
        assert!(judged.declared.is_none() && judged.post_hoc.is_some(), "{judged:?}");
    }
}

#[test]
fn an_experiment_under_another_name_keeps_its_looks() {
    let mut stored = study();
    stored.declare();
    stored.measure(longer);
    stored.edit(|text| {
        text.replace("experiment.throttle", "experiment.speed")
            .replace("repeats = 3", "repeats = 5")
    });
    stored.declare();
    let judged = only(&stored);
    assert!(judged.post_hoc.unwrap().contains("(3, then 5 after 6 runs), which makes 2 looks"));
    // an order that is changed after the data is such a change, too
    let mut stored = study();
    stored.declare();
    stored.measure(longer);
    stored.edit(|text| text.replace("repeats = 3", "repeats = 3\norder = \"shuffled\""));
    assert!(only(&stored).post_hoc.unwrap().contains("(3, then 3, shuffled after 6 runs)"));
}

#[test]
fn a_filter_changes_no_verdict_and_no_family() {
    let second =
        HYPOTHESIS.replace("hypothesis.slower", "hypothesis.much").replace("by = 10", "by = 45");
    let mut stored = Stored::of(&format!("{}{HYPOTHESIS}{second}", crate::stored::MANIFEST));
    stored.declare();
    stored.measure(longer);
    let whole = stored.data().hypotheses.clone();
    stored.filter("throttle=off");
    let filtered = stored.data().hypotheses.clone();
    assert_eq!(whole, filtered);
    assert_eq!(whole[0].family, 2);
}

#[test]
fn the_same_text_in_two_experiments_is_two_criteria() {
    let other = HYPOTHESIS.replace("experiment.throttle", "experiment.third");
    let third = "\n[experiment.third]\nmatrix = { model = [\"gemma3:latest\"], scenario = [\"both\"], throttle = \
                 [\"off\", \"60 tok/s\"] }\n";
    let manifest = format!("{}{HYPOTHESIS}{third}{other}", crate::stored::MANIFEST);
    let mut stored = Stored::of(&manifest);
    stored.declare();
    stored.measure(longer);
    assert_eq!(stored.data().hypotheses.len(), 2);
    stored.edit(|text| text.replace(&other, ""));
    let data = stored.data();
    assert_eq!(data.hypotheses.iter().filter(|own| own.withdrawn.is_some()).count(), 1);
    assert!(data.hypotheses.iter().all(|own| own.family == 2));
}
