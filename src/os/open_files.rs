//! How many files a process may have open: every connection is one.

use std::io;

/// The limit in force, and the one up to which a process may raise it by itself; `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

/// Those of this process, which what it starts inherits.
#[cfg(unix)]
#[must_use]
pub fn limits() -> Limits {
    use rustix::process::{Resource, getrlimit};
    let limit = getrlimit(Resource::Nofile);
    Limits { soft: limit.current, hard: limit.maximum }
}

/// This system has no such limits. Untested.
#[cfg(not(unix))]
#[must_use]
pub fn limits() -> Limits {
    Limits::default()
}

/// Lets this process have so many files open: raises its limit, no further than that, since the programs that
/// it starts inherit it, and makes room in its table, which would otherwise hold up a thread that opens the
/// 65th, 129th, 257th … file. As far as the system allows.
#[cfg(unix)]
pub fn prepare(files: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.is_some_and(|soft| soft < files.min(most)) {
        let raised = Rlimit { current: Some(files.min(most)), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised)?;
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let highest = files.next_power_of_two().min(allowed).saturating_sub(1);
    let root = rustix::fs::open(
        "/",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    // The copy is closed at once; the room stays.
    drop(rustix::io::fcntl_dupfd_cloexec(&root, i32::try_from(highest).unwrap_or(i32::MAX))?);
    Ok(())
}

/// This system has no such limit and no such table. Untested.
#[cfg(not(unix))]
pub fn prepare(_files: u64) -> io::Result<()> {
    Ok(())
}
