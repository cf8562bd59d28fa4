//! Raw series over the time of a run, one panel below the other, with the calls marked.

use std::collections::BTreeMap;

use formats::protocol::AgentRecord;
use serde::Deserialize;

use super::artifacts::{self, Choice, Shown};
use super::plot::{self, Area, LINE, WIDTH};
use super::scale::Scale;
use super::svg::{Anchor, Svg, px};
use super::{Drawn, FigureError, Request, thin};

pub const LAG: &str = "lag_over_time";
pub const GPU: &str = "gpu_over_time";
const LAG_FILE: &str = "loop_lag_windows.csv";
const GPU_FILE: &str = "gpu_metrics.csv";
const PANEL: f64 = 84.0;
const BETWEEN: f64 = 12.0;
/// Height of an agent's calls.
const STRIP: f64 = 7.0;
const MOST_STRIPS: usize = 6;
/// Stretches of a long series of which the extremes are drawn.
const STRETCHES: usize = 300;

/// What one run shows: its series by panel, and its calls.
struct Track {
    label: String,
    /// By panel, then by series: name and points in seconds.
    panels: Vec<BTreeMap<String, Vec<(f64, f64)>>>,
    calls: Vec<Call>,
    /// The idle control, from and to.
    idle: Option<(f64, f64)>,
}

/// A call in seconds.
struct Call {
    agent: String,
    index: u32,
    warmup: bool,
    start: f64,
    end: f64,
}

struct Texts {
    /// With units.
    panels: &'static [&'static str],
    title: &'static str,
    caption: &'static str,
}

pub fn draw_lag(request: &Request) -> Result<Drawn, FigureError> {
    #[derive(Deserialize)]
    struct Row {
        start_ns: u64,
        duration_ms: f64,
        lag_max_ms: Option<f64>,
        chunks_per_s: Option<f64>,
        /// Its agent, where each has a loop of its own.
        #[serde(rename = "loop", default)]
        loop_name: Option<String>,
    }
    let choice = artifacts::choose(request, LAG_FILE)?;
    let read = |shown: &Shown| -> Result<Track, String> {
        let rows: Vec<Row> = artifacts::rows(shown, LAG_FILE)?;
        let record = artifacts::record(shown)?;
        let zero = zero(&record, rows.iter().map(|row| row.start_ns).min());
        let series = |value: fn(&Row) -> Option<f64>| {
            let mut by_loop: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
            for row in &rows {
                if let Some(value) = value(row) {
                    let middle = row.start_ns as f64 + row.duration_ms * 5e5;
                    let own = by_loop.entry(row.loop_name.clone().unwrap_or_default()).or_default();
                    own.push(((middle - zero) / 1e9, value));
                }
            }
            by_loop
        };
        Ok(Track {
            label: shown.label.clone(),
            panels: vec![series(|row| row.lag_max_ms), series(|row| row.chunks_per_s)],
            calls: calls(&record, zero),
            idle: idle(&record, zero),
        })
    };
    let texts = Texts {
        panels: &["lag, max (ms)", "chunks/s"],
        title: "Event-loop lag and chunks over time",
        caption: "The largest event-loop lag in windows of 100 ms, beside the chunks with text that the \
                  loop's agents took in them.",
    };
    draw(request, &choice, &texts, LAG_FILE, read)
}

