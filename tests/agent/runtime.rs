//! The runtime under test here.

use std::process::Command;

pub const NAME: &str = "rust";

/// The command, not yet started.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.arg("agent");
    command
}
