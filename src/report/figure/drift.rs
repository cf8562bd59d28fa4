//! Run order against a metric: what changes with time and not with the cell shows here.

use super::groups::{Group, groups, with_unit};
use super::plot::{self, Area, SERIES, WIDTH};
use super::scale::Scale;
use super::svg::Svg;
use super::{Drawn, FigureError, Request};
use crate::report::completeness::fresh;
use crate::report::data::Cell;

pub const NAME: &str = "drift";
const HEIGHT: f64 = 260.0;

/// One run: when it began, and how far it is from the mean of its cell.
struct Point {
    series: usize,
    deviation: f64,
    title: String,
}

pub fn draw(request: &Request) -> Result<Drawn, FigureError> {
    let metric = request.metric("metric")?;
    let selection = request.selection;
    let groups = groups(selection, &metric);
    // several runs are needed to tell a run from its cell
    let groups: Vec<&Group> = groups.iter().filter(|group| group.runs.len() > 1).collect();
    if groups.is_empty() {
        return Ok(Drawn::Absent(format!(
            "{} is in fewer than two runs of each cell of {}, so that no drift can be seen",
            metric.name, selection.said
        )));
    }
    let relative = groups.iter().all(|group| group.mean().is_some_and(|mean| mean > 0.0));
    let coloured = groups.len() <= SERIES;
    let points = in_order(&groups, relative, metric.unit, coloured);
    let total = points.len();
    let (points, thinned) = thinned(points);
    let Some(scale) = Scale::linear(points.iter().map(|(_, point)| point.deviation).chain([0.0]))
    else {
        return Ok(Drawn::Absent(format!("{} is in no run of {}", metric.name, selection.said)));
    };

    let mut svg = Svg::default();
    let names: Vec<String> = if coloured {
        groups.iter().map(|group| plot::shorten(&group.label, 60)).collect()
    } else {
        Vec::new()
    };
    let top = 10.0 + plot::legend(&mut svg, 70.0, 6.0, &names);
    let area = Area { left: 78.0, top, width: WIDTH - 100.0, height: HEIGHT };
    let unit = if relative { "% of its cell's mean" } else { metric.unit };
    plot::vertical_axis(&mut svg, &area, &scale, &format!("difference ({unit})"));
    let order = Scale::exactly(0.0, total as f64 + 1.0);
    plot::horizontal_axis(&mut svg, &area, &order, "order of the run among those shown");
    let zero = area.y(&scale, 0.0);
    plot::line(&mut svg, "mark", (area.left, zero), (area.right(), zero));
    for (place, point) in &points {
        let at = (area.x(&order, *place as f64 + 1.0), area.y(&scale, point.deviation));
        plot::dot(&mut svg, point.series, at, &point.title);
    }
    let note = if thinned {
        format!(" {} of {total} runs are drawn: of each stretch the extremes.", points.len())
    } else {
        String::new()
    };
    let caption = format!(
        "{} in the order in which the runs began{}. Each dot is a run's difference from the mean of \
         its own cell; without drift the dots lie evenly around the dashed line.{note}",
        metric.name,
        request.of_experiment(),
    );
    let title = format!("{} by run order{}", metric.name, request.of_experiment());
    let height = area.bottom() + 46.0;
    Ok(request.picture(request.name(&[metric.name]), title, &caption, height, svg))
}

fn in_order(groups: &[&Group], relative: bool, unit: &str, coloured: bool) -> Vec<Point> {
    let mut runs: Vec<(&str, &str, Point)> = Vec::new();
    for (series, group) in groups.iter().enumerate() {
        let Some(mean) = group.mean() else { continue };
        for (run, value) in &group.runs {
            let difference = value - mean;
            let deviation = if relative { 100.0 * difference / mean } else { difference };
            let title = format!("{}, run {run}: {}", group.label, with_unit(*value, unit));
            let series = if coloured { series } else { 0 };
            runs.push((started(group.cell, run), run, Point { series, deviation, title }));
        }
    }
    // runs of the same moment by their names
    runs.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    runs.into_iter().map(|(_, _, point)| point).collect()
}

fn started<'a>(cell: &'a Cell, run: &str) -> &'a str {
    let own = |repeat: u32| run.rsplit_once('/').is_some_and(|(_, own)| own == repeat.to_string());
    fresh(cell).find(|record| own(record.repeat)).map_or("", |record| record.started.as_str())
}

/// With their places in the order; of too many the extremes of each stretch.
fn thinned(points: Vec<Point>) -> (Vec<(usize, Point)>, bool) {
    let all: Vec<(usize, Point)> = points.into_iter().enumerate().collect();
    if all.len() <= plot::MOST_DOTS {
        return (all, false);
    }
    let line: Vec<(f64, f64)> =
        all.iter().map(|(place, point)| (*place as f64, point.deviation)).collect();
    let kept = super::thin::min_max(&line, plot::MOST_DOTS / 4);
    let mut kept = kept.into_iter().map(|(place, _)| place).peekable();
    let keep = |(place, _): &(usize, Point)| {
        let own = kept.peek().is_some_and(|next| (*next - *place as f64).abs() < 0.5);
        if own {
            kept.next();
        }
        own
    };
    (all.into_iter().filter(keep).collect(), true)
}
