//! The host probe: the machine, the agent's processes and those of local inference servers, over a
//! run. What samples mean is left to `metrics`.

pub mod sample;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use formats::clock;

pub use self::sample::{HostSample, METRICS_FILE};
use super::sampling::{CpuTime, Sampling, Unavailable};
use super::schedule::{self, Schedule};
use crate::os::files;
use crate::os::host::{MachineUse, ProcessTree, TreeUse, frequency_mhz, listeners, machine_use};

/// Least interval between two looks for new descendants.
const REFRESH_NS: u64 = 100_000_000;
/// Interval between two looks at the frequency, which some systems are slow to tell.
const FREQUENCY_NS: u64 = 1_000_000_000;
const MB: f64 = 1e6;

/// An endpoint whose server may run on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// It listens on a port of the loopback interface.
    Local { endpoint: String, port: u16 },
    /// It runs elsewhere.
    Remote { endpoint: String },
    /// It is part of this process.
    Paced { endpoint: String },
}

#[derive(Debug)]
enum Message {
    /// Dropped once it has been looked, which is what the asking thread waits for.
    Look(#[expect(dead_code, reason = "only its drop is heard")] Sender<()>),
    Stop,
}

/// A recording that is going on.
#[derive(Debug)]
pub struct Recorder {
    messages: Sender<Message>,
    agent: Arc<Mutex<Option<u32>>>,
    thread: JoinHandle<Recorded>,
    watched: Vec<String>,
    unavailable: BTreeMap<String, String>,
    began_ns: u64,
}

#[derive(Debug)]
struct Recorded {
    samples: Vec<HostSample>,
    schedule: Schedule,
    cpu_ns: Option<u64>,
}

/// What was recorded of a run.
#[derive(Debug)]
pub struct Recording {
    /// In the order of time.
    pub samples: Vec<HostSample>,
    pub sampling: Sampling,
}

/// Starts a recording; returns after the first look.
pub fn record(interval: Duration, servers: &[Server]) -> Result<Recorder, Unavailable> {
    machine_use().map_err(|error| Unavailable(error.to_string()))?;
    let began_ns = clock::monotonic_ns();
    let mut watched = vec!["the machine".to_owned(), "the agent's processes".to_owned()];
    let mut unavailable = BTreeMap::new();
    let trees = server_trees(servers, &mut watched, &mut unavailable);
    let (messages, heard) = channel();
    let (first, looked) = channel();
    let agent = Arc::new(Mutex::new(None));
    let own = Arc::clone(&agent);
    let thread = thread::spawn(move || {
        let mut looks = Looks::new(own, trees);
        looks.record(interval, &heard, &first)
    });
    // The thread looks at once; one that fails to is found at the end.
    let _ = looked.recv();
    Ok(Recorder { messages, agent, thread, watched, unavailable, began_ns })
}

/// The processes behind local endpoints; what cannot be found is said.
fn server_trees(
    servers: &[Server],
    watched: &mut Vec<String>,
    unavailable: &mut BTreeMap<String, String>,
) -> Vec<ProcessTree> {
    if servers.is_empty() {
        unavailable.insert("server".to_owned(), "nothing in this run calls one".to_owned());
        return Vec::new();
    }
    let mut trees = Vec::new();
    let mut known = Vec::new();
    let mut reasons = Vec::new();
    for server in servers {
        let (endpoint, port) = match server {
            Server::Local { endpoint, port } => (endpoint, *port),
            Server::Remote { endpoint } => {
                reasons.push(format!("the server of `{endpoint}` is not on this machine"));
                continue;
            }
            Server::Paced { endpoint } => {
                let where_it_is = "is part of the executor: see the columns of `runner`";
                reasons.push(format!("the paced endpoint `{endpoint}` {where_it_is}"));
                continue;
            }
        };
        let found = listeners(port).unwrap_or_default();
        if found.is_empty() {
            reasons.push(format!(
                "no process that may be seen listens on port {port} of `{endpoint}`; one of another \
                 user, or in another container, may not"
            ));
        }
        for listener in found {
            watched.push(format!(
                "server of `{endpoint}`: {} (process {})",
                listener.name, listener.pid
            ));
            if !known.contains(&listener.pid) {
                known.push(listener.pid);
                trees.extend(ProcessTree::new(listener.pid));
            }
        }
    }
    if trees.is_empty() {
        unavailable.insert("server".to_owned(), reasons.join("; "));
    } else {
        // Figures of some servers must not pass for those of all.
        watched.extend(reasons.into_iter().map(|reason| format!("not watched: {reason}")));
    }
    trees
}

impl Recorder {
    /// The agent's process has been started.
    pub fn watch_agent(&self, pid: u32) {
        *self.agent.lock().unwrap_or_else(PoisonError::into_inner) = Some(pid);
        self.look_now();
    }

