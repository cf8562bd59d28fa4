//! Where text leaves the program: results on standard output, everything else on standard error.
//!
//! What steers a terminal is taken out here, whatever it came from. A reader that has enough is no error, and a
//! message that nobody can read stops nothing.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::{Failure, exit};
use crate::shown;

/// Prints text for people, or a document of [`json`].
pub fn print(text: &str) -> Result<(), Failure> {
    write(shown::lines(text).as_bytes())
}

/// Prints text that has styles of its own; what came from outside was made fit to be shown before.
pub fn print_styled(text: &str) -> Result<(), Failure> {
    write(text.as_bytes())
}

/// Prints rows or a page: for a program as they are, on a terminal as [`print`] does.
pub fn print_data(text: &[u8]) -> Result<(), Failure> {
    if io::stdout().is_terminal() { print(&String::from_utf8_lossy(text)) } else { write(text) }
}

fn write(text: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let message = format!("cannot write to standard output: {error}");
            Err(Failure::new(exit::INTERNAL, message, None))
        }
        _ => Ok(()),
    }
}

/// A document for programs, with its line feed.
pub fn json<T: Serialize + ?Sized>(document: &T) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document);
    let text = text.map_err(|error| Failure::error(exit::INTERNAL, error))?;
    Ok(shown::json(&text).into_owned() + "\n")
}

/// Says a line on standard error.
pub fn say(line: impl fmt::Display) {
    say_styled(shown::lines(&line.to_string()));
}

/// As [`say`], of text that has styles of its own.
pub fn say_styled(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
