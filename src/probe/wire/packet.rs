//! One captured packet: as the kernel shows it, and as TCP means it.

use std::net::SocketAddr;

use etherparse::{IpNumber, LaxIpSlice, TcpSlice};

/// A packet as the kernel shows it.
#[derive(Debug)]
pub struct Packet<'p> {
    /// From the IP header on.
    pub bytes: &'p [u8],
    /// What it had; more than `bytes` if it was cut.
    pub length: usize,
    /// Time of day, nanoseconds.
    pub stamp_ns: u64,
    pub interface: u32,
}

/// A TCP segment.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of TCP's header")]
pub struct Segment<'p> {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub sequence: u32,
    pub syn: bool,
    pub ack: bool,
    pub fin: bool,
    pub rst: bool,
    pub payload: &'p [u8],
    /// The packet is the first fragment of one: the others do not name the ports and are not captured.
    pub fragment: bool,
    /// Less was captured than the packet had.
    pub cut: bool,
}

impl<'p> Segment<'p> {
    /// Reads a packet from its IP header on; `None`: it is no whole TCP header.
    #[must_use]
    pub fn parse(bytes: &'p [u8]) -> Option<Self> {
        // Offload may leave a length of 0 in the header: the packet's own counts then. Checksums are
        // computed later, so none is looked at.
        let (ip, _) = LaxIpSlice::from_slice(bytes).ok()?;
        let packet = ip.payload();
        if packet.ip_number != IpNumber::TCP {
            return None;
        }
        let tcp = TcpSlice::from_slice(packet.payload).ok()?;
        Some(Self {
            source: SocketAddr::new(ip.source_addr(), tcp.source_port()),
            destination: SocketAddr::new(ip.destination_addr(), tcp.destination_port()),
            sequence: tcp.sequence_number(),
            syn: tcp.syn(),
            ack: tcp.ack(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            payload: tcp.payload(),
            fragment: packet.fragmented,
            cut: packet.incomplete,
        })
    }
}