pub fn draw_gpu(request: &Request) -> Result<Drawn, FigureError> {
    #[derive(Deserialize)]
    struct Row {
        time_ns: u64,
        gpu: u32,
        power_w: Option<f64>,
        memory_used_mb: Option<f64>,
        sm_percent: Option<f64>,
    }
    let choice = artifacts::choose(request, GPU_FILE)?;
    let read = |shown: &Shown| -> Result<Track, String> {
        let rows: Vec<Row> = artifacts::rows(shown, GPU_FILE)?;
        let record = artifacts::record(shown)?;
        let zero = zero(&record, rows.first().map(|row| row.time_ns));
        let series = |value: fn(&Row) -> Option<f64>| {
            let mut by_gpu: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
            for row in &rows {
                if let Some(value) = value(row) {
                    let time = (row.time_ns as f64 - zero) / 1e9;
                    by_gpu.entry(format!("GPU {}", row.gpu)).or_default().push((time, value));
                }
            }
            by_gpu
        };
        Ok(Track {
            label: shown.label.clone(),
            panels: vec![
                series(|row| row.power_w),
                series(|row| row.memory_used_mb),
                series(|row| row.sm_percent),
            ],
            calls: calls(&record, zero),
            idle: idle(&record, zero),
        })
    };
    let texts = Texts {
        panels: &["power (W)", "memory (MB)", "kernels (%)"],
        title: "GPU power, memory and utilisation over time",
        caption: "What the driver told of each GPU while the run went on: power, memory in use, and the \
                  share of its sampling period in which a kernel ran.",
    };
    draw(request, &choice, &texts, GPU_FILE, read)
}

/// The first moment that is drawn, nanoseconds.
fn zero(record: &AgentRecord, first: Option<u64>) -> f64 {
    let calls = record.calls.iter().map(|call| call.start_ns);
    calls.chain(first).min().unwrap_or(0) as f64
}

fn calls(record: &AgentRecord, zero: f64) -> Vec<Call> {
    let seconds = |time_ns: u64| (time_ns as f64 - zero) / 1e9;
    let calls = record.calls.iter().map(|call| Call {
        agent: call.agent.clone(),
        index: call.call,
        warmup: call.warmup,
        start: seconds(call.start_ns),
        end: seconds(call.end_ns),
    });
    calls.collect()
}

fn idle(record: &AgentRecord, zero: f64) -> Option<(f64, f64)> {
    let idle = record.idle?;
    Some(((idle.start_ns as f64 - zero) / 1e9, (idle.end_ns as f64 - zero) / 1e9))
}

fn draw(
    request: &Request,
    choice: &Choice,
    texts: &Texts,
    file: &str,
    read: impl Fn(&Shown) -> Result<Track, String>,
) -> Result<Drawn, FigureError> {
    let mut tracks = Vec::new();
    for shown in &choice.runs {
        match read(shown) {
            Ok(track) => tracks.push(track),
            Err(reason) => return Ok(Drawn::Absent(reason)),
        }
    }
    let points = |panel: usize| {
        tracks.iter().flat_map(move |track| track.panels[panel].values()).flatten().copied()
    };
    let panels: Vec<usize> =
        (0..texts.panels.len()).filter(|panel| points(*panel).next().is_some()).collect();
    if panels.is_empty() {
        let said = &request.selection.said;
        return Ok(Drawn::Absent(format!("no run of {said} has values in {file}")));
    }
    let last = panels.iter().flat_map(|panel| points(*panel)).map(|(time, _)| time);
    let ends = tracks.iter().flat_map(|track| &track.calls).map(|call| call.end);
    let time = Scale::exactly(0.0, last.chain(ends).fold(0.0, f64::max));
    let scales: Vec<Scale> = panels
        .iter()
        .filter_map(|panel| Scale::short_from_zero(points(*panel).map(|(_, value)| value)))
        .collect();

    let mut svg = Svg::default();
    let mut area = Area { left: 78.0, top: 8.0, width: WIDTH - 100.0, height: PANEL };
    for track in &tracks {
        svg.label((area.left, area.top + 10.0), Anchor::Start, "bold", &track.label);
        area.top += LINE;
        let strips = draw_strips(&mut svg, &area, &time, track);
        let from = area.top;
        area.top += strips;
        for (panel, scale) in panels.iter().zip(&scales) {
            draw_panel(
                &mut svg,
                &area,
                (&time, scale),
                texts.panels[*panel],
                &track.panels[*panel],
            );
            area.top += PANEL + BETWEEN;
        }
        shade(
            &mut svg,
            &Area { top: from, height: area.top - BETWEEN - from, ..area },
            &time,
            track,
        );
    }
    area.top -= PANEL + BETWEEN;
    plot::horizontal_axis(&mut svg, &area, &time, "time (s)");

    let longest = panels.iter().flat_map(|panel| {
        tracks.iter().flat_map(|track| track.panels[*panel].values()).map(Vec::len)
    });
    let thinned = if longest.max().unwrap_or(0) > STRETCHES * 4 {
        format!(" Long series are drawn by the extremes of {STRETCHES} stretches.")
    } else {
        String::new()
    };
    let caption = format!(
        "{} Strips: the calls of each agent, warm-up calls pale, the idle control grey; shaded: measured calls.{thinned} {}",
        texts.caption,
        choice.said()
    );
    let title = format!("{}{}", texts.title, request.of_experiment());
    let run: Vec<&str> = request.text("run")?.into_iter().collect();
    Ok(request.picture(request.name(&run), title, &caption, area.bottom() + 46.0, svg))
}

