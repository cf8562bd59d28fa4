//! Distributions from raw files: the share of values that are not larger, on a logarithmic axis.

use std::fmt::Write as _;

use formats::protocol::{LOOP_LAG_FILE, RECORD_FILE};

use super::artifacts::{self, Choice, Shown};
use super::plot::{self, Area, WIDTH};
use super::scale::Scale;
use super::svg::{Svg, px};
use super::{Drawn, FigureError, Request, thin};
use crate::metrics::lag::{self, LagSample};
use crate::stats::Sample;

pub const LAG: &str = "lag_distribution";
pub const GAPS: &str = "gap_distribution";
const HEIGHT: f64 = 300.0;
/// Points of one curve.
const POINTS: usize = 400;
/// What is shorter is drawn here: a logarithmic axis has no 0.
const FLOOR_MS: f64 = 0.001;

/// One curve: its values in order.
struct Curve {
    label: String,
    /// It is the idle control of the curve before it.
    idle: bool,
    sorted: Vec<f64>,
}

pub fn draw_lag(request: &Request) -> Result<Drawn, FigureError> {
    let choice = artifacts::choose(request, LOOP_LAG_FILE)?;
    let curves = |shown: &Shown| -> Result<Vec<Curve>, String> {
        let record = artifacts::record(shown)?;
        let samples: Vec<LagSample> = artifacts::rows(shown, LOOP_LAG_FILE)?;
        let [load, idle] = lag::loaded_and_idle(&record, &samples);
        let values = |lags: Option<Sample>| sorted(lags.iter().flat_map(Sample::values).copied());
        let label = |what: &str| format!("{} {what}", shown.label);
        Ok([
            Curve { label: label("loaded"), idle: false, sorted: values(load) },
            Curve { label: label("idle"), idle: true, sorted: values(idle) },
        ]
        .into())
    };
    let texts = Texts {
        axis: "event-loop lag (ms)",
        title: "Distribution of event-loop lag",
        caption: "Distribution of event-loop lag, loaded (solid) and in the idle control (dashed, \
                  where there is one): share of samples that are not larger. Logarithmic axis; lags \
                  below 0.001 ms are drawn there.",
        file: LOOP_LAG_FILE,
    };
    draw(request, &choice, &texts, curves)
}

pub fn draw_gaps(request: &Request) -> Result<Drawn, FigureError> {
    let choice = artifacts::choose(request, RECORD_FILE)?;
    let curves = |shown: &Shown| -> Result<Vec<Curve>, String> {
        let record = artifacts::record(shown)?;
        let measured = record.calls.iter().filter(|call| !call.warmup && call.outcome.counts());
        let gaps = sorted(measured.flat_map(crate::metrics::gaps_ms));
        Ok([Curve { label: shown.label.clone(), idle: false, sorted: gaps }].into())
    };
    let texts = Texts {
        axis: "gap between chunks with text (ms)",
        title: "Distribution of chunk gaps",
        caption: "Distribution of the gaps between consecutive chunks with text, measured calls: \
                  share of gaps that are not longer. Logarithmic axis; gaps below 0.001 ms are drawn \
                  there.",
        file: RECORD_FILE,
    };
    draw(request, &choice, &texts, curves)
}

struct Texts {
    axis: &'static str,
    title: &'static str,
    caption: &'static str,
    file: &'static str,
}

fn draw(
    request: &Request,
    choice: &Choice,
    texts: &Texts,
    read: impl Fn(&Shown) -> Result<Vec<Curve>, String>,
) -> Result<Drawn, FigureError> {
    let mut runs: Vec<Vec<Curve>> = Vec::new();
    for shown in &choice.runs {
        match read(shown) {
            Ok(curves) => runs.push(curves),
            Err(reason) => return Ok(Drawn::Absent(reason)),
        }
    }
    let values = runs.iter().flatten().flat_map(|curve| {
        curve.sorted.first().into_iter().chain(curve.sorted.last()).map(|value| value.max(FLOOR_MS))
    });
    let Some(scale) = Scale::log(values) else {
        let said = &request.selection.said;
        return Ok(Drawn::Absent(format!("no run of {said} has such values in {}", texts.file)));
    };
    let mut svg = Svg::default();
    let names: Vec<String> =
        choice.runs.iter().map(|shown| plot::shorten(&shown.label, 60)).collect();
    let top = 10.0 + plot::legend(&mut svg, 70.0, 6.0, &names);
    let area = Area { left: 78.0, top, width: WIDTH - 100.0, height: HEIGHT };
    let percent = Scale::exactly(0.0, 100.0);
    plot::horizontal_axis(&mut svg, &area, &scale, texts.axis);
    plot::vertical_axis(&mut svg, &area, &percent, "share of values (%)");
    let y = area.y(&percent, 99.0);
    plot::line(&mut svg, "mark", (area.left, y), (area.right(), y));
    for (series, curve) in
        runs.iter().enumerate().flat_map(|(series, own)| own.iter().map(move |own| (series, own)))
    {
        draw_curve(&mut svg, &area, (&scale, &percent), series, curve);
    }
    let thinned = runs.iter().flatten().any(|curve| curve.sorted.len() > POINTS);
    let thinned = if thinned {
        format!(" Curves are drawn through {POINTS} values, evenly by rank.")
    } else {
        String::new()
    };
    let caption = format!("{} Dashed line across: 99 %.{thinned} {}", texts.caption, choice.said());
    let title = format!("{}{}", texts.title, request.of_experiment());
    let runs: Vec<&str> = request.text("run")?.into_iter().collect();
    Ok(request.picture(request.name(&runs), title, &caption, area.bottom() + 46.0, svg))
}

fn draw_curve(
    svg: &mut Svg,
    area: &Area,
    (scale, percent): (&Scale, &Scale),
    series: usize,
    curve: &Curve,
) {
    let Some(smallest) = curve.sorted.first() else { return };
    let mut path = format!("M{} {}", px(area.x(scale, *smallest)), px(area.bottom()));
    for (value, share) in thin::shares(&curve.sorted, POINTS) {
        let _ = write!(path, "H{}V{}", px(area.x(scale, value)), px(area.y(percent, share)));
    }
    let _ = write!(path, "H{}", px(area.right()));
    let mut attributes = vec![("class", format!("s{series} line")), ("d", path)];
    if curve.idle {
        attributes.push(("stroke-dasharray", "5 3".to_owned()));
    }
    let at = |share: usize| curve.sorted[(curve.sorted.len() - 1) * share / 100];
    let title = format!(
        "{}: {} values, median {:.3} ms, p99 {:.3} ms, largest {:.3} ms",
        curve.label,
        curve.sorted.len(),
        at(50),
        at(99),
        at(100)
    );
    svg.titled("path", &attributes, &title);
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}
