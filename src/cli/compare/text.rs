//! A comparison for people, within the width of a terminal, readable without colour.

use std::fmt::Write as _;

use super::super::count;
use crate::report::format::significant;
use crate::report::sets::{By, CellName, Comparison, MetricTable, Row, Side};
use crate::shown;

/// Names that a line lists before it only counts.
const LISTED: usize = 10;
/// A shortened column keeps this much.
const NARROWEST: usize = 12;
const NOTHING: &str = "–";

pub fn text(comparison: &Comparison, width: usize) -> String {
    let mut text = String::new();
    side(&mut text, "A", &comparison.a);
    side(&mut text, "B", &comparison.b);
    let by = match comparison.by {
        By::Id => "id",
        By::Name => "name",
    };
    let _ = writeln!(text, "{} in both, by {by}", count(comparison.cells as u64, "cell"));
    only(&mut text, "only in A", &comparison.only_a);
    only(&mut text, "only in B", &comparison.only_b);
    only(&mut text, "left out, their name is not theirs alone", &comparison.ambiguous);
    evidence(&mut text, comparison, width);
    asked(&mut text, comparison, width);
    if comparison.same_runs {
        text.push_str("\nA and B hold the same runs: there is no difference.\n");
    }
    if comparison.metrics.is_empty() {
        text.push_str("\nno metric is known on both sides\n");
        return text;
    }
    let _ = writeln!(
        text,
        "\nB against A: B − A of the means with its 95 % interval. Judged by Welch's t: times, rates and costs\n\
         by their logarithms (B ÷ A of the geometric means), everything else by the difference of means;\n\
         p (FDR) is adjusted by the false discovery rate over the {} of this comparison.\n\
         One value is one run. † below the measurement error.",
        count(comparison.tests as u64, "test")
    );
    for metric in &comparison.metrics {
        table(&mut text, metric, width);
    }
    text
}

fn side(text: &mut String, name: &str, side: &Side) {
    let _ = write!(text, "{name}  {}", plain(&side.path));
    if let Some(study) = &side.study {
        let _ = write!(text, ": {}", plain(study));
    }
    if let Some(profile) = &side.profile {
        let _ = write!(text, ", profile {}", plain(profile));
    }
    let _ = write!(text, "; {} compared", count(side.runs as u64, "run"));
    if side.stale > 0 {
        let _ = write!(text, ", {} stale left out", side.stale);
    }
    if let (Some(first), Some(last)) = (&side.first_started, &side.last_finished) {
        let _ = write!(text, "; {} to {}", plain(first), plain(last));
    }
    text.push('\n');
}

fn only(text: &mut String, what: &str, cells: &[CellName]) {
    if cells.is_empty() {
        return;
    }
    let _ = writeln!(text, "{} {what}:", count(cells.len() as u64, "cell"));
    for cell in cells.iter().take(LISTED) {
        let id = cell.id.get(..8).unwrap_or(&cell.id);
        let _ = writeln!(text, "  {}-{id}, {}", plain(&cell.name), count(cell.runs as u64, "run"));
    }
    if cells.len() > LISTED {
        let _ = writeln!(text, "  … and {} more", cells.len() - LISTED);
    }
}

fn evidence(text: &mut String, comparison: &Comparison, width: usize) {
    let same = comparison.evidence_same;
    if comparison.evidence.is_empty() {
        let _ = writeln!(text, "\nThe circumstances are the same: {same} facts, no difference.");
        return;
    }
    let _ = writeln!(
        text,
        "\nWhat differs in the circumstances ({} of {} facts):",
        comparison.evidence.len(),
        comparison.evidence.len() + same
    );
    let values = |values: &[String]| {
        if values.is_empty() { NOTHING.to_owned() } else { plain(&values.join(" and ")) }
    };
    let rows = comparison.evidence.iter().map(|difference| {
        vec![plain(&difference.what), values(&difference.a), values(&difference.b)]
    });
    let columns = [Column::text(""), Column::text("A"), Column::text("B")];
    grid(text, &columns, &rows.collect::<Vec<_>>(), width);
}

fn asked(text: &mut String, comparison: &Comparison, width: usize) {
    if comparison.asked.is_empty() {
        return;
    }
    text.push_str("\nWhat the cells ask for differently:\n");
    let rows = comparison.asked.iter().map(|difference| {
        let cells = match difference.cells.as_slice() {
            [cell] => cell.clone(),
            cells if cells.len() == comparison.cells => "all".to_owned(),
            cells => count(cells.len() as u64, "cell"),
        };
        vec![plain(&difference.field), plain(&difference.a), plain(&difference.b), cells]
    });
    let columns = [Column::text("field"), Column::text("A"), Column::text("B"), Column::text("in")];
    grid(text, &columns, &rows.collect::<Vec<_>>(), width);
}

