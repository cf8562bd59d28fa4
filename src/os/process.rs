//! Process groups: a runtime is started in a group of its own, so that it can be ended with
//! everything it started, and so that a ctrl-C in the terminal does not reach it.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use wait4::Wait4 as _;

use super::orphans;

/// Puts the process to be started at the head of a new group.
#[cfg(unix)]
pub fn lead_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

/// Untested.
#[cfg(not(unix))]
pub fn lead_group(command: &mut Command) {
    use std::os::windows::process::CommandExt;
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

/// Puts the process to be started into the group of `leader`, so that it ends with it.
#[cfg(unix)]
pub fn join_group(command: &mut Command, leader: u32) {
    use std::os::unix::process::CommandExt;
    if let Ok(leader) = i32::try_from(leader) {
        command.process_group(leader);
    }
}

/// There are no such groups; who starts it must end it. Untested.
#[cfg(not(unix))]
pub fn join_group(_command: &mut Command, _leader: u32) {}

/// Asks a child to end what it does (`SIGINT`). One that has ended is no error.
#[cfg(unix)]
pub fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
    }
}

/// Windows cannot ask a process without a console. Untested.
#[cfg(not(unix))]
pub fn interrupt(_child: &Child) {}

/// Asks every process of the group to end (`SIGTERM`). A group that is gone is no error.
#[cfg(unix)]
pub fn terminate_group(leader: u32) {
    signal_group(leader, rustix::process::Signal::TERM);
}

/// Ends every process of the group at once (`SIGKILL`). A group that is gone is no error.
#[cfg(unix)]
pub fn kill_group(leader: u32) {
    signal_group(leader, rustix::process::Signal::KILL);
}

#[cfg(unix)]
fn signal_group(leader: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(leader).ok().and_then(rustix::process::Pid::from_raw);
    // Pid 1 as a group would mean every process there is.
    if let Some(pid) = pid.filter(|pid| *pid != rustix::process::Pid::INIT) {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

/// Windows cannot ask a process without a console; the grace period passes unused. Untested.
#[cfg(not(unix))]
pub fn terminate_group(_leader: u32) {}

/// Ends the process and its descendants. Untested.
#[cfg(not(unix))]
pub fn kill_group(leader: u32) {
    let _ = Command::new("taskkill")
        .args(["/T", "/F", "/PID", &leader.to_string()])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
}

/// Whether a process of the group still runs, its ended leader aside.
#[cfg(target_os = "linux")]
#[must_use]
pub fn group_lives(leader: u32) -> bool {
    let Ok(processes) = procfs::process::all_processes() else { return false };
    let mut stats = processes.flatten().filter_map(|process| process.stat().ok());
    stats.any(|stat| u32::try_from(stat.pgrp) == Ok(leader) && !matches!(stat.state, 'Z' | 'X'))
}

/// Not asked for on this system: those that outlive their leader get no time of their own. Untested.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn group_lives(_leader: u32) -> bool {
    false
}

/// Whether the child has ended. It is not reaped: until [`wait4::Wait4::wait4`] its id stays taken,
/// so its group can still be signalled without hitting anyone else.
#[cfg(unix)]
pub fn has_ended(child: &mut Child) -> io::Result<bool> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let Some(pid) = pid else { return Err(io::ErrorKind::NotFound.into()) };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(pid), options)?.is_some())
}

/// Untested.
#[cfg(not(unix))]
pub fn has_ended(child: &mut Child) -> io::Result<bool> {
    Ok(child.try_wait()?.is_some())
}

/// Tells the time of the child's end, nanoseconds of the monotonic clock, without reaping it. The
/// channel closes with nothing said where the system cannot wait for it in a thread of its own.
#[cfg(unix)]
pub fn when_ended(child: &Child) -> std::sync::mpsc::Receiver<u64> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let (sender, receiver) = std::sync::mpsc::channel();
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        std::thread::spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            loop {
                match waitid(WaitId::Pid(pid), options) {
                    Err(rustix::io::Errno::INTR) => {}
                    Err(_) => return,
                    Ok(_) => break,
                }
            }
            let _ = sender.send(formats::clock::monotonic_ns());
        });
    }
    receiver
}

