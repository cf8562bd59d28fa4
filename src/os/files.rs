//! Files in folders that others write to as well: runtimes, commands, whoever sent us results. They are opened
//! without waiting, and only if they are regular ones; and what we write goes into a new file, never through a
//! link into another.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

/// Opens a file to read it. A link, a pipe, a device or a folder is an error, at once.
pub fn open(path: &Path) -> io::Result<File> {
    let file = open_at_once(path)?;
    match file.metadata()? {
        metadata if metadata.is_file() => Ok(file),
        metadata if metadata.is_dir() => Err(io::Error::other("it is a folder and not a file")),
        _ => Err(io::Error::other("it is no regular file")),
    }
}

/// The content of a file, as [`open`] opens it.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Without waiting for the other end of a pipe, and not by way of a link.
#[cfg(unix)]
fn at_once(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;

    options.custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed())
}

#[cfg(unix)]
fn open_at_once(path: &Path) -> io::Result<File> {
    use rustix::io::Errno;

    at_once(File::options().read(true)).open(path).map_err(|error| {
        match Errno::from_io_error(&error) {
            Some(Errno::LOOP) => io::Error::other("it is a link, which is not followed"),
            Some(Errno::NXIO) => io::Error::other("it is no regular file"),
            _ => error,
        }
    })
}

/// Between the look and the opening somebody may put a link there. Untested.
#[cfg(not(unix))]
fn open_at_once(path: &Path) -> io::Result<File> {
    if path.symlink_metadata()?.is_symlink() {
        return Err(io::Error::other("it is a link, which is not followed"));
    }
    File::open(path)
}

/// A new, empty file in place of whatever lies there but a folder. Where that was a link, what it pointed to stays.
pub fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Fails if somebody was quicker, with a link or with anything else.
    File::options().write(true).create_new(true).open(path)
}

/// Writes a file as [`create`] makes it.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    io::Write::write_all(&mut create(path)?, bytes)
}

/// Opens a file of our own that stays where it is: made if it is not there, never by way of a link.
pub fn open_own(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("it is no regular file; move it away"));
    }
    #[cfg(unix)]
    at_once(options);
    options.open(path)
}

/// Whether both are of the same file.
#[cfg(unix)]
#[must_use]
pub fn are_one(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// A file that is open cannot be removed on Windows. Untested.
#[cfg(not(unix))]
#[must_use]
pub fn are_one(_a: &Metadata, _b: &Metadata) -> bool {
    true
}

/// How many names the file has.
#[cfg(unix)]
#[must_use]
pub fn names(file: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(file)
}

/// Not told on Windows. Untested.
#[cfg(not(unix))]
#[must_use]
pub fn names(_file: &Metadata) -> u64 {
    1
}

/// Lets the owner read and write a file, or list and change a folder. No link may be passed: it would be followed.
#[cfg(unix)]
pub fn open_to_owner(path: &Path, is_folder: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let mut permissions = path.symlink_metadata()?.permissions();
    let (mode, needed) = (permissions.mode(), if is_folder { 0o700 } else { 0o600 });
    if mode & needed == needed {
        return Ok(());
    }
    permissions.set_mode(mode | needed);
    fs::set_permissions(path, permissions)
}

/// Whoever made a file on Windows can read it. Untested.
#[cfg(not(unix))]
pub fn open_to_owner(_path: &Path, _is_folder: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "text").unwrap();
        assert_eq!(read(&at("file")).unwrap(), b"text");
        symlink(at("file"), at("link")).unwrap();
        symlink("/dev/zero", at("zero")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(pipe.success());
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (name, says) in [
            ("link", "a link"),
            ("zero", "a link"),
            ("folder", "a folder"),
            ("pipe", "no regular file"),
            ("socket", "no regular file"),
        ] {
            let error = open(&at(name)).unwrap_err().to_string();
            assert!(error.contains(says), "{name}: {error}");
        }
        assert_eq!(open(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_a_link_points_to_stays_when_its_place_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("precious"), "as it was").unwrap();
        symlink(at("precious"), at("link")).unwrap();
        write(&at("link"), b"new").unwrap();
        assert_eq!(read(&at("link")).unwrap(), b"new");
        assert_eq!(read(&at("precious")).unwrap(), b"as it was");
        symlink(at("precious"), at("journal")).unwrap();
        let error = open_own(&at("journal"), File::options().append(true).create(true));
        assert!(error.unwrap_err().to_string().contains("no regular file"));
        assert!(write(folder.path(), b"").is_err());
    }
}
