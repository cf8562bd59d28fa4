//! What was met while measuring: the machine, the repository, the code.
//!
//! Collected once per session; what cannot be found out is absent, never guessed. What a server says
//! of itself and its models is left to `endpoint`.

mod code;
mod git;
mod machine;

pub use code::{agent, runner, tokenizer};
pub use git::repository;
pub use machine::machine;

#[cfg(test)]
mod tests;
