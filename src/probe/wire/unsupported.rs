//! Other systems than Linux: packets cannot be captured, and that is said.

use std::io;

use super::Unavailable;
use super::packet::Packet;
use super::watch::Watch;

/// There is none.
#[derive(Debug)]
pub enum PacketSocket {}

impl PacketSocket {
    /// Says that there is none.
    pub fn open(_watches: &[Watch], _buffer_bytes: usize) -> Result<Self, Unavailable> {
        Err(Unavailable("packet capture is not available on this system".to_owned()))
    }

    #[must_use]
    pub fn buffer_bytes(&self) -> u64 {
        match *self {}
    }

    #[must_use]
    pub fn is_limited(&self) -> bool {
        match *self {}
    }

    #[must_use]
    pub fn dropped(&self) -> u64 {
        match *self {}
    }

    #[must_use]
    pub fn unstamped(&self) -> u64 {
        match *self {}
    }

    pub fn receive(&mut self, _wait: bool) -> io::Result<Option<Packet<'_>>> {
        match *self {}
    }
}

/// The number of an interface, in words.
#[must_use]
pub fn interface_name(interface: u32) -> String {
    format!("interface {interface}")
}
