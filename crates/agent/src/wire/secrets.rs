//! The keys that requests carry, found again in what comes back: a server may repeat them in an error or in an
//! answer. Each is covered by asterisks, as many as it has bytes, before anything is written or shown.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hyper::header::{HeaderName, HeaderValue};
use memchr::memmem::Finder;

/// Shorter ones are words that servers without keys are given (`ollama`, `EMPTY`), and too common to be covered.
const SHORTEST: usize = 8;
/// What stands in a key's place, once for each of its bytes.
pub const COVER: u8 = b'*';

/// What must not be repeated.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Vec<Finder<'static>>);

impl Secrets {
    /// Those in the headers of requests that are marked as secret.
    #[must_use]
    pub fn of<'h>(headers: impl IntoIterator<Item = &'h (HeaderName, HeaderValue)>) -> Self {
        let mut words: Vec<Vec<u8>> = Vec::new();
        for (_, value) in headers.into_iter().filter(|(_, value)| value.is_sensitive()) {
            let text = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
            words.extend(text.split_whitespace().flat_map(forms));
        }
        words.retain(|word| word.len() >= SHORTEST);
        // The longest first: a part of it is covered with it.
        words.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        words.dedup();
        Self(words.into_iter().map(|word| Finder::new(&word).into_owned()).collect())
    }

    /// Length of the longest, bytes; 0: there are none.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.0.iter().map(|finder| finder.needle().len()).max().unwrap_or(0)
    }

    /// Covers them; whether there were any.
    pub fn cover(&self, bytes: &mut [u8]) -> bool {
        let found = self.places(bytes);
        for (start, length) in &found {
            bytes.iter_mut().skip(*start).take(*length).for_each(|byte| *byte = COVER);
        }
        !found.is_empty()
    }

    /// Where they are, with their lengths, bytes.
    #[must_use]
    pub fn places(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let of = |finder: &Finder<'static>| -> Vec<(usize, usize)> {
            let length = finder.needle().len();
            finder.find_iter(bytes).map(|start| (start, length)).collect()
        };
        self.0.iter().flat_map(of).collect()
    }
}

/// How a secret may be repeated: as it is, as it stands in base64, what stands in it in base64 (a name with its
/// password), and each as writers of JSON escape it, some of them its slashes, too.
fn forms(word: &str) -> Vec<Vec<u8>> {
    let mut plain = vec![word.to_owned()];
    let decoded = STANDARD.decode(word).or_else(|_| STANDARD_NO_PAD.decode(word)).ok();
    if let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
        plain.extend(text.split_once(':').map(|(_, password)| password.to_owned()));
        plain.push(text);
    }
    plain.push(STANDARD_NO_PAD.encode(word));
    plain.push(URL_SAFE_NO_PAD.encode(word));
    let written = |form: String| {
        let quoted = serde_json::Value::from(form.as_str()).to_string();
        let inside = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let escaped = inside.unwrap_or_default().to_owned();
        [form, escaped.replace('/', "\\/"), escaped]
    };
    plain.into_iter().flat_map(written).map(String::into_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(keys: &[&str]) -> Secrets {
        let header = |key: &&str| {
            let mut value = HeaderValue::from_str(key).unwrap();
            value.set_sensitive(true);
            (HeaderName::from_static("authorization"), value)
        };
        let plain = HeaderValue::from_static("public-text");
        let headers = keys.iter().map(header).chain([(HeaderName::from_static("x"), plain)]);
        Secrets::of(&headers.collect::<Vec<_>>())
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
        let keys = ["Bearer sk-very/secret", "sk-\"quo\\ted\"", &format!("Basic {basic}")];
        let secrets = secrets(&keys);
        for said in [
            "sk-very/secret",
            "sk-very\\/secret",
            &STANDARD_NO_PAD.encode("sk-very/secret"),
            "sk-\"quo\\ted\"",
            "sk-\\\"quo\\\\ted\\\"",
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
        let secrets = secrets(&["Bearer ollama", "EMPTY"]);
        assert_eq!(covered(&secrets, "ollama and EMPTY"), "ollama and EMPTY");
    }
}
