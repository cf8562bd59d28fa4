//! One direction of a TCP connection, put together from its segments: bytes in order, each with the time
//! of the segment that made it deliverable.
//!
//! A receiver can be given a byte only when all before it are there. So a byte behind a hole arrives when
//! the hole is filled, whenever its own segment came; and a segment that is captured late by a busy core
//! arrives no earlier than the one before it.

use std::collections::BTreeMap;

use super::packet::Segment;

/// Bytes behind a hole that are kept: more than a window of TCP holds. Beyond, the hole is one of the
/// capture and not of the network.
const MOST_HELD: usize = 64 << 20;
/// Positions count from here, so that what lies before the beginning has one, too.
const BASE: u64 = 1 << 32;

/// How often segments came otherwise than in order and once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disorder {
    /// Nothing in them was new.
    pub retransmitted: u64,
    /// They came before others that lie before them.
    pub out_of_order: u64,
    /// Nothing in them was new, and they were seen on another interface than the stream's first.
    pub copies: u64,
}

/// One direction.
#[derive(Debug, Default)]
pub struct Stream {
    /// Sequence number of the first byte; unknown until the beginning was seen.
    first: Option<u32>,
    /// Position of the next byte to deliver.
    next: u64,
    /// By position, without overlaps, all behind `next`: stamp and bytes.
    held: BTreeMap<u64, (u64, Vec<u8>)>,
    held_bytes: usize,
    /// The latest stamp among all that was delivered.
    ready_ns: u64,
    /// Where the stream ends, and the stamp of the segment that said so.
    end: Option<(u64, u64)>,
    interface: Option<u32>,
    overflowed: bool,
    pub disorder: Disorder,
}

impl Stream {
    /// The beginning was seen: the sequence number of the segment that opens the direction.
    pub fn begin(&mut self, sequence: u32) {
        let first = sequence.wrapping_add(1);
        if self.first.is_none() {
            self.next = BASE + u64::from(first);
            self.first = Some(first);
        }
    }

    /// Whether this segment opens another connection between the same ports.
    #[must_use]
    pub fn is_reopened_by(&self, segment: &Segment<'_>) -> bool {
        segment.syn && self.first.is_some_and(|first| first != segment.sequence.wrapping_add(1))
    }

