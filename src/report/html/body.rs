//! Markdown → the elements of the page.
//!
//! Of HTML in the Markdown only what the templates write is kept: `<code>`, and a part that can be closed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pulldown_cmark::{
    Alignment, CodeBlockKind, Event, Options, Parser, Tag, TagEnd, TextMergeStream,
};

use super::escape;
use crate::report::figure::Figure;
use crate::report::mark;

/// Elements, and the headings among them.
#[derive(Debug, Default)]
pub struct Body {
    pub html: String,
    pub headings: Vec<Heading>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    pub level: usize,
    pub id: String,
    pub text: String,
}

/// What is open while the events go by.
#[derive(Debug, Default)]
struct Writer<'a> {
    html: String,
    figures: &'a [Figure],
    headings: Vec<Heading>,
    /// Level and text of the heading that is open, and where its element starts.
    heading: Option<(usize, String, usize)>,
    /// Ids that are taken, and how often.
    ids: BTreeMap<String, usize>,
    alignments: Vec<Alignment>,
    column: usize,
    in_head: bool,
    /// Text of an image, which is no figure of ours: it becomes a link.
    image: Option<(String, String)>,
    /// The paragraph that just began may turn out to be a figure.
    paragraph_starts: bool,
    in_figure: bool,
    /// A block of HTML that is open.
    block: Option<String>,
}

impl Body {
    pub fn new(marked: &str, figures: &[Figure]) -> Self {
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
        let mut writer = Writer { figures, ..Writer::default() };
        for event in TextMergeStream::new(Parser::new_ext(marked, options)) {
            writer.event(event);
        }
        Self { html: writer.html, headings: writer.headings }
    }
}

