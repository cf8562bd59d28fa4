//! The probe against packets made by hand, and at work between real servers and clients.

mod by_hand;
#[cfg(target_os = "linux")]
mod ends;
#[cfg(target_os = "linux")]
mod live;
#[cfg(target_os = "linux")]
mod namespaces;
mod reading;
#[cfg(target_os = "linux")]
mod with_agent;
