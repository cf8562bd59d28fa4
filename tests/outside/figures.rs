//! How far the client's times are from the server's; all milliseconds.

use std::collections::HashMap;

use formats::protocol::CallRecord;

use super::client::request_id;
use super::server::Served;

/// Figures of every call of a run.
#[derive(Debug, Default)]
pub struct Figures {
    /// From the call's start until the request was handed to the system.
    pub send_delay: Vec<f64>,
    /// The client's time to the first text, from the moment at which it sent the request, less the
    /// server's, from the moment at which the request had arrived.
    pub ttft: Vec<f64>,
    /// The same with the server's from the moment at which it had read the request: what a server that
    /// had no core just then took to read it is in it.
    pub ttft_from_read: Vec<f64>,
    /// From the server's first send until the client had it.
    pub first: Vec<f64>,
    /// The same less what the client itself tells of that read: how long its bytes had lain in the kernel.
    pub untold: Vec<f64>,
    /// Sizes of the differences between each of the client's gaps and the server's.
    pub gap: Vec<f64>,
    /// The client's own: how long what it read had lain in the kernel.
    pub read_delay: Vec<f64>,
}

impl Figures {
    /// Of calls with the server's log of their requests.
    pub fn of(calls: &[CallRecord], served: &HashMap<String, Served>) -> Self {
        let mut figures = Self::default();
        for call in calls {
            let its = &served[&request_id(&call.agent, call.call)];
            let text: Vec<u64> =
                call.text_offsets_ns.iter().map(|offset| call.start_ns + offset).collect();
            assert_eq!(text.len(), its.sent_ns.len(), "chunks read and sent");
            let sent_ns = call.sent_ns.expect("the time at which it was sent");
            figures.send_delay.push(ms(call.start_ns, sent_ns));
            let ttft = |from_ns| ms(sent_ns, text[0]) - ms(from_ns, its.sent_ns[0]);
            figures.ttft.extend(its.arrived_ns.map(ttft));
            figures.ttft_from_read.push(ttft(its.read_ns));
            figures.first.push(ms(its.sent_ns[0], text[0]));
            // The first read has the first text where the head of the answer came with it.
            let told = call.read_delays_ns.as_ref().filter(|_| its.head_ns.is_none());
            let told = told.and_then(|delays| delays.first());
            figures.untold.extend(told.map(|&told| ms(its.sent_ns[0] + told, text[0])));
            for (ours, theirs) in text.windows(2).zip(its.sent_ns.windows(2)) {
                figures.gap.push((ms(ours[0], ours[1]) - ms(theirs[0], theirs[1])).abs());
            }
            let delays = call.read_delays_ns.iter().flatten();
            figures.read_delay.extend(delays.map(|&delay| delay as f64 / 1e6));
        }
        figures
    }
}

/// From the one moment to the other.
fn ms(from_ns: u64, to_ns: u64) -> f64 {
    (i128::from(to_ns) - i128::from(from_ns)) as f64 / 1e6
}

/// The value below which this share of the values lies, in percent; 100 is the largest.
pub fn percentile(values: &[f64], share: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[((values.len() * share).div_ceil(100)).max(1) - 1]
}
