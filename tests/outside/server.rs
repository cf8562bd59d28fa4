//! A server of known schedule that says when it read each request and when it sent each chunk.
//!
//! The client is measured against it from outside: it shares no code with the paced endpoint nor with the
//! agent, and it runs in a process of its own, so that on a machine with two cores its work never lies
//! on the agent's. Threads that each wait for a connection are there before the first one comes; nothing
//! is shared between them while they answer. Where the kernel stamps segments the log says, too, when a
//! request arrived: a server that has no core at that moment reads it later, and no client is to blame.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use formats::clock::monotonic_ns;

use super::cores;

/// Set for the process that is to be the server: its [`Schedule`] in words.
const SCHEDULE: &str = "OUTSIDE_SCHEDULE";
/// Set for the process that is to be the server: where it leaves its log.
const LOG: &str = "OUTSIDE_LOG";

/// What every request is answered with.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// From the request's last byte to the first chunk with text.
    pub first: Duration,
    /// From each chunk to the next.
    pub gap: Duration,
    /// Chunks with text; what ends the answer goes with the last of them.
    pub chunks: u32,
    /// Connections at the same time.
    pub connections: usize,
}

/// One request as the server saw it; monotonic nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// When the kernel received the request's last segment; absent where the system does not tell.
    pub arrived_ns: Option<u64>,
    /// Right after the read that brought the request's last byte.
    pub read_ns: u64,
    /// Right before the write of each chunk with text.
    pub sent_ns: Vec<u64>,
    /// Right before the write of the answer's head, where it went by itself.
    pub head_ns: Option<u64>,
    /// Port of the client.
    pub port: u16,
}

/// A running server.
pub struct Server {
    pub url: String,
    process: Child,
    input: Option<ChildStdin>,
    log: PathBuf,
}

impl Server {
    /// Starts a process of this program on these cores. It must call [`serve_if_asked`], in a test as the
    /// test `serve`; anything else that it would do is left out.
    pub fn start(schedule: Schedule, on: &[usize], folder: &Path) -> Self {
        let log = folder.join("outside.log");
        let Schedule { first, gap, chunks, connections } = schedule;
        let words = [first.as_nanos(), gap.as_nanos(), chunks.into(), connections as u128];
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "serve", "--nocapture"]);
        command.env(SCHEDULE, words.map(|word| word.to_string()).join(" ")).env(LOG, &log);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = cores::started_on(on, || command.spawn().unwrap());
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        let url = output.lines().map_while(Result::ok).find_map(|line| {
            line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
        });
        Self { url: url.expect("the server says its address"), process, input, log }
    }

    /// Ends it; every request by its `x-request-id`.
    pub fn end(mut self) -> HashMap<String, Served> {
        drop(self.input.take());
        assert!(self.process.wait().unwrap().success(), "the server failed");
        let log = std::fs::read_to_string(&self.log).unwrap();
        log.lines().map(Served::parse).collect()
    }
}

impl Served {
    fn line(&self, id: &str) -> String {
        let Self { arrived_ns, read_ns, sent_ns, head_ns, port } = self;
        let [arrived_ns, head_ns] = [arrived_ns, head_ns].map(|time_ns| time_ns.unwrap_or(0));
        let sent: Vec<String> = sent_ns.iter().map(u64::to_string).collect();
        format!("{id} {port} {arrived_ns} {read_ns} {head_ns} {}\n", sent.join(" "))
    }

    fn parse(line: &str) -> (String, Self) {
        let mut words = line.split(' ');
        let id = words.next().unwrap().to_owned();
        let port = words.next().unwrap().parse().unwrap();
        let mut times = words.map(|word| word.parse().unwrap());
        let [arrived_ns, read_ns, head_ns] = [(); 3].map(|()| times.next().unwrap());
        let [arrived_ns, head_ns] = [arrived_ns, head_ns].map(|time| (time > 0).then_some(time));
        (id, Self { arrived_ns, read_ns, sent_ns: times.collect(), head_ns, port })
    }
}

/// In a process that [`Server::start`] started: serves until standard input ends, and exits.
pub fn serve_if_asked() {
    let Some(words) = std::env::var(SCHEDULE).ok() else { return };
    let log = std::env::var_os(LOG).unwrap();
    let words: Vec<u64> = words.split(' ').map(|word| word.parse().unwrap()).collect();
    let [first, gap, chunks, connections] = words[..] else { panic!("{words:?}") };
    let schedule = Schedule {
        first: Duration::from_nanos(first),
        gap: Duration::from_nanos(gap),
        chunks: chunks.try_into().unwrap(),
        connections: connections.try_into().unwrap(),
    };
    formats::clock::wake_on_time();
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    // The standard library's queue of 128 would turn connections away that come together.
    socket2::SockRef::from(&*listener).listen(4096).unwrap();
    arrival::stamp(&listener);
    let served = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..schedule.connections {
        let (listener, served) = (Arc::clone(&listener), Arc::clone(&served));
        thread::spawn(move || {
            for connection in listener.incoming() {
                answer(connection.unwrap(), schedule, &served);
            }
        });
    }
    println!("http://{}", listener.local_addr().unwrap());
    // The end of the input is the end of the server.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let lines: String = served.lock().unwrap().concat();
    std::fs::write(log, lines).unwrap();
    std::process::exit(0);
}

