//! What the figures share: areas with axes, marks of single values, means and intervals, legends.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::scale::Scale;
use super::svg::{Anchor, Svg, px};

/// Width of every figure.
pub const WIDTH: f64 = 760.0;
/// Single values of one picture; more of them make it slow to show and are a smear.
pub const MOST_DOTS: usize = 2000;
/// Colours and shapes that can be told apart.
pub const SERIES: usize = 6;
/// Width of an average character; no font is measured, so that a figure is the same on every machine.
pub const CHARACTER: f64 = 6.6;
/// Room of a line of text.
pub const LINE: f64 = 18.0;

/// A part of the picture with its two axes, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Area {
    pub fn right(&self) -> f64 {
        self.left + self.width
    }

    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }

    pub fn x(&self, scale: &Scale, value: f64) -> f64 {
        self.left + scale.place(value) * self.width
    }

    pub fn y(&self, scale: &Scale, value: f64) -> f64 {
        self.bottom() - scale.place(value) * self.height
    }
}

/// Ticks and grid of a horizontal axis, below the area, and its title.
pub fn horizontal_axis(svg: &mut Svg, area: &Area, scale: &Scale, title: &str) {
    for (value, text) in scale.ticks() {
        let x = area.x(scale, value);
        line(svg, "grid", (x, area.top), (x, area.bottom()));
        svg.label((x, area.bottom() + 15.0), Anchor::Middle, "quiet small", &text);
    }
    line(svg, "axis", (area.left, area.bottom()), (area.right(), area.bottom()));
    let middle = area.left + area.width / 2.0;
    svg.label((middle, area.bottom() + 34.0), Anchor::Middle, "", title);
}

/// Ticks and grid of a vertical axis, left of the area, and its title.
pub fn vertical_axis(svg: &mut Svg, area: &Area, scale: &Scale, title: &str) {
    for (value, text) in scale.ticks() {
        let y = area.y(scale, value);
        line(svg, "grid", (area.left, y), (area.right(), y));
        svg.label((area.left - 6.0, y + 4.0), Anchor::End, "quiet small", &text);
    }
    line(svg, "axis", (area.left, area.top), (area.left, area.bottom()));
    svg.upright((14.0, area.top + area.height / 2.0), "", title);
}

pub fn line(svg: &mut Svg, class: &str, from: (f64, f64), to: (f64, f64)) {
    svg.leaf(
        "line",
        &[
            ("class", class.to_owned()),
            ("x1", px(from.0)),
            ("y1", px(from.1)),
            ("x2", px(to.0)),
            ("y2", px(to.1)),
        ],
    );
}

/// One line through points.
pub fn polyline(svg: &mut Svg, class: &str, points: &[(f64, f64)]) {
    let points: Vec<String> =
        points.iter().map(|(x, y)| format!("{},{}", px(*x), px(*y))).collect();
    svg.leaf("polyline", &[("class", class.to_owned()), ("points", points.join(" "))]);
}

/// One value: a small mark in the shape and colour of its series.
pub fn dot(svg: &mut Svg, series: usize, at: (f64, f64), title: &str) {
    mark(svg, series, at, 3.2, "dot", title);
}

/// A mean: a large mark in the shape and colour of its series.
pub fn mean(svg: &mut Svg, series: usize, at: (f64, f64), title: &str) {
    mark(svg, series, at, 5.0, "solid", title);
}

fn mark(svg: &mut Svg, series: usize, at: (f64, f64), size: f64, class: &str, title: &str) {
    let series = series % SERIES;
    let class = ("class", format!("s{series} {class}"));
    let (x, y) = at;
    let corners: &[(f64, f64)] = match series {
        1 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2 => &[(0.0, -1.2), (1.2, 0.0), (0.0, 1.2), (-1.2, 0.0)],
        3 => &[(0.0, -1.2), (1.1, 0.9), (-1.1, 0.9)],
        4 => &[(0.0, 1.2), (1.1, -0.9), (-1.1, -0.9)],
        5 => &[(-1.3, -0.6), (1.3, -0.6), (1.3, 0.6), (-1.3, 0.6)],
        _ => {
            let shape = [class, ("cx", px(x)), ("cy", px(y)), ("r", px(size))];
            svg.titled("circle", &shape, title);
            return;
        }
    };
    let points: Vec<String> = corners
        .iter()
        .map(|(dx, dy)| format!("{},{}", px(x + dx * size), px(y + dy * size)))
        .collect();
    svg.titled("polygon", &[class, ("points", points.join(" "))], title);
}

/// An interval from low to high, drawn along `x` or `y`, with caps.
pub fn interval(svg: &mut Svg, series: usize, low: (f64, f64), high: (f64, f64)) {
    let (along_x, along_y) = if (low.1 - high.1).abs() < 1e-9 { (0.0, 4.0) } else { (4.0, 0.0) };
    let cap = |(x, y): (f64, f64)| {
        let from = format!("M{} {}", px(x - along_x), px(y - along_y));
        format!("{from}L{} {}", px(x + along_x), px(y + along_y))
    };
    let bar = format!("M{} {}L{} {}", px(low.0), px(low.1), px(high.0), px(high.1));
    let path = format!("{bar}{}{}", cap(low), cap(high));
    svg.leaf("path", &[("class", format!("s{} line", series % SERIES)), ("d", path)]);
}

/// Names of the series from `left` on, as many in a row as there is room; returns the height taken.
pub fn legend(svg: &mut Svg, left: f64, top: f64, names: &[String]) -> f64 {
    if names.len() < 2 {
        return 0.0;
    }
    let (mut x, mut y) = (left, top + LINE / 2.0);
    for (series, name) in names.iter().enumerate() {
        let room = 24.0 + width(name);
        if x > left && x + room > WIDTH - 8.0 {
            (x, y) = (left, y + LINE);
        }
        mean(svg, series, (x + 6.0, y), name);
        svg.label((x + 16.0, y + 4.0), Anchor::Start, "", name);
        x += room + 12.0;
    }
    y + LINE / 2.0 + 6.0 - top
}

/// Room that a text takes, about.
pub fn width(text: &str) -> f64 {
    text.width() as f64 * CHARACTER
}

/// At most this many columns of a text, its middle left out.
pub fn shorten(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let side = columns.saturating_sub(1) / 2;
    let take = |characters: &mut dyn Iterator<Item = char>| -> Vec<char> {
        let mut used = 0;
        characters
            .take_while(|c| {
                used += c.width().unwrap_or(0);
                used <= side
            })
            .collect()
    };
    let start: String = take(&mut text.chars()).into_iter().collect();
    let end: String = take(&mut text.chars().rev()).into_iter().rev().collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_keep_their_ends() {
        assert_eq!(shorten("short", 10), "short");
        assert_eq!(shorten("a very long name indeed", 11), "a ver…ndeed");
        assert_eq!(shorten("名前名前名前名前", 9), "名前…名前");
    }
}
