//! The keys that requests carry, found again in what comes back: a server may repeat them in an error or in an
//! answer. Each is covered by asterisks, as many as it has bytes, before anything is shown or kept.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use agent::Environment;
use agent::wire::headers;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use formats::endpoint::{Endpoint, Server};
use memchr::memmem::Finder;
use reqwest::header::{HeaderName, HeaderValue};

use crate::os::files;

/// Shorter ones are words that servers without keys are given (`ollama`, `EMPTY`), and too common to be covered.
const SHORTEST: usize = 8;
/// Bytes of a file that are looked at together.
const WINDOW: usize = 1 << 20;
/// Bytes of a file that is searched.
const LARGEST: u64 = 8 << 30;
const COVER: u8 = b'*';

/// What must not be repeated.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Vec<Finder<'static>>);

impl Secrets {
    /// The keys of these endpoints, as the environment has them now.
    #[must_use]
    pub fn of<'e>(
        endpoints: impl Iterator<Item = &'e Endpoint>,
        environment: Environment<'_>,
    ) -> Self {
        let of_server = |server: &Server| {
            let key = server.api_key_env.as_deref();
            headers::of(server.api, key, &server.headers, environment).unwrap_or_default()
        };
        Self::in_headers(
            &endpoints.filter_map(Endpoint::server).flat_map(of_server).collect::<Vec<_>>(),
        )
    }

    /// Those in the headers of a request that are marked as secret.
    #[must_use]
    pub fn in_headers(headers: &[(HeaderName, HeaderValue)]) -> Self {
        let secret = headers.iter().filter(|(_, value)| value.is_sensitive());
        let mut words: Vec<Vec<u8>> = Vec::new();
        for value in secret.filter_map(|(_, value)| std::str::from_utf8(value.as_bytes()).ok()) {
            for word in value.split_whitespace() {
                words.extend(forms(word));
            }
        }
        words.retain(|word| word.len() >= SHORTEST);
        // The longest first: a part of it is covered with it.
        words.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        words.dedup();
        Self(words.into_iter().map(|word| Finder::new(&word).into_owned()).collect())
    }

    /// Covers them in what came back; whether there were any.
    pub fn cover(&self, bytes: &mut [u8]) -> bool {
        let found = self.places(bytes);
        for (start, length) in &found {
            bytes.iter_mut().skip(*start).take(*length).for_each(|byte| *byte = COVER);
        }
        !found.is_empty()
    }

    /// As [`Secrets::cover`], in every file below a folder. Files that cannot be searched are removed, and named by
    /// their paths below it.
    #[must_use]
    pub fn cover_below(&self, folder: &Path) -> Vec<PathBuf> {
        let mut removed = Vec::new();
        if self.0.is_empty() {
            return removed;
        }
        for entry in walkdir::WalkDir::new(folder).follow_root_links(false) {
            let (path, searched) = match entry {
                Ok(entry) if !entry.file_type().is_file() => continue,
                Ok(entry) => (entry.path().to_owned(), self.cover_in(entry.path())),
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

    fn cover_in(&self, path: &Path) -> io::Result<()> {
        let longest = self.0.iter().map(|finder| finder.needle().len()).max().unwrap_or(0);
        let mut file = files::open(path)?;
        if file.metadata()?.len() > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let (mut window, mut from, mut found) = (Vec::new(), 0_u64, Vec::new());
        loop {
            let read = io::Read::by_ref(&mut file).take(WINDOW as u64).read_to_end(&mut window)?;
            let places = self.places(&window);
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

    /// Where they are, with their lengths.
    fn places(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let of = |finder: &Finder<'static>| -> Vec<(usize, usize)> {
            let length = finder.needle().len();
            finder.find_iter(bytes).map(|start| (start, length)).collect()
        };
        self.0.iter().flat_map(of).collect()
    }
}

/// How a server may repeat a secret: as it is, as it stands in base64, what stands in it in base64 (a name with its
/// password), and each with its slashes escaped, as some writers of JSON do.
fn forms(word: &str) -> Vec<Vec<u8>> {
    let mut plain = vec![word.as_bytes().to_vec()];
    let decoded = STANDARD.decode(word).or_else(|_| STANDARD_NO_PAD.decode(word)).ok();
    if let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
        plain.extend(text.split_once(':').map(|(_, password)| password.as_bytes().to_vec()));
        plain.push(text.into_bytes());
    }
    plain.push(STANDARD_NO_PAD.encode(word).into_bytes());
    plain.push(URL_SAFE_NO_PAD.encode(word).into_bytes());
    let escaped = |form: &Vec<u8>| {
        let text = std::str::from_utf8(form).ok()?;
        text.contains('/').then(|| text.replace('/', "\\/").into_bytes())
    };
    let escaped: Vec<Vec<u8>> = plain.iter().filter_map(escaped).collect();
    plain.into_iter().chain(escaped).collect()
}

#[cfg(test)]
mod tests {
    use formats::endpoint::{Api, HeaderText};

    use super::*;

    fn secrets(key: &str, header: &str) -> Secrets {
        let mut server = Server::at(Api::OpenaiChat, "http://127.0.0.1:1/v1");
        server.api_key_env = Some("KEY".to_owned());
        server.headers = [("x-more".to_owned(), HeaderText::Env("MORE".to_owned()))].into();
        server.headers.insert("x-plain".to_owned(), HeaderText::Text("public-text".to_owned()));
        let environment = |name: &str| Some(if name == "KEY" { key } else { header }.to_owned());
        Secrets::of([Endpoint::Server(server)].iter(), &environment)
    }

    fn covered(secrets: &Secrets, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        secrets.cover(&mut bytes);
        assert_eq!(bytes.len(), text.len());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_key_is_covered_in_whatever_form_it_comes_back() {
        let basic = STANDARD.encode("me:my-password");
        let secrets = secrets("sk-very/secret", &format!("Basic {basic}"));
        for said in [
            "sk-very/secret",
            "sk-very\\/secret",
            &STANDARD_NO_PAD.encode("sk-very/secret"),
            &basic,
            "me:my-password",
            "my-password",
        ] {
            let text = covered(&secrets, &format!("bad key `{said}`, twice {said}."));
            let cover = "*".repeat(said.len());
            assert_eq!(text, format!("bad key `{cover}`, twice {cover}."), "{said}");
        }
        let innocent = "public-text, Bearer, Basic, application/json, secret";
        assert_eq!(covered(&secrets, innocent), innocent);
    }

    #[test]
    fn words_that_stand_for_no_key_stay() {
        let secrets = secrets("ollama", "EMPTY");
        assert_eq!(covered(&secrets, "ollama and EMPTY"), "ollama and EMPTY");
    }

    #[test]
    fn files_are_covered_across_the_windows_that_they_are_read_in() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = secrets("sk-very-secret", "x");
        let mut text = vec![b'a'; 3 * WINDOW];
        for at in [0, WINDOW - 5, 2 * WINDOW - 14, 2 * WINDOW, 3 * WINDOW - 14] {
            text.splice(at..at + 14, *b"sk-very-secret");
        }
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        let path = folder.path().join("deep/file");
        std::fs::write(&path, &text).unwrap();
        assert!(secrets.cover_below(folder.path()).is_empty());
        let kept = std::fs::read(&path).unwrap();
        assert_eq!(kept.len(), text.len());
        assert_eq!(memchr::memchr_iter(COVER, &kept).count(), 5 * 14);
        assert!(kept.iter().all(|byte| matches!(byte, b'a' | b'*')));
    }
}
