//! Playing the cases: a server that sends what they say, when they say it, and runtimes that ask it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use formats::endpoint::Api;
use serde_json::Value;
use socket2::SockRef;

use crate::case::{Answer, Case, End, found};
use crate::process::{agent, run_with, spec};

/// Cases that one process asks for at the same time.
const BATCH: usize = 60;
/// Limit of each call: more than the second for which something more is waited for after a finish reason.
const TIMEOUT: Duration = Duration::from_millis(2500);

/// What a runtime records of each case, with a setting of the variant `json`.
pub fn all(cases: &'static [Case], command: &dyn Fn() -> Command, json: Option<&str>) -> Vec<Value> {
    let url = serve(cases);
    let mut all = Vec::with_capacity(cases.len());
    for (batch, part) in cases.chunks(BATCH).enumerate() {
        let agents = part.iter().enumerate().map(|(place, case)| {
            let mut agent = agent(&url);
            // The protocols but two have `/v1` in their address.
            let is_openai = matches!(case.answer.api, Api::OpenaiChat | Api::OpenaiCompletions);
            agent.url += if is_openai { "/v1" } else { "" };
            agent.name = (batch * BATCH + place).to_string();
            agent.api = case.answer.api;
            agent.model.clone_from(&case.answer.model);
            agent.answers_as.clone_from(&case.answer.answers_as);
            agent.options.clone_from(&case.answer.options);
            agent.max_tokens = case.answer.max_tokens.map(|tokens| tokens.try_into().unwrap());
            agent
        });
        let mut spec = spec(agents.collect());
        spec.timeout_ns = TIMEOUT.as_nanos().try_into().unwrap();
        if let Some(json) = json {
            spec.variant.insert("json".to_owned(), json.into());
        }
        let mut command = command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_clear();
        let finished = run_with(command, spec);
        let record = finished.record.as_ref().unwrap_or_else(|| panic!("{}", finished.stderr));
        let calls: BTreeMap<&str, _> =
            record.calls.iter().map(|call| (call.agent.as_str(), call)).collect();
        all.extend((0..part.len()).map(|place| {
            let name = (batch * BATCH + place).to_string();
            found(calls[&*name], &finished.response(&name, 0))
        }));
    }
    all
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
    for (at_ms, bytes) in &answer.reads {
        thread::sleep(Duration::from_secs_f64(at_ms / 1e3).saturating_sub(start.elapsed()));
        // A client may go away at any time.
        let _ = stream.write_all(&bytes.0);
    }
    match answer.end {
        End::Close => {}
        End::Hold => while matches!(stream.read(&mut [0]), Ok(1..)) {},
        End::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
    }
}
