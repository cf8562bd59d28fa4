//! The folder of an attempt once what was measured has ended: whatever that left in it, nothing there may hold
//! us up, lead us elsewhere or keep a run from being stored.

use std::fs;
use std::path::Path;

use agent::wire::secrets::Secrets;
use formats::sends::SENDS_FILE;

use super::attempt::{LOG_FILE, SPEC_FILE};
use super::command::STDERR_FILE;
use super::derived::LAG_WINDOWS_FILE;
use super::fault::{ArtifactFault, AttemptFault};
use super::keys;
use super::tokenize::BENCH_FILE;
use crate::metrics::picked::STDOUT_FILE;
use crate::os::files;
use crate::probe::wire::WIRE_FILE;
use crate::probe::{flamegraph, gpu, host};
use crate::store::StoreError;
use crate::store::failed::FAILURE_FILE;
use crate::store::record::RUN_FILE;

/// What is written there once what was measured has ended; nobody else leaves files of these names.
const OWN: [&str; 11] = [
    RUN_FILE,
    FAILURE_FILE,
    SENDS_FILE,
    LAG_WINDOWS_FILE,
    BENCH_FILE,
    WIRE_FILE,
    flamegraph::SVG_FILE,
    flamegraph::TOP_FILE,
    gpu::METRICS_FILE,
    gpu::PROCESSES_FILE,
    host::METRICS_FILE,
];

/// Makes the folder of what has just ended one of folders and regular files that this user can read, and tells what
/// was odd in it. Links, pipes and files under the runner's own names are removed; what a link points to is not
/// touched.
///
/// An error of the store means that the folder cannot be made anew either: the results themselves are gone.
pub(super) fn clear(folder: &Path) -> Result<Result<(), ArtifactFault>, StoreError> {
    tidy(folder, &OWN)
}

/// As [`clear`], of what a killed exec left: the runner's own files may be there.
pub(super) fn clear_abandoned(folder: &Path) -> Result<(), StoreError> {
    tidy(folder, &[]).map(drop)
}

fn tidy(folder: &Path, own: &[&str]) -> Result<Result<(), ArtifactFault>, StoreError> {
    let is_folder = folder.symlink_metadata().is_ok_and(|found| found.is_dir());
    if !is_folder {
        // A link or a file in its place.
        let _ = fs::remove_file(folder);
        fs::create_dir(folder).map_err(StoreError::io("create", folder))?;
        return Ok(Err(ArtifactFault::NoFolder));
    }
    let mut odd = Ok(());
    let mut note = |path: &Path, reason: &'static str| {
        if odd.is_ok() {
            let name = path.strip_prefix(folder).unwrap_or(path).to_owned();
            odd = Err(ArtifactFault::Odd { name, reason });
        }
    };
    let mut folders = vec![folder.to_owned()];
    while let Some(open) = folders.pop() {
        let listed = files::open_to_owner(&open, true).and_then(|()| fs::read_dir(&open));
        let Ok(listed) = listed else {
            note(&open, "a folder that cannot be opened");
            continue;
        };
        for entry in listed {
            let Ok(entry) = entry else {
                note(&open, "a folder that cannot be read");
                break;
            };
            let (name, path) = (entry.file_name(), entry.path());
            if name.to_str().is_none() {
                note(&path, "a name that is not UTF-8");
            }
            let Ok(found) = entry.metadata() else {
                note(&path, "which cannot be looked at");
                continue;
            };
            let odd = match () {
                () if open == folder && own.iter().any(|own| name == *own) => {
                    Some("a name that is kept for the runner's own files")
                }
                () if found.is_symlink() => Some("a link"),
                () if found.is_dir() => {
                    folders.push(path.clone());
                    None
                }
                () if !found.is_file() => Some("no regular file"),
                // What is changed in it is changed under its other names, too.
                () if files::names(&found) > 1 => Some("a file with further names (hard links)"),
                () => None,
            };
            if let Some(reason) = odd {
                note(&path, reason);
                let is_folder = found.is_dir();
                let _ = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            } else if found.is_file() && files::open_to_owner(&path, false).is_err() {
                note(&path, "a file that cannot be opened");
            }
        }
    }
    Ok(odd)
}

