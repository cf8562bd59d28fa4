//! What models read and write besides prose: code, JSON, tables of numbers, logs.

use std::fmt::Write as _;

use super::draw::Draw;
use super::words::{ENGLISH, capital, made};

/// A Rust-like function.
pub(super) fn rust(draw: &mut Draw, text: &mut String) {
    text.push_str("pub fn ");
    snake(draw, text);
    text.push('(');
    snake(draw, text);
    text.push_str(draw.of(&[": &str", ": u64", ": &[f64]", ": Option<usize>", ": &mut Vec<u8>"]));
    text.push_str(") -> ");
    text.push_str(draw.of(&["bool", "usize", "Result<(), Error>", "Option<String>", "f64"]));
    text.push_str(" {\n");
    for _ in 0..draw.between(2, 9) {
        text.push_str("    ");
        match draw.below(5) {
            0 => {
                text.push_str("let mut ");
                snake(draw, text);
                let _ = writeln!(text, " = {};", draw.below(100_000));
            }
            1 => {
                text.push_str("if ");
                snake(draw, text);
                text.push_str(draw.of(&[" == ", " != ", " < ", " >= "]));
                snake(draw, text);
                text.push_str(" {\n        return Err(Error::");
                camel(draw, text);
                text.push_str(");\n    }\n");
            }
            2 => {
                text.push_str("// ");
                for _ in 0..draw.between(3, 10) {
                    text.push_str(draw.early(&ENGLISH));
                    text.push(' ');
                }
                text.push('\n');
            }
            3 => {
                snake(draw, text);
                text.push_str(".iter().map(|");
                snake(draw, text);
                text.push_str("| ");
                snake(draw, text);
                text.push_str(".len()).sum::<usize>();\n");
            }
            _ => {
                snake(draw, text);
                text.push_str("::<");
                camel(draw, text);
                text.push_str(">(&self, \"");
                snake(draw, text);
                let _ = writeln!(text, "\\n\", 0x{:04x})?;", draw.below(65_536));
            }
        }
    }
    text.push_str("}\n");
}

/// A Python-like class.
pub(super) fn python(draw: &mut Draw, text: &mut String) {
    text.push_str("class ");
    camel(draw, text);
    text.push_str(":\n");
    for _ in 0..draw.between(1, 4) {
        text.push_str("    def ");
        snake(draw, text);
        text.push_str("(self, ");
        snake(draw, text);
        text.push_str("=None, *args, **kwargs):\n        \"\"\"");
        let at = text.len();
        for _ in 0..draw.between(2, 9) {
            text.push_str(draw.early(&ENGLISH));
            text.push(' ');
        }
        capital(text, at);
        text.pop();
        text.push_str(".\"\"\"\n");
        for _ in 0..draw.between(1, 4) {
            text.push_str("        self._");
            snake(draw, text);
            text.push_str(draw.of(&[" = ", " += ", " = await "]));
            snake(draw, text);
            let _ = writeln!(text, "[{}:{}]", draw.below(64), draw.below(4096));
        }
        text.push_str("        return [x for x in self.");
        snake(draw, text);
        text.push_str(" if x is not None]\n\n");
    }
}

/// An object, on one line or indented.
pub(super) fn json(draw: &mut Draw, text: &mut String) {
    let pretty = !draw.once_in(3);
    object(draw, text, if pretty { Some(0) } else { None }, 0);
    text.push('\n');
}

fn object(draw: &mut Draw, text: &mut String, indent: Option<usize>, depth: usize) {
    let line = |text: &mut String, indent: Option<usize>| {
        if let Some(indent) = indent {
            text.push('\n');
            text.extend(std::iter::repeat_n("  ", indent));
        }
    };
    let inner = indent.map(|indent| indent + 1);
    text.push('{');
    let entries = draw.between(2, 7);
    for place in 0..entries {
        line(text, inner);
        text.push('"');
        snake(draw, text);
        text.push_str("\": ");
        match draw.below(7) {
            0 if depth < 3 => object(draw, text, inner, depth + 1),
            0..=1 => {
                let _ = write!(text, "{}", draw.below(1_000_000));
            }
            2 => {
                let _ =
                    write!(text, "-{}.{:03}e-{}", draw.below(10), draw.below(1000), draw.below(9));
            }
            3 => text.push_str(draw.of(&["true", "false", "null"])),
            4 => {
                let _ =
                    write!(text, "[{}, {}, {}]", draw.below(9), draw.below(99), draw.below(999));
            }
            _ => {
                text.push('"');
                for _ in 0..draw.between(1, 8) {
                    text.push_str(draw.early(&ENGLISH));
                    text.push(' ');
                }
                text.push_str("\\u00e9\\t\"");
            }
        }
        if place + 1 < entries {
            text.push(',');
            if indent.is_none() {
                text.push(' ');
            }
        }
    }
    line(text, indent);
    text.push('}');
}

/// A CSV of numbers.
pub(super) fn table(draw: &mut Draw, text: &mut String) {
    text.push_str("time_ns,power_w,utilisation_percent,memory_mb,remark\n");
    let mut time = draw.below(4_000_000_000);
    for _ in 0..draw.between(4, 40) {
        time += draw.between(99_000, 101_000);
        let _ = write!(
            text,
            "1{time:010}00,{}.{:02},{},{}.{},",
            draw.between(20, 320),
            draw.below(100),
            draw.below(101),
            draw.below(12_000),
            draw.below(10)
        );
        if draw.once_in(5) {
            text.push_str(draw.early(&ENGLISH));
        }
        text.push('\n');
    }
}

/// Lines of a log: stamps, addresses, hashes.
pub(super) fn log(draw: &mut Draw, text: &mut String) {
    for _ in 0..draw.between(3, 25) {
        let _ = write!(
            text,
            "2025-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z ",
            draw.between(1, 12),
            draw.between(1, 28),
            draw.below(24),
            draw.below(60),
            draw.below(60),
            draw.below(1_000_000)
        );
        text.push_str(draw.of(&["INFO  ", "WARN  ", "ERROR ", "DEBUG "]));
        text.push('[');
        snake(draw, text);
        let _ = write!(text, "] 10.{}.{}.{}:", draw.below(256), draw.below(256), draw.below(256));
        let _ = write!(text, "{} id=", draw.between(1024, 65_535));
        for _ in 0..4 {
            let _ = write!(text, "{:08x}", draw.below(usize::from(u16::MAX)) * 65_537);
        }
        text.push_str(" msg=\"");
        for _ in 0..draw.between(2, 9) {
            text.push_str(draw.early(&ENGLISH));
            text.push(' ');
        }
        text.push_str("\"\n");
    }
}

fn snake(draw: &mut Draw, text: &mut String) {
    let parts = draw.between(1, 3);
    for part in 0..parts {
        if draw.once_in(4) {
            made(draw, text);
        } else {
            text.push_str(draw.of(&ENGLISH));
        }
        if part + 1 < parts {
            text.push('_');
        }
    }
}

fn camel(draw: &mut Draw, text: &mut String) {
    for _ in 0..draw.between(1, 3) {
        let at = text.len();
        text.push_str(draw.of(&ENGLISH));
        capital(text, at);
    }
}
