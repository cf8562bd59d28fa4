//! One connection: its requests one after the other, each sent where it belongs.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Deserialize;

use super::answer::{After, Answer};
use super::facts;
use super::http::{NoRequest, Reader, Request, close_gently};
use super::reply::Reply;
use super::server::Shared;
use super::wire::ollama::{self, Asked, Generate};
use super::wire::openai;
use super::wire::{Call, Format, error_body};
use crate::manifest::study::OpenAiApi;

const JSON: &str = "application/json";

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
                let mut reply = shared.reply(stream, None, true);
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
        let mut reply = self.shared.reply(self.stream, self.request.id.clone(), self.request.close);
        let path = self.request.path.as_str();
        let sent = match (self.request.method.as_str(), path) {
            ("POST", "/api/generate") => return self.generate(reply),
            ("POST", "/v1/chat/completions") => return self.complete(reply, OpenAiApi::Chat),
            ("POST", "/v1/completions") => return self.complete(reply, OpenAiApi::Completions),
            ("POST", "/api/show") => self.show(&mut reply),
            ("GET" | "HEAD", "/") => reply.whole(200, "text/plain", b"", 0),
            ("GET", path) => match facts::get(self.shared, path) {
                Some(facts) => reply.whole(200, JSON, facts.to_string().as_bytes(), 0),
                None => self.refuse(&mut reply, self.wrong_place(), "no such path for GET"),
            },
            _ => self.refuse(&mut reply, self.wrong_place(), "no such path for this method"),
        };
        match sent {
            Ok(_) => After::Answered,
            Err(_) => After::Gone,
        }
    }

    fn refuse(&self, reply: &mut Reply, status: u16, reason: &str) -> io::Result<u64> {
        reply.whole(status, JSON, &error_body(&self.request.path, status, reason), 0)
    }

    /// 405 for a path that another method has, otherwise 404.
    fn wrong_place(&self) -> u16 {
        match self.request.path.as_str() {
            "/" | "/api/generate" | "/api/show" | "/v1/chat/completions" | "/v1/completions" => 405,
            path if facts::get(self.shared, path).is_some() => 405,
            _ => 404,
        }
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

    fn generate(&self, mut reply: Reply<'a>) -> After {
        let sent = match ollama::asked(&self.request.body) {
            Ok(Asked::Generate(call)) => {
                let format = Generate::new(&call);
                return self.play(reply, call, &format, self.next_call());
            }
            Ok(Asked::Load(model, wish)) => {
                self.shared.remember(&model);
                let hold = self.shared.load.hold(&model, wish, self.request.arrived_ns);
                if super::clock::sleep_until(hold.ready_ns, &self.shared.stopping).is_err() {
                    return After::Gone;
                }
                reply.whole(200, JSON, &ollama::without_prompt(&model, "load"), 0)
            }
            Ok(Asked::Unload(model)) => {
                self.shared.load.unload(&model);
                reply.whole(200, JSON, &ollama::without_prompt(&model, "unload"), 0)
            }
            Err(reason) => self.refuse(&mut reply, 400, &reason),
        };
        match sent {
            Ok(_) => After::Answered,
            Err(_) => After::Gone,
        }
    }

    fn complete(&self, mut reply: Reply<'a>, api: OpenAiApi) -> After {
        match openai::asked(api, &self.request.body) {
            Ok(asked) => {
                let number = self.next_call();
                let format = openai::Completion::new(api, &asked, number);
                self.play(reply, asked.call, &format, number)
            }
            Err(reason) => match self.refuse(&mut reply, 400, &reason) {
                Ok(_) => After::Answered,
                Err(_) => After::Gone,
            },
        }
    }

    /// Calls are counted from 1, refused requests are not.
    fn next_call(&self) -> u64 {
        self.shared.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn play(&self, reply: Reply<'a>, call: Call, format: &dyn Format, number: u64) -> After {
        self.shared.remember(&call.model);
        let answer = Answer {
            shared: self.shared,
            stream: self.stream,
            path: &self.request.path,
            call,
            arrived_ns: self.request.arrived_ns,
            format,
            reply,
        };
        answer.play(number)
    }
}
