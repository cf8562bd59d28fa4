//! The probe at work: real servers and clients on the loopback, and between network namespaces with a bad
//! line. Where packets may not be captured, these tests have nothing to do.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use formats::clock::monotonic_ns;
use formats::protocol::CallRecord;

use super::super::{
    CallsOnTheWire, Capture, Fault, Passed, Recorder, Summary, WIRE_FILE, Watch, read, write,
};
use super::by_hand::{record, spec};
use super::ends::{Log, call_without_server, listen, make_calls, serve};
use super::namespaces::{Ending, Namespaces, child, role};

const MS: f64 = 1e6;

/// Starts a capture, unless this process may not.
fn capture(sizes: Capture, server: SocketAddr) -> Option<Recorder> {
    let watch = Watch { address: Some(server.ip()), port: server.port() };
    match sizes.begin(&[watch], &std::env::temp_dir()) {
        Ok(recorder) => Some(recorder),
        Err(reason) => {
            eprintln!("nothing tested: {reason}");
            None
        }
    }
}

fn found(recorder: Recorder, calls: &[CallRecord]) -> CallsOnTheWire {
    let mut spec = spec();
    let agent = spec.agents.remove(0);
    let names: BTreeSet<&str> = calls.iter().map(|call| call.agent.as_str()).collect();
    for name in names {
        let mut own = agent.clone();
        name.clone_into(&mut own.name);
        spec.agents.push(own);
    }
    recorder.stop().calls(&spec, &record(calls.to_vec())).unwrap()
}

/// What was found beside what the server noted, milliseconds: how much earlier than the server had read
/// it each request passed, and how much later than it was sent each chunk arrived.
fn beside(found: &CallsOnTheWire, log: &Log) -> (Vec<f64>, Vec<f64>) {
    let log = log.lock().unwrap();
    let (mut requests, mut chunks) = (Vec::new(), Vec::new());
    for own in &found.calls {
        let noted = &log[&format!("run/{}/{}", own.agent, own.call)];
        requests.push((noted.read_ns as f64 - own.request.time_ns as f64) / MS);
        assert_eq!(noted.sent_ns.len(), own.chunks.len());
        for (sent_ns, chunk) in noted.sent_ns.iter().zip(&own.chunks) {
            chunks.push((chunk.time_ns as f64 - *sent_ns as f64) / MS);
        }
    }
    requests.sort_by(f64::total_cmp);
    chunks.sort_by(f64::total_cmp);
    (requests, chunks)
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn words(sorted: &[f64]) -> String {
    let at = |percent| percentile(sorted, percent);
    format!(
        "n {}, min {:.4}, p50 {:.4}, p99 {:.4}, max {:.4} ms",
        sorted.len(),
        sorted[0],
        at(50),
        at(99),
        at(100)
    )
}

/// How long each chunk lay in the client, milliseconds: its taking by the record minus its arrival.
fn delays_ms(found: &CallsOnTheWire, calls: &[CallRecord]) -> Vec<f64> {
    let own = |call: &&CallRecord| {
        found.calls.iter().find(|own| own.agent == call.agent && own.call == call.call)
    };
    let found = calls.iter().filter_map(|call| Some((call, own(&call)?)));
    let delays = found.flat_map(|(call, own)| {
        let taken = call.text_offsets_ns.iter().map(|offset| call.start_ns + offset);
        let delay = |(chunk, taken_ns): (&Passed, u64)| {
            (i128::from(taken_ns) - i128::from(chunk.time_ns)) as f64 / 1e6
        };
        own.chunks.iter().zip(taken).map(delay).collect::<Vec<_>>()
    });
    delays.collect()
}

#[test]
fn times_lie_between_those_of_both_ends() {
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let (listener, server) = listen(address);
        let log = serve(listener, 20, Duration::from_millis(2));
        let Some(recorder) = capture(Capture::default(), server) else { return };
        let calls = make_calls(server, 2, 3);
        let found = found(recorder, &calls);
        assert_eq!(found.without, []);
        let summary = &found.summary;
        assert_eq!((summary.calls, summary.connections, summary.dropped), (6, 2, 0));
        assert_eq!((summary.retransmitted, summary.out_of_order, summary.copies), (0, 0, 0));
        assert!(summary.interfaces.contains(&"lo".to_owned()), "{summary:?}");
        let (requests, chunks) = beside(&found, &log);
        assert!(requests[0] > -0.01 && chunks[0] > -0.01, "{} {}", requests[0], chunks[0]);
        for (call, own) in calls.iter().zip(&found.calls) {
            assert!(own.request.time_ns + 10_000 > call.start_ns);
            assert!(own.chunks[0].time_ns > own.request.time_ns + 1_900_000);
            assert_eq!(own.chunks.len(), 20);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WIRE_FILE);
        write(&path, &found.calls).unwrap();
        assert_eq!(read(&path).unwrap(), found.calls);
    }
}

