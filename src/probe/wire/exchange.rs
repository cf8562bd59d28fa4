//! What is said in the clear on one connection: requests and their answers, with the times at which they
//! were whole.

use std::collections::{HashMap, VecDeque};

use agent::wire::{Decoder, decoder};
use formats::endpoint::Api;

use super::fault::Fault;
use super::http::{Event, Head, Kind, Messages};
use super::tls::Side;

/// The protocol of each call of the run, by the request id that it carries.
pub type Asked = HashMap<String, Api>;

/// A request with its answer, as far as they were seen. Times are stamps: time of day, nanoseconds.
#[derive(Default)]
pub struct Exchange {
    /// The request id.
    pub id: String,
    /// Its last byte went over the wire; `None`: it was not seen.
    pub request_ns: Option<u64>,
    /// With its head.
    pub request_bytes: u64,
    /// Each chunk with text: when it was whole, and the bytes of its payload.
    pub chunks: Vec<(u64, u64)>,
    /// Why the answer is not to be relied on.
    pub fault: Option<Fault>,
    method: String,
    /// Of an answer that is read.
    decoder: Option<Box<dyn Decoder>>,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let chunks = self.chunks.len();
        let mut shown = formatter.debug_struct("Exchange");
        shown.field("id", &self.id).field("request_ns", &self.request_ns);
        shown.field("chunks", &chunks).field("fault", &self.fault).finish_non_exhaustive()
    }
}

/// The exchanges of one connection.
#[derive(Debug)]
pub struct Exchanges {
    requests: Messages,
    responses: Messages,
    /// Not answered in full yet.
    open: VecDeque<Exchange>,
    /// Of the run, and over.
    done: Vec<Exchange>,
}

/// What becomes of the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'b> {
    /// It goes on.
    Same,
    /// A proxy was asked for a tunnel and made one, in which what follows was said.
    Tunnel(&'b [u8]),
}

impl Default for Exchanges {
    fn default() -> Self {
        Self {
            requests: Messages::new(Kind::Requests),
            responses: Messages::new(Kind::Responses),
            open: VecDeque::new(),
            done: Vec::new(),
        }
    }
}

impl Exchanges {
    /// Takes what came in order from one end.
    pub fn take<'b>(
        &mut self,
        side: Side,
        stamp_ns: u64,
        bytes: &'b [u8],
        asked: &Asked,
    ) -> Result<Next<'b>, Fault> {
        match side {
            Side::Client => self.requested(stamp_ns, bytes),
            Side::Server => self.answered(stamp_ns, bytes, asked),
        }
    }

    /// The server has closed its direction, and all before was taken.
    pub fn close(&mut self, stamp_ns: u64) {
        if self.responses.close() {
            self.end_answer(stamp_ns);
        }
    }

    /// The exchanges of the run; those that are not over have the fault, if there is one.
    pub fn finish(mut self, fault: Option<&Fault>) -> Vec<Exchange> {
        for mut exchange in self.open {
            exchange.fault = exchange.fault.or_else(|| fault.cloned());
            self.done.push(exchange);
        }
        self.done
    }

    fn requested<'b>(&mut self, stamp_ns: u64, mut bytes: &'b [u8]) -> Result<Next<'b>, Fault> {
        while let Some(event) = self.requests.next(&mut bytes)? {
            match event {
                Event::Head(head) => self.open.push_back(Exchange {
                    id: head.id.unwrap_or_default(),
                    method: head.method.unwrap_or_default(),
                    request_bytes: head.bytes as u64,
                    ..Exchange::default()
                }),
                Event::Body(body) => {
                    if let Some(exchange) = self.open.back_mut() {
                        exchange.request_bytes += body.len() as u64;
                    }
                }
                Event::End => {
                    if let Some(exchange) = self.open.back_mut() {
                        exchange.request_ns = Some(stamp_ns);
                    }
                }
            }
        }
        Ok(Next::Same)
    }

    fn answered<'b>(
        &mut self,
        stamp_ns: u64,
        mut bytes: &'b [u8],
        asked: &Asked,
    ) -> Result<Next<'b>, Fault> {
        while let Some(event) = self.responses.next(&mut bytes)? {
            match event {
                Event::Head(head) => {
                    let exchange = self.open.front_mut().ok_or(Fault::Unasked)?;
                    if exchange.method == "HEAD" {
                        self.responses.without_body();
                    } else if exchange.method == "CONNECT" && head.status == Some(200) {
                        return Ok(Next::Tunnel(bytes));
                    }
                    exchange.answer_begins(&head, asked);
                }
                Event::Body(body) => {
                    if let Some(exchange) = self.open.front_mut() {
                        exchange.decode(stamp_ns, body);
                    }
                }
                Event::End => self.end_answer(stamp_ns),
            }
        }
        Ok(Next::Same)
    }

    fn end_answer(&mut self, stamp_ns: u64) {
        let Some(mut exchange) = self.open.pop_front() else { return };
        exchange.answer_ends(stamp_ns);
        if !exchange.id.is_empty() {
            self.done.push(exchange);
        }
    }
}

impl Exchange {
    /// Only answers to the run's calls are read, and no error messages.
    fn answer_begins(&mut self, head: &Head, asked: &Asked) {
        if head.status != Some(200) {
            return;
        }
        if head.encoding.is_some() {
            self.fault = Some(Fault::Compressed);
            return;
        }
        self.decoder = asked.get(&self.id).map(|api| decoder(*api, head.content_type.as_deref()));
    }

    fn decode(&mut self, stamp_ns: u64, body: &[u8]) {
        let Some(decoder) = &mut self.decoder else { return };
        decoder.push(body);
        loop {
            match decoder.next_chunk() {
                Ok(Some(chunk)) if chunk.text.is_empty() => {}
                Ok(Some(chunk)) => self.chunks.push((stamp_ns, chunk.bytes as u64)),
                Ok(None) => return,
                Err(_) => {
                    self.fault = Some(Fault::Undecodable);
                    self.decoder = None;
                    return;
                }
            }
        }
    }

    /// A last chunk without a line end is whole only now.
    fn answer_ends(&mut self, stamp_ns: u64) {
        let Some(mut decoder) = self.decoder.take() else { return };
        let last = decoder.last_chunk().ok().flatten();
        if let Some(chunk) = last.filter(|chunk| !chunk.text.is_empty()) {
            self.chunks.push((stamp_ns, chunk.bytes as u64));
        }
    }
}
