//! What is read from packets: calls found whole, and reasons where they are not.

use formats::protocol::CallRecord;
use proptest::prelude::*;

use super::super::{CallsOnTheWire, Fault};
use super::by_hand::{ACK, Clock, FIN, LAST, RST, Talk, chunk, line, record, request, spec};

fn reasons(found: &CallsOnTheWire) -> Vec<(u32, Fault)> {
    found.without.iter().map(|own| (own.call, own.reason.clone())).collect()
}

#[test]
fn calls_follow_each_other_on_one_connection() {
    let (clock, mut talk) = (Clock::known(), Talk::open(40_000, 0));
    talk.client(10, &request(0)[..30]);
    talk.client(11, &request(0)[30..]);
    talk.server(12, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    talk.answer(&[20, 30]);
    // A question of somebody else, on a connection that a proxy may share.
    talk.client(40, "HEAD / HTTP/1.1\r\n\r\n");
    talk.server(41, "HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n");
    talk.call(50, 1);
    // Two lines in one segment, one in two.
    let text = chunk(&line("a")) + &chunk(&line("b")) + &chunk(&line("c"));
    talk.server(60, &text[..text.len() - 20]);
    talk.server(70, &text[text.len() - 20..]);
    talk.answer(&[80]);
    let calls = vec![clock.record(0, 9, &[21, 30], 32), clock.record(1, 49, &[60, 60, 71, 80], 82)];
    let found = clock.read(&talk.packets, calls);
    assert_eq!(reasons(&found), []);
    assert_eq!(clock.times(&found, 0), (11, vec![20, 30]));
    assert_eq!(clock.times(&found, 1), (50, vec![60, 60, 70, 80]));
    assert_eq!(found.calls[0].request.bytes, request(0).len() as u64);
    assert_eq!(found.calls[0].chunks[0].bytes, line("text").len() as u64 - 1);
    let summary = &found.summary;
    assert_eq!((summary.calls, summary.connections, summary.retransmitted), (2, 1, 0));
}

#[test]
fn what_a_lost_packet_leaves_is_known_until_there() {
    let (clock, mut talk) = (Clock::known(), Talk::open(40_000, 0));
    for (call, after_ms) in [(0, 10), (1, 50), (2, 90)] {
        talk.call(after_ms, call);
        talk.answer(&[after_ms + 10, after_ms + 20]);
    }
    let calls: Vec<CallRecord> = [(0, 10), (1, 50), (2, 90)]
        .map(|(call, at)| clock.record(call, at, &[at + 10, at + 20], at + 30))
        .into();
    // In the second call: its request, the head of its answer, each of its chunks.
    for lost in 7..=9 {
        let mut packets = talk.packets.clone();
        packets.remove(lost);
        let found = clock.read(&packets, calls.clone());
        assert_eq!(found.calls.len(), 1);
        assert_eq!(reasons(&found), [(1, Fault::Hole), (2, Fault::Hole)], "{lost}");
        assert_eq!(found.summary.without_figures[&Fault::Hole.to_string()], 2);
        assert_eq!(found.check(&record(calls.clone())), Ok(()));
    }
    // The opening: nothing is known.
    for lost in 0..=1 {
        let mut packets = talk.packets.clone();
        packets.remove(lost);
        let found = clock.read(&packets, calls.clone());
        assert_eq!(found.calls, []);
        assert_eq!(reasons(&found)[0], (0, Fault::Begun), "{lost}");
        let said = found.check(&record(calls.clone())).unwrap_err();
        assert!(said.contains("before the capture began"), "{said}");
    }
    // The kernel's last word: packets were dropped, and the last of a connection leave no hole.
    let mut captured = clock.captured(&talk.packets[..13]);
    captured.dropped = 1;
    let found = captured.calls(&spec(), &record(calls)).unwrap();
    assert_eq!(reasons(&found), [(2, Fault::Hole)]);
}

#[test]
fn a_port_that_is_used_again_is_another_connection() {
    let clock = Clock::known();
    let (mut first, mut second) = (Talk::open(40_000, 0), Talk::open(40_000, 100));
    first.call(10, 0);
    first.answer(&[20]);
    first.say(0, 30, FIN | ACK, b"");
    first.say(1, 31, FIN | ACK, b"");
    second.call(110, 1);
    second.answer(&[120]);
    // Another number to begin with; the first time it may be the same, since both ends have closed.
    for shift in [0, 12_345] {
        let mut packets = first.packets.clone();
        packets.extend(second.packets.iter().cloned().map(|mut packet| {
            let number = u32::from_be_bytes(packet.bytes[24..28].try_into().unwrap());
            packet.bytes[24..28].copy_from_slice(&number.wrapping_add(shift).to_be_bytes());
            packet
        }));
        let calls = vec![clock.record(0, 9, &[20], 30), clock.record(1, 109, &[120], 130)];
        let found = clock.read(&packets, calls);
        assert_eq!(reasons(&found), []);
        assert_eq!(found.summary.connections, 2);
        assert_eq!(clock.times(&found, 1), (110, vec![120]));
    }
}

#[test]
fn answers_may_end_with_the_connection() {
    let clock = Clock::known();
    for flags in [FIN | ACK, RST] {
        let mut talk = Talk::open(40_000, 0);
        talk.client(10, request(0));
        talk.server(11, "HTTP/1.1 200 OK\r\n\r\n");
        talk.server(20, line("a"));
        // Without a line end it is whole at the end of the body, if the body has one.
        talk.server(30, line("b").trim_end());
        talk.say(1, 40, flags, b"");
        let taken: &[u64] = if flags == RST { &[20] } else { &[20, 41] };
        let found = clock.read(&talk.packets, vec![clock.record(0, 9, taken, 50)]);
        assert_eq!(reasons(&found), []);
        let arrived: &[u64] = if flags == RST { &[20] } else { &[20, 40] };
        assert_eq!(clock.times(&found, 0), (10, arrived.to_vec()));
    }
}

#[test]
fn what_does_not_agree_with_its_record_has_no_figures() {
    let clock = Clock::known();
    let reason = |head: &str, taken: &[u64]| {
        let mut talk = Talk::open(40_000, 0);
        talk.client(10, request(0));
        talk.server(11, head);
        talk.server(20, chunk(&line("a")));
        let found = clock.read(&talk.packets, vec![clock.record(0, 9, taken, 50)]);
        reasons(&found).first().map(|(_, reason)| reason.clone())
    };
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n";
    assert_eq!(reason(&format!("{chunked}\r\n"), &[20]), None);
    let (wire, record) = (1, 2);
    let other = Some(Fault::Chunks { wire, record });
    assert_eq!(reason(&format!("{chunked}\r\n"), &[20, 21]), other);
    assert_eq!(reason(&format!("{chunked}\r\n"), &[18]), Some(Fault::Order));
    let packed = format!("{chunked}content-encoding: gzip\r\n\r\n");
    assert_eq!(reason(&packed, &[20]), Some(Fault::Compressed));
    let early = vec![clock.record(0, 5, &[20], 50)];
    let mut talk = Talk::open(40_000, 0);
    talk.client(10, &request(0)[..75]);
    talk.server(11, format!("{chunked}\r\n"));
    talk.server(12, chunk(&line("a")));
    talk.client(13, &request(0)[75..]);
    assert_eq!(reasons(&clock.read(&talk.packets, early)), [(0, Fault::Early)]);
    let refused = "HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(reason(refused, &[]), None, "an error has no chunks");
    assert_eq!(reason("HTTP/2 200 OK\r\n\r\n", &[20]), Some(Fault::NotHttp));
}

#[test]
fn a_request_that_a_proxy_repeats_is_told_by_its_port() {
    let clock = Clock::known();
    let mut packets = Vec::new();
    for (port, after_ms) in [(40_000, 10), (50_000, 11)] {
        let mut talk = Talk::open(port, after_ms - 5);
        talk.call(after_ms, 0);
        talk.answer(&[after_ms + 10]);
        packets.extend(talk.packets);
    }
    let call = clock.record(0, 9, &[25], 50);
    let found = clock.read(&packets, vec![call.clone()]);
    assert_eq!(clock.times(&found, 0), (10, vec![20]));
    let unnamed = CallRecord { local_port: None, ..call };
    assert_eq!(reasons(&clock.read(&packets, vec![unnamed])), [(0, Fault::Ambiguous)]);
}

#[test]
fn encrypted_calls_are_found_by_port_and_time_also_in_a_tunnel() {
    let clock = Clock::known();
    let record = |kind: u8| [&[kind, 3, 3, 0, 50][..], &[0; 50]].concat();
    for tunnel in [false, true] {
        let mut talk = Talk::open(40_000, 0);
        if tunnel {
            talk.client(1, "CONNECT host:443 HTTP/1.1\r\nhost: host:443\r\n\r\n");
            talk.server(2, "HTTP/1.1 200 Connection established\r\n\r\n");
        }
        talk.client(3, record(22));
        talk.server(4, record(22));
        talk.client(5, record(20));
        for at in [10, 50] {
            talk.client(at, record(23));
            talk.server(at + 7, record(23));
            talk.server(at + 8, record(23));
        }
        let calls = vec![clock.record(0, 9, &[18], 30), clock.record(1, 49, &[58], 70)];
        let found = clock.read(&talk.packets, calls.clone());
        assert_eq!(reasons(&found), []);
        let first = found.calls[1].first_bytes.unwrap();
        assert_eq!(clock.times(&found, 1), (50, vec![]));
        assert_eq!((first.time_ns, first.bytes), (clock.monotonic_ns(57), 50));
        assert_eq!(found.summary.encrypted, 2);
        let unnamed = CallRecord { local_port: None, ..calls[0].clone() };
        let unsent = CallRecord { sent_ns: None, ..calls[1].clone() };
        let found = clock.read(&talk.packets, vec![unnamed, unsent]);
        assert_eq!(reasons(&found), [(0, Fault::NoPort), (1, Fault::NoSent)]);
    }
}

#[test]
fn calls_that_left_no_trace_say_so() {
    let clock = Clock::known();
    let seen = clock.record(0, 9, &[], 30);
    let unsent = CallRecord { local_port: None, sent_ns: None, ..clock.record(1, 9, &[], 30) };
    let found = clock.read(&[], vec![seen.clone(), unsent]);
    assert_eq!(reasons(&found), [(0, Fault::NotSeen), (1, Fault::NotSent)]);
    let mut captured = clock.captured(&[]);
    captured.clock = None;
    let found = captured.calls(&spec(), &record(vec![seen])).unwrap();
    assert_eq!(reasons(&found), [(0, Fault::ClockSet)]);
}

proptest! {
    /// However an answer is cut into segments, and whichever of them are sent again or overtake others:
    /// its chunks are the same, in the same order, and none arrives before its last byte.
    #[test]
    fn any_segments_give_the_same_chunks(
        cuts in proptest::collection::vec(0..1000_usize, 0..30),
        again in proptest::collection::vec((0..30_usize, 0..30_usize), 0..10),
    ) {
        let clock = Clock::known();
        let mut talk = Talk::open(40_000, 0);
        talk.client(1, request(0));
        let mut answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        for text in ["one", "two", "drei\\n", "4 \u{1f600}", "five"] {
            answer += &chunk(&line(text));
        }
        answer += &(chunk(LAST) + "0\r\n\r\n");
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % answer.len()).collect();
        cuts.extend([0, answer.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        for pair in cuts.windows(2) {
            talk.server(2, &answer.as_bytes()[pair[0]..pair[1]]);
        }
        for (which, whereto) in again {
            let segments = talk.packets.len() - 3;
            let copy = talk.packets[3 + which % segments].clone();
            talk.packets.insert(3 + whereto % segments, copy);
        }
        let mut packets = talk.packets;
        for (index, packet) in (1..).zip(&mut packets) {
            packet.after_ms = index;
        }
        let last = packets.len() as u64;
        let found = clock.read(&packets, vec![clock.record(0, 1, &[last; 5], last)]);
        prop_assert_eq!(reasons(&found), []);
        let lengths: Vec<u64> = found.calls[0].chunks.iter().map(|own| own.bytes).collect();
        let expected = ["one", "two", "drei\\n", "4 \u{1f600}", "five"];
        prop_assert_eq!(lengths, expected.map(|text| line(text).len() as u64 - 1));
        let (_, times) = clock.times(&found, 0);
        prop_assert!(times.is_sorted());
    }
}
