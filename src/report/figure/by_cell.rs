//! A metric by cell: every run as a dot, the mean with its interval; as bars where a length is meant.

use super::groups::{self, Group, axis_title, groups, with_unit};
use super::plot::{self, Area, LINE, WIDTH};
use super::scale::Scale;
use super::svg::{Anchor, Svg, px};
use super::{Drawn, FigureError, Request};

pub const NAME: &str = "by_cell";
/// More rows than these are no picture any more.
const MOST_CELLS: usize = 200;
/// From here on the rows are set closer.
const CLOSE: usize = 40;
/// Columns of a label.
const LABEL: usize = 46;

pub fn draw(request: &Request) -> Result<Drawn, FigureError> {
    let metric = request.metric("metric")?;
    let (bars, log) = (request.flag("bars")?, request.flag("log")?);
    let reference = request.number("reference")?;
    let selection = request.selection;
    if selection.cells.len() > MOST_CELLS {
        let cells = selection.cells.len();
        return Ok(Drawn::Absent(format!(
            "{cells} cells are too many for one picture of {} (at most {MOST_CELLS})",
            metric.name
        )));
    }
    let groups = groups(selection, &metric);
    let extent = || groups.iter().flat_map(Group::extent).chain(reference);
    let scale = match (log, bars) {
        (true, _) => Scale::log(extent()),
        (false, true) => Scale::from_zero(extent()),
        (false, false) => Scale::linear(extent()),
    };
    let known = groups.iter().any(|group| group.sample.is_some());
    let Some(scale) = scale.filter(|_| known) else {
        return Ok(Drawn::Absent(format!("{} is in no run of {}", metric.name, selection.said)));
    };

    let row = if groups.len() > CLOSE { 15.0 } else { 26.0 };
    let labels: Vec<String> =
        groups.iter().map(|group| plot::shorten(&group.label, LABEL)).collect();
    let longest = labels.iter().map(|label| plot::width(label)).fold(0.0, f64::max);
    let left = (longest + 18.0).max(60.0);
    let area = Area {
        left,
        top: 10.0,
        width: WIDTH - left - 22.0,
        height: row * groups.len() as f64 + 8.0,
    };
    let mut svg = Svg::default();
    plot::horizontal_axis(&mut svg, &area, &scale, &axis_title(&metric));
    if let Some(reference) = reference.filter(|value| scale.holds(*value)) {
        let x = area.x(&scale, reference);
        plot::line(&mut svg, "mark", (x, area.top), (x, area.bottom()));
    }
    let (dots, runs) = groups::dots(&groups);
    for (index, (group, label)) in groups.iter().zip(&labels).enumerate() {
        let y = area.top + 4.0 + row * (index as f64 + 0.5);
        svg.label((left - 10.0, y + 4.0), Anchor::End, "", label);
        let place = Place { area, scale: &scale, y, row };
        draw_group(&mut svg, group, &place, (bars, dots), metric.unit);
    }
    let shown = if bars { "bars: means" } else { "large marks: means" };
    let scaled = if log { "; logarithmic axis" } else { "" };
    let marked = reference
        .map_or_else(String::new, |value| format!(" Dashed: {}.", with_unit(value, metric.unit)));
    let caption = format!(
        "{} by cell{}. {runs}; {shown} with their 95 % intervals (Student t, where n ≥ \
         2){scaled}.{marked}",
        metric.name,
        request.of_experiment(),
    );
    let title = format!("{} by cell{}", metric.name, request.of_experiment());
    let height = area.bottom() + 34.0 + LINE / 2.0;
    Ok(request.picture(request.name(&[metric.name]), title, &caption, height, svg))
}

/// Where a row is drawn.
struct Place<'a> {
    area: Area,
    scale: &'a Scale,
    y: f64,
    row: f64,
}

fn draw_group(svg: &mut Svg, group: &Group, place: &Place, (bars, dots): (bool, bool), unit: &str) {
    let Place { area, scale, y, row } = place;
    let title = format!("{}: {}", group.label, group.said(unit));
    let Some(mean) = group.mean() else {
        let text = if group.cell.runs.is_empty() { "no data" } else { "unknown" };
        svg.label((area.left + 6.0, y + 4.0), Anchor::Start, "quiet small", text);
        return;
    };
    if bars {
        let zero = area.x(scale, scale.low().max(0.0));
        let end = area.x(scale, mean);
        let bar = [
            ("class", "s0 bar".to_owned()),
            ("x", px(zero.min(end))),
            ("y", px(y - row * 0.34)),
            ("width", px((end - zero).abs())),
            ("height", px(row * 0.68)),
        ];
        svg.titled("rect", &bar, &title);
    }
    // repeats apart from each other, in the same way in every row
    let spread = row * 0.5 / group.runs.len().max(2) as f64;
    let middle = (group.runs.len() as f64 - 1.0) / 2.0;
    for (index, (run, value)) in group.runs.iter().enumerate().filter(|_| dots) {
        let at = (area.x(scale, *value), y + (index as f64 - middle) * spread);
        plot::dot(svg, 0, at, &format!("{}, run {run}: {}", group.label, with_unit(*value, unit)));
    }
    if let Some(ci) = group.interval() {
        plot::interval(svg, 1, (area.x(scale, ci.low), *y), (area.x(scale, ci.high), *y));
    }
    if !bars {
        plot::mean(svg, 1, (area.x(scale, mean), *y), &title);
    }
}
