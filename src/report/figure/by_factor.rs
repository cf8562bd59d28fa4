//! A metric against the levels of one factor; the other factors that vary make the series.

use indexmap::IndexMap;

use super::groups::{self, Group, axis_title, groups, labels, with_unit};
use super::plot::{self, Area, SERIES, WIDTH};
use super::scale::Scale;
use super::svg::{Anchor, Svg};
use super::{Drawn, FigureError, Request};
use crate::manifest::factor;
use crate::report::data::NamedLevel;
use crate::report::select::nearest;

pub const NAME: &str = "by_factor";
const HEIGHT: f64 = 300.0;
/// Room of a level that is no number.
const SLOT: f64 = 90.0;
const MOST_LEVELS: usize = 40;

/// Where the levels of the factor are.
struct Levels {
    numbers: Option<Scale>,
    /// Width of the part with numbers.
    width: f64,
    /// Levels that are no numbers, right of them.
    words: Vec<String>,
}

pub fn draw(request: &Request) -> Result<Drawn, FigureError> {
    let metric = request.metric("metric")?;
    let factor = request.text("factor")?;
    let factor =
        factor.ok_or(FigureError::Missing { kind: request.kind.name, argument: "factor" })?;
    let selection = request.selection;
    let known = || selection.cells.iter().flat_map(|cell| &cell.factors).map(|own| &own.name);
    if !known().any(|own| own == factor) {
        return Err(FigureError::UnknownFactor {
            kind: request.kind.name,
            name: factor.to_owned(),
            hint: nearest(factor, known().map(String::as_str)),
        });
    }
    let groups = groups(selection, &metric);
    let Some(scale) = Scale::linear(groups.iter().flat_map(Group::extent)) else {
        return Ok(Drawn::Absent(format!("{} is in no run of {}", metric.name, selection.said)));
    };
    let mut series: IndexMap<String, Vec<(&Group, &NamedLevel)>> = IndexMap::new();
    for (group, label) in groups.iter().zip(labels(selection, &[factor])) {
        let level = group.cell.factors.iter().find(|own| own.name == factor);
        if let Some(level) = level.filter(|_| group.sample.is_some()) {
            series.entry(label).or_default().push((group, level));
        }
    }
    let words: usize = groups
        .iter()
        .flat_map(|group| &group.cell.factors)
        .filter(|own| own.name == factor && own.number.is_none())
        .map(|own| &own.text)
        .collect::<indexmap::IndexSet<_>>()
        .len();
    if series.len() > SERIES || words > MOST_LEVELS {
        return Ok(Drawn::Absent(format!(
            "{} series and {words} levels in words are too many for one picture of {} by {factor}",
            series.len(),
            metric.name
        )));
    }

    let mut svg = Svg::default();
    let names: Vec<String> = series.keys().map(|name| plot::shorten(name, 60)).collect();
    let top = 10.0 + plot::legend(&mut svg, 70.0, 6.0, &names);
    let area = Area { left: 78.0, top, width: WIDTH - 100.0, height: HEIGHT };
    plot::vertical_axis(&mut svg, &area, &scale, &axis_title(&metric));
    let all: Vec<&NamedLevel> = series.values().flatten().map(|(_, level)| *level).collect();
    let levels = Levels::new(&all, &area);
    levels.axis(&mut svg, &area, factor);
    let (dots, runs) = groups::dots(&groups);
    let shift = |index: usize| (index as f64 - (series.len() as f64 - 1.0) / 2.0) * 7.0;
    for (index, own) in series.values().enumerate() {
        draw_series(
            &mut svg,
            index,
            own,
            &|level| levels.x(&area, level) + shift(index),
            &|value| area.y(&scale, value),
            (metric.unit, dots),
        );
    }
    let caption = format!(
        "{} against {factor}{}. {runs}; large marks: means with their 95 % \
         intervals (Student t, where n ≥ 2), connected where levels are numbers.",
        metric.name,
        request.of_experiment(),
    );
    let title = format!("{} against {factor}{}", metric.name, request.of_experiment());
    let name = request.name(&[metric.name, factor]);
    Ok(request.picture(name, title, &caption, area.bottom() + 46.0, svg))
}

