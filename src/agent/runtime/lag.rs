//! The loop-lag probe: a task that sleeps on the agents' own loop and notes how late it wakes.
//!
//! Only raw samples are kept, in room made before the first of them; windows, percentiles and the
//! comparison with the idle control are left to the metrics.

use std::fmt::Write as _;
use std::future::{self, Future as _};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::RuntimeError;
use crate::agent::protocol::LOOP_LAG_COLUMNS;
use crate::os;
use crate::os::timer::FineTimer;

/// Samples that room is made for: more than four minutes at 1 ms. A longer run makes more as it goes.
const ROOM: usize = 1 << 18;

/// One wake-up.
#[derive(Debug, Clone, Copy)]
struct Sample {
    woke_ns: u64,
    due_ns: u64,
}

/// What a probe found, and the CPU time that it took of the loop's thread.
#[derive(Debug)]
pub(super) struct Lag {
    samples: Vec<Sample>,
    /// `None`: this system does not tell a thread's CPU time.
    pub(super) cost_ns: Option<u64>,
}

impl Lag {
    /// The rows of [`crate::agent::protocol::LOOP_LAG_FILE`]; no field needs quoting.
    pub(super) fn table(&self) -> String {
        let mut table = LOOP_LAG_COLUMNS.join(",");
        table.push('\n');
        for Sample { woke_ns, due_ns } in &self.samples {
            let lag_ms = woke_ns.saturating_sub(*due_ns) as f64 / 1e6;
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{woke_ns},{lag_ms:.6}");
        }
        table
    }
}

/// A running probe.
#[derive(Debug)]
pub(super) struct Probe {
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<Lag>>,
}

impl Probe {
    /// Starts on the loop that this is called in.
    pub(super) fn start(sleep_ns: u64) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(metered(sleep_ns, stopped)) }
    }

    /// Ends the probe. A wake-up that is due by now still counts, however late it comes.
    pub(super) async fn stop(self) -> Result<Lag, RuntimeError> {
        // A probe that failed no longer listens; joining it says why.
        let _ = self.stop.send(());
        let lag = self.task.await.map_err(|_| RuntimeError::TaskLost)?;
        lag.map_err(RuntimeError::Timer)
    }
}

/// Adds up what the probe's own steps take: reading and arming the timer, noting the sample. What the
/// loop does to wake it is not seen here.
async fn metered(sleep_ns: u64, stopped: oneshot::Receiver<()>) -> io::Result<Lag> {
    let mut probe = pin!(sample(sleep_ns, stopped));
    let mut cost_ns: Option<u64> = Some(0);
    let samples = future::poll_fn(|cx| {
        let before = os::thread_cpu_ns();
        let step = probe.as_mut().poll(cx);
        let own = os::thread_cpu_ns().zip(before).map(|(after, before)| after - before);
        cost_ns = cost_ns.zip(own).map(|(sum, own)| sum + own);
        step
    })
    .await?;
    Ok(Lag { samples, cost_ns })
}

async fn sample(sleep_ns: u64, mut stopped: oneshot::Receiver<()>) -> io::Result<Vec<Sample>> {
    let mut timer = FineTimer::new()?;
    let mut samples = Vec::with_capacity(ROOM);
    loop {
        let due_ns = os::monotonic_ns().saturating_add(sleep_ns);
        timer.arm(due_ns)?;
        let stopped = {
            let mut woken = pin!(timer.wait());
            // The timer is asked first, so that a wake-up held up by the last call is not lost.
            future::poll_fn(|cx| match woken.as_mut().poll(cx) {
                Poll::Ready(woken) => Poll::Ready(woken.map(|()| false)),
                Poll::Pending => Pin::new(&mut stopped).poll(cx).map(|_| Ok(true)),
            })
            .await?
        };
        let woke_ns = os::monotonic_ns();
        if woke_ns >= due_ns {
            samples.push(Sample { woke_ns, due_ns });
        }
        if stopped {
            return Ok(samples);
        }
    }
}
