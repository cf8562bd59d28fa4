//! `runner completions`: for the shell.

use clap::CommandFactory;

use super::{CommandResult, exit, output};

#[derive(Debug, clap::Args)]
pub struct Args {
    shell: clap_complete::Shell,
}

pub fn run(args: &Args) -> CommandResult {
    let mut command = super::Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "runner", &mut script);
    output::print_data(&script)?;
    Ok(exit::DONE)
}
