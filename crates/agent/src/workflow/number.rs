//! Numbers of the data: read and written alike in every language.

/// A decimal number: sign, digits, fraction, exponent, as in `-12.5e3`. `None`: it is none, or its
/// double is not finite.
pub(super) fn parse(value: &[u8]) -> Option<f64> {
    let rest = without_sign(value);
    let mut rest = digits(rest)?;
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = digits(fraction)?;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        rest = digits(without_sign(exponent))?;
    }
    if !rest.is_empty() {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// As RFC 8785 writes numbers: the shortest digits that read back the same.
pub(super) fn show(number: f64) -> String {
    ryu_js::Buffer::new().format(number).to_owned()
}

fn without_sign(value: &[u8]) -> &[u8] {
    match value {
        [b'+' | b'-', rest @ ..] => rest,
        _ => value,
    }
}

/// What follows the digits; `None`: there are none.
fn digits(value: &[u8]) -> Option<&[u8]> {
    let count = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then(|| &value[count..])
}
