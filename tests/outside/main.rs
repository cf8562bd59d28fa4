//! The measuring client, measured from outside: by the log of a server of known schedule, in a process of
//! its own and on a core of its own.
//!
//! What is asserted exactly holds on any machine; limits of time are generous, since other work may share
//! it. The figures themselves are printed by `cargo bench --bench streams`.
#![cfg(target_os = "linux")]

mod client;
mod cores;
mod figures;
#[path = "../python/runtime.rs"]
#[expect(dead_code, reason = "the tests of Python's own use the rest")]
mod python;
mod server;

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use formats::endpoint::Api;
use formats::protocol::{AgentRecord, CallRecord, Connection, Spec};

use self::client::{request_id, spec};
use self::figures::{Figures, percentile};
use self::server::{Schedule, Served, Server};

/// One measurement at a time: two would measure each other.
static MACHINE: Mutex<()> = Mutex::new(());
/// By how much a stamp of the kernel, of the time of day, may be wrong on the monotonic clock.
const SLACK_NS: u64 = 300_000;

const SCHEDULE: Schedule = Schedule {
    first: Duration::from_millis(60),
    gap: Duration::from_millis(20),
    chunks: 10,
    connections: 80,
};

/// No test, but the server's process.
#[test]
fn serve() {
    server::serve_if_asked();
}

fn alone() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a runtime against a server of this schedule.
fn measured(
    command: Command,
    schedule: Schedule,
    streams: u32,
    change: impl Fn(&mut Spec),
    hear: impl FnMut(u32, &str) + Send,
) -> (AgentRecord, HashMap<String, Served>) {
    let folder = tempfile::tempdir().unwrap();
    let (server_cores, agent_cores) = cores::divided();
    let server = Server::start(schedule, &server_cores, folder.path());
    let mut spec = spec(streams, Api::Ollama, &server.url, folder.path());
    change(&mut spec);
    let finished = client::run(command, &agent_cores, &spec, hear);
    (finished.record, server.end())
}

/// Name of an event.
fn event(line: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    event["event"].as_str().unwrap().to_owned()
}

/// Everything about the order of times that holds whatever else the machine does.
#[track_caller]
fn times_are_in_order(call: &CallRecord, its: &Served, kept: bool) {
    let sent_ns = call.sent_ns.unwrap();
    let connected_ns = call.connected_ns;
    assert_eq!(connected_ns.is_none(), kept, "a kept connection is not opened again: {call:?}");
    assert!(call.start_ns <= connected_ns.unwrap_or(call.start_ns), "{call:?}");
    assert!(connected_ns.unwrap_or(call.start_ns) <= sent_ns, "{call:?}");
    assert!(sent_ns <= its.read_ns, "sent after the server had read it: {call:?} {its:?}");
    let arrived_ns = its.arrived_ns.expect("the system stamps segments");
    assert!(sent_ns <= arrived_ns + SLACK_NS, "sent after it had arrived: {call:?} {its:?}");
    assert!(arrived_ns <= its.read_ns + SLACK_NS, "{its:?}");
    assert_eq!(call.local_port, Some(its.port));
    assert_eq!(call.text_offsets_ns.len(), its.sent_ns.len());
    for (offset, sent_ns) in call.text_offsets_ns.iter().zip(&its.sent_ns) {
        assert!(call.start_ns + offset >= *sent_ns, "read before it was sent: {call:?} {its:?}");
    }
}

/// How long bytes lay in the kernel is at most the time from the server's sends to the client's reads.
#[track_caller]
fn delays_are_within_what_the_server_knows(call: &CallRecord, its: &Served) {
    let delays = call.read_delays_ns.as_ref().expect("the system stamps segments");
    assert_eq!(Some(delays.len() as u64), call.reads, "one for each read");
    let texts = call.text_offsets_ns.iter().zip(&its.sent_ns);
    let lay = texts.map(|(offset, sent_ns)| call.start_ns + offset - sent_ns);
    let head = its.head_ns.map_or(0, |head_ns| call.headers_ns.unwrap() - head_ns);
    let most_ns = lay.sum::<u64>() + head;
    let slack_ns = SLACK_NS * delays.len() as u64;
    let sum_ns: u64 = delays.iter().sum();
    assert!(sum_ns <= most_ns + slack_ns, "{sum_ns} of at most {most_ns} ns: {call:?} {its:?}");
}

/// A figure, and what its median must be below, milliseconds.
type Limit = (fn(&Figures) -> &[f64], f64);

/// Measures until the median of every figure was below its limit once, eight times at most: what other work on
/// the machine does to one measurement it seldom does to all.
fn medians_are_below(limits: &[Limit], measure: impl Fn() -> Figures) {
    let mut best = vec![f64::INFINITY; limits.len()];
    for _ in 0..8 {
        let figures = measure();
        for (best, (of, _)) in best.iter_mut().zip(limits) {
            // Of a figure that an answer of this kind does not have nothing is above a limit.
            let values = of(&figures);
            let median = if values.is_empty() { 0.0 } else { percentile(values, 50).abs() };
            *best = best.min(median);
        }
        if best.iter().zip(limits).all(|(best, (_, limit))| best < limit) {
            return;
        }
    }
    let limits: Vec<f64> = limits.iter().map(|(_, limit)| *limit).collect();
    panic!("the best medians {best:?} ms, their limits {limits:?} ms");
}

