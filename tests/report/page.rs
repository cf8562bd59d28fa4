//! The HTML page as text: one source with the Markdown, nothing that reaches out.

use runner::report::{self, Report, Template};

use crate::stored::Stored;

fn render(stored: &Stored, source: &str) -> Report {
    let template = Template { name: "own.md.j2".into(), source: source.into() };
    report::study(&stored.data(), &template, true).unwrap()
}

#[test]
fn nothing_in_the_page_reaches_out() {
    let stored = Stored::complete();
    stored.fail(0, "<script>alert(1)</script><img src=http://example.org/x.png> [a](javascript:b)");
    let template = Template::builtin("tr117.md.j2").unwrap();
    let html = report::study(&stored.data(), &template, false).unwrap().html();
    assert_eq!(html.matches("<script").count(), 1);
    for part in [" style=\"", "<img", "<link", "<iframe", "javascript:b\"", " src=\"", " onload=\""]
    {
        assert!(!html.contains(part), "{part} is in the page");
    }
    assert!(html.contains("default-src 'none'; style-src 'sha256-"));
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=http"));
    // figures are inline, their style is there once
    assert!(html.matches("<svg class=\"fig\"").count() >= 3);
    assert_eq!(html.matches("@media screen and (prefers-color-scheme:dark){\n.fig").count(), 1);
}

#[test]
fn a_part_that_can_be_closed_is_the_only_html_of_a_template() {
    let source = "# A\n\n<details>\n<summary>More & <i>more</i></summary>\n\n| a |\n|---|\n| 1 |\n\n</details>\n\n\
                  <details open onclick=\"x()\">\n\n</details><script>\n";
    let html = render(&Stored::complete(), source).html();
    let opened =
        "<details>\n<summary>More &amp; &lt;i&gt;more&lt;/i&gt;</summary>\n<div class=\"table\">";
    assert!(html.contains(opened), "{html}");
    assert!(html.contains("</table></div>\n</details>\n"), "{html}");
    assert!(html.contains("&lt;details open onclick="), "{html}");
    assert_eq!((html.matches("<details").count(), html.matches("<script").count()), (1, 1));
}

#[test]
fn markdown_of_a_template_becomes_elements_and_html_stays_text() {
    let stored = Stored::complete();
    let source = "# {{ study.name }}\n\n## Same\n\n## Same\n\n*a* **b** `c` ~~d~~ <b>e</b>\nf  \ng\n\n\
                  - one\n- two\n\n3. three\n\n> said\n\n```sh\nx < y\n```\n\n---\n\n\
                  [web](https://example.org/?a=1&b=2) [bad](javascript:x) ![p](p.png)\n\n\
                  <div onclick=\"x\">\nraw\n</div>\n\n\
                  {{ 12.5 | num }} {{ [1, 2.25] | interval }} {{ '<i>' | code }}\n";
    let report = render(&stored, source);
    let html = report.html();
    let body = html.split_once("<main>\n").unwrap().1.split_once("</main>").unwrap().0;
    insta::assert_snapshot!("page_body", body);
    assert!(html.contains("<li class=\"level2\"><a href=\"#same-2\">Same</a></li>"));
    assert!(html.contains("<title>small</title>"));
    let text = report.markdown();
    assert!(text.contains("\n12.50 1.000 to 2.250 <code>&#60;i&#62;</code>\n"), "{text}");
}
