//! Signs of comparisons with a number, as manifests, maps and templates write them.

/// How a value stands to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

impl Sign {
    /// A comparison such as `< 100`.
    #[must_use]
    pub fn parse(text: &str) -> Option<(Self, f64)> {
        let text = text.trim();
        // what begins with another stands before it
        let signs = [Self::AtMost, Self::AtLeast, Self::Less, Self::More, Self::Equal];
        let (sign, rest) =
            signs.iter().find_map(|sign| Some((*sign, text.strip_prefix(sign.written())?)))?;
        let number: f64 = rest.trim().parse().ok()?;
        number.is_finite().then_some((sign, number))
    }

    #[must_use]
    pub fn written(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::Equal => "=",
        }
    }

    #[must_use]
    #[expect(clippy::float_cmp, reason = "`= 0` asks for exactly that")]
    pub fn holds(self, own: f64, other: f64) -> bool {
        match self {
            Self::Less => own < other,
            Self::AtMost => own <= other,
            Self::More => own > other,
            Self::AtLeast => own >= other,
            Self::Equal => own == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_have_a_sign_and_a_number() {
        assert_eq!(Sign::parse("<= 1.5"), Some((Sign::AtMost, 1.5)));
        assert_eq!(Sign::parse("=0"), Some((Sign::Equal, 0.0)));
        for wrong in ["", "5", "< five", "< nan", "!= 5"] {
            assert_eq!(Sign::parse(wrong), None, "{wrong}");
        }
    }
}
