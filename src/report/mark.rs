//! Numbers that carry their full value through Markdown, so that one rendering gives both the page for
//! reading (rounded) and the page for sorting and searching (exact).
//!
//! The marks are noncharacters, which Unicode keeps for a program's own use; text from outside loses
//! them when it is escaped.

const VALUE: char = '\u{fdd0}';
const SHOWN: char = '\u{fdd1}';
const END: char = '\u{fdd2}';

/// Whether text from outside must lose this character.
#[must_use]
pub fn is_reserved(c: char) -> bool {
    ('\u{fdd0}'..='\u{fdef}').contains(&c)
}

/// A number as it is shown, with its value.
#[must_use]
pub fn number(value: f64, shown: &str) -> String {
    format!("{VALUE}{value}{SHOWN}{shown}{END}")
}

/// The text without its marks.
#[must_use]
pub fn strip(marked: &str) -> String {
    let mut text = String::with_capacity(marked.len());
    for piece in pieces(marked) {
        text.push_str(piece.shown);
    }
    text
}

/// A stretch of text, with the value that it shows if it is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    pub value: Option<&'a str>,
    pub shown: &'a str,
}

/// The stretches of a marked text, in their order.
pub fn pieces(marked: &str) -> impl Iterator<Item = Piece<'_>> {
    marked.split(VALUE).enumerate().flat_map(|(index, part)| {
        // what stands before the first mark has none
        let marked = if index == 0 { None } else { part.split_once(SHOWN) };
        let (number, rest) = match marked {
            Some((value, rest)) => {
                let (shown, rest) = rest.split_once(END).unwrap_or((rest, ""));
                (Some(Piece { value: Some(value), shown }), rest)
            }
            None => (None, part),
        };
        number.into_iter().chain((!rest.is_empty()).then_some(Piece { value: None, shown: rest }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_numbers_are_found_and_stripped() {
        let text = format!("a {} b {}", number(98.734_612, "98.73"), number(-0.5, "-0.5"));
        assert_eq!(strip(&text), "a 98.73 b -0.5");
        let found: Vec<Piece> = pieces(&text).collect();
        assert_eq!(found[1], Piece { value: Some("98.734612"), shown: "98.73" });
        assert_eq!(found[3], Piece { value: Some("-0.5"), shown: "-0.5" });
        assert_eq!(strip("plain"), "plain");
        assert_eq!(strip(""), "");
    }
}
