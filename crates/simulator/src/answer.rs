//! Plays the answer to one call: its schedule, its text and its fault.

use std::io::{self, Read};
use std::net::TcpStream;

use formats::clock::monotonic_ns;
use formats::pacing::{Fault, FaultKind};

use super::clock::{Stopped, sleep_until};
use super::faults::strike;
use super::reply::Reply;
use super::schedule::schedule;
use super::server::Shared;
use super::text::push_token;
use super::wire::{Call, End, Format, error_body};

/// Tokens of an answer that neither the request nor the pacing limits.
const DEFAULT_TOKENS: u64 = 128;

/// How an answer left its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Complete: the next request may come.
    Answered,
    /// Nothing more can be sent: the client went away, or the server stops.
    Gone,
    /// To be closed by a reset.
    Reset,
}

impl After {
    /// After an answer in one write.
    pub fn sent(sent: &io::Result<u64>) -> Self {
        if sent.is_ok() { Self::Answered } else { Self::Gone }
    }
}

impl From<io::Error> for After {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Stopped> for After {
    fn from(_: Stopped) -> Self {
        Self::Gone
    }
}

/// One call on its way. Its methods end early with `Err` when the answer is over before its time.
pub struct Answer<'a> {
    pub shared: &'a Shared,
    pub stream: &'a TcpStream,
    pub path: &'a str,
    pub call: Call,
    /// When the request was fully read.
    pub read_ns: u64,
    pub format: &'a dyn Format,
    pub reply: Reply<'a>,
}

/// What has been said so far.
#[derive(Default)]
struct Said {
    tokens: u64,
    /// Times of the first and the last text.
    first_ns: Option<u64>,
    /// Tokens in that chunk.
    first_tokens: u64,
    last_ns: u64,
    /// All of it, when it is sent at the end.
    text: String,
}

impl Said {
    /// From the first text to the last.
    fn span_ns(&self) -> u64 {
        self.first_ns.map_or(0, |first| self.last_ns.saturating_sub(first))
    }

    /// What the first chunk took to generate, taken from the pace of the others: the time that is told
    /// as decoding then covers every token, and tokens over time is the rate of the schedule.
    fn first_chunk_ns(&self) -> u64 {
        let others = self.tokens - self.first_tokens;
        (self.span_ns() * self.first_tokens).checked_div(others).unwrap_or(0)
    }
}

