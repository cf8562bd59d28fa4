//! A writer of SVG: elements, escaped text, and numbers with the same digits on every machine.

use std::fmt::Write as _;

use crate::shown;

/// Attributes of an element, in the order in which they are written.
pub type Attributes<'a> = &'a [(&'a str, String)];

/// The inside of a picture as it grows.
#[derive(Debug, Default)]
pub struct Svg {
    text: String,
}

impl Svg {
    /// An element without content.
    pub fn leaf(&mut self, name: &str, attributes: Attributes) {
        self.start(name, attributes);
        self.text.push_str("/>\n");
    }

    /// A shape that says `title` when it is pointed at.
    pub fn titled(&mut self, name: &str, attributes: Attributes, title: &str) {
        self.start(name, attributes);
        let _ = writeln!(self.text, "><title>{}</title></{name}>", escape(title));
    }

    /// Text that starts, ends or is centred at a point.
    pub fn label(&mut self, at: (f64, f64), anchor: Anchor, class: &str, text: &str) {
        self.start("text", &[("x", px(at.0)), ("y", px(at.1))]);
        self.finish_label(anchor, class, text);
    }

    /// Text that runs upwards, centred at a point.
    pub fn upright(&mut self, at: (f64, f64), class: &str, text: &str) {
        let transform = format!("translate({} {}) rotate(-90)", px(at.0), px(at.1));
        self.start("text", &[("transform", transform)]);
        self.finish_label(Anchor::Middle, class, text);
    }

    fn finish_label(&mut self, anchor: Anchor, class: &str, text: &str) {
        if let Some(name) = anchor.name() {
            let _ = write!(self.text, " text-anchor=\"{name}\"");
        }
        if !class.is_empty() {
            let _ = write!(self.text, " class=\"{class}\"");
        }
        let _ = writeln!(self.text, ">{}</text>", escape(text));
    }

    fn start(&mut self, name: &str, attributes: Attributes) {
        let _ = write!(self.text, "<{name}");
        for (name, value) in attributes {
            let _ = write!(self.text, " {name}=\"{}\"", escape(value));
        }
    }

    /// The elements.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }
}

/// Which point of a text is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn name(self) -> Option<&'static str> {
        match self {
            Anchor::Start => None,
            Anchor::Middle => Some("middle"),
            Anchor::End => Some("end"),
        }
    }
}

/// A coordinate in hundredths of a pixel, without needless zeros.
#[must_use]
pub fn px(value: f64) -> String {
    let mut text = format!("{value:.2}");
    while text.ends_with('0') {
        text.pop();
    }
    if text.ends_with('.') {
        text.pop();
    }
    if text == "-0" { "0".to_owned() } else { text }
}

/// Text from outside as XML text or attribute. Characters that XML does not know are replaced.
#[must_use]
pub fn escape(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if shown::steers(c) => escaped.push(shown::REPLACED),
            c => escaped.push(c),
        }
    }
    escaped
}