/// Answers every request of a connection.
fn answer(mut connection: TcpStream, schedule: Schedule, served: &Mutex<Vec<String>>) {
    connection.set_nodelay(true).unwrap();
    let port = connection.peer_addr().unwrap().port();
    let mut buffer = vec![0; 64 * 1024];
    while let Some((request, arrived_ns, read_ns)) = request(&mut connection, &mut buffer) {
        let events = request.starts_with("POST /v1/");
        let mut record = Served { arrived_ns, read_ns, sent_ns: Vec::new(), head_ns: None, port };
        let kind = if events { "text/event-stream" } else { "application/x-ndjson" };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        let mut before = String::new();
        // Servers of the one kind send it when they take the request, of the other with the first text.
        if events {
            record.head_ns = Some(monotonic_ns());
            connection.write_all(head.as_bytes()).unwrap();
        } else {
            before = head;
        }
        let (first_ns, gap_ns) = (schedule.first.as_nanos(), schedule.gap.as_nanos());
        for index in 0..schedule.chunks {
            let last = index + 1 == schedule.chunks;
            let message = format!("{before}{}", chunk(events, index, last));
            before.clear();
            let due_ns = u128::from(read_ns) + first_ns + gap_ns * u128::from(index);
            sleep_until(due_ns.try_into().unwrap());
            record.sent_ns.push(monotonic_ns());
            // A client may go away at any time.
            if connection.write_all(message.as_bytes()).is_err() {
                break;
            }
        }
        let id = request.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
        served.lock().unwrap().push(record.line(id));
    }
}

/// The next request's head with names in lower case, when its last byte arrived and when it was read;
/// `None` at the end.
fn request(connection: &mut TcpStream, buffer: &mut [u8]) -> Option<(String, Option<u64>, u64)> {
    let mut length = 0;
    loop {
        let (bytes, arrived_ns, read_ns) = arrival::read(connection, &mut buffer[length..])?;
        length += bytes;
        let text = String::from_utf8_lossy(&buffer[..length]);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head: String = head
            .lines()
            .map(|line| match line.split_once(": ") {
                Some((name, value)) => format!("{}: {value}\n", name.to_lowercase()),
                None => format!("{line}\n"),
            })
            .collect();
        let wanted = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= wanted.map_or(0, |wanted| wanted.parse().unwrap()) {
            return Some((head, arrived_ns, read_ns));
        }
    }
}

/// A chunk with one token, framed for HTTP; the last one ends the answer.
fn chunk(events: bool, index: u32, last: bool) -> String {
    let mut text = if events {
        let choice = format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"t{index} "}},"finish_reason":null}}]}}"#
        );
        frame(&format!("data: {choice}\n\n"))
    } else {
        frame(&format!("{{\"model\":\"m\",\"response\":\"t{index} \",\"done\":false}}\n"))
    };
    if last && events {
        let choice = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
        text += &frame(&format!("data: {choice}\n\ndata: [DONE]\n\n"));
    } else if last {
        let tokens = index + 1;
        text += &frame(&format!(
            "{{\"model\":\"m\",\"response\":\"\",\"done\":true,\"done_reason\":\"stop\",\"eval_count\":{tokens}}}\n"
        ));
    }
    if last {
        text += "0\r\n\r\n";
    }
    text
}

fn frame(payload: &str) -> String {
    format!("{:x}\r\n{payload}\r\n", payload.len())
}

/// By deadlines and not by lengths, so that one that is late moves no other.
fn sleep_until(due_ns: u64) {
    while let Some(left) = due_ns.checked_sub(monotonic_ns()).filter(|&left| left > 0) {
        thread::sleep(Duration::from_nanos(left));
    }
}

/// Reads with the kernel's stamp of their newest segment, on the monotonic clock.
#[cfg(target_os = "linux")]
mod arrival {
    use std::io::IoSliceMut;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;
    use std::time::{SystemTime, UNIX_EPOCH};

    use formats::clock::monotonic_ns;
    use nix::sys::socket::{
        ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt::ReceiveTimestampns,
    };
    use nix::sys::time::TimeSpec;

    /// Connections have it from the one that listens, and so before their first segment comes.
    pub fn stamp(listener: &TcpListener) {
        setsockopt(listener, ReceiveTimestampns, &true).unwrap();
    }

    /// Bytes, their arrival, and when the read returned; `None` at the end.
    pub fn read(connection: &TcpStream, buffer: &mut [u8]) -> Option<(usize, Option<u64>, u64)> {
        let mut control = nix::cmsg_space!(TimeSpec);
        let mut slices = [IoSliceMut::new(buffer)];
        let socket = connection.as_raw_fd();
        let message =
            recvmsg::<()>(socket, &mut slices, Some(&mut control), MsgFlags::empty()).ok()?;
        let read_ns = monotonic_ns();
        let stamp = message.cmsgs().unwrap().find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(time) => Some(time),
            _ => None,
        });
        let arrived = stamp.map(|time| {
            let day_ns = i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec());
            u64::try_from(day_ns - ahead_ns()).unwrap()
        });
        Some((message.bytes, arrived, read_ns)).filter(|_| message.bytes > 0)
    }

    /// How far the time of day is ahead of the monotonic clock; of several looks the closest.
    fn ahead_ns() -> i128 {
        let look = |_| {
            let before = monotonic_ns();
            let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
            let after = monotonic_ns();
            let day = i128::try_from(day).unwrap();
            (after - before, day - i128::from(before + (after - before) / 2))
        };
        (0..4).map(look).min().unwrap().1
    }
}

#[cfg(not(target_os = "linux"))]
mod arrival {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};

    use formats::clock::monotonic_ns;

    pub fn stamp(_listener: &TcpListener) {}

    /// Bytes, no arrival, and when the read returned; `None` at the end.
    pub fn read(
        mut connection: &TcpStream,
        buffer: &mut [u8],
    ) -> Option<(usize, Option<u64>, u64)> {
        let bytes = connection.read(buffer).ok().filter(|&bytes| bytes > 0)?;
        Some((bytes, None, monotonic_ns()))
    }
}
