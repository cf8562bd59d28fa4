//! One `exec` per study at a time.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use formats::clock;
use serde::{Deserialize, Serialize};

use super::{Layout, StoreError};
use crate::os::{disk, files};

const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// The right to write below a study's folder; given back when dropped or when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub host: Option<String>,
    /// RFC 3339, UTC.
    pub since: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            // Where a locked file cannot be read (Windows), or right after it was made.
            0 => write!(f, "an unknown process"),
            pid => {
                let host = self.host.as_deref().unwrap_or("an unknown host");
                write!(f, "process {pid} on {host} since {}", self.since)
            }
        }
    }
}

impl Lock {
    /// Takes the lock, making the study's folder if there is none.
    pub fn acquire(layout: &Layout) -> Result<Self, StoreError> {
        let root = layout.root();
        disk::create_folders(root).map_err(StoreError::io("create", root))?;
        check_own_folders(layout)?;
        let path = layout.lock();
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut file =
            files::open_own(&path, &mut options).map_err(StoreError::io("write", &path))?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // `status` looks by locking too, for a moment.
                Err(TryLockError::WouldBlock) if tries < TRIES => {
                    tries += 1;
                    thread::sleep(BETWEEN_TRIES);
                }
                Err(TryLockError::WouldBlock) => {
                    let (folder, holder) = (root.to_owned(), read(layout));
                    return Err(StoreError::Locked { folder, holder });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(StoreError::io("lock", &path)(source));
                }
            }
        }
        let holder = Holder {
            pid: std::process::id(),
            host: sysinfo::System::host_name().ok(),
            since: clock::utc_now(),
        };
        let text = serde_json::to_string(&holder).unwrap_or_default();
        file.set_len(0)
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(StoreError::io("write", &path))?;
        Ok(Self { file, path })
    }

    /// Whether the study's folder is still the one that was locked. Whoever removes it, or puts another in its
    /// place, takes the runs with it.
    pub fn check(&self) -> Result<(), StoreError> {
        let is_own = |found: fs::Metadata| {
            self.file.metadata().is_ok_and(|held| files::are_one(&held, &found))
        };
        if self.path.symlink_metadata().is_ok_and(is_own) {
            return Ok(());
        }
        Err(StoreError::Gone { path: self.path.clone() })
    }
}

/// What is written into these folders must not land where a link points to.
fn check_own_folders(layout: &Layout) -> Result<(), StoreError> {
    let linked = layout.own_folders().into_iter().find(|folder| folder.is_symlink());
    linked.map_or(Ok(()), |path| Err(StoreError::Linked { path }))
}

/// Who holds the study's lock right now, if anyone does. Writes nothing.
#[must_use]
pub fn holder(layout: &Layout) -> Option<Holder> {
    let file = files::open(&layout.lock()).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(read(layout)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn read(layout: &Layout) -> Holder {
    let text = files::read(&layout.lock()).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or(Holder { pid: 0, host: None, since: String::new() })
}
