//! CPU time as the system counts it: of all cores, of this process and of those that it waited for, of a
//! server's processes, of what a group left behind. What a part of it took over a while is the difference
//! of two looks. Linux alone tells it; elsewhere everything here is unknown.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::Duration;

use super::orphans;

/// The counters of a moment. Those of the system are in its ticks, 100 a second by its promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Of all cores since the start of the machine: at work, and in all.
    busy_ticks: u64,
    all_ticks: u64,
    /// Of the processes that this one started and waited for, with theirs; not of orphans that were left by an
    /// earlier command.
    waited_ticks: u64,
    /// Of this process, all its threads.
    own: Duration,
}

/// What passed between two looks, seconds of CPU time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passed {
    pub cores_s: f64,
    pub busy_s: f64,
    /// Of processes that this one started and that ended meanwhile.
    pub waited_s: f64,
    pub own_s: f64,
}

const TICKS_PER_SECOND: f64 = 100.0;

/// Linux's `ESRCH`.
const NO_SUCH_PROCESS: i32 = 3;

impl Counters {
    /// `None` where the system does not tell.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn now() -> Option<Self> {
        use rustix::time::{ClockId, clock_gettime};
        let own = clock_gettime(ClockId::ProcessCPUTime);
        let own = Duration::new(own.tv_sec.try_into().ok()?, own.tv_nsec.try_into().ok()?);
        let (busy_ticks, all_ticks) = cores(&fs::read_to_string("/proc/stat").ok()?)?;
        let waited_ticks = Process::read("self")?.waited_ticks;
        let waited_ticks = waited_ticks.saturating_sub(orphans::ticks_of_earlier());
        Some(Self { busy_ticks, all_ticks, waited_ticks, own })
    }

    /// Not asked for on this system.
    #[cfg(not(target_os = "linux"))]
    #[must_use]
    pub fn now() -> Option<Self> {
        None
    }

    /// What passed since an earlier look. The kernel's counts of idle time may go back a little.
    #[must_use]
    pub fn since(&self, before: &Self) -> Passed {
        Passed {
            cores_s: seconds(self.all_ticks.saturating_sub(before.all_ticks)),
            busy_s: seconds(self.busy_ticks.saturating_sub(before.busy_ticks)),
            waited_s: seconds(self.waited_ticks.saturating_sub(before.waited_ticks)),
            own_s: self.own.saturating_sub(before.own).as_secs_f64(),
        }
    }
}

/// Of the system's ticks.
#[must_use]
pub fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND
}

/// Ticks of all cores at work and in all, by `/proc/stat` (the manual page `proc_stat`). What a hypervisor
/// took for others is neither work nor rest of this machine; time of guests is in that of users already.
fn cores(stat: &str) -> Option<(u64, u64)> {
    let total = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> =
        total.split_whitespace().take(7).map_while(|ticks| ticks.parse().ok()).collect();
    let [user, nice, system, idle, iowait, irq, softirq] = ticks[..] else { return None };
    let busy = user + nice + system + irq + softirq;
    Some((busy, busy + idle + iowait))
}

/// What `/proc/<pid>/stat` says of a process (the manual page `proc_pid_stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub parent: u32,
    pub group: u32,
    own_ticks: u64,
    /// Of children that it waited for, with theirs.
    waited_ticks: u64,
}

impl Process {
    pub fn read(pid: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Whether there is certainly no such process, or it is no child of this one.
    pub fn is_no_child(pid: u32) -> bool {
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => {
                Self::parse(&stat).is_some_and(|process| process.parent != std::process::id())
            }
            // A file that could not be opened for another reason says nothing. One that ended meanwhile can be
            // opened and not be read.
            Err(error) => {
                error.kind() == io::ErrorKind::NotFound
                    || cfg!(target_os = "linux") && error.raw_os_error() == Some(NO_SUCH_PROCESS)
            }
        }
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name in parentheses may hold spaces and parentheses; the fields after it do not. The first of
        // them is the 3rd of all.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().take(15).collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(field(4)?).ok()?,
            group: u32::try_from(field(5)?).ok()?,
            own_ticks: field(14)? + field(15)?,
            waited_ticks: field(16)? + field(17)?,
        })
    }

    /// With what it waited for.
    pub fn ticks(self) -> u64 {
        self.own_ticks + self.waited_ticks
    }
}

/// CPU time of a process, of its descendants that live and of those that were waited for, in ticks. It never
/// falls while each of them waits for its children. `None`: no such process, or the system does not tell.
#[must_use]
pub fn tree_ticks(root: u32) -> Option<u64> {
    Process::read(&root.to_string())?;
    Some(ticks_of([root]))
}

/// The same of several, each process counted once.
pub(super) fn ticks_of(roots: impl IntoIterator<Item = u32>) -> u64 {
    let mut ticks = 0;
    let mut next: Vec<u32> = roots.into_iter().collect();
    let mut known = BTreeSet::new();
    while let Some(pid) = next.pop() {
        if !known.insert(pid) {
            continue;
        }
        // One that is gone already is in its parent's count, or in nobody's.
        if let Some(process) = Process::read(&pid.to_string()) {
            ticks += process.ticks();
            next.extend(children(pid));
        }
    }
    ticks
}

/// A kernel that lists no children leaves the root alone.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let listed = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    listed
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

/// Children of this process: what it started, and orphans that it adopted.
pub(super) fn own_children() -> Vec<u32> {
    children(std::process::id())
}

/// Numbers of all processes.
pub(super) fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_as_linux_writes_them() {
        let stat = "cpu  150 5 60 830 60 7 8 99 3 0\ncpu0 1 2 3\n";
        assert_eq!(cores(stat), Some((230, 1120)));
        assert_eq!(cores("cpu  1 2 3\n"), None);
        let process = Process::parse("7 (a (b) c) R 1 9 3 4 5 6 7 8 9 10 15 16 11 2 20 0\n");
        let expected = Process { parent: 1, group: 9, own_ticks: 31, waited_ticks: 13 };
        assert_eq!(process, Some(expected));
        assert_eq!(Process::parse("7 (a) R 1\n"), None);
    }

    #[test]
    fn what_passed_is_a_difference_that_never_falls_below_nothing() {
        let look = |busy, all, waited, own| Counters {
            busy_ticks: busy,
            all_ticks: all,
            waited_ticks: waited,
            own: Duration::from_millis(own),
        };
        let passed = look(150, 400, 30, 250).since(&look(100, 200, 10, 50));
        let expected = Passed { cores_s: 2.0, busy_s: 0.5, waited_s: 0.2, own_s: 0.2 };
        assert_eq!(passed, expected);
        let back = look(1, 1, 1, 1).since(&look(2, 2, 2, 2));
        assert_eq!(back, Passed { cores_s: 0.0, busy_s: 0.0, waited_s: 0.0, own_s: 0.0 });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_tree_keeps_what_its_ended_children_took() {
        use std::process::{Command, Stdio};
        // A shell whose child has worked and was waited for, then waits itself.
        let work = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; echo; exec cat";
        let mut shell = Command::new("sh")
            .args(["-c", work])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(shell.stdout.take().unwrap()),
            &mut line,
        )
        .unwrap();
        assert!(tree_ticks(shell.id()).unwrap() >= 3, "{:?}", tree_ticks(shell.id()));
        let before = Counters::now().unwrap();
        drop(shell.stdin.take());
        let id = shell.id();
        shell.wait().unwrap();
        assert!(tree_ticks(id).is_none());
        assert!(Counters::now().unwrap().since(&before).waited_s >= 0.03);
    }
}