    /// Takes a row beyond the schedule, so that what begins or ends now is enclosed by rows. Returns when it
    /// is taken: whoever waits for the agent's end must not clear it away before.
    pub fn look_now(&self) {
        let (done, looked) = channel();
        // A thread that has ended is found at the end.
        let _ = self.messages.send(Message::Look(done));
        let _ = looked.recv();
    }

    /// Looks a last time and ends.
    #[must_use]
    pub fn finish(self) -> Recording {
        let _ = self.messages.send(Message::Stop);
        let mut sampling = Sampling {
            source: "/proc".to_owned(),
            watched: self.watched,
            unavailable: self.unavailable,
            ..Sampling::default()
        };
        let Ok(recorded) = self.thread.join() else {
            return Recording { samples: Vec::new(), sampling };
        };
        let samples = recorded.samples;
        if !samples.iter().any(|sample| sample.cpu_mhz.is_some()) {
            let reason = "the system does not tell it".to_owned();
            sampling.unavailable.insert("cpu_mhz".to_owned(), reason);
        }
        sampling.rows = samples.len() as u64;
        sampling.pace = recorded.schedule.pace();
        let cpu_s = recorded.cpu_ns.map(|cpu_ns| cpu_ns as f64 / 1e9);
        sampling.cost(cpu_s, clock::monotonic_ns().saturating_sub(self.began_ns));
        Recording { samples, sampling }
    }
}

/// The thread's own state.
struct Looks {
    agent: Arc<Mutex<Option<u32>>>,
    agent_tree: Option<ProcessTree>,
    server_trees: Vec<ProcessTree>,
    runner_tree: Option<ProcessTree>,
    refreshed_ns: u64,
    frequency_ns: u64,
    last: Option<(u64, MachineUse)>,
}

impl Looks {
    fn new(agent: Arc<Mutex<Option<u32>>>, server_trees: Vec<ProcessTree>) -> Self {
        Self {
            agent,
            agent_tree: None,
            server_trees,
            runner_tree: ProcessTree::new(std::process::id()).ok(),
            refreshed_ns: 0,
            frequency_ns: 0,
            last: None,
        }
    }

    fn record(
        &mut self,
        interval: Duration,
        messages: &Receiver<Message>,
        looked: &Sender<()>,
    ) -> Recorded {
        clock::wake_on_time();
        let cpu = CpuTime::start();
        let mut samples = Vec::new();
        let is_stop = |message: &Message| matches!(message, Message::Stop);
        let schedule = schedule::sample(interval, messages, is_stop, &mut |now_ns| {
            samples.extend(self.look(now_ns));
            let _ = looked.send(());
            true
        });
        Recorded { samples, schedule, cpu_ns: cpu.used_ns() }
    }

