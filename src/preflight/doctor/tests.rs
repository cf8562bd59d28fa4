use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use formats::endpoint::Api;
use simulator::Server;

use super::*;
use crate::manifest::study::Pacing;
use crate::os::condition::Condition;
use crate::store::record::MachineEvidence;

fn line<'l>(lines: &'l [Line], name: &str) -> &'l Line {
    lines.iter().find(|line| line.name == name).unwrap_or_else(|| panic!("{name}: {lines:?}"))
}

#[test]
fn what_a_system_does_not_tell_is_unavailable_and_never_a_number() {
    let lines = machine::lines(&MachineEvidence::default(), &Condition::default());
    assert!(lines.iter().all(|line| line.state == State::Unavailable), "{lines:?}");
    assert!(lines.iter().all(|line| !line.found.contains(char::is_numeric)), "{lines:?}");
}

#[test]
fn what_would_distort_is_a_warning_with_advice() {
    let now = Condition {
        governors: vec!["powersave".to_owned()],
        others_busy: Some(0.5),
        load_1m: Some(3.0),
        swap_used_bytes: Some(2_000_000_000),
        clock_source: Some("hpet".to_owned()),
        throttled: Some(4),
        throttled_now: Some(1),
        ..Condition::default()
    };
    let lines = machine::lines(&MachineEvidence::default(), &now);
    for name in ["governor", "load", "swap", "clock source", "throttling"] {
        let line = line(&lines, name);
        assert_eq!(line.state, State::Warning, "{line:?}");
        assert!(line.advice.is_some(), "{line:?}");
    }
}

#[test]
fn the_clock_and_timers_are_measured() {
    for line in clock::lines() {
        assert_ne!(line.state, State::Unavailable, "{line:?}");
    }
}

#[test]
fn ports_tell_who_listens() {
    let any = "127.0.0.1:0".parse().unwrap();
    let ollama = Server::start(Pacing::default(), any).unwrap();
    let openai = Pacing { protocol: Api::OpenaiChat, ..Pacing::default() };
    let openai = Server::start(openai, any).unwrap();
    let page = TcpListener::bind("127.0.0.1:0").unwrap();
    let page_port = page.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in page.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 1024]);
            let body = "<!DOCTYPE html><p>Hello";
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = [
        (ollama.address().port(), "a"),
        (openai.address().port(), "b"),
        (page_port, "c"),
        (free, "nothing"),
    ];
    let lines = servers::at(&ports);
    let of = |place: usize| line(&lines, &format!("port {}", ports[place].0));
    assert_eq!(of(0).state, State::Ok);
    assert!(of(0).found.starts_with("Ollama 0.0.0-simulated, models: simulated"), "{:?}", of(0));
    // It speaks both protocols on one port.
    assert_eq!(of(1).state, State::Ok);
    assert_eq!(of(2).state, State::Unavailable);
    assert!(of(2).found.contains("an HTML page"), "{:?}", of(2));
    assert!(line(&lines, "servers").found.contains(&format!("{free} (nothing)")), "{lines:?}");
}