/// One strip per agent with its calls, the idle control before them; returns the height taken.
fn draw_strips(svg: &mut Svg, area: &Area, time: &Scale, track: &Track) -> f64 {
    let calls = &track.calls;
    if let Some((from, to)) = track.idle {
        let shape = [
            ("class", "band".to_owned()),
            ("x", px(area.x(time, from))),
            ("y", px(area.top)),
            ("width", px(area.x(time, to) - area.x(time, from))),
            ("height", px(STRIP - 2.0)),
        ];
        svg.titled("rect", &shape, &format!("idle control: {from:.3} s to {to:.3} s"));
    }
    let agents: indexmap::IndexSet<&str> = calls.iter().map(|call| call.agent.as_str()).collect();
    for call in calls {
        let strip = agents.get_index_of(call.agent.as_str()).unwrap_or(0) % MOST_STRIPS;
        let (from, to) = (area.x(time, call.start), area.x(time, call.end));
        let pale = if call.warmup { "pale" } else { "solid" };
        let shape = [
            ("class", format!("s{strip} {pale}")),
            ("x", px(from)),
            ("y", px(area.top + strip as f64 * STRIP)),
            ("width", px((to - from).max(1.0))),
            ("height", px(STRIP - 2.0)),
        ];
        let kind = if call.warmup { "warm-up call" } else { "call" };
        let title = format!(
            "{}, {kind} {}: {:.3} s to {:.3} s",
            call.agent, call.index, call.start, call.end
        );
        svg.titled("rect", &shape, &title);
    }
    agents.len().min(MOST_STRIPS) as f64 * STRIP + 4.0
}

/// From the first start to the last end of the measured calls, across all panels.
fn shade(svg: &mut Svg, area: &Area, time: &Scale, track: &Track) {
    let measured = || track.calls.iter().filter(|call| !call.warmup);
    let start = measured().map(|call| call.start).min_by(f64::total_cmp);
    let end = measured().map(|call| call.end).max_by(f64::total_cmp);
    let Some((start, end)) = start.zip(end) else { return };
    let (from, to) = (area.x(time, start), area.x(time, end));
    let shape = [
        ("class", "band".to_owned()),
        ("x", px(from)),
        ("y", px(area.top)),
        ("width", px(to - from)),
        ("height", px(area.height)),
        ("pointer-events", "none".to_owned()),
    ];
    svg.leaf("rect", &shape);
}

fn draw_panel(
    svg: &mut Svg,
    area: &Area,
    (time, scale): (&Scale, &Scale),
    title: &str,
    series: &BTreeMap<String, Vec<(f64, f64)>>,
) {
    plot::vertical_axis(svg, area, scale, title);
    plot::line(svg, "axis", (area.left, area.bottom()), (area.right(), area.bottom()));
    for (index, (name, points)) in series.iter().enumerate() {
        let drawn: Vec<(f64, f64)> = thin::min_max(points, STRETCHES)
            .into_iter()
            .map(|(at, value)| (area.x(time, at), area.y(scale, value)))
            .collect();
        plot::polyline(svg, &format!("s{} line", index % plot::SERIES), &drawn);
        if series.len() > 1 {
            let at = (area.right() - 4.0, area.top + 12.0 * (index as f64 + 1.0));
            let class = format!("s{} solid small bold", index % plot::SERIES);
            svg.label(at, Anchor::End, &class, name);
        }
    }
}
