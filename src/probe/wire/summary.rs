//! What the probe says of itself in `run.json`: what it saw, what it lost, what it cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The report of one capture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Where times come from, in words.
    pub stamps: String,
    /// Interfaces on which packets were seen.
    pub interfaces: Vec<String>,
    pub connections: u64,
    /// Segments that say something, or begin or end a connection.
    pub segments: u64,
    /// What the kernel counted against its buffer at most: packets and its own records of them.
    pub buffer_bytes: u64,
    /// The system's limit (`net.core.rmem_max`) made the buffer smaller than it was to be; the capability
    /// `cap_net_admin` lifts it.
    #[serde(default)]
    pub buffer_is_limited: bool,
    /// Packets that found the kernel's buffer full.
    pub dropped: u64,
    /// Segments that brought nothing new.
    pub retransmitted: u64,
    /// Segments that came before others that lie before them, or whose forerunners were dropped.
    pub out_of_order: u64,
    /// Segments that were seen again on another interface.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copies: u64,
    /// Packets of which less was captured than they had.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: u64,
    /// First fragments of packets.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fragments: u64,
    /// Packets without the kernel's stamp, which were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unstamped: u64,
    /// Captured bytes, and those of them that went through a file.
    pub bytes: u64,
    pub bytes_in_file: u64,
    /// Calls with figures, and those among them that were encrypted: for these, the
    /// time of the request and at most that of the answer's first bytes.
    pub calls: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub encrypted: u64,
    /// Calls without figures, by the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub without_figures: BTreeMap<String, u64>,
    /// Why the capture ended before it was asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// CPU time of the capturing thread, seconds; what the kernel does for it in other threads is not
    /// in it.
    pub cpu_s: Option<f64>,
    /// Share of a core that this is of the time in which the probe was at work.
    pub cpu_percent: Option<f64>,
    /// What reading the capture took after the run.
    pub decode_s: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