/// Bytes of all files below the folder; what cannot be read counts nothing.
pub(super) fn size(folder: &Path) -> u64 {
    walkdir::WalkDir::new(folder)
        .follow_root_links(false)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// Not more than may be kept lies there; more is removed.
pub(super) fn check_size(folder: &Path, limit: u64) -> Result<(), ArtifactFault> {
    let bytes = size(folder);
    if bytes <= limit {
        return Ok(());
    }
    discard(folder);
    Err(ArtifactFault::TooMuch { bytes, limit })
}

/// What a person looks into when an attempt failed, up to a size.
const KEPT: [&str; 4] = [SPEC_FILE, LOG_FILE, STDOUT_FILE, STDERR_FILE];
const KEPT_BYTES: u64 = 64 << 20;

/// Removes files that are more than may be kept; each attempt would add as many.
pub(super) fn discard(folder: &Path) {
    // What cannot be removed stays, as the rest of a failed attempt does.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.metadata().ok();
        let is_short = found.as_ref().is_some_and(|own| own.is_file() && own.len() <= KEPT_BYTES);
        if is_short && KEPT.iter().any(|kept| entry.file_name() == *kept) {
            continue;
        }
        let is_folder = found.is_some_and(|found| found.is_dir());
        let path = entry.path();
        let _ = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

/// What an attempt came to, once its folder is cleared, holds no key and is no larger than it may be. What went
/// wrong before that counts more.
pub(super) fn settle(
    folder: &Path,
    max_output: u64,
    secrets: &Secrets,
    found: Result<(), AttemptFault>,
) -> Result<Result<(), AttemptFault>, StoreError> {
    let clear = clear(folder)?;
    let size = check_size(folder, max_output);
    let searched = match keys::cover_below(secrets, folder) {
        removed if removed.is_empty() => Ok(()),
        mut removed => {
            let name = removed.swap_remove(0);
            let reason = "which could not be searched for keys, and was removed";
            Err(ArtifactFault::Odd { name, reason })
        }
    };
    Ok(found.and_then(|()| Ok(clear.and(size).and(searched)?)))
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::io;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn said(folder: &Path) -> String {
        clear(folder).unwrap().unwrap_err().to_string()
    }

    #[test]
    fn what_is_odd_is_named_and_harms_nobody() -> io::Result<()> {
        type Make<'a> = &'a dyn Fn(&Path) -> io::Result<()>;
        let results = tempfile::tempdir()?;
        let folder = results.path().join("run");
        let victim = results.path().join("victim");
        fs::write(&victim, "precious")?;
        let cases: [(Make<'_>, &str); 8] = [
            (&|at| symlink(&victim, at.join("agent.json")), r#""agent.json", a link"#),
            (&|at| symlink("/etc", at.join("etc")), r#""etc", a link"#),
            (&|at| symlink(&victim, at.join("run.json")), "kept for the runner's own files"),
            (&|at| fs::create_dir(at.join("sends.csv")), "kept for the runner's own files"),
            (&|at| fs::hard_link(&victim, at.join("x")), r#""x", a file with further names"#),
            (
                &|at| fs::write(at.join(OsStr::from_bytes(b"caf\xe9\x1b")), "x"),
                r#""caf\xE9\u{1b}", a name that is not UTF-8"#,
            ),
            (&|at| fs::remove_dir(at), "removed its folder"),
            (
                &|at| {
                    fs::remove_dir(at)?;
                    symlink("/etc", at)
                },
                "removed its folder",
            ),
        ];
        for (make, says) in cases {
            fs::create_dir(&folder)?;
            make(&folder)?;
            let said = said(&folder);
            assert!(said.contains(says), "{said}");
            assert!(folder.symlink_metadata()?.is_dir());
            fs::remove_dir_all(&folder)?;
            assert_eq!(fs::read(&victim)?, b"precious");
        }
        fs::create_dir_all(folder.join("deep/down"))?;
        fs::write(folder.join("deep/down/file"), "x")?;
        fs::set_permissions(folder.join("deep/down/file"), fs::Permissions::from_mode(0o000))?;
        fs::set_permissions(folder.join("deep/down"), fs::Permissions::from_mode(0o000))?;
        fs::set_permissions(folder.join("deep"), fs::Permissions::from_mode(0o000))?;
        assert!(clear(&folder).unwrap().is_ok(), "what can be opened is kept");
        assert_eq!(fs::read(folder.join("deep/down/file"))?, b"x");
        Ok(())
    }
}
