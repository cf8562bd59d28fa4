//! An encrypted connection: what the framing of TLS shows without a key.
//!
//! Records of application data have a type of their own. Since TLS 1.3 that type also covers the end of
//! the handshake and the session tickets that a server sends behind it. The time at which the agent
//! handed its request over says which records can be the request; which of those that follow begins the
//! answer is known only where none of them can be a ticket.

use super::fault::Fault;

/// A record of application data.
const APPLICATION_DATA: u8 = 23;
/// The other types of records, and the longest record.
const TYPES: std::ops::RangeInclusive<u8> = 20..=24;
const LONGEST: usize = (1 << 14) + 2048;
const HEADER: usize = 5;
/// How far the clocks of stamps and of records may lie apart.
const SLACK_NS: u64 = 100_000;

/// Which end of a connection spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// What was said on an encrypted connection, and when.
#[derive(Debug, Default)]
pub struct Encrypted {
    client: Records,
    server: Records,
    /// In the order in which they arrived.
    said: Vec<Said>,
    /// The server's handshake has records of application data: it is of TLS 1.3.
    has_tickets: bool,
}

#[derive(Debug, Clone, Copy)]
struct Said {
    side: Side,
    stamp_ns: u64,
    bytes: u64,
}

/// What is known of a call from its record, monotonic nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its request was handed over.
    pub sent_ns: u64,
    /// The head of its answer was read.
    pub headers_ns: Option<u64>,
    pub end_ns: u64,
    /// It opened the connection.
    pub is_first: bool,
}

/// Times of one call, time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncryptedCall {
    /// The last bytes that the client sent before the server's first, and how many there were.
    pub request_ns: u64,
    pub request_bytes: u64,
    /// When the first bytes of the answer came, and how many. `None`: those that came first may be tickets.
    pub first: Option<(u64, u64)>,
}

/// Whether these are the first bytes of a handshake.
#[must_use]
pub fn begins_with_handshake(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x16)
}

impl Encrypted {
    /// Takes what came in order from one end.
    pub fn take(&mut self, side: Side, stamp_ns: u64, bytes: &[u8]) -> Result<(), Fault> {
        let records = match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        let bytes = records.application_data(bytes)?;
        if bytes > 0 {
            self.has_tickets |= self.said.is_empty() && side == Side::Server;
            self.said.push(Said { side, stamp_ns, bytes });
        }
        Ok(())
    }

    /// The call of which this is known; `monotonic` puts stamps on the record's clock. `None`: the server
    /// said nothing after its request.
    #[must_use]
    pub fn call(&self, known: Known, monotonic: &dyn Fn(u64) -> u64) -> Option<EncryptedCall> {
        let is_by = |said: &Said, time_ns: u64| {
            monotonic(said.stamp_ns) <= time_ns.saturating_add(SLACK_NS)
        };
        let mut own = self
            .said
            .iter()
            .skip_while(|said| monotonic(said.stamp_ns).saturating_add(SLACK_NS) < known.sent_ns)
            .take_while(|said| is_by(said, known.end_ns))
            .skip_while(|said| said.side == Side::Server)
            .peekable();
        let (mut request_ns, mut request_bytes) = (own.peek()?.stamp_ns, 0);
        while let Some(said) = own.next_if(|said| said.side == Side::Client) {
            request_ns = said.stamp_ns;
            request_bytes += said.bytes;
        }
        let first = own.next()?;
        // One segment alone before the head was read has the head in it.
        let next_came_late = known
            .headers_ns
            .is_some_and(|headers_ns| own.next().is_none_or(|said| !is_by(said, headers_ns)));
        let is_known = !self.has_tickets || !known.is_first || next_came_late;
        let first = is_known.then_some((first.stamp_ns, first.bytes));
        Some(EncryptedCall { request_ns, request_bytes, first })
    }
}

/// The records of one direction.
#[derive(Debug, Default)]
struct Records {
    header: Vec<u8>,
    /// Of the record that has begun.
    left: usize,
    is_data: bool,
}

