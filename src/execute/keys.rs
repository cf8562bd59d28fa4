//! The keys of a study's endpoints, and where attempts left them.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use agent::Environment;
use agent::wire::headers;
use agent::wire::secrets::{COVER, Secrets};
use formats::endpoint::{Endpoint, Server};
use walkdir::WalkDir;

use crate::os::files;

/// Bytes of a file that are looked at together.
const WINDOW: usize = 1 << 20;
/// Bytes of a file that is searched.
const LARGEST: u64 = 8 << 30;

/// The keys of these endpoints, as the environment has them now.
pub(super) fn of<'e>(
    endpoints: impl Iterator<Item = &'e Endpoint>,
    environment: Environment<'_>,
) -> Secrets {
    let of_server = |server: &Server| {
        let key = server.api_key_env.as_deref();
        headers::of(server.api, key, &server.headers, environment).unwrap_or_default()
    };
    Secrets::of(&endpoints.filter_map(Endpoint::server).flat_map(of_server).collect::<Vec<_>>())
}

/// Covers keys in every file below a folder. Files that cannot be searched are removed, and named by their paths
/// below it.
pub(super) fn cover_below(secrets: &Secrets, folder: &Path) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    if secrets.longest() == 0 {
        return removed;
    }
    for entry in WalkDir::new(folder).follow_root_links(false) {
        let (path, searched) = match entry {
            Ok(entry) if !entry.file_type().is_file() => continue,
            Ok(entry) => (entry.path().to_owned(), cover_in(secrets, entry.path())),
            Err(error) => match error.path() {
                Some(path) => (path.to_owned(), Err(error.into())),
                None => continue,
            },
        };
        // What is gone meanwhile holds nothing.
        if searched.is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            removed.push(path.strip_prefix(folder).unwrap_or(&path).to_owned());
        }
    }
    removed
}

fn cover_in(secrets: &Secrets, path: &Path) -> io::Result<()> {
    let longest = secrets.longest();
    let mut file = files::open(path)?;
    if file.metadata()?.len() > LARGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let (mut window, mut from, mut found) = (Vec::new(), 0_u64, Vec::new());
    loop {
        let read = io::Read::by_ref(&mut file).take(WINDOW as u64).read_to_end(&mut window)?;
        let places = secrets.places(&window);
        found.extend(places.iter().map(|(start, length)| (from + *start as u64, *length)));
        if read == 0 {
            break;
        }
        // What begins at its end may go on in the next.
        let passed = window.len().saturating_sub(longest);
        window.drain(..passed);
        from += passed as u64;
    }
    if found.is_empty() {
        return Ok(());
    }
    let mut file = File::options().write(true).open(path)?;
    for (start, length) in found {
        file.seek(SeekFrom::Start(start))?;
        file.write_all(&vec![COVER; length])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use formats::endpoint::Api;

    use super::*;

    #[test]
    fn files_are_covered_across_the_windows_that_they_are_read_in() {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server::at(Api::OpenaiChat, "http://127.0.0.1:1/v1");
        server.api_key_env = Some("KEY".to_owned());
        let environment = |name: &str| (name == "KEY").then(|| "sk-very-secret".to_owned());
        let secrets = of([Endpoint::Server(server)].iter(), &environment);
        let mut text = vec![b'a'; 3 * WINDOW];
        for at in [0, WINDOW - 5, 2 * WINDOW - 14, 2 * WINDOW, 3 * WINDOW - 14] {
            text.splice(at..at + 14, *b"sk-very-secret");
        }
        fs::create_dir(folder.path().join("deep")).unwrap();
        let path = folder.path().join("deep/file");
        fs::write(&path, &text).unwrap();
        assert!(cover_below(&secrets, folder.path()).is_empty());
        let kept = fs::read(&path).unwrap();
        assert_eq!(kept.len(), text.len());
        assert_eq!(memchr::memchr_iter(COVER, &kept).count(), 5 * 14);
        assert!(kept.iter().all(|byte| matches!(byte, b'a' | b'*')));
    }
}
