//! What the system counts of the machine and of processes: CPU time, memory, load, frequency, who
//! listens on a port. From `/proc`; elsewhere than on Linux nothing is told.

use std::io;

/// Counters of the machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MachineUse {
    /// CPU time of all cores together since the start of the machine, seconds: at work, and in all.
    pub busy_s: f64,
    pub total_s: f64,
    pub memory_used_bytes: u64,
    pub memory_available_bytes: u64,
    pub swap_used_bytes: u64,
    /// Processes that ran or wanted to, averaged over the last minute.
    pub load_1m: f64,
}

/// Counters of a process and its descendants.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TreeUse {
    /// CPU time of all that were seen, also of those that have ended, seconds.
    pub cpu_s: f64,
    /// Resident memory of those that live. What they share is counted for each.
    pub rss_bytes: u64,
    pub processes: u32,
}

#[cfg(not(target_os = "linux"))]
fn untold<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no /proc"))
}

/// The machine as it is now.
#[cfg(target_os = "linux")]
pub fn machine_use() -> io::Result<MachineUse> {
    use procfs::{Current as _, CurrentSI as _};
    let told = io::Error::other::<procfs::ProcError>;
    let cpu = procfs::KernelStats::current().map_err(told)?.total;
    let memory = procfs::Meminfo::current().map_err(told)?;
    let load = procfs::LoadAverage::current().map_err(told)?;
    let busy = cpu.user + cpu.nice + cpu.system + cpu.irq.unwrap_or(0) + cpu.softirq.unwrap_or(0);
    // What the hypervisor took for others is neither work nor rest of this machine.
    let total = busy + cpu.idle + cpu.iowait.unwrap_or(0);
    let per_second = procfs::ticks_per_second() as f64;
    let available = memory.mem_available.unwrap_or(memory.mem_free);
    Ok(MachineUse {
        busy_s: busy as f64 / per_second,
        total_s: total as f64 / per_second,
        memory_used_bytes: memory.mem_total.saturating_sub(available),
        memory_available_bytes: available,
        swap_used_bytes: memory.swap_total.saturating_sub(memory.swap_free),
        load_1m: f64::from(load.one),
    })
}

/// Not asked for here.
#[cfg(not(target_os = "linux"))]
pub fn machine_use() -> io::Result<MachineUse> {
    untold()
}

/// Mean frequency of the cores now, MHz; `None` where the system does not tell.
#[must_use]
pub fn frequency_mhz() -> Option<f64> {
    scaling_mhz().or_else(cpuinfo_mhz)
}

/// What the governor tells, per core in kHz.
fn scaling_mhz() -> Option<f64> {
    let cores = (0..).map_while(|core| {
        let path = format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq");
        std::fs::read_to_string(path).ok()?.trim().parse::<f64>().ok()
    });
    mean(cores.map(|khz| khz / 1e3))
}

fn cpuinfo_mhz() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let cores = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "cpu MHz").then(|| value.trim().parse::<f64>().ok()).flatten()
    });
    mean(cores)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then_some(sum / count)
}

/// A process with all its descendants.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub struct ProcessTree {
    live: Vec<Member>,
    /// CPU time of those that have ended, as it was last seen.
    ended_s: f64,
}

#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Member {
    process: procfs::process::Process,
    cpu_s: f64,
}

#[cfg(target_os = "linux")]
impl ProcessTree {
    /// The tree of a process that lives.
    pub fn new(root: u32) -> io::Result<Self> {
        let mut tree = Self { live: Vec::new(), ended_s: 0.0 };
        tree.add(root).map_err(io::Error::other)?;
        Ok(tree)
    }

    fn add(&mut self, pid: u32) -> procfs::ProcResult<()> {
        let pid = i32::try_from(pid).unwrap_or(-1);
        // By an open folder of /proc: a number that is given to another process is not followed.
        let process = procfs::process::Process::new(pid)?;
        self.live.push(Member { process, cpu_s: 0.0 });
        Ok(())
    }

    /// Counts now, after a look for descendants that are new if `refresh`; `None` once all are gone. Of
    /// those that have ended and wait to be reaped the CPU time still stands.
    pub fn count(&mut self, refresh: bool) -> Option<TreeUse> {
        if refresh {
            self.find_children();
        }
        let per_second = procfs::ticks_per_second() as f64;
        let page = procfs::page_size();
        let mut used = TreeUse::default();
        let mut ended_s = 0.0;
        let mut waiting = false;
        self.live.retain_mut(|member| match member.process.stat() {
            Ok(stat) if !matches!(stat.state, 'Z' | 'X') => {
                member.cpu_s = (stat.utime + stat.stime) as f64 / per_second;
                used.cpu_s += member.cpu_s;
                used.rss_bytes += stat.rss.saturating_mul(page);
                used.processes += 1;
                true
            }
            // Of one that waits to be reaped the counters still stand.
            Ok(stat) => {
                ended_s += (stat.utime + stat.stime) as f64 / per_second;
                waiting = true;
                false
            }
            Err(_) => {
                ended_s += member.cpu_s;
                false
            }
        });
        self.ended_s += ended_s;
        used.cpu_s += self.ended_s;
        (used.processes > 0 || waiting).then_some(used)
    }