impl Records {
    /// How many of the bytes belong to records of application data, their headers left out.
    fn application_data(&mut self, mut bytes: &[u8]) -> Result<u64, Fault> {
        let mut data = 0;
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = self.left.min(bytes.len());
                self.left -= count;
                bytes = &bytes[count..];
                data += if self.is_data { count as u64 } else { 0 };
                continue;
            }
            let count = (HEADER - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if let [kind, 3, _, high, low] = self.header[..] {
                self.left = usize::from(u16::from_be_bytes([high, low]));
                self.is_data = kind == APPLICATION_DATA;
                self.header.clear();
                if !TYPES.contains(&kind) || self.left > LONGEST {
                    return Err(Fault::NotHttp);
                }
            } else if self.header.len() >= HEADER {
                return Err(Fault::NotHttp);
            }
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, length: u8) -> Vec<u8> {
        let mut record = vec![kind, 3, 3, 0, length];
        record.extend(std::iter::repeat_n(7, usize::from(length)));
        record
    }

    /// Two calls on one connection.
    fn calls(server_hello: &[u8]) -> Encrypted {
        let mut encrypted = Encrypted::default();
        let mut take = |side, at_ms: u64, bytes: &[u8]| {
            encrypted.take(side, at_ms * 1_000_000, bytes).unwrap();
        };
        take(Side::Client, 1, &record(22, 200));
        take(Side::Server, 2, server_hello);
        take(Side::Client, 3, &[record(20, 1), record(23, 40)].concat());
        take(Side::Client, 4, &record(23, 100));
        // Cut inside of a record, and of its header.
        let rest = [record(23, 30), record(23, 20)].concat();
        take(Side::Client, 5, &rest[..37]);
        take(Side::Client, 6, &rest[37..]);
        take(Side::Server, 7, &record(23, 60));
        take(Side::Server, 8, &record(23, 61));
        take(Side::Client, 9, &record(23, 10));
        take(Side::Server, 10, &record(23, 5));
        take(Side::Server, 11, &record(23, 6));
        encrypted
    }

    fn call(encrypted: &Encrypted, times_ms: [f64; 3], is_first: bool) -> Option<EncryptedCall> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small numbers"
        )]
        let [sent_ns, headers_ns, end_ns] = times_ms.map(|ms| (ms * 1e6) as u64);
        let known = Known { sent_ns, headers_ns: Some(headers_ns), end_ns, is_first };
        encrypted.call(known, &|stamp_ns| stamp_ns)
    }

    #[test]
    fn calls_are_told_apart_by_the_times_of_their_requests() {
        let encrypted = calls(&[record(22, 90), record(20, 1)].concat());
        let first = EncryptedCall {
            request_ns: 6_000_000,
            request_bytes: 150,
            first: Some((7_000_000, 60)),
        };
        assert_eq!(call(&encrypted, [3.9, 8.1, 8.5], true), Some(first));
        let second = EncryptedCall {
            request_ns: 9_000_000,
            request_bytes: 10,
            first: Some((10_000_000, 5)),
        };
        assert_eq!(call(&encrypted, [8.9, 11.5, 12.0], false), Some(second));
        assert_eq!(call(&encrypted, [8.9, 9.4, 9.5], false), None, "the server had not spoken");
    }

    #[test]
    fn tickets_are_not_taken_for_an_answer() {
        let encrypted = calls(&[record(22, 90), record(20, 1), record(23, 250)].concat());
        let first = |headers_ms, is_first| {
            call(&encrypted, [3.9, headers_ms, 8.5], is_first).unwrap().first
        };
        assert_eq!(first(8.3, true), None, "two segments before the head was read");
        assert_eq!(first(7.5, true), Some((7_000_000, 60)), "the head must be in the only one");
        assert_eq!(first(8.3, false), Some((7_000_000, 60)), "tickets came with the handshake");
    }

    #[test]
    fn what_is_not_tls_is_refused() {
        let mut encrypted = Encrypted::default();
        assert!(encrypted.take(Side::Client, 1, b"POST / HTTP/1.1").is_err());
        assert!(begins_with_handshake(&record(22, 1)) && !begins_with_handshake(b"POST"));
    }
}
