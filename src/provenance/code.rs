//! The code that measured: `runner` itself and the runtime that drove the agents.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::manifest::study::RuntimeCommand;
use crate::python::{self, Program};
use crate::store::digest;
use crate::store::record::{AgentEvidence, CodeEvidence, TokenizerEvidence};

/// This program.
#[must_use]
pub fn runner() -> CodeEvidence {
    let executable = std::env::current_exe().ok();
    CodeEvidence {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        digest: executable.and_then(|path| digest::of_file(&path).ok()).map(|file| file.sha256),
    }
}

/// A runtime: `rust` by the digest of its sources, `python` by those of its program, packages and
/// interpreter, a user's by its files. `folder` is where the
/// command's relative paths start.
#[must_use]
pub fn agent(
    runtime: &str,
    program: Program,
    command: Option<&RuntimeCommand>,
    folder: &Path,
    python: Option<&python::Setup>,
) -> AgentEvidence {
    let digest = match command {
        Some(command) => files_of(command, folder),
        None if runtime == "rust" => Some(match program {
            Program::Calls => agent::DIGEST.to_owned(),
            Program::Tokenize => agent::TOKENIZE_DIGEST.to_owned(),
        }),
        None => python.filter(|_| runtime == "python").and_then(|python| match program {
            Program::Calls => python.digest().ok(),
            Program::Tokenize => python.for_tokenizers().digest().ok(),
        }),
    };
    let own = command.is_none() && runtime == "rust";
    let profile = own.then(|| agent::PROFILE.to_owned());
    AgentEvidence { runtime: runtime.to_owned(), digest, profile, info: None }
}

/// A tokenizer by its file; unknown if that cannot be read.
#[must_use]
pub fn tokenizer(name: &str, path: &Path) -> TokenizerEvidence {
    let file = digest::of_file(path).ok();
    TokenizerEvidence {
        name: name.to_owned(),
        bytes: file.as_ref().map(|file| file.bytes),
        sha256: file.map(|file| file.sha256),
    }
}

/// Digest of the command's words, of the program and of every argument that is a file (an
/// interpreter's script), or `None` if the program cannot be read. Libraries that these load stay out
/// of sight.
fn files_of(command: &RuntimeCommand, folder: &Path) -> Option<String> {
    let (program, arguments) = command.command.split_first()?;
    let program = find_program(program, folder)?;
    let mut hash = Sha256::new();
    hash.update(digest::of_file(&program).ok()?.sha256);
    for argument in arguments {
        hash.update(argument.len().to_le_bytes());
        hash.update(argument);
        let file = folder.join(argument);
        if file.is_file() {
            hash.update(digest::of_file(&file).ok()?.sha256);
        }
    }
    Some(formats::digest::hex(&hash.finalize()))
}

/// The file that starting `program` would run: a path relative to `folder`, or a name on the search path.
#[must_use]
pub fn find_program(program: &str, folder: &Path) -> Option<std::path::PathBuf> {
    if program.contains(['/', '\\']) {
        return Some(folder.join(program));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|entry| [entry.join(program), entry.join(format!("{program}.exe"))])
        .find(|file| file.is_file())
}
