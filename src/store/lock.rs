//! One `exec` per study at a time.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use formats::clock;
use serde::{Deserialize, Serialize};

use super::{Layout, StoreError};

const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// The right to write below a study's folder; given back when dropped or when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
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
        fs::create_dir_all(root).map_err(StoreError::io("create", root))?;
        let path = layout.lock();
        let mut options = File::options();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::io("write", &path))?;
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
        Ok(Self { _file: file })
    }
}

/// Who holds the study's lock right now, if anyone does. Writes nothing.
#[must_use]
pub fn holder(layout: &Layout) -> Option<Holder> {
    let file = File::open(layout.lock()).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(read(layout)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn read(layout: &Layout) -> Holder {
    let text = fs::read_to_string(layout.lock()).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Holder { pid: 0, host: None, since: String::new() })
}
