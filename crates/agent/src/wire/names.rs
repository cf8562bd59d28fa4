//! Whether a stream is of the model that was asked for, though servers spell names in their own ways.

/// Whether two names are of one model: without case, a path or a provider before the last `/`, `:latest` and
/// `.gguf` at the end. A date at the end, or `-latest` in its place, may be missing in one of them.
#[must_use]
pub fn is_same_model(asked: &str, told: &str) -> bool {
    if asked == told {
        return true;
    }
    let (asked, told) = (core(asked), core(told));
    let (asked, told) = (without_date(&asked), without_date(&told));
    // A short date is the end of a long one; none is the end of any.
    asked.0 == told.0 && (asked.1.ends_with(&told.1) || told.1.ends_with(&asked.1))
}

fn core(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let name = lower.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = name.strip_suffix(":latest").unwrap_or(name);
    name.strip_suffix(".gguf").unwrap_or(name).to_owned()
}

/// A name, and the digits of `-2024-08-06`, `-20240806`, `-0613` or `@20240806` at its end.
fn without_date(name: &str) -> (&str, String) {
    const SHAPES: [&str; 6] =
        ["-dddd-dd-dd", "@dddd-dd-dd", "-dddddddd", "@dddddddd", "-dddd", "@dddd"];
    let parts = |shape: &&str| {
        let at = name.len().checked_sub(shape.len()).filter(|at| *at > 0)?;
        let (name, end) = name.split_at_checked(at)?;
        let fits = end.bytes().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            wanted => byte == wanted,
        });
        fits.then(|| (name, end.chars().filter(char::is_ascii_digit).collect()))
    };
    let dated = SHAPES.iter().find_map(parts);
    dated.unwrap_or_else(|| (name.strip_suffix("-latest").unwrap_or(name), String::new()))
}

#[cfg(test)]
mod tests {
    use super::is_same_model;

    #[test]
    fn a_model_by_another_spelling_is_the_same_and_another_is_not() {
        for (asked, told) in [
            ("gemma3", "gemma3:latest"),
            ("Gemma3:270M", "gemma3:270m"),
            ("meta-llama/Llama-3.2-1B", "llama-3.2-1b"),
            ("gpt-4o", "gpt-4o-2024-08-06"),
            ("gpt-4", "gpt-4-0613"),
            ("claude-sonnet-4", "anthropic/claude-sonnet-4@20250514"),
            ("claude-sonnet-4", "claude-sonnet-4-20250514"),
            ("tiny", "/models/tiny.gguf"),
            ("tiny", "C:\\models\\tiny.gguf"),
            ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
            ("gpt-4o-2024-08-06", "gpt-4o-20240806"),
            ("gpt-4-0613", "gpt-4-2023-06-13"),
        ] {
            assert!(is_same_model(asked, told), "{asked} {told}");
        }
        for (asked, told) in [
            ("gemma3:270m", "gemma3:1b"),
            ("gemma3:270m", "gemma3"),
            ("gpt-4o", "gpt-4o-mini"),
            ("a", ""),
            ("m", "n"),
            ("llama-3", "llama-3-70b"),
            ("gpt-4-0613", "gpt-4-0314"),
            ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06"),
        ] {
            assert!(!is_same_model(asked, told), "{asked} {told}");
        }
    }
}