    /// Descendants of those that live. A kernel that lists no children leaves only their roots.
    fn find_children(&mut self) {
        let mut next = 0;
        while next < self.live.len() {
            let process = &self.live[next].process;
            let tasks = process.tasks().into_iter().flatten().flatten();
            let children: Vec<u32> =
                tasks.filter_map(|task| task.children().ok()).flatten().collect();
            for child in children {
                let known =
                    self.live.iter().any(|own| u32::try_from(own.process.pid()) == Ok(child));
                if !known {
                    // One that is gone already cannot be counted.
                    let _ = self.add(child);
                }
            }
            next += 1;
        }
    }
}

/// A process with all its descendants: not counted here.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct ProcessTree;

#[cfg(not(target_os = "linux"))]
impl ProcessTree {
    pub fn new(_root: u32) -> io::Result<Self> {
        untold()
    }

    pub fn count(&mut self, _refresh: bool) -> Option<TreeUse> {
        None
    }
}

/// A process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub pid: u32,
    /// Name of its program.
    pub name: String,
}

/// Who listens on a TCP port of this machine; empty: nobody who could be seen. Processes of other
/// users are seen by root only.
#[cfg(target_os = "linux")]
pub fn listeners(port: u16) -> io::Result<Vec<Listener>> {
    use procfs::process::FDTarget;
    let told = io::Error::other::<procfs::ProcError>;
    let sockets: Vec<u64> = listening(port)?.iter().map(|entry| entry.inode).collect();
    let mut found = Vec::new();
    if sockets.is_empty() {
        return Ok(found);
    }
    for process in procfs::process::all_processes().map_err(told)?.flatten() {
        let Ok(files) = process.fd() else { continue };
        let is_socket = |target: &FDTarget| matches!(target, FDTarget::Socket(inode) if sockets.contains(inode));
        if files.flatten().any(|file| is_socket(&file.target))
            && let (Ok(pid), Ok(stat)) = (u32::try_from(process.pid()), process.stat())
        {
            found.push(Listener { pid, name: stat.comm });
        }
    }
    Ok(found)
}

/// The processes behind a TCP port of this machine, without their descendants: those that listen, or where
/// their files may not be looked into those of the account that listens, if it is one that services have and
/// people do not. Empty: nobody who could be told.
#[cfg(target_os = "linux")]
pub fn servers_on(port: u16) -> io::Result<Vec<u32>> {
    /// Forwards a port into a container, whose processes are nobody's descendants here.
    const FORWARDER: &str = "docker-proxy";
    /// Numbers of such accounts, by convention.
    const SERVICES: std::ops::Range<u32> = 1..1000;
    let told = io::Error::other::<procfs::ProcError>;
    let seen = listeners(port)?;
    if !seen.is_empty() {
        let seen = seen.into_iter().filter(|listener| listener.name != FORWARDER);
        let seen: Vec<u32> = seen.map(|listener| listener.pid).collect();
        // Servers share a socket with those that they fork.
        let roots = seen.iter().filter(|pid| !descends(**pid, &seen));
        return Ok(roots.copied().collect());
    }
    let entries = listening(port)?;
    let Some(account) = entries.first().map(|entry| entry.uid) else { return Ok(Vec::new()) };
    if !SERVICES.contains(&account) {
        return Ok(Vec::new());
    }
    let all = procfs::process::all_processes().map_err(told)?.flatten();
    let own: Vec<procfs::process::Status> = all
        .filter_map(|process| process.status().ok())
        .filter(|status| status.euid == account)
        .collect();
    let roots = own.iter().filter(|status| own.iter().all(|other| other.pid != status.ppid));
    Ok(roots.filter_map(|status| u32::try_from(status.pid).ok()).collect())
}

/// Not asked for here.
#[cfg(not(target_os = "linux"))]
pub fn servers_on(_port: u16) -> io::Result<Vec<u32>> {
    untold()
}

/// Whether a process is a descendant of one of these.
#[cfg(target_os = "linux")]
fn descends(pid: u32, of: &[u32]) -> bool {
    let parent = |pid: u32| {
        let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
        u32::try_from(process.stat().ok()?.ppid).ok()
    };
    let ancestors = std::iter::successors(parent(pid), |pid| parent(*pid));
    ancestors.take_while(|pid| *pid > 0).any(|pid| of.contains(&pid))
}

/// Sockets that listen on a TCP port.
#[cfg(target_os = "linux")]
fn listening(port: u16) -> io::Result<Vec<procfs::net::TcpNetEntry>> {
    use procfs::net::TcpState;
    let entries = procfs::net::tcp().map_err(io::Error::other::<procfs::ProcError>)?;
    // A kernel without IPv6 has no such file.
    let entries = entries.into_iter().chain(procfs::net::tcp6().unwrap_or_default());
    let is_it = |entry: &procfs::net::TcpNetEntry| {
        entry.state == TcpState::Listen && entry.local_address.port() == port
    };
    Ok(entries.filter(is_it).collect())
}

/// Not asked for here.
#[cfg(not(target_os = "linux"))]
pub fn listeners(_port: u16) -> io::Result<Vec<Listener>> {
    untold()
}