    /// Whether the beginning was seen.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.first.is_some()
    }

    /// Takes a segment and delivers what is whole by it, with stamps. Nothing is delivered of a stream
    /// whose beginning was not seen.
    pub fn push(
        &mut self,
        segment: &Segment<'_>,
        stamp_ns: u64,
        interface: u32,
        deliver: &mut dyn FnMut(u64, &[u8]),
    ) {
        if self.first.is_none() || self.overflowed {
            return;
        }
        let own = *self.interface.get_or_insert(interface);
        let sequence = segment.sequence.wrapping_add(u32::from(segment.syn));
        let start = self.position(sequence);
        let end = start + segment.payload.len() as u64;
        if segment.fin && !segment.cut && !segment.fragment && self.end.is_none() {
            self.end = Some((end, stamp_ns));
        }
        if segment.payload.is_empty() {
            return;
        }
        if end <= self.next || self.holds(start, end) {
            let count = if interface == own {
                &mut self.disorder.retransmitted
            } else {
                &mut self.disorder.copies
            };
            *count += 1;
            return;
        }
        if start > self.next {
            self.disorder.out_of_order += 1;
            self.hold(start, stamp_ns, segment.payload);
            return;
        }
        let old = usize::try_from(self.next - start).unwrap_or(usize::MAX);
        self.deliver(stamp_ns, segment.payload.get(old..).unwrap_or_default(), deliver);
        while let Some(entry) = self.held.first_entry().filter(|entry| *entry.key() <= self.next) {
            let (start, (stamp_ns, bytes)) = entry.remove_entry();
            self.held_bytes -= bytes.len();
            let old = usize::try_from(self.next - start).unwrap_or(usize::MAX);
            self.deliver(stamp_ns, bytes.get(old..).unwrap_or_default(), deliver);
        }
    }

    /// When the direction ended in good order and every byte was delivered: the stamp.
    #[must_use]
    pub fn closed_ns(&self) -> Option<u64> {
        let (end, stamp_ns) = self.end?;
        (end == self.next).then_some(stamp_ns.max(self.ready_ns))
    }

    /// Whether bytes are missing before others that were seen.
    #[must_use]
    pub fn has_hole(&self) -> bool {
        self.overflowed || !self.held.is_empty() || self.end.is_some_and(|(end, _)| end > self.next)
    }

    /// Sequence numbers wrap; they are within 2 GiB of what comes next.
    fn position(&self, sequence: u32) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "the sequence number of the position")]
        let distance = sequence.wrapping_sub(self.next as u32).cast_signed();
        self.next.saturating_add_signed(i64::from(distance))
    }

    fn deliver(&mut self, stamp_ns: u64, bytes: &[u8], deliver: &mut dyn FnMut(u64, &[u8])) {
        self.ready_ns = self.ready_ns.max(stamp_ns);
        self.next += bytes.len() as u64;
        if !bytes.is_empty() {
            deliver(self.ready_ns, bytes);
        }
    }

    /// Whether all of it lies in what is held.
    fn holds(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        while at < end {
            match self.held_end(at) {
                Some(held_end) => at = held_end,
                None => return false,
            }
        }
        true
    }

    /// The end of the held piece that this position lies in.
    fn held_end(&self, at: u64) -> Option<u64> {
        let (start, (_, bytes)) = self.held.range(..=at).next_back()?;
        Some(start + bytes.len() as u64).filter(|end| *end > at)
    }

    /// Keeps those parts of it that are not held yet.
    fn hold(&mut self, start: u64, stamp_ns: u64, bytes: &[u8]) {
        let end = start + bytes.len() as u64;
        let mut at = start;
        while at < end {
            if let Some(held_end) = self.held_end(at) {
                at = held_end;
                continue;
            }
            let until = self.held.range(at..).next().map_or(end, |(next, _)| end.min(*next));
            let index = |position: u64| usize::try_from(position - start).unwrap_or(usize::MAX);
            let part = bytes.get(index(at)..index(until)).unwrap_or_default().to_vec();
            self.held_bytes += part.len();
            self.held.insert(at, (stamp_ns, part));
            at = until;
        }
        if self.held_bytes > MOST_HELD {
            self.held.clear();
            self.overflowed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use proptest::prelude::*;

    use super::*;

    fn segment(sequence: u32, payload: &[u8]) -> Segment<'_> {
        let end = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        Segment {
            source: end,
            destination: end,
            sequence,
            syn: false,
            ack: true,
            fin: false,
            rst: false,
            payload,
            fragment: false,
            cut: false,
        }
    }

    /// Delivered pieces, each with its stamp, of a stream whose first byte has the number `first`.
    fn deliveries(first: u32, segments: &[(u64, u32, &[u8])]) -> (Stream, Vec<(u64, Vec<u8>)>) {
        let mut stream = Stream::default();
        stream.begin(first.wrapping_sub(1));
        let mut delivered = Vec::new();
        for (stamp_ns, offset, payload) in segments {
            let segment = segment(first.wrapping_add(*offset), payload);
            stream.push(&segment, *stamp_ns, 1, &mut |stamp_ns, bytes| {
                delivered.push((stamp_ns, bytes.to_vec()));
            });
        }
        (stream, delivered)
    }

    fn pieces(of: &[(u64, &str)]) -> Vec<(u64, Vec<u8>)> {
        of.iter().map(|(stamp_ns, text)| (*stamp_ns, text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn what_lies_behind_a_hole_arrives_when_it_is_filled() {
        for first in [1, u32::MAX - 1] {
            let segments: &[(u64, u32, &[u8])] =
                &[(1, 0, b"ab"), (2, 4, b"ef"), (3, 6, b"gh"), (9, 2, b"cd"), (10, 8, b"ij")];
            let (stream, delivered) = deliveries(first, segments);
            let expected = [(1, "ab"), (9, "cd"), (9, "ef"), (9, "gh"), (10, "ij")];
            assert_eq!(delivered, pieces(&expected));
            assert_eq!((stream.disorder.out_of_order, stream.disorder.retransmitted), (2, 0));
            assert!(!stream.has_hole());
        }
    }

    #[test]
    fn what_comes_twice_counts_once_also_where_it_overlaps() {
        let segments: &[(u64, u32, &[u8])] = &[
            (1, 0, b"abc"),
            (2, 0, b"abc"),
            (3, 1, b"bcd"),
            (4, 6, b"gh"),
            (5, 5, b"fghi"),
            (6, 6, b"gh"),
            (7, 2, b"cdefg"),
        ];
        let (stream, delivered) = deliveries(7, segments);
        let expected = [(1, "abc"), (3, "d"), (7, "efg"), (7, "h"), (7, "i")];
        assert_eq!(delivered, pieces(&expected));
        assert_eq!((stream.disorder.out_of_order, stream.disorder.retransmitted), (2, 2));
    }

    #[test]
    fn a_hole_that_stays_delivers_nothing_behind_it() {
        let (mut stream, delivered) = deliveries(7, &[(1, 0, b"ab"), (2, 3, b"d")]);
        assert_eq!(delivered, pieces(&[(1, "ab")]));
        assert!(stream.has_hole());
        let mut end = segment(7 + 4, b"");
        end.fin = true;
        stream.push(&end, 3, 1, &mut |_, _| {});
        assert_eq!(stream.closed_ns(), None);
    }

    #[test]
    fn a_copy_on_another_interface_is_no_retransmission() {
        let (mut stream, _) = deliveries(7, &[(1, 0, b"ab")]);
        stream.push(&segment(7, b"ab"), 1, 2, &mut |_, _| unreachable!());
        assert_eq!((stream.disorder.copies, stream.disorder.retransmitted), (1, 0));
    }

    #[test]
    fn more_than_a_window_behind_a_hole_ends_the_stream() {
        let mut stream = Stream::default();
        stream.begin(0);
        let block = vec![0; 1 << 20];
        for at in (10..).step_by(1 << 20).take(70) {
            stream.push(&segment(at, &block), 1, 1, &mut |_, _| unreachable!());
        }
        assert!(stream.has_hole() && stream.held.is_empty());
    }

    proptest! {
        /// However a text is cut, mixed up and sent again: it comes out whole and in order, and no byte
        /// before its own segment or one before it.
        #[test]
        fn any_segments_give_the_same_bytes(
            first: u32,
            text in proptest::collection::vec(any::<u8>(), 1..300),
            cuts in proptest::collection::vec((0..300_usize, 1..60_usize), 0..80),
        ) {
            let mut segments: Vec<(usize, usize)> = cuts
                .into_iter()
                .map(|(start, length)| (start % text.len(), (start % text.len() + length).min(text.len())))
                .collect();
            // Whatever was left out comes last.
            segments.push((0, text.len()));
            let mut arrived = vec![u64::MAX; text.len()];
            let segments: Vec<(u64, u32, &[u8])> = (1..)
                .zip(&segments)
                .map(|(stamp_ns, (start, end))| {
                    for byte in &mut arrived[*start..*end] {
                        *byte = stamp_ns.min(*byte);
                    }
                    (stamp_ns, u32::try_from(*start).unwrap(), &text[*start..*end])
                })
                .collect();
            let (stream, delivered) = deliveries(first, &segments);
            let bytes: Vec<u8> = delivered.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
            prop_assert_eq!(&bytes, &text);
            let stamps = delivered.iter().flat_map(|(stamp, bytes)| vec![*stamp; bytes.len()]);
            let mut latest = 0;
            for (stamp, arrived) in stamps.zip(arrived) {
                latest = latest.max(arrived);
                prop_assert_eq!(stamp, latest);
            }
            prop_assert!(!stream.has_hole());
        }
    }
}
