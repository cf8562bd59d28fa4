//! The plan for people.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::{count, finding};
use super::{CellView, ExperimentView, Overview};
use crate::preflight::Severity;
use crate::store::record::EndpointEvidence;

pub(super) fn overview(plan: &Overview) -> String {
    let mut text = String::new();
    let left = plan.runs - plan.done;
    let _ = writeln!(
        text,
        "{}: {}{}, {}: {} done, {left} to do{}{}",
        plan.study,
        count(plan.cells as u64, "cell"),
        match (plan.controls - plan.replicas, plan.replicas) {
            (0, 0) => String::new(),
            (solos, 0) => format!(" ({solos} of them solo controls)"),
            (0, replicas) => format!(" ({replicas} of them replicas)"),
            (solos, replicas) => format!(" ({solos} of them solo controls, {replicas} replicas)"),
        },
        count(plan.runs, "run"),
        plan.done,
        if plan.stale > 0 { format!(", {} stale", plan.stale) } else { String::new() },
        match plan.identity_1 {
            0 => String::new(),
            runs => format!(", {runs} of identity 1"),
        },
    );
    if plan.left_behind > 0 {
        let _ = writeln!(
            text,
            "{} that no cell of the manifest asks for any more: see `runner gc`",
            count(plan.left_behind as u64, "stored run")
        );
    }
    // A filter may leave nothing of an experiment.
    for experiment in plan.experiments.iter().filter(|experiment| experiment.cell_count > 0) {
        self::experiment(&mut text, experiment);
    }
    text.push('\n');
    if left > 0 {
        let _ = match plan.estimate_s {
            Some(seconds) => writeln!(text, "time left: about {}", rough(seconds)),
            None => writeln!(text, "time left: unknown, nothing is stored yet"),
        };
        if plan.reloads > 0 {
            let _ = writeln!(text, "model reloads in this order: {}", plan.reloads);
        }
        if plan.cold_loads > 0 {
            let _ = writeln!(text, "model loads that `cold` asks for: {}", plan.cold_loads);
        }
    }
    for warning in &plan.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    for damaged in &plan.damaged {
        let _ = writeln!(text, "damaged: {damaged}");
    }
    for unsealed in &plan.unsealed {
        let _ = writeln!(text, "unsealed: {unsealed}");
    }
    for (name, server) in &plan.servers {
        self::server(&mut text, name, server);
    }
    if let Some(findings) = &plan.preflight {
        let blocked = findings.iter().any(|finding| finding.severity == Severity::Blocking);
        text.push_str(if blocked {
            "preflight: not everything that is needed is there\n"
        } else {
            "preflight: everything that is needed is there\n"
        });
        for finding in findings {
            let _ = writeln!(text, "{}", finding::line(finding));
        }
    }
    text
}

/// Which server answered, and what it says of the models.
fn server(text: &mut String, name: &str, server: &EndpointEvidence) {
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let _ = write!(text, "endpoint `{name}`: {}", known(&server.server));
    if let Some(version) = &server.version {
        let _ = write!(text, " {version}");
    }
    text.push('\n');
    for (model, about) in &server.models {
        let digest = about.digest.as_deref().map(|digest| {
            let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
            digits.get(..12).unwrap_or(digits).to_owned()
        });
        let context = about.context_length.map(|tokens| tokens.to_string());
        let _ = writeln!(
            text,
            "  {model}: parameters {}, quantisation {}, context {}, digest {}",
            known(&about.parameter_size),
            known(&about.quantization),
            known(&context),
            known(&digest)
        );
    }
}

fn experiment(text: &mut String, experiment: &ExperimentView) {
    let _ = write!(text, "\nexperiment {}", experiment.name);
    if let Some(title) = &experiment.title {
        let _ = write!(text, ": {title}");
    }
    let _ = writeln!(
        text,
        "\n  {}{}, {} order{}",
        count(experiment.repeats.into(), "repeat"),
        experiment.until.as_ref().map_or_else(String::new, |until| format!(" {until}")),
        experiment.order,
        match experiment.common_blocks.as_slice() {
            [] => String::new(),
            others => format!(", in common blocks with {}", others.join(", ")),
        },
    );
    if let Some(note) = &experiment.order_note {
        let _ = writeln!(text, "  {note}");
    }
    for (name, level) in &experiment.fixed {
        let _ = writeln!(text, "  {name}: {level}");
    }
    for factor in &experiment.factors {
        let _ = writeln!(
            text,
            "  {} × {}: {}",
            factor.levels.len(),
            factor.name,
            factor.levels.join(" · ")
        );
    }
    let columns: Vec<&str> = experiment.factors.iter().map(|factor| factor.name.as_str()).collect();
    let cells = &experiment.cells;
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let levels = cells.iter().map(|cell| cell.levels[index].chars().count());
            levels.max().unwrap_or(0).max(name.chars().count())
        })
        .collect();
    let _ = write!(text, "  {:8}  {:>7}", "cell", "done");
    for (name, width) in columns.iter().zip(&widths) {
        let _ = write!(text, "  {name:width$}");
    }
    trim_end(text);
    for cell in cells {
        let done = format!("{}/{}", cell.done, cell.repeats);
        let _ = write!(text, "  {}  {done:>7}", cell.id);
        for (level, width) in cell.levels.iter().zip(&widths) {
            let _ = write!(text, "  {level:width$}");
        }
        text.push_str(&remarks(cell));
        trim_end(text);
    }
    let further = experiment.cell_count - cells.len();
    if further > 0 {
        let _ = writeln!(text, "  … and {further} more cells (--all)");
    }
    controls(text, "solo controls", &experiment.controls, experiment.control_count);
    controls(text, "replicas for A/A", &experiment.replicas, experiment.replica_count);
}

fn controls(text: &mut String, title: &str, controls: &[CellView], count: usize) {
    if count == 0 {
        return;
    }
    let _ = writeln!(text, "  {title}");
    for cell in controls {
        let done = format!("{}/{}", cell.done, cell.repeats);
        let _ = write!(text, "  {}  {done:>7}  {}", cell.id, cell.name);
        text.push_str(&remarks(cell));
        trim_end(text);
    }
    if count > controls.len() {
        let _ = writeln!(text, "  … and {} more controls (--all)", count - controls.len());
    }
}

fn remarks(cell: &CellView) -> String {
    let mut remarks = String::new();
    if cell.identity_1 > 0 {
        let _ = write!(remarks, "  {} of identity 1", cell.identity_1);
    }
    if let Some((_, reasons)) = cell.stale.first_key_value() {
        let _ = write!(remarks, "  {} stale: {}", cell.stale.len(), reasons.join("; "));
    }
    remarks
}

fn trim_end(text: &mut String) {
    text.truncate(text.trim_end().len());
    text.push('\n');
}

/// `42 s`, `7 min`, `3.5 h`.
pub(super) fn rough(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).as_secs_f64();
    if time < 100.0 {
        format!("{time:.0} s")
    } else if time < 5400.0 {
        format!("{:.0} min", time / 60.0)
    } else {
        format!("{:.1} h", time / 3600.0)
    }
}
