//! The Rust runtime as a process, the check of other runtimes, and what servers tell of themselves,
//! against real servers that do what they should and what they should not.

mod answers;
mod calls;
mod conformance;
mod facts;
mod lifecycle;
mod outcomes;
mod pieces;
mod process;
mod requests;
mod route;
mod runtime;
mod scripted;
mod timing;
