//! Which connections are the run's: those to its servers.

use std::net::IpAddr;

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watch {
    /// `None`: any address.
    pub address: Option<IpAddr>,
    pub port: u16,
}

impl Watch {
    /// Whether this is the server's end of a connection.
    #[must_use]
    pub fn is(&self, address: IpAddr, port: u16) -> bool {
        self.port == port
            && self.address.is_none_or(|own| own.to_canonical() == address.to_canonical())
    }
}
