//! Number formats and escaping.

use std::time::Duration;

use super::{escape, format};

#[test]
fn significant_digits() {
    for (value, digits, text) in [
        (98.7346, 4, "98.73"),
        (0.012_343, 4, "0.01234"),
        (1234.6, 4, "1235"),
        (123_456.0, 4, "123456"),
        (9.9999, 4, "10.00"),
        (-0.5, 2, "-0.50"),
        (0.0, 4, "0"),
        (1.23e-9, 2, "1.2e-9"),
    ] {
        assert_eq!(format::significant(value, digits), text, "{value}");
    }
}

#[test]
fn durations_in_the_largest_whole_unit() {
    assert_eq!(format::duration(Duration::from_secs(120)), "2 min");
    assert_eq!(format::duration(Duration::from_millis(1500)), "1500 ms");
    assert_eq!(format::duration(Duration::ZERO), "0 s");
}

#[test]
fn nothing_from_outside_is_markup() {
    assert_eq!(escape::text("a|b\n<script>"), "a\\|b &lt;script&gt;");
    assert_eq!(escape::text("- *x* [y](z) `q` a_b"), "\\- \\*x\\* \\[y\\](z) \\`q\\` a\\_b");
    assert_eq!(escape::code("gemma3:latest"), "`gemma3:latest`");
    assert_eq!(escape::code("a|`b`"), "<code>a&#124;&#96;b&#96;</code>");
    assert_eq!(escape::code("<script>"), "<code>&#60;script&#62;</code>");
    // code within our own sentences, and never more than that
    assert_eq!(
        escape::prose("- `a_b` is unknown * in `x|y`"),
        "\\- `a_b` is unknown \\* in <code>x&#124;y</code>"
    );
    assert_eq!(escape::prose("one ` alone <b>"), "one \\` alone &lt;b&gt;");
}
