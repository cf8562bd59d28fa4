//! Free space, and making what was written outlast a crash of the machine.

use std::fs::File;
use std::io;
use std::path::Path;

/// Bytes that this user can still write below `path`, which must exist; `None` where the system
/// does not tell.
#[cfg(unix)]
#[must_use]
pub fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Bytes free on the disk with the longest mount point above `path`. Untested.
#[cfg(not(unix))]
#[must_use]
pub fn free_bytes(path: &Path) -> Option<u64> {
    let path = std::fs::canonicalize(path).ok()?;
    sysinfo::Disks::new_with_refreshed_list()
        .list()
        .iter()
        .filter(|disk| path.starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().as_os_str().len())
        .map(sysinfo::Disk::available_space)
}

/// Makes the entries of a folder (new files, renames) outlast a crash.
#[cfg(unix)]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Windows has no such call for folders; its file systems journal their entries. Untested.
#[cfg(not(unix))]
pub fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes everything in these folders, which lie on one disk, outlast a crash, together with their own entries: of
/// many small files that is faster than one after the other.
#[cfg(target_os = "linux")]
pub fn sync_all(folders: &[&Path]) -> io::Result<()> {
    let Some(first) = folders.first() else { return Ok(()) };
    rustix::fs::syncfs(File::open(first)?).map_err(io::Error::from)
}

/// One file after the other. Untested.
#[cfg(not(target_os = "linux"))]
pub fn sync_all(folders: &[&Path]) -> io::Result<()> {
    for folder in folders {
        for entry in walkdir::WalkDir::new(folder).contents_first(true) {
            let entry = entry?;
            if entry.file_type().is_dir() {
                sync_folder(entry.path())?;
            } else {
                sync_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// Makes a folder and those above it that are missing, and makes each outlast a crash.
pub fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| *parent != Path::new(""));
    if let Some(parent) = parent {
        create_folders(parent)?;
    }
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    sync_folder(parent.unwrap_or(Path::new(".")))
}

/// Makes a file's content outlast a crash.
pub fn sync_file(file: &Path) -> io::Result<()> {
    // Windows syncs only what was opened for writing.
    File::options().read(true).write(cfg!(windows)).open(file)?.sync_all()
}
