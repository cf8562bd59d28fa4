//! The wire probe: when the bytes of each call's request and answer passed this machine's network
//! interfaces, whatever the agent says of it.
//!
//! The run's connections are captured while it goes on, and read after it: put together, decoded by the
//! decoders of the agent, and held against the agent's record. Needs a privilege, and says so where it is
//! missing. What the times mean is left to `metrics`.

mod calls;
mod capture;
mod connection;
mod exchange;
mod fault;
#[cfg(target_os = "linux")]
mod filter;
mod http;
mod packet;
mod spool;
mod streams;
mod summary;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "unsupported.rs"]
mod system;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod watch;

pub use self::calls::{CallsOnTheWire, WithoutFigures};
pub use self::capture::{Capture, Captured, Recorder, available};
pub use self::fault::Fault;
pub use self::summary::Summary;
pub use self::table::{
    CallOnTheWire, Event, Passed, TableError, WIRE_COLUMNS, WIRE_FILE, read, write,
};
pub use self::watch::Watch;
use super::sampling::Unavailable;