#[test]
fn sixty_four_streams_started_together_are_timed_as_the_server_saw_them() {
    let _alone = alone();
    for api in [Api::Ollama, Api::OpenaiChat] {
        let change = |spec: &mut Spec| {
            for agent in &mut spec.agents {
                agent.api = api;
                agent.url += if api == Api::Ollama { "" } else { "/v1" };
            }
        };
        let limits: [Limit; 5] = [
            (|figures| &figures.send_delay, 30.0),
            (|figures| &figures.untold, 1.0),
            (|figures| &figures.ttft, 3.0),
            (|figures| &figures.first, 3.0),
            (|figures| &figures.gap, 3.0),
        ];
        medians_are_below(&limits, || {
            let (record, served) = measured(client::rust(), SCHEDULE, 64, change, |_, _| {});
            assert_eq!((record.calls.len(), served.len()), (64, 64));
            for call in &record.calls {
                let its = &served[&request_id(&call.agent, call.call)];
                times_are_in_order(call, its, false);
                delays_are_within_what_the_server_knows(call, its);
            }
            Figures::of(&record.calls, &served)
        });
    }
}

/// The kernel holds a process with threads up for some 10 ms when its table of descriptors grows, as it
/// does for the 65th, the 129th, the 257th. The size of the table tells it on any machine; a limit of time would not beside other
/// work, which takes as long.
#[test]
fn the_table_of_descriptors_does_not_grow_in_a_call() {
    let _alone = alone();
    // A process may begin with 256, which it has from those that started it.
    let streams = 280;
    let schedule = Schedule { chunks: 2, connections: 300, ..SCHEDULE };
    // Time to look between `ready` and the first call.
    let idle = |spec: &mut Spec| spec.probes.idle_ns = Some(300_000_000);
    for (name, command) in [("rust", client::rust()), ("python", python::command())] {
        let mut sizes = Vec::new();
        let look = |id: u32, line: &str| {
            if ["ready", "first_token"].contains(&event(line).as_str()) {
                let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
                let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
                sizes.push(size.trim().parse::<u64>().unwrap());
            }
        };
        measured(command, schedule, streams, idle, look);
        assert_eq!(sizes.len(), 281);
        assert!(sizes.iter().all(|size| *size == sizes[0]), "{name}: {sizes:?}");
    }
}

#[test]
fn a_kept_connection_is_the_same_from_both_sides() {
    let _alone = alone();
    let keep = |spec: &mut Spec| {
        spec.connection = Connection::Keep;
        for agent in &mut spec.agents {
            agent.calls = vec![agent.calls[0].clone(); 4];
        }
    };
    let schedule = Schedule { chunks: 2, ..SCHEDULE };
    for command in [client::rust(), python::command()] {
        let (record, served) = measured(command, schedule, 3, keep, |_, _| {});
        assert_eq!((record.calls.len(), served.len()), (12, 12));
        let mut ports: HashMap<&str, u16> = HashMap::new();
        for call in &record.calls {
            let its = &served[&request_id(&call.agent, call.call)];
            times_are_in_order(call, its, call.call > 0);
            let port = *ports.entry(&call.agent).or_insert(its.port);
            assert_eq!((call.local_port, its.port), (Some(port), port), "{}", call.agent);
        }
    }
}

/// A process that is stopped while a chunk comes reads it late, and says by how much.
#[test]
fn the_delay_of_a_late_read_is_told_as_the_server_knows_it() {
    let _alone = alone();
    let schedule = Schedule { gap: Duration::from_millis(300), chunks: 2, ..SCHEDULE };
    let stop = |id: u32, line: &str| {
        if event(line) == "first_token" {
            let signal = |name: &str| {
                let sent = Command::new("kill").args([name, &id.to_string()]).status().unwrap();
                assert!(sent.success());
            };
            signal("-STOP");
            thread::sleep(Duration::from_millis(600));
            signal("-CONT");
        }
    };
    let (record, served) = measured(client::rust(), schedule, 1, |_| {}, stop);
    let call = &record.calls[0];
    let its = &served[&request_id(&call.agent, call.call)];
    let late_ns = call.start_ns + call.text_offsets_ns[1] - its.sent_ns[1];
    assert!(late_ns > 100_000_000, "it was not stopped: {call:?} {its:?}");
    let told_ns = *call.read_delays_ns.as_ref().unwrap().last().unwrap();
    assert!(told_ns.abs_diff(late_ns) < 5_000_000, "{told_ns} ns told, {late_ns} ns known");
}

/// Without a call to warm up: what Python loads late must not lie in its first call.
#[test]
fn the_first_calls_of_python_are_timed_as_the_server_saw_them() {
    let _alone = alone();
    for (streams, limit) in [(1, 5.0), (8, 15.0)] {
        let limits: [Limit; 3] = [
            (|figures| &figures.send_delay, limit),
            (|figures| &figures.ttft, limit),
            (|figures| &figures.first, limit),
        ];
        medians_are_below(&limits, || {
            let (record, served) =
                measured(python::command(), SCHEDULE, streams, |_| {}, |_, _| {});
            assert_eq!((record.calls.len(), served.len()), (streams as usize, streams as usize));
            for call in &record.calls {
                times_are_in_order(call, &served[&request_id(&call.agent, call.call)], false);
            }
            Figures::of(&record.calls, &served)
        });
    }
}
