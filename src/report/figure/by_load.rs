//! A metric against the load of a client (the product of factors such as rate and streams), one series per
//! experiment: where each begins to leave the others.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::groups::{self, Group, axis_title, groups, with_unit};
use super::plot::{self, Area, SERIES, WIDTH};
use super::scale::Scale;
use super::svg::Svg;
use super::{Drawn, FigureError, Request};
use crate::report::data::Cell;
use crate::report::select::{Selection, nearest};

pub const NAME: &str = "by_load";
const HEIGHT: f64 = 320.0;
/// What makes a load unless a template says otherwise.
const LOAD: &str = "rate*concurrency";

/// One experiment: its cells by their loads.
struct Series<'a> {
    name: String,
    cells: Vec<(f64, Group<'a>)>,
}

pub fn draw(request: &Request) -> Result<Drawn, FigureError> {
    let metric = request.metric("metric")?;
    let log = request.flag("log")?;
    let reference = request.number("reference")?;
    let load = request.text("load")?.unwrap_or(LOAD);
    let factors: Vec<&str> = load.split('*').map(str::trim).collect();
    let cells = || request.selection.cells.iter().flat_map(|cell| &cell.factors);
    for name in &factors {
        if !cells().any(|own| own.name == *name) {
            return Err(FigureError::UnknownFactor {
                kind: request.kind.name,
                name: (*name).to_owned(),
                hint: nearest(name, cells().map(|own| own.name.as_str())),
            });
        }
    }
    let wanted: Option<Vec<&str>> =
        request.text("series")?.map(|names| names.split_whitespace().collect());
    let series: Vec<Series> = request
        .data
        .experiments
        .iter()
        .filter(|own| wanted.as_ref().is_none_or(|wanted| wanted.contains(&own.name.as_str())))
        .filter_map(|experiment| {
            let own = experiment.cells.iter().map(|own| &request.data.cells[own.cell]);
            let selected = |cell: &&Cell| {
                request.selection.cells.iter().any(|selected| selected.id == cell.id)
            };
            let cells = own.filter(selected).collect();
            let said = experiment.name.clone();
            let selection = Selection { experiment: Some(experiment), cells, said };
            let cells: Vec<(f64, Group)> = groups(&selection, &metric)
                .into_iter()
                .filter(|group| group.sample.is_some())
                .filter_map(|group| Some((load_of(group.cell, &factors)?, group)))
                .collect();
            (!cells.is_empty()).then(|| Series { name: experiment.name.clone(), cells })
        })
        .collect();
    if series.len() > SERIES {
        return Ok(Drawn::Absent(format!(
            "{} experiments are too many for one picture of {} by load (at most {SERIES})",
            series.len(),
            metric.name
        )));
    }
    let all = || series.iter().flat_map(|own| &own.cells);
    let values = || all().flat_map(|(_, group)| group.runs.iter().map(|(_, value)| *value));
    let y_scale = if log { Scale::log(values().chain(reference)) } else { Scale::linear(values()) };
    let x_scale = Scale::log(all().map(|(load, _)| *load));
    let (Some(x_scale), Some(y_scale)) = (x_scale, y_scale) else {
        let said = &request.selection.said;
        return Ok(Drawn::Absent(format!("{} is in no run of {said}", metric.name)));
    };

    let mut svg = Svg::default();
    let names: Vec<String> = series.iter().map(|own| plot::shorten(&own.name, 60)).collect();
    let top = 10.0 + plot::legend(&mut svg, 70.0, 6.0, &names);
    let area = Area { left: 78.0, top, width: WIDTH - 100.0, height: HEIGHT };
    plot::vertical_axis(&mut svg, &area, &y_scale, &axis_title(&metric));
    let title = factors.join(" × ");
    plot::horizontal_axis(&mut svg, &area, &x_scale, &title);
    plot::line(&mut svg, "axis", (area.left, area.bottom()), (area.right(), area.bottom()));
    if let Some(limit) = reference.filter(|value| y_scale.holds(*value)) {
        let y = area.y(&y_scale, limit);
        plot::line(&mut svg, "mark", (area.left, y), (area.right(), y));
    }
    // A logarithmic axis has no place for nothing.
    let y = |value: f64| (!log || value > 0.0).then(|| area.y(&y_scale, value));
    let dots = all().map(|(_, group)| group.runs.len()).sum::<usize>() <= plot::MOST_DOTS;
    for (index, own) in series.iter().enumerate() {
        draw_series(&mut svg, index, own, &|load| area.x(&x_scale, load), &y, (metric.unit, dots));
    }
    let left_out = if log { values().filter(|value| *value <= 0.0).count() } else { 0 };
    let runs =
        if dots { "Small marks: single runs" } else { "Single runs are too many to be drawn" };
    let mut caption = format!(
        "{} against {title}, by experiment. {runs}; large marks: medians of cells; lines: the worst \
         median at each load.",
        metric.name
    );
    if log {
        caption += " Logarithmic axes.";
    }
    if left_out > 0 {
        let _ = write!(caption, " {left_out} runs at or below 0 have no place on it.");
    }
    if let Some(limit) = reference {
        let _ = write!(caption, " Dashed: {}.", with_unit(limit, metric.unit));
    }
    let title = format!("{} against {title}", metric.name);
    let name = request.name(&[metric.name]);
    Ok(request.picture(name, title, &caption, area.bottom() + 46.0, svg))
}

/// The product of a cell's levels; `None` where one is no number.
fn load_of(cell: &Cell, factors: &[&str]) -> Option<f64> {
    let level = |name: &&str| cell.factors.iter().find(|own| own.name == **name)?.number;
    let load: f64 = factors.iter().map(level).product::<Option<f64>>()?;
    (load > 0.0).then_some(load)
}

fn draw_series(
    svg: &mut Svg,
    index: usize,
    own: &Series<'_>,
    x: &dyn Fn(f64) -> f64,
    y: &dyn Fn(f64) -> Option<f64>,
    (unit, dots): (&str, bool),
) {
    let medians = own.cells.iter().filter_map(|(load, group)| {
        Some((*load, group.sample.as_ref().map(crate::stats::Sample::median)?, group))
    });
    let medians: Vec<(f64, f64, &Group)> = medians.collect();
    // by the bits of positive numbers, which are in their order
    let mut worst: BTreeMap<u64, f64> = BTreeMap::new();
    for (load, median, _) in &medians {
        let known = worst.entry(load.to_bits()).or_insert(*median);
        *known = known.max(*median);
    }
    let line: Vec<(f64, f64)> = worst
        .into_iter()
        .filter_map(|(load, median)| Some((x(f64::from_bits(load)), y(median)?)))
        .collect();
    if line.len() > 1 {
        plot::polyline(svg, &format!("s{index} line"), &line);
    }
    for (load, median, group) in medians {
        let of = format!("{}, {}", own.name, group.label);
        for (run, value) in group.runs.iter().filter(|_| dots) {
            let title = format!("{of}, run {run}: {}", with_unit(*value, unit));
            if let Some(y) = y(*value) {
                plot::dot(svg, index, (x(load), y), &title);
            }
        }
        if let Some(y) = y(median) {
            let load_text = groups::number(load);
            let title = format!("{of}: median {} at {load_text}", with_unit(median, unit));
            plot::mean(svg, index, (x(load), y), &title);
        }
    }
}