fn table(text: &mut String, metric: &MetricTable, width: usize) {
    let mut parts: Vec<String> = Vec::new();
    if !metric.unit.is_empty() {
        parts.push(metric.unit.clone());
    }
    if let Some(better) = metric.better {
        parts.push(format!("{better} is better"));
    }
    let note = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    let _ = writeln!(text, "\n{}{note}: {}", metric.metric, summary(&metric.rows));
    let rows: Vec<Vec<String>> = metric.rows.iter().map(row).collect();
    let columns = [
        Column::text("name"),
        Column::kept("cell"),
        Column::number("A"),
        Column::number("n"),
        Column::number("B"),
        Column::number("n"),
        Column::number("B − A"),
        Column::number("95 % interval"),
        Column::spare("B ÷ A", 1),
        Column::spare("Hedges' g", 2),
        Column::spare("95 % interval", 3),
        Column::number("p (FDR)"),
        Column::kept("judgement"),
    ];
    grid(text, &columns, &rows, width);
    let mut told: Vec<&str> = Vec::new();
    for why in metric.rows.iter().filter_map(|row| row.contrast.why.as_deref()) {
        if !told.contains(&why) {
            told.push(why);
            let _ = writeln!(text, "  not defined: {}", plain(why));
        }
    }
}

/// `1 worse, 5 unclear`.
fn summary(rows: &[Row]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for name in rows.iter().map(|row| row.contrast.judgement.name()) {
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    parts.join(", ")
}

fn row(row: &Row) -> Vec<String> {
    let contrast = &row.contrast;
    let number = |value: Option<f64>| {
        value.map_or_else(|| NOTHING.to_owned(), |value| significant(value, 4))
    };
    let interval = |ends: Option<[f64; 2]>| {
        ends.map_or_else(
            || NOTHING.to_owned(),
            |[low, high]| format!("{} to {}", significant(low, 4), significant(high, 4)),
        )
    };
    let error = if contrast.below_error { " †" } else { "" };
    vec![
        plain(&row.name),
        row.cell.clone(),
        number(row.a_mean),
        row.a_n.to_string(),
        number(row.b_mean),
        row.b_n.to_string(),
        number(contrast.difference),
        interval(contrast.ci),
        number(contrast.ratio),
        contrast.g.map_or_else(|| NOTHING.to_owned(), |g| significant(g, 3)),
        contrast.g_ci.map_or_else(
            || NOTHING.to_owned(),
            |[low, high]| format!("{} to {}", significant(low, 3), significant(high, 3)),
        ),
        contrast.p_adjusted.map_or_else(|| NOTHING.to_owned(), |p| significant(p, 3)),
        format!("{}{error}", contrast.judgement.name()),
    ]
}

/// A column of a table.
struct Column {
    head: &'static str,
    right: bool,
    /// May be cut to fit.
    cut: bool,
    /// May be left out to fit, the highest first.
    spare: u32,
}

impl Column {
    fn text(head: &'static str) -> Self {
        Self { head, right: false, cut: true, spare: 0 }
    }

    fn kept(head: &'static str) -> Self {
        Self { head, right: false, cut: false, spare: 0 }
    }

    fn number(head: &'static str) -> Self {
        Self { head, right: true, cut: false, spare: 0 }
    }

    fn spare(head: &'static str, spare: u32) -> Self {
        Self { head, right: true, cut: false, spare }
    }
}

/// Indented columns with two spaces between them. What does not fit loses spare columns, then the
/// middle of its texts.
fn grid(text: &mut String, columns: &[Column], rows: &[Vec<String>], width: usize) {
    let mut widths: Vec<Option<usize>> = columns
        .iter()
        .enumerate()
        .map(|(place, column)| {
            let cells = rows.iter().map(|row| length(&row[place]));
            Some(cells.max().unwrap_or(0).max(length(column.head)))
        })
        .collect();
    let total = |widths: &[Option<usize>]| -> usize {
        widths.iter().flatten().map(|width| width + 2).sum()
    };
    let mut spare: Vec<usize> = (0..columns.len()).filter(|c| columns[*c].spare > 0).collect();
    spare.sort_by_key(|place| columns[*place].spare);
    while let Some(place) = spare.pop().filter(|_| total(&widths) > width) {
        widths[place] = None;
    }
    while total(&widths) > width {
        let widest = (0..columns.len())
            .filter(|place| columns[*place].cut && widths[*place] > Some(NARROWEST))
            .max_by_key(|place| widths[*place]);
        let Some(widest) = widest else { break };
        widths[widest] = widths[widest].map(|width| width - 1);
    }
    let mut line = |cell: &dyn Fn(usize) -> String| {
        let mut line = String::new();
        for (place, width) in widths.iter().enumerate() {
            let Some(width) = *width else { continue };
            let cell = cut(&cell(place), width);
            let padding = " ".repeat(width.saturating_sub(length(&cell)));
            let (left, right) = if columns[place].right {
                (padding, String::new())
            } else {
                (String::new(), padding)
            };
            let _ = write!(line, "  {left}{cell}{right}");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    };
    if columns.iter().any(|column| !column.head.is_empty()) {
        line(&|place| columns[place].head.to_owned());
    }
    for row in rows {
        line(&|place| row[place].clone());
    }
}

fn length(text: &str) -> usize {
    console::measure_text_width(text)
}

/// With `…` in the middle, since names differ at both ends.
fn cut(text: &str, width: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if length(text) <= width || characters.len() <= width {
        return text.to_owned();
    }
    let (head, tail) = (width / 2, width.saturating_sub(width / 2 + 1));
    let mut cut: String = characters[..head].iter().collect();
    cut.push('…');
    cut.extend(&characters[characters.len() - tail..]);
    cut
}

/// What could steer a terminal is taken out: names come from servers and folders.
fn plain(text: &str) -> String {
    shown::line(text).into_owned()
}
