//! One metric against another, cell by cell, and the cells that no other beats in both.

use super::groups::{Group, axis_title, groups, with_unit};
use super::plot::{self, Area, WIDTH};
use super::scale::Scale;
use super::svg::{Anchor, Svg};
use super::{Drawn, FigureError, Request};
use crate::metrics::{Better, MetricInfo};
use crate::report::comparison::unbeaten;

pub const NAME: &str = "frontier";
const HEIGHT: f64 = 340.0;
const MOST_CELLS: usize = 200;

/// A cell of which both metrics are known.
struct Point<'a> {
    x: &'a Group<'a>,
    y: &'a Group<'a>,
    mean: (f64, f64),
    /// No other cell is at least as good in both and better in one.
    unbeaten: bool,
}

pub fn draw(request: &Request) -> Result<Drawn, FigureError> {
    let (x, y) = (request.metric("x")?, request.metric("y")?);
    let selection = request.selection;
    if selection.cells.len() > MOST_CELLS {
        let cells = selection.cells.len();
        return Ok(Drawn::Absent(format!(
            "{cells} cells are too many for one picture of {} against {} (at most {MOST_CELLS})",
            y.name, x.name
        )));
    }
    let (xs, ys) = (groups(selection, &x), groups(selection, &y));
    let points = points(&xs, &ys, &x, &y);
    let extents = Scale::linear(points.iter().flat_map(|point| point.x.extent()))
        .zip(Scale::linear(points.iter().flat_map(|point| point.y.extent())));
    let Some((x_scale, y_scale)) = extents else {
        return Ok(Drawn::Absent(format!(
            "no cell of {} has both {} and {}",
            selection.said, x.name, y.name
        )));
    };
    let mut svg = Svg::default();
    let area = Area { left: 78.0, top: 16.0, width: WIDTH - 100.0, height: HEIGHT };
    plot::horizontal_axis(&mut svg, &area, &x_scale, &axis_title(&x));
    plot::vertical_axis(&mut svg, &area, &y_scale, &axis_title(&y));
    let at = |(x, y): (f64, f64)| (area.x(&x_scale, x), area.y(&y_scale, y));
    let mut front: Vec<(f64, f64)> =
        points.iter().filter(|point| point.unbeaten).map(|point| at(point.mean)).collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    if front.len() > 1 {
        plot::polyline(&mut svg, "mark line", &front);
    }
    for point in &points {
        draw_point(&mut svg, point, &at, (&x, &y));
    }
    let caption = format!(
        "{} against {} by cell{}. Small marks: single runs; large marks: means with their 95 % \
         intervals (Student t, where n ≥ 2). Squares on the dashed line: cells that no other beats \
         in both ({} and {}).",
        y.name,
        x.name,
        request.of_experiment(),
        direction(&x),
        direction(&y),
    );
    let title = format!("{} against {}{}", y.name, x.name, request.of_experiment());
    let name = request.name(&[x.name, y.name]);
    Ok(request.picture(name, title, &caption, area.bottom() + 46.0, svg))
}

fn points<'a>(
    xs: &'a [Group<'a>],
    ys: &'a [Group<'a>],
    x: &MetricInfo,
    y: &MetricInfo,
) -> Vec<Point<'a>> {
    let means: Vec<Option<[f64; 2]>> =
        xs.iter().zip(ys).map(|(x, y)| Some([x.mean()?, y.mean()?])).collect();
    let unbeaten = unbeaten([better(x), better(y)], &means);
    xs.iter()
        .zip(ys)
        .zip(means.iter().zip(unbeaten))
        .filter_map(|((x, y), (mean, unbeaten))| {
            let [own_x, own_y] = (*mean)?;
            Some(Point { x, y, mean: (own_x, own_y), unbeaten })
        })
        .collect()
}

fn draw_point(
    svg: &mut Svg,
    point: &Point,
    at: &dyn Fn((f64, f64)) -> (f64, f64),
    (x, y): (&MetricInfo, &MetricInfo),
) {
    let series = usize::from(point.unbeaten);
    let label = &point.x.label;
    for (run, own_x) in &point.x.runs {
        let Some((_, own_y)) = point.y.runs.iter().find(|(own, _)| own == run) else { continue };
        let title = format!(
            "{label}, run {run}: {}, {}",
            with_unit(*own_x, x.unit),
            with_unit(*own_y, y.unit)
        );
        plot::dot(svg, series, at((*own_x, *own_y)), &title);
    }
    if let Some(ci) = point.x.interval() {
        plot::interval(svg, series, at((ci.low, point.mean.1)), at((ci.high, point.mean.1)));
    }
    if let Some(ci) = point.y.interval() {
        plot::interval(svg, series, at((point.mean.0, ci.low)), at((point.mean.0, ci.high)));
    }
    let title = format!(
        "{label}: {} {}; {} {}",
        x.name,
        point.x.said(x.unit),
        y.name,
        point.y.said(y.unit)
    );
    let place = at(point.mean);
    plot::mean(svg, series, place, &title);
    if point.unbeaten {
        let text = plot::shorten(label, 40);
        let beyond = place.0 + 10.0 + plot::width(&text) > WIDTH;
        let (shift, anchor) = if beyond { (-9.0, Anchor::End) } else { (9.0, Anchor::Start) };
        svg.label((place.0 + shift, place.1 - 7.0), anchor, "small", &text);
    }
}

fn better(metric: &MetricInfo) -> Better {
    metric.better.unwrap_or(Better::Higher)
}

fn direction(metric: &MetricInfo) -> String {
    format!("{} {}", better(metric).name(), metric.name)
}