fn draw_series(
    svg: &mut Svg,
    index: usize,
    own: &[(&Group, &NamedLevel)],
    x: &dyn Fn(&NamedLevel) -> f64,
    y: &dyn Fn(f64) -> f64,
    (unit, dots): (&str, bool),
) {
    let mut line: Vec<(f64, f64)> = own
        .iter()
        .filter(|(_, level)| level.number.is_some())
        .filter_map(|(group, level)| Some((x(level), y(group.mean()?))))
        .collect();
    line.sort_by(|a, b| a.0.total_cmp(&b.0));
    if line.len() > 1 {
        plot::polyline(svg, &format!("s{index} line"), &line);
    }
    for (group, level) in own {
        let x = x(level);
        for (run, value) in group.runs.iter().filter(|_| dots) {
            let title = format!("{}, run {run}: {}", group.label, with_unit(*value, unit));
            plot::dot(svg, index, (x, y(*value)), &title);
        }
        if let Some(ci) = group.interval() {
            plot::interval(svg, index, (x, y(ci.low)), (x, y(ci.high)));
        }
        if let Some(mean) = group.mean() {
            let title = format!("{}: {}", group.label, group.said(unit));
            plot::mean(svg, index, (x, y(mean)), &title);
        }
    }
}

impl Levels {
    fn new(levels: &[&NamedLevel], area: &Area) -> Self {
        let words: indexmap::IndexSet<&str> = levels
            .iter()
            .filter(|level| level.number.is_none())
            .map(|level| level.text.as_str())
            .collect();
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        let numbers = Scale::with_room(levels.iter().filter_map(|level| level.number));
        let width = match &numbers {
            Some(_) => (area.width - SLOT * words.len() as f64).max(area.width / 3.0),
            None => 0.0,
        };
        Self { numbers, width, words }
    }

    fn slot(&self, area: &Area) -> f64 {
        (area.width - self.width) / self.words.len().max(1) as f64
    }

    fn x(&self, area: &Area, level: &NamedLevel) -> f64 {
        if let (Some(scale), Some(number)) = (&self.numbers, level.number) {
            return area.left + scale.place(number) * self.width;
        }
        let slot = self.words.iter().position(|word| *word == level.text).unwrap_or(0);
        area.left + self.width + self.slot(area) * (slot as f64 + 0.5)
    }

    fn axis(&self, svg: &mut Svg, area: &Area, factor: &str) {
        let bottom = area.bottom();
        if let Some(scale) = &self.numbers {
            let part = Area { width: self.width, ..*area };
            plot::horizontal_axis(svg, &part, scale, "");
            if !self.words.is_empty() {
                plot::line(svg, "mark", (part.right(), area.top), (part.right(), bottom));
            }
        }
        plot::line(svg, "axis", (area.left, bottom), (area.right(), bottom));
        let columns = (self.slot(area) / plot::CHARACTER).floor();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        let columns = columns as usize;
        for (index, word) in self.words.iter().enumerate() {
            let x = area.left + self.width + self.slot(area) * (index as f64 + 0.5);
            let word = plot::shorten(word, columns.max(3));
            svg.label((x, bottom + 15.0), Anchor::Middle, "quiet small", &word);
        }
        let unit = factor_unit(factor);
        let title = if unit.is_empty() { factor.to_owned() } else { format!("{factor} ({unit})") };
        svg.label((area.left + area.width / 2.0, bottom + 34.0), Anchor::Middle, "", &title);
    }
}

/// Base unit of a factor's numbers.
fn factor_unit(factor: &str) -> &'static str {
    match factor::lookup(factor).map(|factor| factor.kind) {
        Some(factor::Kind::Bytes) => "B",
        Some(factor::Kind::Rate) => "tok/s",
        Some(factor::Kind::Duration) => "s",
        _ => "",
    }
}