    /// The agent first: it may be about to end.
    fn look(&mut self, now_ns: u64) -> Option<HostSample> {
        let mut sample = HostSample { time_ns: now_ns, ..HostSample::default() };
        let refresh = now_ns.saturating_sub(self.refreshed_ns) >= REFRESH_NS;
        if refresh {
            self.refreshed_ns = now_ns;
        }
        if let Some(used) = self.agent(refresh) {
            let lives = used.processes > 0;
            sample.agent_cpu_s = Some(used.cpu_s);
            sample.agent_rss_mb = lives.then_some(used.rss_bytes as f64 / MB);
            sample.agent_processes = Some(used.processes);
        }
        if let Some(used) = self.servers(refresh) {
            let live = used.processes > 0;
            sample.server_cpu_s = Some(used.cpu_s);
            sample.server_rss_mb = live.then_some(used.rss_bytes as f64 / MB);
            sample.server_processes = Some(used.processes);
        }
        // Without its descendants, which are the agent and whatever else was started.
        if let Some(used) = self.runner_tree.as_mut().and_then(|tree| tree.count(false)) {
            sample.runner_cpu_s = Some(used.cpu_s);
            sample.runner_rss_mb = Some(used.rss_bytes as f64 / MB);
        }
        self.machine(&mut sample)?;
        if self.frequency_ns == 0 || now_ns.saturating_sub(self.frequency_ns) >= FREQUENCY_NS {
            self.frequency_ns = now_ns;
            sample.cpu_mhz = frequency_mhz();
        }
        Some(sample)
    }

    fn agent(&mut self, refresh: bool) -> Option<TreeUse> {
        if let Some(tree) = &mut self.agent_tree {
            return tree.count(refresh);
        }
        let pid = (*self.agent.lock().unwrap_or_else(PoisonError::into_inner))?;
        self.agent_tree = ProcessTree::new(pid).ok();
        self.agent_tree.as_mut()?.count(true)
    }

    /// Of all servers together; once one is gone, the sum would be one of fewer.
    fn servers(&mut self, refresh: bool) -> Option<TreeUse> {
        let counts = self.server_trees.iter_mut().map(|tree| tree.count(refresh));
        let counts: Vec<TreeUse> = counts.collect::<Option<_>>()?;
        counts.into_iter().reduce(|a, b| TreeUse {
            cpu_s: a.cpu_s + b.cpu_s,
            rss_bytes: a.rss_bytes + b.rss_bytes,
            processes: a.processes + b.processes,
        })
    }

    fn machine(&mut self, sample: &mut HostSample) -> Option<()> {
        let mut machine = machine_use().ok()?;
        if let Some((_, before)) = self.last {
            // The kernel's counts of idle time and of waiting may go back a little.
            machine.busy_s = machine.busy_s.max(before.busy_s);
            machine.total_s = machine.total_s.max(before.total_s);
        }
        sample.busy_cpu_s = Some(machine.busy_s);
        sample.total_cpu_s = Some(machine.total_s);
        sample.memory_used_mb = Some(machine.memory_used_bytes as f64 / MB);
        sample.memory_available_mb = Some(machine.memory_available_bytes as f64 / MB);
        sample.swap_used_mb = Some(machine.swap_used_bytes as f64 / MB);
        sample.load_1m = Some(machine.load_1m);
        if let Some((before_ns, before)) = self.last {
            sample.interval_ms = Some(sample.time_ns.saturating_sub(before_ns) as f64 / 1e6);
            let total_s = machine.total_s - before.total_s;
            // The kernel counts in ticks: with none there is no share.
            sample.cpu_percent = (total_s > 0.0)
                .then(|| (100.0 * (machine.busy_s - before.busy_s) / total_s).clamp(0.0, 100.0));
        }
        self.last = Some((sample.time_ns, machine));
        Some(())
    }
}

impl Recording {
    /// Writes [`METRICS_FILE`].
    pub fn write(&self, folder: &Path) -> Result<(), csv::Error> {
        let mut table = csv::Writer::from_writer(files::create(&folder.join(METRICS_FILE))?);
        for sample in &self.samples {
            table.serialize(sample)?;
        }
        Ok(table.flush()?)
    }
}
