//! What the agent's process asks of the operating system, with a branch for each.

pub mod descriptors;
pub mod receive;
pub mod timer;

/// CPU time that the calling thread has used, nanoseconds; `None` where the system does not tell.
#[cfg(target_os = "linux")]
#[must_use]
pub fn thread_cpu_ns() -> Option<u64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    Some(seconds.ok()? * 1_000_000_000 + nanoseconds.ok()?)
}

/// CPU time that the calling thread has used: not asked for on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn thread_cpu_ns() -> Option<u64> {
    None
}

/// Ends this process when the thread that started it ends, however that happens. Elsewhere than on
/// Linux nothing does this; a runtime then outlives an executor that is killed.
#[cfg(target_os = "linux")]
pub fn end_with_parent() -> std::io::Result<()> {
    let signal = rustix::process::Signal::KILL;
    Ok(rustix::process::set_parent_process_death_signal(Some(signal))?)
}

/// Ends this process when its parent ends: not possible here, and nothing is done.
#[cfg(not(target_os = "linux"))]
pub fn end_with_parent() -> std::io::Result<()> {
    Ok(())
}
