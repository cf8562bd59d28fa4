//! What the whole machine did while a run's process lived, from the system's counters right before and right
//! after: stored with every run, without a probe. What it comes to is left to `metrics`.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use formats::clock;

use super::sampling;
use crate::os::cpu::{self, Counters};
use crate::os::{host, process};
use crate::plan::CellSpec;
use crate::probe::host::Server;
use crate::store::record::{MachineTime, ProcessUsage};

/// How soon a server whose process could not be seen is looked for again: that goes through the files of all
/// processes.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The processes of servers on this machine, by their ports: looked for when a run needs them first, and
/// again when they are others.
#[derive(Debug, Default)]
pub struct ServerProcesses {
    found: HashMap<u16, Found>,
}

#[derive(Debug)]
struct Found {
    looked: Instant,
    /// Each with the mark of its start, which tells it from a later one of the same number.
    processes: Vec<(u32, Option<u64>)>,
}

impl ServerProcesses {
    fn of(&mut self, port: u16) -> Vec<u32> {
        let holds = |found: &Found| match found.processes.as_slice() {
            [] => found.looked.elapsed() < LOOK_AGAIN,
            known => known.iter().all(|(pid, mark)| process::start_mark(*pid) == *mark),
        };
        if !self.found.get(&port).is_some_and(holds) {
            let processes = host::servers_on(port).unwrap_or_default();
            let marked = processes.into_iter().map(|pid| (pid, process::start_mark(pid)));
            let found = Found { looked: Instant::now(), processes: marked.collect() };
            self.found.insert(port, found);
        }
        let known = self.found.get(&port).into_iter().flat_map(|found| &found.processes);
        known.map(|(pid, _)| *pid).collect()
    }
}

/// A look at the machine before the process is started.
#[derive(Debug)]
pub struct Look {
    began_ns: u64,
    counters: Counters,
    /// By their endpoints; without a process where none may be seen.
    servers: Vec<(String, Vec<ServerProcess>)>,
}

#[derive(Debug)]
struct ServerProcess {
    pid: u32,
    ticks: u64,
}

impl Look {
    /// `None` where the system does not tell.
    pub fn begin(cell: &CellSpec, processes: &mut ServerProcesses) -> Option<Self> {
        // What this process serves itself is in its own count.
        let mut known = BTreeSet::from([std::process::id()]);
        let mut servers = Vec::new();
        for server in sampling::servers(cell) {
            let Server::Local { endpoint, port } = server else { continue };
            let own = processes.of(port).into_iter().map(|pid| {
                // One that serves several endpoints is counted once.
                let ticks = if known.insert(pid) { cpu::tree_ticks(pid) } else { Some(0) };
                ticks.map(|ticks| ServerProcess { pid, ticks })
            });
            // One that is gone already took nothing of what comes.
            servers.push((endpoint, own.flatten().collect()));
        }
        Some(Self { began_ns: clock::monotonic_ns(), counters: Counters::now()?, servers })
    }

    /// Ends the look once the process was waited for, with what it used.
    pub fn end(self, usage: &ProcessUsage) -> Option<MachineTime> {
        let passed = Counters::now()?.since(&self.counters);
        let window_ns = clock::monotonic_ns().saturating_sub(self.began_ns);
        let mut machine = MachineTime {
            window_s: window_ns as f64 / 1e9,
            cores_s: passed.cores_s,
            busy_s: passed.busy_s,
            // The same in steps, with the instruments; and to a microsecond, without them. What a command left
            // behind is waited for where orphans are adopted, and may live on outside of its group.
            agent_s: passed
                .waited_s
                .max(usage.cpu_s.unwrap_or(0.0) + usage.left_cpu_s.unwrap_or(0.0)),
            runner_s: passed.own_s,
            ..MachineTime::default()
        };
        let (mut counted, mut took) = (BTreeSet::from([std::process::id()]), 0);
        for (endpoint, processes) in self.servers {
            let mut seen = !processes.is_empty();
            for before in processes {
                let first = counted.insert(before.pid);
                match cpu::tree_ticks(before.pid) {
                    Some(now) if first => took += now.saturating_sub(before.ticks),
                    Some(_) => {}
                    None => seen = false,
                }
            }
            let list = if seen { &mut machine.servers_seen } else { &mut machine.servers_unseen };
            list.push(endpoint);
        }
        machine.servers_s = cpu::seconds(took);
        Some(machine)
    }
}
