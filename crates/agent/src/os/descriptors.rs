//! Room for open files, made while the process has one thread.
//!
//! Linux grows a process's table of descriptors when the 65th, 129th, 257th … is opened. With a second
//! thread there it waits for a grace period of the whole machine first (`expand_fdtable` in the kernel's
//! fs/file.c): 10 to 30 ms that would lie inside a call.

use std::io;

/// Descriptors that the process itself needs besides those of its connections.
pub const OWN: u64 = 32;

/// Makes room for so many connections at the same time, as far as the limit on open files can be raised.
/// To be called before the process starts a second thread.
#[cfg(unix)]
pub fn make_room(connections: usize) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        // Where it cannot be raised, what there is has to do; preflight compares it with the need.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let wanted = connections as u64 + OWN;
    let highest = wanted.next_power_of_two().min(allowed).saturating_sub(1);
    let highest = i32::try_from(highest).unwrap_or(i32::MAX);
    let root = rustix::fs::open(
        "/",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    // The copy is closed at once; the room stays.
    drop(rustix::io::fcntl_dupfd_cloexec(&root, highest)?);
    Ok(())
}

/// This system has no such table.
#[cfg(not(unix))]
pub fn make_room(_connections: usize) -> io::Result<()> {
    Ok(())
}
