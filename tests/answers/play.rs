//! Playing the cases: a server that sends what they say, when they say it, and runtimes that ask it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use formats::endpoint::Api;
use serde_json::{Value, json};
use socket2::SockRef;

use crate::case::{Answer, Case, End, Read as Sent, found};
use crate::process::{agent, run_with, spec};

/// Cases that one process asks for at the same time.
const BATCH: usize = 60;
/// Processes at the same time.
const WORKERS: usize = 4;
/// Limit of each call: more than the second for which something more is waited for after a finish reason.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What a runtime records of each case, with a setting of the variant `json`.
pub fn all(
    cases: &'static [Case],
    command: &(dyn Fn() -> Command + Sync),
    json: Option<&str>,
) -> Vec<Value> {
    let url = &serve(cases);
    let batches: Vec<_> = cases.chunks(BATCH).enumerate().collect();
    // Most of their time is pauses of the server.
    let next = &AtomicUsize::new(0);
    let found: Vec<_> = thread::scope(|scope| {
        let work = || {
            let taken = || batches.get(next.fetch_add(1, Ordering::Relaxed));
            let found = std::iter::from_fn(taken).map(|(number, batch)| {
                (*number, play(batch, number * BATCH, url, command(), json))
            });
            found.collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let found: BTreeMap<usize, Vec<Value>> = found.into_iter().collect();
    found.into_values().flatten().collect()
}

/// One process, with an agent for each case, the first of which has this number.
fn play(
    batch: &[Case],
    first: usize,
    url: &str,
    mut command: Command,
    json: Option<&str>,
) -> Vec<Value> {
    let name = |place: usize| (first + place).to_string();
    let agents = batch.iter().enumerate().map(|(place, case)| {
        let mut agent = agent(url);
        // The protocols but two have `/v1` in their own part of the address.
        let is_openai = matches!(case.answer.api, Api::OpenaiChat | Api::OpenaiCompletions);
        agent.url += if is_openai { "/v1" } else { "" };
        agent.name = name(place);
        agent.api = case.answer.api;
        agent.model.clone_from(&case.answer.model);
        agent.answers_as.clone_from(&case.answer.answers_as);
        agent.accept_context_full = case.answer.accept_context_full;
        agent.options.clone_from(&case.answer.options);
        agent.max_tokens = case.answer.max_tokens;
        agent
    });
    let mut spec = spec(agents.collect());
    spec.timeout_ns = TIMEOUT.as_nanos().try_into().unwrap();
    if let Some(json) = json {
        spec.variant.insert("json".to_owned(), json.into());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_clear();
    let finished = run_with(command, spec);
    let Some(record) = &finished.record else {
        // One case of the batch did it; all others of the table are still compared.
        let why = json!({ "outcome": format!("no record of the batch: {}", finished.stderr) });
        return vec![why; batch.len()];
    };
    let calls: BTreeMap<&str, _> =
        record.calls.iter().map(|call| (call.agent.as_str(), call)).collect();
    (0..batch.len())
        .map(|place| found(calls[&*name(place)], &finished.response(&name(place), 0)))
        .collect()
}

/// Serves each case to the agent that has its number as its name.
fn serve(cases: &'static [Case]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut reader = BufReader::new(stream);
                if let Some(number) = asked_for(&mut reader) {
                    answer(reader.into_inner(), &cases[number].answer);
                }
            });
        }
    });
    url
}

/// Reads a request; the case is named by its id.
fn asked_for(reader: &mut BufReader<TcpStream>) -> Option<usize> {
    let (mut number, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(id) = line.strip_prefix("x-request-id: ") {
            number = id.split('/').nth(1)?.parse().ok();
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    number
}

fn answer(mut stream: TcpStream, answer: &Answer) {
    let start = Instant::now();
    for Sent { at_ms, bytes } in &answer.reads {
        thread::sleep(Duration::from_secs_f64(at_ms / 1e3).saturating_sub(start.elapsed()));
        // A client may go away at any time.
        let _ = stream.write_all(bytes);
    }
    match answer.end {
        End::Close => {}
        End::Hold => while matches!(stream.read(&mut [0]), Ok(1..)) {},
        End::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
    }
}
