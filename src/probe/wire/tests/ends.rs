//! A server that notes when it read and sent, and a plain client that records its calls.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use formats::clock::monotonic_ns;
use formats::protocol::CallRecord;

use super::by_hand::{LAST, blank, chunk, line};

/// What a server noted of one request: when it had read it, and when it sent each chunk.
#[derive(Debug, Default, Clone)]
pub struct Noted {
    pub read_ns: u64,
    pub sent_ns: Vec<u64>,
}

pub type Log = Arc<Mutex<HashMap<String, Noted>>>;

/// Answers every request with so many chunks, a gap apart; several to a connection.
pub fn serve(listener: TcpListener, chunks: usize, gap: Duration) -> Log {
    let log = Log::default();
    let own = Arc::clone(&log);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, log) = (stream.unwrap(), Arc::clone(&own));
            let answer = move || while answer(&stream, chunks, gap, &log).is_ok() {};
            thread::Builder::new().stack_size(128 << 10).spawn(answer).unwrap();
        }
    });
    log
}

fn answer(mut stream: &TcpStream, chunks: usize, gap: Duration, log: &Log) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let (mut id, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match header.trim().split_once(": ") {
            Some(("x-request-id", value)) => value.clone_into(&mut id),
            Some(("content-length", value)) => length = value.parse().unwrap(),
            _ if header == "\r\n" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut noted = Noted { read_ns: monotonic_ns(), sent_ns: Vec::with_capacity(chunks) };
    stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let text = chunk(&line("some text of a token"));
    let gap_ns = u64::try_from(gap.as_nanos()).unwrap();
    for index in 1..=chunks as u64 {
        let due_ns = noted.read_ns + index * gap_ns;
        thread::sleep(Duration::from_nanos(due_ns.saturating_sub(monotonic_ns())));
        noted.sent_ns.push(monotonic_ns());
        stream.write_all(text.as_bytes())?;
    }
    stream.write_all((chunk(LAST) + "0\r\n\r\n").as_bytes())?;
    log.lock().unwrap().insert(id, noted);
    Ok(())
}

/// Makes a call as a plain client does, and records it.
pub fn call(
    stream: &mut Option<TcpStream>,
    server: SocketAddr,
    agent: &str,
    call: u32,
) -> CallRecord {
    let start_ns = monotonic_ns();
    let stream = stream.get_or_insert_with(|| TcpStream::connect(server).unwrap());
    stream.set_nodelay(true).unwrap();
    let body = "x".repeat(300);
    let request = format!(
        "POST http://{server}/api/generate HTTP/1.1\r\nx-request-id: run/{agent}/{call}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let sent_ns = monotonic_ns();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reader = BufReader::new(&mut *stream);
    let (mut headers_ns, mut text_offsets_ns) = (None, Vec::new());
    loop {
        let mut head = String::new();
        reader.read_line(&mut head).unwrap();
        let Ok(size) = usize::from_str_radix(head.trim_end(), 16) else {
            headers_ns = Some(monotonic_ns());
            if head == "\r\n" || head.contains(':') || head.starts_with("HTTP") {
                continue;
            }
            panic!("{head:?}");
        };
        let mut body = vec![0; size + 2];
        reader.read_exact(&mut body).unwrap();
        let taken_ns = monotonic_ns();
        if size == 0 {
            break;
        }
        if body.windows(5).any(|word| word == b"false") {
            text_offsets_ns.push(taken_ns - start_ns);
        }
    }
    CallRecord {
        start_ns,
        local_port: Some(stream.local_addr().unwrap().port()),
        sent_ns: Some(sent_ns),
        headers_ns,
        text_offsets_ns,
        end_ns: monotonic_ns(),
        ..blank(agent, call)
    }
}

/// All streams at once, each so many calls on a connection of its own.
pub fn make_calls(server: SocketAddr, streams: usize, calls: u32) -> Vec<CallRecord> {
    let together = Arc::new(Barrier::new(streams));
    let threads: Vec<_> = (0..streams)
        .map(|number| {
            let together = Arc::clone(&together);
            let work = move || {
                let (agent, mut stream) = (format!("a{number}"), None);
                together.wait();
                let own = (0..calls).map(|index| call(&mut stream, server, &agent, index));
                own.collect::<Vec<_>>()
            };
            thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap()
        })
        .collect();
    threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
}

pub fn listen(address: impl Into<IpAddr>) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((address.into(), 0)).unwrap();
    let server = listener.local_addr().unwrap();
    (listener, server)
}

pub fn call_without_server() -> CallRecord {
    let (listener, server) = listen(Ipv4Addr::LOCALHOST);
    serve(listener, 0, Duration::ZERO);
    call(&mut None, server, "a", 0)
}
