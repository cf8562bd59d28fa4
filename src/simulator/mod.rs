//! The paced endpoint: an HTTP server with a known schedule that logs the nanosecond of every send.
//!
//! Shares no code with `endpoint`'s decoders, so that errors cannot cancel out.

pub mod sends;
