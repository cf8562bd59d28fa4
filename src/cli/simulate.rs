//! `runner simulate`: serves the paced endpoint by hand, until it is interrupted.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use clap::ValueEnum;
use formats::endpoint::Api;
use formats::sends;
use simulator::{Server, SimulatorError};

use super::{CommandResult, Failure, exit, output};
use crate::encoding;
use crate::manifest::study::{Fault, FaultKind, JitterShape, Pacing};
use crate::manifest::units;
use crate::os::open_files;

/// Connections at the same time that there is room for, where the system allows it.
const CONNECTIONS: u64 = 1 << 16;

#[cfg(test)]
mod tests;

/// Serve the paced endpoint: a simulated inference server with a known schedule
///
/// Prints its URL, then serves until it is interrupted. Speaks the wire formats of Ollama, OpenAI and Anthropic.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port to listen on; 0: a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Address to listen on
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into())]
    host: std::net::IpAddr,
    /// Whose URL is printed: ollama, ollama-chat, openai-chat, openai-completions or anthropic
    #[arg(long, value_parser = protocol, default_value = "ollama")]
    protocol: Api,
    /// From a request to its first token
    #[arg(long, value_parser = units::duration, default_value = "50ms")]
    ttft: Duration,
    /// Tokens per second after the first
    #[arg(long, value_parser = units::rate, default_value = "100 tok/s")]
    rate: f64,
    /// Gaps between chunks in ms, one per line, instead of a rate
    #[arg(long, value_name = "FILE", conflicts_with = "rate")]
    trace: Option<PathBuf>,
    /// Scale of the random deviation of each gap
    #[arg(long, value_parser = units::duration, default_value = "0ms")]
    jitter: Duration,
    /// Distribution of the deviation
    #[arg(long, value_enum, default_value = "uniform")]
    jitter_shape: Shape,
    /// Seed of the deviations and of the text
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Tokens after which an answer ends by itself
    #[arg(long)]
    tokens: Option<u32>,
    /// Tokens sent together
    #[arg(long, default_value_t = 1)]
    tokens_per_chunk: u32,
    /// Time of loading a model: on its first call, and again after it was unloaded
    #[arg(long, value_parser = units::duration, default_value = "0s")]
    load: Duration,
    /// Calls served at the same time; further ones wait
    #[arg(long)]
    slots: Option<u32>,
    /// What goes wrong, repeatable: status=N, error=TEXT, stall, reset, truncate, malformed or
    /// slow=1ms; when, after commas: after=N tokens, first=N calls, every=Nth call
    #[arg(long = "fault", value_name = "FAULT", value_parser = fault)]
    faults: Vec<Fault>,
    /// Write the time of every send to this CSV file at the end
    #[arg(long, value_name = "FILE")]
    sends: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shape {
    Uniform,
    Normal,
    Exponential,
}

/// Serves until ctrl-C.
pub fn run(args: &Args) -> CommandResult {
    let failure = |error: SimulatorError| match error {
        SimulatorError::Pacing { .. } => Failure::error(exit::USAGE, error),
        _ => Failure::error(exit::INTERNAL, error),
    };
    let (interrupt, interrupted) = channel();
    ctrlc::set_handler(move || {
        // The receiver is gone only when the command is ending already.
        let _ = interrupt.send(());
    })
    .map_err(|error| Failure::error(exit::INTERNAL, error))?;

    // A connection is an open file, and nobody knows how many will come.
    let _ = open_files::prepare(open_files::limits().hard.unwrap_or(CONNECTIONS).min(CONNECTIONS));
    let server =
        Server::start(pacing(args)?, SocketAddr::new(args.host, args.port)).map_err(failure)?;
    output::print(&format!("{}\n", server.base_url()))?;
    output::say(format!("simulated endpoint on {}; ctrl-C ends it", server.address()));

    while interrupted.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        if args.sends.is_none() {
            // Nobody will ask for them, and a server may run for days.
            drop(server.take_sends(""));
        }
    }
    let log = server.take_sends("");
    server.stop();
    if let Some(path) = &args.sends {
        sends::write(path, &log).map_err(|error| Failure::error(exit::INTERNAL, error))?;
        output::say(format!("{} sends written to {}", log.len(), path.display()));
    }
    Ok(exit::DONE)
}

