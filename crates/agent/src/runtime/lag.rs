//! The loop-lag probe: a task that sleeps on the agents' own loop and notes how late it wakes.
//!
//! Only raw samples are kept, in room made before the first of them; windows, percentiles and the
//! comparison with the idle control are left to the metrics.

use std::fmt::Write as _;
use std::future::{self, Future as _};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use formats::clock;
use formats::protocol::LOOP_LAG_COLUMNS;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::finish::RuntimeError;
use crate::os;
use crate::os::timer::FineTimer;

/// Samples that room is made for: more than four minutes at 1 ms. A longer run makes more as it goes.
const ROOM: usize = 1 << 18;

/// How long the probe runs alone, at least.
const ALONE: Duration = Duration::from_millis(50);

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
    /// Divides the samples into those of the run and those that the probe made alone after it, while
    /// the loop's thread used so much CPU time: what a sample costs, its wake-up, the loop's turn and
    /// the timer included. Beside other work a turn is shared, so it is an upper limit.
    fn of(mut samples: Vec<Sample>, end_ns: u64, alone_cpu_ns: Option<u64>) -> Self {
        // A wake-up that was due by the end still counts, however late it came.
        let own = samples.partition_point(|sample| sample.due_ns <= end_ns);
        let alone = u64::try_from(samples.len() - own).unwrap_or(u64::MAX);
        samples.truncate(own);
        let cost = |used: u64| {
            let all = u128::from(used) * own as u128 / u128::from(alone.max(1));
            u64::try_from(all).unwrap_or(u64::MAX)
        };
        Self { samples, cost_ns: alone_cpu_ns.map(cost) }
    }

    /// The rows of [`formats::protocol::LOOP_LAG_FILE`]; no field needs quoting.
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
    sleep_ns: u64,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<Vec<Sample>>>,
}

impl Probe {
    /// Starts on the loop that this is called in.
    pub(super) fn start(sleep_ns: u64) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { sleep_ns, stop, task: tokio::spawn(sample(sleep_ns, stopped)) }
    }

    /// Ends the probe when it has run alone for a while, after the window, to learn what it costs.
    pub(super) async fn stop(self) -> Result<Lag, RuntimeError> {
        let end_ns = clock::monotonic_ns();
        let before = os::thread_cpu_ns();
        let alone = ALONE.max(Duration::from_nanos(self.sleep_ns.saturating_mul(5)));
        tokio::time::sleep(alone).await;
        let used = os::thread_cpu_ns().zip(before).map(|(now, before)| now.saturating_sub(before));
        // A probe that failed no longer listens; joining it says why.
        let _ = self.stop.send(());
        let samples = self.task.await.map_err(|_| RuntimeError::TaskLost)?;
        Ok(Lag::of(samples.map_err(RuntimeError::Timer)?, end_ns, used))
    }
}

async fn sample(sleep_ns: u64, mut stopped: oneshot::Receiver<()>) -> io::Result<Vec<Sample>> {
    let mut timer = FineTimer::new()?;
    let mut samples = Vec::with_capacity(ROOM);
    loop {
        let due_ns = clock::monotonic_ns().saturating_add(sleep_ns);
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
        let woke_ns = clock::monotonic_ns();
        if woke_ns >= due_ns {
            samples.push(Sample { woke_ns, due_ns });
        }
        if stopped {
            return Ok(samples);
        }
    }
}
