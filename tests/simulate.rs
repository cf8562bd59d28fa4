//! The command that serves the paced endpoint.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use formats::sends;

fn simulate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.arg("simulate").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Status of the answer to a call under this name, which is read to its end.
fn status(address: &str, name: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let body = r#"{"model":"m","prompt":"why is it so"}"#;
    write!(
        stream,
        "POST /api/generate HTTP/1.1\r\nHost: x\r\nX-Request-Id: {name}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Ends the server when a test fails before it does.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(unix)]
#[test]
fn it_prints_its_url_and_writes_its_sends_when_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.csv");
    let trace = folder.path().join("gaps.txt");
    std::fs::write(&trace, "1\n2\n").unwrap();
    let mut command =
        simulate(&["--ttft", "1ms", "--tokens", "3", "--fault", "status=503,first=1"]);
    command.arg("--trace").arg(&trace).arg("--sends").arg(&log);
    let mut server = Ended(command.spawn().unwrap());

    let mut url = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let address = url.trim().strip_prefix("http://").unwrap();
    for (name, expected) in [("first", 503), ("second", 200)] {
        assert_eq!(status(address, name), expected);
    }

    let id = rustix::process::Pid::from_child(&server.0);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    let rows = sends::read(&log).unwrap();
    let rows: Vec<_> = rows.iter().map(|send| (send.request.as_str(), send.tokens)).collect();
    let second = [0, 1, 1, 1, 0].map(|tokens| ("second", tokens));
    assert_eq!(rows, [&[("first", 0)][..], &second].concat());
}

#[test]
fn what_cannot_be_played_is_an_error_of_usage() {
    for (arguments, message) in [
        (&["--rate", "0 tok/s"][..], "rate"),
        (&["--fault", "explode"], "unknown fault `explode`"),
        (&["--fault", "status=200"], "must be an error"),
        (&["--slots", "0"], "`slots` must be at least 1"),
        (&["--trace", "/nonexistent/gaps"], "cannot read the trace"),
        (&["--ttft", "5"], "unit"),
    ] {
        let output = simulate(arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
        assert!(output.stdout.is_empty());
    }
}