/// A wire protocol by its name; as command lines have it, with dashes.
fn protocol(text: &str) -> Result<Api, String> {
    let name = |api: Api| api.name().replace('_', "-");
    Api::ALL
        .into_iter()
        .find(|api| name(*api) == text)
        .ok_or_else(|| format!("it is none of {}", Api::ALL.map(name).join(", ")))
}

fn pacing(args: &Args) -> Result<Pacing, Failure> {
    let gaps = match &args.trace {
        Some(path) => trace(path).map_err(|reason| Failure::new(exit::USAGE, reason, None))?,
        None => Vec::new(),
    };
    Ok(Pacing {
        protocol: args.protocol,
        ttft: args.ttft,
        rate: args.rate,
        gaps,
        jitter: args.jitter,
        jitter_shape: match args.jitter_shape {
            Shape::Uniform => JitterShape::Uniform,
            Shape::Normal => JitterShape::Normal,
            Shape::Exponential => JitterShape::Exponential,
        },
        seed: args.seed,
        tokens_per_chunk: args.tokens_per_chunk,
        tokens: args.tokens,
        load: args.load,
        slots: args.slots,
        faults: args.faults.clone(),
    })
}

/// Reads a trace: a number of milliseconds per line; empty lines are skipped.
fn trace(path: &Path) -> Result<Vec<Duration>, String> {
    let shown = path.display();
    let bytes =
        std::fs::read(path).map_err(|error| format!("cannot read the trace {shown}: {error}"))?;
    let text = encoding::decode(bytes)
        .map_err(|reason| format!("the trace {shown} is not UTF-8: {reason}"))?;
    let mut gaps = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let gap = line.trim().parse::<f64>().ok();
        let gap = gap.and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok());
        gaps.push(gap.ok_or_else(|| {
            format!("line {} of the trace {shown}: `{line}` is not a number of ms", index + 1)
        })?);
    }
    if gaps.is_empty() { Err(format!("the trace {shown} has no gaps")) } else { Ok(gaps) }
}

/// Reads a fault: its kind, then when it strikes. Commas elsewhere belong to the kind's text.
fn fault(text: &str) -> Result<Fault, String> {
    let (mut after, mut first, mut every) = (0, None, None);
    let mut kind = Vec::new();
    for part in text.split(',') {
        let number = |value: &str| {
            value.trim().parse::<u32>().map_err(|_| format!("`{part}` needs a whole number"))
        };
        match part.trim().split_once('=') {
            Some(("after", value)) => after = number(value)?,
            Some(("first", value)) => first = Some(number(value)?),
            Some(("every", value)) => every = Some(number(value)?),
            _ => kind.push(part),
        }
    }
    Ok(Fault { kind: fault_kind(kind.join(",").trim())?, after, first, every })
}

fn fault_kind(text: &str) -> Result<FaultKind, String> {
    match text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value))) {
        ("status", Some(status)) => status
            .parse()
            .map(FaultKind::Status)
            .map_err(|_| format!("`{status}` is not an HTTP status")),
        ("error", Some(message)) => Ok(FaultKind::Error(message.to_owned())),
        ("slow", Some(gap)) => units::duration(gap).map(FaultKind::Slow),
        ("stall", None) => Ok(FaultKind::Stall),
        ("reset", None) => Ok(FaultKind::Reset),
        ("truncate", None) => Ok(FaultKind::Truncate),
        ("malformed", None) => Ok(FaultKind::Malformed),
        _ => Err(format!(
            "unknown fault `{text}`: use status=N, error=TEXT, stall, reset, truncate, malformed \
             or slow=1ms"
        )),
    }
}