fn many(streams: usize, chunks: usize, sizes: Capture) -> Option<()> {
    let (listener, server) = listen(Ipv4Addr::LOCALHOST);
    let log = serve(listener, chunks, Duration::from_millis(10));
    let recorder = capture(sizes, server)?;
    let calls = make_calls(server, streams, 1);
    let found = found(recorder, &calls);
    let (requests, chunks) = beside(&found, &log);
    println!("{streams} streams: {:#?}", found.summary);
    println!("requests before they were read: {}", words(&requests));
    println!("chunks after they were sent:    {}", words(&chunks));
    let mut delays: Vec<f64> = delays_ms(&found, &calls);
    delays.sort_by(f64::total_cmp);
    println!("chunks taken after arrival:     {}", words(&delays));
    assert_eq!((found.summary.dropped, &found.without), (0, &Vec::new()));
    assert_eq!(found.calls.len(), streams);
    assert!(chunks[0] > -0.01 && requests[0] > -0.01);
    assert!(percentile(&chunks, 50) < 0.1);
    Some(())
}

#[test]
fn many_streams_are_seen_at_their_times() {
    many(64, 100, Capture::default());
}

#[test]
#[ignore = "keeps every core busy for seconds"]
fn nothing_is_lost_of_256_streams() {
    many(256, 300, Capture::default());
}

#[test]
fn what_does_not_fit_into_memory_goes_through_a_file() {
    many(8, 20, Capture { memory_bytes: 4096, ..Capture::default() });
}

#[test]
fn what_the_kernel_drops_is_counted_and_gives_no_figures() {
    let (listener, server) = listen(Ipv4Addr::LOCALHOST);
    let log = serve(listener, 500, Duration::from_micros(20));
    let Some(recorder) = capture(Capture { buffer_bytes: 1, ..Capture::default() }, server) else {
        return;
    };
    let Some(beside_it) = capture(Capture::default(), server) else { return };
    let calls = make_calls(server, 8, 2);
    let (found, whole) = (self::found(recorder, &calls), self::found(beside_it, &calls));
    println!("{:#?}", found.summary);
    let Summary { segments, dropped, .. } = found.summary;
    assert!(dropped > 0 && !found.without.is_empty());
    // What another capture saw of the same, which begins and ends at moments of its own.
    let all = whole.summary.segments;
    assert!((segments + dropped).abs_diff(all) < 20, "{segments} {dropped} {all}");
    assert_eq!((whole.calls.len(), whole.summary.dropped), (16, 0));
    for own in &found.without {
        assert!(matches!(own.reason, Fault::Hole | Fault::Begun), "{own:?}");
    }
    let (_, chunks) = beside(&found, &log);
    assert!(chunks.first().is_none_or(|least| *least > -0.01), "what is whole is right");
    assert_eq!(found.calls.len() + found.without.len(), 16);
}

#[test]
fn of_an_encrypted_call_the_first_bytes_are_known() {
    let record = |kind: u8| [&[kind, 3, 3, 0, 50][..], &[0; 50]].concat();
    let (listener, server) = listen(Ipv4Addr::LOCALHOST);
    let Some(recorder) = capture(Capture::default(), server) else { return };
    let serving = thread::spawn(move || {
        let (mut stream, mut record_in) = (listener.accept().unwrap().0, [0; 55]);
        stream.read_exact(&mut record_in).unwrap();
        stream.write_all(&record(22)).unwrap();
        stream.read_exact(&mut record_in).unwrap();
        let read_ns = monotonic_ns();
        thread::sleep(Duration::from_millis(5));
        let sent_ns = monotonic_ns();
        stream.write_all(&record(23)).unwrap();
        thread::sleep(Duration::from_millis(5));
        stream.write_all(&record(23)).unwrap();
        (read_ns, sent_ns)
    });
    let mut stream = TcpStream::connect(server).unwrap();
    let (start_ns, mut answer) = (monotonic_ns(), [0; 55]);
    stream.write_all(&record(22)).unwrap();
    stream.read_exact(&mut answer).unwrap();
    let sent_ns = monotonic_ns();
    stream.write_all(&record(23)).unwrap();
    stream.read_exact(&mut answer).unwrap();
    let taken_ns = monotonic_ns();
    stream.read_exact(&mut answer).unwrap();
    let noted = serving.join().unwrap();
    let call = CallRecord {
        start_ns,
        sent_ns: Some(sent_ns),
        local_port: Some(stream.local_addr().unwrap().port()),
        text_offsets_ns: vec![taken_ns - start_ns],
        end_ns: monotonic_ns(),
        ..call_without_server()
    };
    let found = found(recorder, &[call]);
    assert_eq!((found.without, found.summary.encrypted), (vec![], 1));
    let own = &found.calls[0];
    let first = own.first_bytes.unwrap();
    let slack_ns = 10_000;
    assert!(own.chunks.is_empty() && own.request.bytes == 50 && first.bytes == 50);
    assert!(own.request.time_ns + slack_ns > sent_ns && own.request.time_ns < noted.0 + slack_ns);
    assert!(first.time_ns + slack_ns > noted.1 && first.time_ns < taken_ns + slack_ns);
}