/// Untested.
#[cfg(not(unix))]
pub fn when_ended(_child: &Child) -> std::sync::mpsc::Receiver<u64> {
    std::sync::mpsc::channel().1
}

/// When a process was started, in the system's own count: together with its id it names one process.
/// `None`: no such process (or one that has ended and waits to be reaped), or the system does not
/// tell (everything but Linux).
#[must_use]
pub fn start_mark(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses; the fields after it do not.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    // The 22nd field of proc_pid_stat(5); the state is the 3rd.
    fields.nth(18)?.parse().ok()
}

/// Largest resident set of a living process so far, bytes; `None` where the system does not tell
/// (everything but Linux).
#[must_use]
pub fn peak_rss_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Has the process to be started begin as a copy of this one. Linux counts into a process's peak what was
/// resident before its program began: of a copy that is [`copied_bytes`], and else all that this process
/// ever had, since the two share their memory until then.
#[cfg(unix)]
pub fn start_as_copy(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    // It has this group anyway. The standard library can only set it in a copy.
    command.gid(rustix::process::getegid().as_raw());
}

/// There are no copies.
#[cfg(not(unix))]
pub fn start_as_copy(_command: &mut Command) {}

/// Most bytes that are resident in a copy of this process when its program begins; `None` where the
/// system does not tell (everything but Linux).
#[must_use]
pub fn copied_bytes() -> Option<u64> {
    /// Parts of files beside data of its own, and what the copy does until its program begins: some 0.2 MB
    /// as measured.
    const MARGIN: u64 = 2 << 20;
    // Exact, where the counters of `status` are a few pages off for each processor.
    let memory = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = memory.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)?.checked_add(MARGIN)
}

/// Whether a program that is started by this one may look into other processes of its user, and why;
/// `Ok(None)`: the system does not tell. Why it may not comes with what to do.
#[cfg(target_os = "linux")]
pub fn tracing() -> Result<Option<&'static str>, String> {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let scope = scope.ok().and_then(|scope| scope.trim().parse().ok());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let held = held.and_then(|held| u64::from_str_radix(held.trim(), 16).ok()).unwrap_or(0);
    // Who is not root keeps no capability when it starts a program.
    let may_all = rustix::process::geteuid().is_root() && held & CAP_SYS_PTRACE != 0;
    may_trace(scope, may_all).map(Some)
}

/// The bit of the capability in the masks of `/proc/self/status`: capabilities(7).
#[cfg(target_os = "linux")]
const CAP_SYS_PTRACE: u64 = 1 << 19;

/// Without the security module Yama a kernel has no scope.
#[cfg(target_os = "linux")]
fn may_trace(scope: Option<u8>, may_all: bool) -> Result<&'static str, String> {
    match scope {
        None | Some(0) => Ok("allowed for one's own processes"),
        Some(1 | 2) if may_all => Ok("allowed for root"),
        Some(scope @ (1 | 2)) => Err(format!(
            "kernel.yama.ptrace_scope is {scope}, so no program may look into a process that it did \
             not start; run as root, give py-spy the capability CAP_SYS_PTRACE, set \
             kernel.yama.ptrace_scope to 0, or start the container with --cap-add SYS_PTRACE"
        )),
        Some(scope) => Err(format!(
            "kernel.yama.ptrace_scope is {scope}, so no program may look into another process until \
             the machine is started again"
        )),
    }
}

/// Not asked for on this system.
#[cfg(not(target_os = "linux"))]
pub fn tracing() -> Result<Option<&'static str>, String> {
    Ok(None)
}

