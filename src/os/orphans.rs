//! Orphans: processes whose parent ended before them. While commands are measured this process adopts those
//! of them (Linux), so that what they used stands until it is asked for. They are reaped soon after their end:
//! a program may wait until a number that it started is gone, and in its place nobody else would do it.

use std::collections::BTreeSet;
use std::io;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::cpu::{self, Process};

/// How long those that were killed may take to go.
const PATIENCE: Duration = Duration::from_millis(100);

/// Children of this process that it started itself into groups other than its own.
static STARTED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// CPU time, in ticks, of orphans that were reaped while another command than theirs was measured. The system
/// has it in what this process waited for.
static OF_EARLIER: AtomicU64 = AtomicU64::new(0);

/// Ticks of what this process waited for that are of no command that was measured meanwhile.
pub(super) fn ticks_of_earlier() -> u64 {
    OF_EARLIER.load(Ordering::Relaxed)
}

fn started() -> MutexGuard<'static, BTreeSet<u32>> {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a process that is to be in another group than this one, and keeps in mind that it is no orphan.
pub fn start(command: &mut Command) -> io::Result<Child> {
    // Held until its number is noted: whoever looks for orphans must not take it for one.
    let mut started = started();
    let child = command.spawn()?;
    started.insert(child.id());
    Ok(child)
}

/// Children of this process that it did not start.
fn adopted() -> BTreeSet<u32> {
    adopted_among(&cpu::own_children)
}

fn adopted_among(children: &dyn Fn() -> Vec<u32>) -> BTreeSet<u32> {
    let mut started = started();
    let children = children();
    // The number of one that was waited for may be given to another. The list does not tell which those are: the
    // kernel may leave out some while others come and go.
    started.retain(|pid| !Process::is_no_child(*pid));
    let Some(own) = Process::read("self") else { return BTreeSet::new() };
    let is_adopted = |pid: &u32| {
        let group = Process::read(&pid.to_string()).map(|process| process.group);
        !started.contains(pid) && group.is_some_and(|group| group != own.group)
    };
    children.into_iter().filter(is_adopted).collect()
}

/// The orphans of one command.
#[derive(Debug)]
pub struct Orphans {
    /// Adopted before, from other commands.
    before: BTreeSet<u32>,
    /// CPU time of those that were reaped.
    ticks: u64,
}

impl Orphans {
    /// Before the command is started: from now on orphans are adopted where the system can do it.
    #[must_use]
    pub fn adopt() -> Self {
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        Self { before: adopted(), ticks: 0 }
    }

    /// Reaps those that have ended.
    pub fn reap(&mut self) {
        for pid in adopted() {
            // One that has ended keeps its counts until it is reaped.
            let ticks = Process::read(&pid.to_string()).map_or(0, Process::ticks);
            if !reap(pid) {
                continue;
            }
            if self.before.remove(&pid) {
                OF_EARLIER.fetch_add(ticks, Ordering::Relaxed);
            } else {
                self.ticks += ticks;
            }
        }
    }

    /// CPU time of what an ended leader left behind, seconds: of its orphans, and of what still runs in its
    /// group or was adopted from there. Those in the group are looked for among the processes that were started
    /// after the leader, which is quick; once the system's numbers began anew they are not found. `None` where
    /// the system does not tell. To be asked before the group is killed.
    #[must_use]
    pub fn left_s(&self, leader: u32) -> Option<f64> {
        // The leader is not reaped yet: where even that is not told, this is another kind of system.
        Process::read(&leader.to_string())?;
        let of_group = |pid: &u32| {
            let process = Process::read(&pid.to_string());
            *pid > leader && process.is_some_and(|process| process.group == leader)
        };
        let mut left: BTreeSet<u32> = cpu::all().filter(of_group).collect();
        left.extend(adopted().difference(&self.before));
        let started = started();
        left.retain(|pid| !started.contains(pid));
        Some(cpu::seconds(self.ticks + cpu::ticks_of(left)))
    }

    /// Reaps the orphans of a group that was killed, and all others that have ended. One that takes longer to
    /// go is left to the next look: it is dead, and only a number.
    pub fn clear(mut self, leader: u32) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.reap();
            let in_group = |pid: &u32| {
                Process::read(&pid.to_string()).is_some_and(|process| process.group == leader)
            };
            if !adopted().iter().any(in_group) || Instant::now() > deadline {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether it had ended.
#[cfg(unix)]
fn reap(pid: u32) -> bool {
    use rustix::process::{Pid, WaitOptions, waitpid};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_))))
}

/// None are adopted.
#[cfg(not(unix))]
fn reap(_pid: u32) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn an_own_child_that_a_list_left_out_once_is_no_orphan() {
        let mut command = Command::new("cat");
        let mut child = start(command.process_group(0).stdin(Stdio::piped())).unwrap();
        let id = child.id();
        assert!(!adopted_among(&Vec::new).contains(&id));
        assert!(!adopted().contains(&id));
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        adopted();
        assert!(!started().contains(&id), "its number may be given to another");
    }
}
