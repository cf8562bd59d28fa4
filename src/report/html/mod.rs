//! A report as one page that needs nothing else: no network, no files beside it.
//!
//! It is made from the same rendered text as the Markdown. HTML in that text is shown as text, styles
//! and script are only ours (the policy in the page names their digests), so that nothing that a model
//! or a server said can act.

mod body;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::figure::{Figure, STYLE};
use body::{Body, Heading};

const PAGE_STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Headings deeper than this are not in the table of contents.
const DEEPEST: usize = 3;

/// The page of a rendered report, whose numbers may be marked. `title` stands in for a heading.
#[must_use]
pub fn page(marked: &str, figures: &[Figure], title: &str) -> String {
    let body = Body::new(marked, figures);
    let heading = body.headings.iter().find(|heading| heading.level == 1);
    let title = heading.map_or(title, |heading| heading.text.as_str());
    let style = format!("{PAGE_STYLE}{STYLE}");
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; base-uri 'none'; \
         form-action 'none'",
        digest(&style),
        digest(SCRIPT)
    );
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
         <style>{style}</style>\n</head>\n<body>\n{}<main>\n{}</main>\n<script>{SCRIPT}</script>\n\
         </body>\n</html>\n",
        escape(title),
        contents(&body.headings),
        body.html
    )
}

/// How a policy names an inline style or script.
fn digest(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

fn contents(headings: &[Heading]) -> String {
    let mut items = String::new();
    for heading in headings.iter().filter(|heading| (2..=DEEPEST).contains(&heading.level)) {
        let (level, id, text) = (heading.level, &heading.id, escape(&heading.text));
        let _ = writeln!(items, "<li class=\"level{level}\"><a href=\"#{id}\">{text}</a></li>");
    }
    if items.is_empty() {
        return items;
    }
    format!("<nav aria-label=\"Contents\">\n<ul>\n{items}</ul>\n</nav>\n")
}

/// Text in an element or an attribute; its lines stay lines.
fn escape(text: &str) -> String {
    text.split('\n').map(super::figure::escape).collect::<Vec<_>>().join("\n")
}