/// Whether a program's file gives it rights that who starts it may not have: a capability, or
/// another user's.
#[cfg(target_os = "linux")]
#[must_use]
pub fn has_own_rights(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    const SET_USER_ID: u32 = 0o4000;
    let of_another =
        program.metadata().is_ok_and(|file| file.permissions().mode() & SET_USER_ID != 0);
    of_another || rustix::fs::getxattr(program, "security.capability", &mut [0_u8; 64]).is_ok()
}

/// Not asked for on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn has_own_rights(_program: &Path) -> bool {
    false
}

/// Whether this user may start a file.
#[cfg(unix)]
#[must_use]
pub fn is_executable(file: &Path) -> bool {
    rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Its name decides on Windows, and starting it tells. Untested.
#[cfg(not(unix))]
#[must_use]
pub fn is_executable(_file: &Path) -> bool {
    true
}

/// A program that ran to its end.
#[derive(Debug)]
pub struct Ran {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// User and system time of the program.
    pub cpu: Duration,
}

/// Runs a program to its end, with everything that it starts; one that takes longer than `limit` is
/// killed, and that is an error (`TimedOut`).
pub fn run_within(command: &mut Command, limit: Duration) -> io::Result<Ran> {
    let deadline = Instant::now() + limit;
    lead_group(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = orphans::start(command)?;
    let (sender, outputs) = channel();
    let pipes: [(usize, Option<Box<dyn Read + Send>>); 2] = [
        (0, child.stdout.take().map(|pipe| Box::new(pipe) as _)),
        (1, child.stderr.take().map(|pipe| Box::new(pipe) as _)),
    ];
    for (which, pipe) in pipes {
        let (sender, Some(mut pipe)) = (sender.clone(), pipe) else { continue };
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            let _ = sender.send((which, bytes));
        });
    }
    drop(sender);
    let mut texts = [String::new(), String::new()];
    let mut in_time = true;
    loop {
        match outputs.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((which, bytes)) => texts[which] = String::from_utf8_lossy(&bytes).into_owned(),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                in_time = false;
                break;
            }
        }
    }
    // It has closed its output, so it is about to end, as a rule.
    while in_time && !has_ended(&mut child)? {
        in_time = Instant::now() < deadline;
        thread::sleep(Duration::from_millis(1));
    }
    // Not reaped yet, so the group is still its own; whatever it started holds nothing up any more.
    kill_group(child.id());
    let ended = child.wait4()?;
    if !in_time {
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("it took longer than {limit:?}"),
        ));
    }
    let [stdout, stderr] = texts;
    let cpu = ended.rusage.utime + ended.rusage.stime;
    Ok(Ran { status: ended.status, stdout, stderr, cpu })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The peak of a program that needs next to nothing, bytes.
    fn peak_of_nothing(as_copy: bool) -> u64 {
        let mut command = Command::new("/bin/true");
        if as_copy {
            start_as_copy(&mut command);
        }
        command.spawn().unwrap().wait4().unwrap().rusage.maxrss
    }

    #[test]
    fn a_copy_has_nothing_of_what_this_process_had() {
        let block = vec![1_u8; 200 << 20];
        assert!(block.iter().step_by(4096).all(|byte| *byte == 1));
        drop(block);
        // The ways differ by the peak of this process; that they do is what the standard library decides.
        assert!(peak_of_nothing(false) > 200 << 20);
        let before = copied_bytes().unwrap();
        let peak = peak_of_nothing(true);
        // Other tests of this process may have come to need more meanwhile.
        let copied = before.max(copied_bytes().unwrap());
        assert!(peak < copied && copied < 150 << 20, "{peak} of {copied}");
    }

    #[test]
    fn who_may_look_into_other_processes() {
        for (scope, root, allowed) in [
            (None, false, true),
            (Some(0), false, true),
            (Some(1), false, false),
            (Some(1), true, true),
            (Some(2), true, true),
            (Some(3), true, false),
        ] {
            assert_eq!(may_trace(scope, root).is_ok(), allowed, "{scope:?} {root}");
        }
    }
}
