//! Whether a stream is of the model that was asked for, though servers spell names in their own ways.

/// Whether two names are of one model: without case, a path or a provider before the last `/`, `:latest` and
/// `.gguf` at the end, and a date at the end.
#[must_use]
pub fn is_same_model(asked: &str, told: &str) -> bool {
    asked == told || core(asked) == core(told)
}

fn core(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let name = lower.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = name.strip_suffix(":latest").unwrap_or(name);
    let name = name.strip_suffix(".gguf").unwrap_or(name);
    without_date(name).to_owned()
}

/// Without `-2024-08-06`, `-20240806`, `-0613` or `@20240806` at the end.
fn without_date(name: &str) -> &str {
    const SHAPES: [&str; 6] =
        ["-dddd-dd-dd", "@dddd-dd-dd", "-dddddddd", "@dddddddd", "-dddd", "@dddd"];
    let ends_so = |shape: &&str| {
        let at = name.len().checked_sub(shape.len()).filter(|at| *at > 0)?;
        let end = name.get(at..)?;
        let fits = end.bytes().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            wanted => byte == wanted,
        });
        fits.then(|| name.get(..at)).flatten()
    };
    SHAPES.iter().find_map(ends_so).unwrap_or(name)
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
        ] {
            assert!(!is_same_model(asked, told), "{asked} {told}");
        }
    }
}
