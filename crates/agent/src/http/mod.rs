//! One HTTP/1.1 connection to a server, driven by whoever consumes its answers, and where it leads.
//!
//! Knows bytes and their times, not what they mean: requests and answers are written and read by `wire`.

mod arrival;
mod connection;
mod meter;
mod retry_after;
mod target;
pub mod tls;

pub use arrival::{Arrival, Arrivals, Delays};
pub use connection::{Connection, ConnectionError};
pub use meter::{Buffers, DEFAULT_READ_BUFFER, Meter};
pub use retry_after::retry_after_s;
pub use target::{AddressError, Target};