impl Writer<'_> {
    fn event(&mut self, event: Event) {
        if let (Some((alt, _)), Event::Text(text) | Event::Code(text)) = (&mut self.image, &event) {
            alt.push_str(&mark::strip(text));
            return;
        }
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.text(&text),
            Event::Code(code) => {
                self.begin_text();
                let code = mark::strip(&code);
                self.heading_text(&code);
                self.put(&format!("<code>{}</code>", escape(&code)));
            }
            Event::InlineHtml(html) if matches!(&*html, "<code>" | "</code>") => {
                self.begin_text();
                self.put(&html);
            }
            Event::Html(html) if self.block.is_some() => {
                self.block.get_or_insert_default().push_str(&html);
            }
            Event::Html(html) | Event::InlineHtml(html) => self.text(&html),
            Event::SoftBreak if self.in_figure && self.html.ends_with("<figcaption>") => {}
            Event::SoftBreak => self.put("\n"),
            Event::HardBreak => self.put("<br>\n"),
            Event::Rule => self.put("<hr>\n"),
            // not asked for of the parser
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.text(&text);
            }
            Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag) {
        match tag {
            Tag::Paragraph => self.paragraph_starts = true,
            Tag::Heading { level, .. } => {
                self.heading = Some((level as usize, String::new(), self.html.len()));
            }
            Tag::BlockQuote(_) => self.put("<blockquote>\n"),
            Tag::CodeBlock(kind) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.to_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                if language.is_empty() {
                    self.put("<pre><code>");
                } else {
                    self.put(&format!("<pre><code class=\"language-{}\">", escape(&language)));
                }
            }
            Tag::List(None) => self.put("<ul>\n"),
            Tag::List(Some(1)) => self.put("<ol>\n"),
            Tag::List(Some(first)) => self.put(&format!("<ol start=\"{first}\">\n")),
            Tag::Item => self.put("<li>"),
            Tag::Table(alignments) => {
                self.alignments = alignments;
                self.put("<div class=\"table\"><table>\n");
            }
            Tag::TableHead => {
                (self.in_head, self.column) = (true, 0);
                self.put("<thead><tr>");
            }
            Tag::TableRow => {
                self.column = 0;
                self.put("<tr>");
            }
            Tag::TableCell => {
                let class = match self.alignments.get(self.column) {
                    Some(Alignment::Right) => " class=\"right\"",
                    Some(Alignment::Center) => " class=\"center\"",
                    _ => "",
                };
                let cell = if self.in_head { "th" } else { "td" };
                self.put(&format!("<{cell}{class}>"));
            }
            Tag::Emphasis => self.inline("<em>"),
            Tag::Strong => self.inline("<strong>"),
            Tag::Strikethrough => self.inline("<del>"),
            Tag::Link { dest_url, .. } => {
                let url = mark::strip(&dest_url);
                let opened = if is_harmless(&url) {
                    format!("<a href=\"{}\">", escape(&url))
                } else {
                    "<a>".to_owned()
                };
                self.inline(&opened);
            }
            Tag::HtmlBlock => self.block = Some(String::new()),
            Tag::Image { dest_url, .. } => self.image = Some((String::new(), dest_url.to_string())),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph if self.in_figure => {
                self.in_figure = false;
                self.put("</figcaption></figure>\n");
            }
            TagEnd::Paragraph => {
                self.begin_text();
                self.put("</p>\n");
            }
            TagEnd::HtmlBlock => self.end_block(),
            TagEnd::Heading(_) => self.end_heading(),
            TagEnd::BlockQuote(_) => self.put("</blockquote>\n"),
            TagEnd::CodeBlock => self.put("</code></pre>\n"),
            TagEnd::List(false) => self.put("</ul>\n"),
            TagEnd::List(true) => self.put("</ol>\n"),
            TagEnd::Item => self.put("</li>\n"),
            TagEnd::Table => self.put("</tbody></table></div>\n"),
            TagEnd::TableHead => {
                self.in_head = false;
                self.put("</tr></thead>\n<tbody>\n");
            }
            TagEnd::TableRow => self.put("</tr>\n"),
            TagEnd::TableCell => {
                self.column += 1;
                self.put(if self.in_head { "</th>" } else { "</td>" });
            }
            TagEnd::Emphasis => self.put("</em>"),
            TagEnd::Strong => self.put("</strong>"),
            TagEnd::Strikethrough => self.put("</del>"),
            TagEnd::Link => self.put("</a>"),
            TagEnd::Image => self.end_image(),
            _ => {}
        }
    }

    /// A picture of ours is drawn here, with the rest of its paragraph as the caption; any other would
    /// be a file beside the page, so it is only a link.
    fn end_image(&mut self) {
        let Some((alt, url)) = self.image.take() else { return };
        let figure = url.strip_prefix("figures/").and_then(|file| file.strip_suffix(".svg"));
        let figure = figure.and_then(|name| self.figures.iter().find(|own| own.name == name));
        match figure {
            Some(figure) if self.paragraph_starts => {
                self.paragraph_starts = false;
                self.in_figure = true;
                let html = format!("<figure>\n{}\n<figcaption>", figure.inline());
                self.put(&html);
            }
            Some(figure) => {
                let html = figure.inline();
                self.inline(&html);
            }
            None if is_harmless(&url) => {
                let link = format!("<a href=\"{}\">{}</a>", escape(&url), escape(&alt));
                self.inline(&link);
            }
            None => self.inline(&escape(&alt)),
        }
    }

    /// A part that can be closed begins or ends; any other HTML is text.
    fn end_block(&mut self) {
        let block = self.block.take().unwrap_or_default();
        let part = |line: &str| match line.trim() {
            tag @ ("<details>" | "</details>" | "") => Some(format!("{tag}\n")),
            line => {
                let title = line.strip_prefix("<summary>")?.strip_suffix("</summary>")?;
                Some(format!("<summary>{}</summary>\n", escape(title)))
            }
        };
        if let Some(part) = block.lines().map(part).collect::<Option<String>>() {
            self.put(&part);
        } else {
            self.put("<p>");
            self.text(&block);
            self.put("</p>\n");
        }
    }

    fn end_heading(&mut self) {
        let Some((level, text, at)) = self.heading.take() else { return };
        let id = self.id(&text);
        let content = self.html.split_off(at);
        let _ = writeln!(self.html, "<h{level} id=\"{id}\">{content}</h{level}>");
        self.headings.push(Heading { level, id, text });
    }

    /// Words of the heading, told apart where they repeat.
    fn id(&mut self, text: &str) -> String {
        let words: Vec<String> = text
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        let words = if words.is_empty() { "section".to_owned() } else { words.join("-") };
        let taken = self.ids.entry(words.clone()).or_default();
        *taken += 1;
        if *taken == 1 { words } else { format!("{words}-{taken}") }
    }

    fn text(&mut self, marked: &str) {
        self.begin_text();
        for piece in mark::pieces(marked) {
            self.heading_text(piece.shown);
            let shown = escape(piece.shown);
            match piece.value {
                Some(value) => {
                    let _ = write!(self.html, "<data value=\"{}\">{shown}</data>", escape(value));
                }
                None => self.html.push_str(&shown),
            }
        }
    }

    fn heading_text(&mut self, text: &str) {
        if let Some((_, heading, _)) = &mut self.heading {
            heading.push_str(text);
        }
    }

    fn inline(&mut self, html: &str) {
        self.begin_text();
        self.put(html);
    }

    /// The paragraph that began is no figure.
    fn begin_text(&mut self) {
        if std::mem::take(&mut self.paragraph_starts) {
            self.put("<p>");
        }
    }

    fn put(&mut self, html: &str) {
        self.html.push_str(html);
    }
}

/// A link that stays on this page, goes to a file beside it, or to the web.
fn is_harmless(url: &str) -> bool {
    let scheme = url.split(['/', '?', '#']).next().unwrap_or_default();
    match scheme.split_once(':') {
        Some((scheme, _)) => {
            ["http", "https", "mailto"].iter().any(|own| scheme.eq_ignore_ascii_case(own))
        }
        None => true,
    }
}
