//! Every run's value at the time at which it began, as it was measured: what changes with time and not with
//! the cell shows here.
//!
//! Nothing is taken off the values. Held against the mean of its own cell, a drift would vanish wherever
//! cells were measured one after the other, and that is where it does the most harm.

use jiff::Timestamp;

use super::groups::{Group, axis_title, groups, with_unit};
use super::plot::{self, Area, SERIES, WIDTH};
use super::scale::Scale;
use super::svg::Svg;
use super::{Drawn, FigureError, Request};
use crate::metrics::MetricInfo;
use crate::report::completeness::fresh;
use crate::report::select::value;

pub const NAME: &str = "drift";
const HEIGHT: f64 = 260.0;

/// One run.
struct Point {
    series: usize,
    began: Timestamp,
    value: f64,
    title: String,
}

pub fn draw(request: &Request) -> Result<Drawn, FigureError> {
    let metric = request.metric("metric")?;
    let selection = request.selection;
    let groups = groups(selection, &metric);
    let groups: Vec<&Group> = groups.iter().filter(|group| !group.runs.is_empty()).collect();
    let coloured = groups.len() <= SERIES;
    let points = in_time(&groups, &metric, coloured);
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Ok(Drawn::Absent(format!("{} is in no run of {}", metric.name, selection.said)));
    };
    if points.len() < 2 {
        return Ok(Drawn::Absent(format!(
            "{} is in one run of {} only, so that no drift can be seen",
            metric.name, selection.said
        )));
    }
    let Some(scale) = Scale::linear(points.iter().map(|point| point.value)) else {
        return Ok(Drawn::Absent(format!("{} is in no run of {}", metric.name, selection.said)));
    };
    let (start, end) = (first.began, last.began);
    let (unit, seconds) = unit_of((end - start).total(jiff::Unit::Second).unwrap_or(0.0));
    let total = points.len();
    let (points, thinned) = thinned(points, start, seconds);
    let times = points.iter().map(|(time, _)| *time);
    let Some(time_scale) = Scale::with_room(times) else {
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
    plot::vertical_axis(&mut svg, &area, &scale, &axis_title(&metric));
    let title = format!("start of the run, since the first one ({unit})");
    plot::horizontal_axis(&mut svg, &area, &time_scale, &title);
    for (time, point) in &points {
        let at = (area.x(&time_scale, *time), area.y(&scale, point.value));
        plot::dot(&mut svg, point.series, at, &point.title);
    }
    let note = if thinned {
        format!(" {} of {total} runs are drawn: of each stretch the extremes.", points.len())
    } else {
        String::new()
    };
    let colours = if coloured && groups.len() > 1 { ", in the colour of its cell" } else { "" };
    let caption = format!(
        "{} of every run at the time at which it began{}, as it was measured{colours}. A drift is what all \
         cells share over time; where cells were measured one after the other, it cannot be told from a \
         difference between them.{note}",
        metric.name,
        request.of_experiment(),
    );
    let title = format!("{} over the time of measurement{}", metric.name, request.of_experiment());
    let height = area.bottom() + 46.0;
    Ok(request.picture(request.name(&[metric.name]), title, &caption, height, svg))
}

/// The runs of which it is known when they began, in that order.
fn in_time(groups: &[&Group], metric: &MetricInfo<'_>, coloured: bool) -> Vec<Point> {
    let mut points = Vec::new();
    for (series, group) in groups.iter().enumerate() {
        for run in fresh(group.cell) {
            let known = (value(run, metric.name), run.began().parse());
            let (Some(value), Ok(began)) = known else { continue };
            let name = format!("{}/{}", group.cell.short(), run.repeat);
            let said = with_unit(value, metric.unit);
            let title = format!("{}, run {name}, {}: {said}", group.label, run.began());
            points.push(Point { series: if coloured { series } else { 0 }, began, value, title });
        }
    }
    // runs of the same moment by their names
    points.sort_by(|a, b| (a.began, &a.title).cmp(&(b.began, &b.title)));
    points
}

/// The unit in which a span of so many seconds is read, and its seconds.
fn unit_of(span: f64) -> (&'static str, f64) {
    match span {
        span if span < 180.0 => ("s", 1.0),
        span if span < 3.0 * 3600.0 => ("min", 60.0),
        span if span < 72.0 * 3600.0 => ("h", 3600.0),
        _ => ("days", 86_400.0),
    }
}

/// With their times since the first; of too many the extremes of each stretch.
fn thinned(points: Vec<Point>, start: Timestamp, unit: f64) -> (Vec<(f64, Point)>, bool) {
    let time =
        |point: &Point| (point.began - start).total(jiff::Unit::Second).unwrap_or(0.0) / unit;
    let all: Vec<(f64, Point)> = points.into_iter().map(|point| (time(&point), point)).collect();
    if all.len() <= plot::MOST_DOTS {
        return (all, false);
    }
    let line: Vec<(f64, f64)> = all
        .iter()
        .zip(0_u32..)
        .map(|((_, point), place)| (f64::from(place), point.value))
        .collect();
    let kept = super::thin::min_max(&line, plot::MOST_DOTS / 4);
    let mut kept = kept.into_iter().map(|(place, _)| place).peekable();
    let all = all.into_iter().zip(0_u32..).filter(|(_, place)| {
        let own = kept.peek().is_some_and(|next| (*next - f64::from(*place)).abs() < 0.5);
        if own {
            kept.next();
        }
        own
    });
    (all.map(|(own, _)| own).collect(), true)
}