impl Answer<'_> {
    /// Plays the answer to the call with this number (from 1).
    pub fn play(mut self, number: u64) -> After {
        match self.try_play(number) {
            Ok(()) => After::Answered,
            Err(after) => after,
        }
    }

    fn try_play(&mut self, number: u64) -> Result<(), After> {
        let shared = self.shared;
        let mut fault = strike(&shared.pacing.faults, number);
        match fault.map(|fault| &fault.kind) {
            Some(FaultKind::Status(status)) => {
                let body = error_body(self.path, *status, "simulated fault");
                self.reply.whole(*status, "application/json", &body, 0)?;
                return Ok(());
            }
            Some(FaultKind::Slow(gap)) => {
                self.reply.slow_down(*gap);
                fault = None;
            }
            _ => {}
        }

        let slot = shared.slots.take(&shared.stopping)?;
        let turn_ns = if slot.waited { monotonic_ns() } else { self.read_ns };
        let hold = shared.load.hold(&self.call.model, self.call.wish, turn_ns);
        let start_ns = turn_ns.max(hold.ready_ns);
        sleep_until(start_ns, &shared.stopping)?;

        let limit = self.call.limit.unwrap_or(u64::MAX);
        let own = shared.pacing.tokens.map(u64::from);
        let own = own.unwrap_or(if self.call.limit.is_some() { u64::MAX } else { DEFAULT_TOKENS });
        let said = self.speak(start_ns, own.min(limit), fault)?;

        let now_ns = monotonic_ns();
        let prefilled_ns = said.first_ns.unwrap_or(now_ns).saturating_sub(start_ns);
        let first_chunk_ns = said.first_chunk_ns().min(prefilled_ns);
        let end = End {
            tokens: said.tokens,
            limited: limit < own,
            total_ns: now_ns.saturating_sub(self.read_ns),
            load_ns: hold.own_ns,
            prefill_ns: prefilled_ns - first_chunk_ns,
            decode_ns: said.span_ns() + first_chunk_ns,
        };
        let mut last = Vec::new();
        if self.call.stream {
            self.format.last(&mut last, &end);
            self.reply.end(&last)?;
        } else {
            self.format.whole(&mut last, &said.text, &end);
            let tokens = u32::try_from(end.tokens).unwrap_or(u32::MAX);
            self.reply.whole(200, "application/json", &last, tokens)?;
        }
        Ok(())
    }

    /// Says `total` tokens at their times; a fault takes the place of the chunk after its tokens.
    fn speak(
        &mut self,
        start_ns: u64,
        total: u64,
        mut fault: Option<&Fault>,
    ) -> Result<Said, After> {
        let pacing = &self.shared.pacing;
        let mut said = Said::default();
        let mut body = Vec::new();
        if self.call.stream {
            self.format.opening(&mut body);
            self.reply.begin(self.format.content_type(), &body)?;
        }
        for offset_ns in schedule(pacing, self.reply.name()) {
            let due_ns = start_ns.saturating_add(offset_ns);
            // What follows the last text follows at once.
            if said.tokens < total || total == 0 {
                sleep_until(due_ns, &self.shared.stopping)?;
            }
            let before_fault =
                fault.map_or(u64::MAX, |fault| u64::from(fault.after).saturating_sub(said.tokens));
            if before_fault == 0
                && let Some(fault) = fault.take()
            {
                self.fail(&fault.kind)?;
            }
            let left = total - said.tokens;
            if left == 0 {
                break;
            }
            let mut tokens = u64::from(pacing.tokens_per_chunk).min(left);
            if before_fault > 0 {
                tokens = tokens.min(before_fault);
            }
            if self.call.stream {
                said.text.clear();
            }
            for index in said.tokens..said.tokens + tokens {
                push_token(&mut said.text, pacing.seed, index);
            }
            said.last_ns = if self.call.stream {
                body.clear();
                self.format.text(&mut body, &said.text);
                self.reply.chunk(&body, u32::try_from(tokens).unwrap_or(u32::MAX))?
            } else {
                due_ns
            };
            if said.first_ns.is_none() {
                said.first_ns = Some(said.last_ns);
                said.first_tokens = tokens;
            }
            said.tokens += tokens;
        }
        Ok(said)
    }

    /// Lets something go wrong. `Ok` when the answer goes on after it.
    fn fail(&mut self, kind: &FaultKind) -> Result<(), After> {
        let mut body = Vec::new();
        match kind {
            FaultKind::Stall => {
                // Until the client gives up, or the server stops and shuts the connection down.
                let _ = io::copy(&mut self.stream.take(u64::MAX), &mut io::sink());
                return Err(After::Gone);
            }
            FaultKind::Reset => return Err(After::Reset),
            // Both act on the answer as a whole, from its beginning.
            FaultKind::Status(_) | FaultKind::Slow(_) => return Ok(()),
            FaultKind::Error(message) if !self.call.stream => {
                // Without a stream to put it in, servers answer with a status.
                let body = error_body(self.path, 500, message);
                self.reply.whole(500, "application/json", &body, 0)?;
                return Err(After::Answered);
            }
            FaultKind::Error(message) => self.format.error(&mut body, message),
            FaultKind::Malformed => self.format.malformed(&mut body),
            FaultKind::Truncate => {}
        }
        if !self.call.stream {
            // The whole answer is lost: its body is broken or empty.
            self.reply.whole(200, "application/json", &body, 0)?;
        } else if *kind == FaultKind::Malformed {
            self.reply.chunk(&body, 0)?;
            return Ok(());
        } else {
            self.reply.end(&body)?;
        }
        Err(After::Answered)
    }
}
