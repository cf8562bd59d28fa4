//! Instruments that watch the agent's process and the machine from outside.
//!
//! Each says what it found or why it could not; whether a run may do without is decided by who asked.
//! Instruments inside the agent's process belong to its runtime.

pub mod flamegraph;
pub mod gpu;
pub mod host;
pub mod py_spy;
pub mod sampling;
pub mod schedule;
pub mod stacks;
pub mod wire;
