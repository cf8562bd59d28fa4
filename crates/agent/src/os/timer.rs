//! A timer on the event loop that is as fine as the system allows.
//!
//! Tokio's own sleeps end on whole milliseconds, rounded up: up to a millisecond of "lag" that is none.
//! On Linux a timerfd is a file like a socket, so its wake-up goes through the same loop as the
//! reads that are measured, and on time. Elsewhere tokio's sleep is all there is, and its rounding
//! stays in what is measured; that branch cannot be tested where this project is built.

use std::io;

/// Ends sleeps at times of the monotonic clock ([`super::monotonic_ns`]), one at a time.
#[derive(Debug)]
pub struct FineTimer {
    #[cfg(target_os = "linux")]
    timer: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
    #[cfg(not(target_os = "linux"))]
    due_ns: u64,
}

#[cfg(target_os = "linux")]
impl FineTimer {
    /// A timer of the event loop that this is called in.
    pub fn new() -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let interest = tokio::io::Interest::READABLE;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; an owned descriptor is never closed early"
        )]
        let timer = tokio::io::unix::AsyncFd::with_interest(timer, interest)?;
        Ok(Self { timer })
    }

    /// Sets the time at which [`FineTimer::wait`] ends.
    pub fn arm(&mut self, due_ns: u64) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        // A time of 0 would disarm the timer.
        let due_ns = i64::try_from(due_ns.max(1)).unwrap_or(i64::MAX);
        let due = Timespec { tv_sec: due_ns / 1_000_000_000, tv_nsec: due_ns % 1_000_000_000 };
        let once = Itimerspec { it_interval: Timespec::default(), it_value: due };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }

    /// Waits until the time that was set; at once if it has passed.
    pub async fn wait(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut expirations = [0; 8];
            let read = rustix::io::read(self.timer.get_ref(), &mut expirations);
            // One read takes all there is; asking again would only cost a call.
            ready.clear_ready();
            match read {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl FineTimer {
    /// A timer of the event loop that this is called in.
    pub fn new() -> io::Result<Self> {
        Ok(Self { due_ns: 0 })
    }

    /// Sets the time at which [`FineTimer::wait`] ends.
    pub fn arm(&mut self, due_ns: u64) -> io::Result<()> {
        self.due_ns = due_ns;
        Ok(())
    }

    /// Waits until the time that was set, to tokio's next millisecond.
    pub async fn wait(&mut self) -> io::Result<()> {
        let left_ns = self.due_ns.saturating_sub(super::monotonic_ns());
        tokio::time::sleep(std::time::Duration::from_nanos(left_ns)).await;
        Ok(())
    }
}
