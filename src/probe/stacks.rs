//! Sampled stacks → a flamegraph and the functions that the samples fell into. Pure.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Rows of the table of top functions.
const TOP: usize = 50;

/// Stacks with the number of samples that met them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stacks {
    /// Outermost function first, joined by `;`.
    stacks: Vec<(String, u64)>,
}

/// A function by its self time: the samples in which it was the innermost one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopFunction {
    pub function: String,
    /// Source file or library; empty where the profiler does not know it.
    pub file: String,
    pub samples: u64,
    /// Of all samples.
    pub percent: f64,
}

impl Stacks {
    /// Reads folded stacks, one per line: frames joined by `;`, a space, the count. The error is the
    /// line that is none.
    pub fn parse(folded: &str) -> Result<Self, String> {
        let stack = |line: &str| {
            let (frames, count) = line.rsplit_once(' ')?;
            Some((frames.to_owned(), count.parse().ok()?))
        };
        let lines = folded.lines().filter(|line| !line.trim().is_empty());
        let stacks = lines.map(|line| stack(line).ok_or_else(|| line.to_owned()));
        Ok(Self { stacks: stacks.collect::<Result<_, _>>()? })
    }

    /// Samples of all stacks.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.stacks.iter().map(|(_, count)| count).sum()
    }

    /// The functions with the most self time, the largest first; at most 50. Lines of one function
    /// count together.
    #[must_use]
    pub fn top(&self) -> Vec<TopFunction> {
        let mut counts: HashMap<(&str, &str), u64> = HashMap::new();
        for (stack, count) in &self.stacks {
            let innermost = stack.rsplit(';').next().unwrap_or(stack);
            *counts.entry(place(innermost)).or_default() += count;
        }
        let all = self.samples() as f64;
        let mut top: Vec<TopFunction> = counts
            .into_iter()
            .map(|((function, file), samples)| TopFunction {
                function: function.to_owned(),
                file: file.to_owned(),
                samples,
                percent: 100.0 * samples as f64 / all,
            })
            .collect();
        top.sort_by(|a, b| {
            let by_name = (&a.function, &a.file).cmp(&(&b.function, &b.file));
            b.samples.cmp(&a.samples).then(by_name)
        });
        top.truncate(TOP);
        top
    }

    /// The flamegraph as an SVG with its own script; the same stacks give the same bytes.
    pub fn svg(&self, title: &str) -> std::io::Result<Vec<u8>> {
        let mut options = inferno::flamegraph::Options::default();
        title.clone_into(&mut options.title);
        options.deterministic = true;
        let lines: Vec<String> =
            self.stacks.iter().map(|(stack, count)| format!("{stack} {count}")).collect();
        let mut svg = Vec::new();
        inferno::flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)?;
        Ok(svg)
    }
}

/// `take (client.py:12)` → its function and file, without the line.
fn place(frame: &str) -> (&str, &str) {
    let Some((function, place)) =
        frame.rsplit_once(" (").and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?)))
    else {
        return (frame, "");
    };
    let file = match place.rsplit_once(':') {
        Some((file, line)) if line.bytes().all(|byte| byte.is_ascii_digit()) => file,
        _ => place,
    };
    (function, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDED: &str = "\
<module> (busy.py:9);main (busy.py:8);hot (busy.py:4) 70
<module> (busy.py:9);main (busy.py:8);hot (busy.py:5) 20
<module> (busy.py:9);main (busy.py:8) 4
<module> (busy.py:9);main (busy.py:8);sleep (libc.so.6) 5
0x7f642704524a 1
";

    #[test]
    fn lines_of_one_function_count_together() {
        let top = Stacks::parse(FOLDED).unwrap().top();
        let shown: Vec<_> =
            top.iter().map(|row| (row.function.as_str(), row.file.as_str(), row.samples)).collect();
        let expected = [
            ("hot", "busy.py", 90),
            ("sleep", "libc.so.6", 5),
            ("main", "busy.py", 4),
            ("0x7f642704524a", "", 1),
        ];
        assert_eq!(shown, expected);
        assert!((top[0].percent - 90.0).abs() < 1e-9);
    }

    #[test]
    fn a_line_without_a_count_is_named() {
        assert_eq!(Stacks::parse("a;b 3\nnonsense\n"), Err("nonsense".to_owned()));
    }

    #[test]
    fn the_same_stacks_give_the_same_picture() {
        let svg = || Stacks::parse(FOLDED).unwrap().svg("title").unwrap();
        assert_eq!(svg(), svg());
        let text = String::from_utf8(svg()).unwrap();
        assert!(text.contains("hot (busy.py:4)") && text.contains("<svg"));
    }

    #[test]
    fn nothing_was_sampled() {
        let stacks = Stacks::parse("\n").unwrap();
        assert_eq!((stacks.samples(), stacks.top()), (0, Vec::new()));
    }
}
