//! Which cores a process runs on: the agent has the last one to itself, the server has the others.

/// Cores of the server and of the agent; both have the same where there is only one.
pub fn divided() -> (Vec<usize>, Vec<usize>) {
    let cores = affinity::available();
    let (server, agent) = cores.split_at(cores.len() - 1);
    let server = if server.is_empty() { agent } else { server };
    (server.to_vec(), agent.to_vec())
}

/// What is started in the meantime, processes and threads alike, stays on these cores.
pub fn started_on<T>(cores: &[usize], start: impl FnOnce() -> T) -> T {
    let before = affinity::available();
    affinity::stay_on(cores);
    let started = start();
    affinity::stay_on(&before);
    started
}

#[cfg(target_os = "linux")]
mod affinity {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    pub fn available() -> Vec<usize> {
        let set = sched_getaffinity(None).expect("the cores of this thread");
        (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect()
    }

    pub fn stay_on(cores: &[usize]) {
        let mut set = CpuSet::new();
        for &core in cores {
            set.set(core);
        }
        sched_setaffinity(None, &set).expect("a core of this thread");
    }
}

/// Without affinity everything runs on the whole machine.
#[cfg(not(target_os = "linux"))]
mod affinity {
    pub fn available() -> Vec<usize> {
        vec![0]
    }

    pub fn stay_on(_cores: &[usize]) {}
}
