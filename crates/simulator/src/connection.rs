//! One connection: its requests one after the other, each sent where it belongs.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Deserialize;

use super::answer::{After, Answer};
use super::clock::sleep_until;
use super::facts;
use super::http::{NoRequest, Reader, Request, close_gently};
use super::reply::Reply;
use super::server::Shared;
use super::wire::{self, Asked, Call, Format, Wire, error_body};

const JSON: &str = "application/json";
/// What is known of a model; asked for with POST, unlike all other facts.
const SHOW: &str = "/api/show";

/// Serves the connection until one side ends it.
pub fn serve(shared: &Shared, stream: &Arc<TcpStream>) {
    // Chunks are tiny and each must leave at once.
    let _ = stream.set_nodelay(true);
    let mut reader = Reader::new(stream);
    let after = loop {
        let request = match reader.next() {
            Ok(request) => request,
            Err(NoRequest::Gone) => break After::Gone,
            Err(NoRequest::Refused { status, reason }) => {
                let mut reply = shared.reply(stream, None);
                let _ = reply.whole(status, JSON, &error_body("", status, reason), 0);
                break After::Answered;
            }
        };
        let after = Exchange { shared, stream, request: &request }.answer();
        if request.close || after != After::Answered {
            break after;
        }
    };
    match after {
        After::Answered => close_gently(stream),
        After::Gone => {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Lingering for no time makes the kernel send RST when the last handle is dropped.
        After::Reset => {
            let _ = socket2::SockRef::from(&**stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// A request and everything needed to answer it.
struct Exchange<'a> {
    shared: &'a Shared,
    stream: &'a TcpStream,
    request: &'a Request,
}

#[derive(Deserialize)]
struct Show {
    #[serde(alias = "name")]
    model: String,
}

impl<'a> Exchange<'a> {
    fn answer(&self) -> After {
        let mut reply = self.shared.reply(self.stream, Some(self.request));
        let path = self.request.path.as_str();
        let sent = match (self.request.method.as_str(), wire::at(path)) {
            ("POST", Some(wire)) => return self.generate(wire, reply),
            ("POST", None) if path == SHOW => self.show(&mut reply),
            ("GET" | "HEAD", _) if path == "/" => reply.whole(200, "text/plain", b"", 0),
            ("GET", _) => match facts::get(self.shared, path) {
                Some(facts) => reply.whole(200, JSON, facts.to_string().as_bytes(), 0),
                None => self.refuse(&mut reply, self.wrong_place(), "no such path for GET"),
            },
            _ => self.refuse(&mut reply, self.wrong_place(), "no such path for this method"),
        };
        After::sent(&sent)
    }

    fn refuse(&self, reply: &mut Reply, status: u16, reason: &str) -> io::Result<u64> {
        reply.whole(status, JSON, &error_body(&self.request.path, status, reason), 0)
    }

    /// 405 for a path that another method has, otherwise 404.
    fn wrong_place(&self) -> u16 {
        let path = self.request.path.as_str();
        let known = path == "/"
            || path == SHOW
            || wire::at(path).is_some()
            || facts::get(self.shared, path).is_some();
        if known { 405 } else { 404 }
    }

    fn show(&self, reply: &mut Reply) -> io::Result<u64> {
        match serde_json::from_slice::<Show>(&self.request.body) {
            Ok(asked) => {
                self.shared.remember(&asked.model);
                reply.whole(200, JSON, facts::show(self.shared).to_string().as_bytes(), 0)
            }
            Err(error) => self.refuse(reply, 400, &error.to_string()),
        }
    }

    fn generate(&self, wire: &Wire, mut reply: Reply<'a>) -> After {
        let sent = match wire.understand(&self.request.body, reply.number()) {
            Ok(Asked::Text(call, format)) => return self.play(reply, call, &*format),
            Ok(Asked::Load { model, wish, answer }) => {
                self.shared.remember(&model);
                let hold = self.shared.load.hold(&model, wish, self.request.came.read_ns);
                if sleep_until(hold.ready_ns, &self.shared.stopping).is_err() {
                    return After::Gone;
                }
                reply.whole(200, JSON, &answer, 0)
            }
            Ok(Asked::Unload { model, answer }) => {
                self.shared.load.unload(&model);
                reply.whole(200, JSON, &answer, 0)
            }
            Err(reason) => self.refuse(&mut reply, 400, &reason),
        };
        After::sent(&sent)
    }

    fn play(&self, reply: Reply<'a>, call: Call, format: &dyn Format) -> After {
        self.shared.remember(&call.model);
        // Only what is played counts as a call, so that faults strike no refused request.
        let number = self.shared.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let answer = Answer {
            shared: self.shared,
            stream: self.stream,
            path: &self.request.path,
            call,
            read_ns: self.request.came.read_ns,
            format,
            reply,
        };
        answer.play(number)
    }
}
