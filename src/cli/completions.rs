//! `runner completions`: for the shell.

use clap::CommandFactory;

#[derive(Debug, clap::Args)]
pub struct Args {
    shell: clap_complete::Shell,
}

pub fn run(args: &Args) {
    let mut command = super::Cli::command();
    clap_complete::generate(args.shell, &mut command, "runner", &mut std::io::stdout());
}
