//! The calls of a spec: all agents as tasks of one event loop on one thread.
//!
//! One loop serving several streams is what is studied, so there are no worker threads. Records stay
//! in memory until every call has ended; nothing is written to disk in the measured window.

mod access;
mod artifacts;
mod call;
mod cost;
mod dose;
mod judge;
mod lag;
mod pieces;
mod stream;
mod taker;
#[cfg(test)]
mod tests;
mod throttle;
mod variant;
mod workflow;

use std::sync::Arc;
use std::time::Duration;

use formats::clock;
use formats::protocol::{ClockPair, Event, PROTOCOL, Spec, Window};
use tokio::sync::{Barrier, watch};

use self::access::Access;
use self::call::{AgentLog, Caller, Settings};
use self::lag::{Lag, Probe};
pub use self::variant::Variant;
use crate::finish::{Environment, Finish, RuntimeError};
use crate::http::Arrivals;
use crate::os::receive;
use crate::output::{self, Events, Folder};
use crate::wire::secrets::Secrets;

/// Makes the calls and leaves what was recorded of them.
pub(crate) fn work(
    spec: &Spec,
    variant: Variant,
    events: &Events,
    environment: Environment<'_>,
    cancelled: &watch::Receiver<bool>,
) -> Result<Finish, RuntimeError> {
    let settings = Arc::new(Settings::of(spec, variant));
    let accesses = spec.agents.iter().map(|agent| Access::of(agent, environment));
    let accesses = accesses.collect::<Result<Vec<_>, RuntimeError>>()?;
    let secrets = Secrets::of(accesses.iter().flat_map(|access| &access.headers));
    let callers = spec.agents.iter().zip(accesses).map(|(agent, access)| {
        Caller::new(Arc::clone(&settings), agent.clone(), access, events.clone())
    });
    let callers: Vec<_> = callers.collect();
    let event_loop = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RuntimeError::EventLoop)?;
    let _stamping = receive::keep_stamping();

    let arrivals = Arrivals::begin();
    let clock = ClockPair { monotonic_ns: clock::monotonic_ns(), utc: clock::utc_now() };
    let (t_ns, runtime) = (clock.monotonic_ns, output::info());
    events.send(Event::Ready { t_ns, protocol: PROTOCOL, runtime: runtime.clone() });
    let recorded = event_loop.block_on(record(spec, callers, cancelled))?;
    let folder = Folder { path: &spec.artifacts, secrets: &secrets };
    artifacts::write(&folder, spec, runtime, clock, recorded, arrivals.end())?;
    events.send(Event::Done { t_ns: clock::monotonic_ns() });
    Ok(if *cancelled.borrow() { Finish::Cancelled } else { Finish::Done })
}

/// What is in memory when the last call has ended.
#[derive(Debug)]
struct Recorded {
    logs: Vec<AgentLog>,
    idle: Option<Window>,
    lag: Option<Lag>,
}

/// Everything that happens on the event loop: the idle control, then all calls, the probes through
/// both.
async fn record(
    spec: &Spec,
    callers: Vec<Caller>,
    cancelled: &watch::Receiver<bool>,
) -> Result<Recorded, RuntimeError> {
    let lag = spec.probes.loop_lag_ns.map(Probe::start);
    let idle = match spec.probes.idle_ns {
        Some(length_ns) => Some(idle(length_ns, cancelled.clone()).await),
        None => None,
    };
    // Warm-up ends for all before any measured call begins.
    let barrier = Arc::new(Barrier::new(callers.len() + usize::from(spec.lag_dose.is_some())));
    let dose = spec.lag_dose.map(|dose| dose::start(dose, Arc::clone(&barrier)));
    let tasks = callers
        .into_iter()
        .map(|caller| tokio::spawn(caller.make_calls(Arc::clone(&barrier), cancelled.clone())));
    let tasks: Vec<_> = tasks.collect();
    let mut logs = Vec::new();
    for task in tasks {
        logs.push(task.await.map_err(|_| RuntimeError::TaskLost)?);
    }
    if let Some(dose) = dose {
        dose.abort();
    }
    let lag = match lag {
        Some(probe) => Some(probe.stop().await?),
        None => None,
    };
    Ok(Recorded { logs, idle, lag })
}

/// Leaves the loop to the probes for a while, or until all is cancelled.
async fn idle(length_ns: u64, mut cancelled: watch::Receiver<bool>) -> Window {
    let start_ns = clock::monotonic_ns();
    let stopped = async {
        // A sender that is gone cannot cancel any more.
        if cancelled.wait_for(|&cancelled| cancelled).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    // Either end of it is the end of the window.
    let _ = tokio::time::timeout(Duration::from_nanos(length_ns), stopped).await;
    Window { start_ns, end_ns: clock::monotonic_ns() }
}
