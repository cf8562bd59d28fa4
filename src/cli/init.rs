//! `runner init`: a commented starter manifest.

use std::path::PathBuf;

use super::{CommandResult, Failure, exit, output};

/// The starter; `NAME` is replaced.
const STARTER: &str = include_str!("../../templates/starter.toml");

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the study
    #[arg(default_value = "my_study")]
    name: String,
    /// Folder for the manifest
    #[arg(long, default_value = "experiments")]
    dir: PathBuf,
}

pub fn run(args: &Args) -> CommandResult {
    let path = args.dir.join(format!("{}.toml", args.name));
    if !crate::manifest::is_name(&args.name) {
        let message = format!("{:?} cannot be the name of a study", args.name);
        return Err(Failure::new(exit::USAGE, message, Some(crate::manifest::NAME_HELP)));
    }
    let text = STARTER.replace("NAME", &args.name);
    if path.exists() {
        let help = "choose another name, or remove the file first";
        let message = format!("{} exists already", path.display());
        return Err(Failure::new(exit::USAGE, message, Some(help)));
    }
    let written = std::fs::create_dir_all(&args.dir).and_then(|()| std::fs::write(&path, text));
    written.map_err(|error| {
        Failure::new(exit::INTERNAL, format!("cannot write {}: {error}", path.display()), None)
    })?;
    output::print(&format!("{}\n", path.display()))?;
    output::say(format!("next: runner plan {0} · runner exec {0} --report", path.display()));
    Ok(exit::DONE)
}
