//! One started process with everything that it starts: how long it is there, how it is ended, what it
//! used. Who hears what it says, and what its end means, is left to the kinds of runs.

use std::io;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use wait4::{ResUse, Wait4 as _};

use crate::os::process;
use crate::probe::flamegraph::Recorder;
use crate::store::record::ProcessUsage;

/// How often the leader is looked at after it was asked to end.
const LEADER_TICK: Duration = Duration::from_millis(1);
/// The same of those that outlive it: every look goes through all processes of the machine.
const MEMBERS_TICK: Duration = Duration::from_millis(10);

/// A process at the head of a group of its own, not reaped yet.
#[derive(Debug)]
pub struct Group {
    leader: Child,
    own_peak_rss: Option<u64>,
    seen_peak_rss: Option<u64>,
}

impl Group {
    /// Of a process that was started by a command that leads its group.
    pub fn new(leader: Child) -> Self {
        let own_peak_rss = process::peak_rss_bytes(std::process::id());
        Self { leader, own_peak_rss, seen_peak_rss: None }
    }

    /// Of a process that was started as a copy of this one, of which at most so many bytes were resident
    /// in it at its start. What the system counts of it is its own as soon as that is more; where it is
    /// not, its peak is unknown: a look at the leader says nothing of its children, or of its last moment.
    pub fn of_copy(leader: Child, copied: Option<u64>) -> Self {
        Self { leader, own_peak_rss: copied, seen_peak_rss: None }
    }

    /// Its leader's.
    pub fn id(&self) -> u32 {
        self.leader.id()
    }

    /// Whether the leader has ended.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        process::has_ended(&mut self.leader)
    }

    /// Notes the leader's memory so far.
    pub fn look_at_memory(&mut self) {
        self.seen_peak_rss = process::peak_rss_bytes(self.id()).or(self.seen_peak_rss);
    }

    /// Asks everything in the group to end, and waits until all of it has, `grace` at most. A child may
    /// have more to put in order than its leader, which is often a shell that is gone at once.
    pub fn ask_to_end(&mut self, grace: Duration) {
        process::terminate_group(self.id());
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline {
            match self.has_ended() {
                Ok(false) => thread::sleep(LEADER_TICK),
                Ok(true) if process::group_lives(self.id()) => thread::sleep(MEMBERS_TICK),
                _ => return,
            }
        }
    }

    /// Kills what is left of the group and reaps its leader. Also after a good end: nothing that it
    /// started may disturb the next run.
    pub fn end(
        self,
        recorder: Option<&mut Recorder>,
        grace: Duration,
    ) -> io::Result<(ExitStatus, ProcessUsage)> {
        // While it holds the process, the process cannot be reaped.
        if let Some(recorder) = recorder {
            recorder.end(grace);
        }
        // It is not reaped yet, so the group's number cannot belong to anyone else.
        process::kill_group(self.id());
        let (own, seen) = (self.own_peak_rss, self.seen_peak_rss);
        let ended = self.leader.wait4()?;
        let usage = ProcessUsage {
            startup_ms: None,
            peak_rss_mb: peak_rss(&ended, own, seen),
            cpu_s: Some((ended.rusage.utime + ended.rusage.stime).as_secs_f64()),
            left_cpu_s: None,
        };
        Ok((ended.status, usage))
    }
}

/// Megabytes. Linux counts into a child's peak what its parent had resident when starting it, so
/// the system's number is the child's own only if it is the larger one. Otherwise the last look
/// stands.
fn peak_rss(ended: &ResUse, own: Option<u64>, seen: Option<u64>) -> Option<f64> {
    let total = Some(ended.rusage.maxrss).filter(|bytes| *bytes > 0);
    let trusted = total.filter(|bytes| own.is_none_or(|own| *bytes > own));
    trusted.or(seen).map(|bytes| bytes as f64 / 1e6)
}