#[test]
fn without_the_privilege_it_is_unavailable_and_says_how_to_give_it() {
    let test = "without_the_privilege_it_is_unavailable_and_says_how_to_give_it";
    if role().is_some() {
        let folder = std::env::temp_dir();
        let refused = Capture::start(&[Watch { address: None, port: 1 }], &folder).unwrap_err();
        println!("refused: {refused}");
        return;
    }
    for less in [
        &["setpriv", "--inh-caps=-all", "--bounding-set=-all"][..],
        &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
    ] {
        let Some(child) = child(less, test, "child") else { return };
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() && !said.contains("running") {
            eprintln!("nothing tested: setpriv does not work here");
            return;
        }
        let program = std::env::current_exe().unwrap();
        let way = format!("setcap cap_net_raw,cap_net_admin+ep {}", program.display());
        assert!(said.contains("refused: capturing packets needs a privilege"), "{said}");
        assert!(said.contains(&way), "{said}");
    }
}

#[test]
fn a_buffer_that_the_system_limits_is_said() {
    let test = "a_buffer_that_the_system_limits_is_said";
    if role().is_some() {
        let (listener, server) = listen(Ipv4Addr::LOCALHOST);
        serve(listener, 50, Duration::from_millis(10));
        let Some(recorder) = capture(Capture::default(), server) else { return };
        let found = found(recorder, &make_calls(server, 4, 1));
        assert_eq!((&found.without, found.summary.dropped), (&Vec::new(), 0));
        println!("limited: {} {}", found.summary.buffer_is_limited, found.summary.buffer_bytes);
        return;
    }
    let less = ["setpriv", "--inh-caps=-all", "--bounding-set=-all,+net_raw"];
    let Some(child) = child(&less, test, "child") else { return };
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let untested = !output.status.success() && !said.contains("running")
        || output.status.success() && !said.contains("limited: ");
    assert!(untested || said.contains("limited: true"), "{said}");
}

#[test]
fn what_comes_is_taken_at_once_where_the_buffer_is_small() {
    many(16, 100, Capture { buffer_bytes: 212_992, ..Capture::default() });
}

#[test]
fn a_line_that_loses_and_reorders_leaves_every_call_whole() {
    let test = "a_line_that_loses_and_reorders_leaves_every_call_whole";
    let server = SocketAddr::from(([10, 213, 7, 1], 11434));
    match role().as_deref() {
        Some("server") => {
            let listener = TcpListener::bind(server).unwrap();
            serve(listener, 100, Duration::from_millis(3));
            println!("ready");
            loop {
                thread::park();
            }
        }
        Some(_) => return over_a_bad_line(server),
        None => {}
    }
    let Some(namespaces) = Namespaces::new() else {
        eprintln!("nothing tested: there are no network namespaces to be had");
        return;
    };
    let [ours, theirs] = &namespaces.names;
    let mut serving = child(&["ip", "netns", "exec", ours], test, "server").unwrap();
    let mut said = BufReader::new(serving.stdout.take().unwrap()).lines();
    let _serving = Ending(serving);
    assert!(said.any(|line| line.unwrap().contains("ready")));
    let calling = child(&["ip", "netns", "exec", theirs], test, "client").unwrap();
    let output = calling.wait_with_output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success());
}

fn over_a_bad_line(server: SocketAddr) {
    let recorder = capture(Capture::default(), server).unwrap();
    let calls = make_calls(server, 8, 3);
    let found = found(recorder, &calls);
    println!("{:#?}", found.summary);
    let mut delays = delays_ms(&found, &calls);
    delays.sort_by(f64::total_cmp);
    println!("chunks taken after arrival: {}", words(&delays));
    assert_eq!(found.without, []);
    assert_eq!((found.calls.len(), found.summary.dropped), (24, 0));
    assert!(found.summary.out_of_order > 0 && found.summary.retransmitted > 0);
    assert!(delays[0] > -0.01, "nothing is taken before it arrives");
    assert!(percentile(&delays, 50) < 1.0, "what was resent arrives when it came at last");
}
