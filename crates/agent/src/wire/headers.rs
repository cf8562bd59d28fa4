//! The headers of a request beside those of HTTP itself: the protocol's own, the endpoint's further ones and
//! the API key.
//!
//! The calls that are measured and the questions that are asked beside them get theirs from here, so that
//! what one of them can send, the other can send, too. No message repeats what an environment variable holds.

use std::collections::BTreeMap;

use formats::endpoint::{Api, Family, HeaderText};
use hyper::header::{HeaderName, HeaderValue};

use super::anthropic;

/// Reads an environment variable.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Around a key they are a slip of whoever stored it: the end of a line in a file, a blank that was copied.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];
/// What goes before a key in the header `authorization`.
const BEARER: &str = "Bearer ";

/// Headers that cannot be made. `what` names the key or the header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("the environment variable {variable} with {what} is not set")]
    Missing { what: String, variable: String },
    #[error("{what} in the environment variable {variable} {reason}")]
    Secret { what: String, variable: String, reason: &'static str },
    #[error("the header {name:?} cannot be sent: {reason}")]
    Header { name: String, reason: &'static str },
}

/// The headers of every request to an endpoint; those that hold secrets are marked as such.
pub fn of(
    api: Api,
    api_key_env: Option<&str>,
    further: &BTreeMap<String, HeaderText>,
    environment: Environment<'_>,
) -> Result<Vec<(HeaderName, HeaderValue)>, HeaderError> {
    let own = own(api).iter();
    let mut headers: Vec<(HeaderName, HeaderValue)> = own
        .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    for (name, text) in further {
        let wrong = |reason| HeaderError::Header { name: name.clone(), reason };
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| wrong("that is no name of a header"))?;
        let value = match text {
            HeaderText::Text(text) => {
                let text = sendable(text).map_err(wrong)?;
                HeaderValue::from_str(text).map_err(|_| wrong(UNSENDABLE))?
            }
            HeaderText::Env(variable) => {
                secret(&format!("the header `{name}`"), variable, environment, "")?
            }
        };
        headers.push((header, value));
    }
    if let Some(variable) = api_key_env {
        let (name, before) = key_header(api);
        headers.push((
            HeaderName::from_static(name),
            secret("its API key", variable, environment, before)?,
        ));
    }
    Ok(headers)
}

/// Headers that every request of a protocol carries.
pub(super) fn own(api: Api) -> &'static [(&'static str, &'static str)] {
    match api.family() {
        Family::Anthropic => &anthropic::HEADERS,
        Family::Ollama | Family::Openai => &[],
    }
}

/// Name of the header that carries an API key, and what stands before the key in it.
fn key_header(api: Api) -> (&'static str, &'static str) {
    match api.family() {
        Family::Anthropic => ("x-api-key", ""),
        Family::Ollama | Family::Openai => ("authorization", BEARER),
    }
}

const UNSENDABLE: &str = "holds a control character, which no header can carry";

/// What an environment variable holds, with `before` put before it.
fn secret(
    what: &str,
    variable: &str,
    environment: Environment<'_>,
    before: &str,
) -> Result<HeaderValue, HeaderError> {
    let (what, variable) = (what.to_owned(), variable.to_owned());
    let Some(text) = environment(&variable).filter(|text| !text.trim_matches(BLANKS).is_empty())
    else {
        return Err(HeaderError::Missing { what, variable });
    };
    let wrong = |reason| HeaderError::Secret { what, variable, reason };
    let text = match sendable(&text) {
        Ok(text) => text,
        Err(reason) => return Err(wrong(reason)),
    };
    let doubled = !before.is_empty() && text.to_ascii_lowercase().starts_with("bearer ");
    if doubled {
        let reason = "begins with `Bearer `, which is put before it anyway: store the key alone";
        return Err(wrong(reason));
    }
    let mut value =
        HeaderValue::from_str(&format!("{before}{text}")).map_err(|_| wrong(UNSENDABLE))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The text without blanks and line ends around it, or why no header can carry it.
fn sendable(text: &str) -> Result<&str, &'static str> {
    let text = text.trim_matches(BLANKS);
    if text.ends_with("\\n") || text.ends_with("\\r") {
        return Err(
            "ends with a line end that is spelled out, a backslash and a letter: remove it",
        );
    }
    if text.contains(['\r', '\n']) {
        return Err("holds a line end: store it on one line");
    }
    if !text.is_ascii() {
        return Err("holds a character that is not ASCII, which no header can carry");
    }
    if text.chars().any(|c| c.is_ascii_control()) {
        return Err(UNSENDABLE);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(api: Api, key: &str) -> Result<(String, String), HeaderError> {
        let environment = |name: &str| (name == "KEY").then(|| key.to_owned());
        let headers = of(api, Some("KEY"), &BTreeMap::new(), &environment)?;
        let (name, value) = headers.last().unwrap();
        assert!(value.is_sensitive());
        Ok((name.to_string(), value.to_str().unwrap().to_owned()))
    }

    #[test]
    fn line_ends_and_blanks_around_a_key_are_no_part_of_it() {
        for given in ["sk-1", "sk-1\r", "sk-1\n", "sk-1\r\n", " \tsk-1 "] {
            let bearer = ("authorization".to_owned(), "Bearer sk-1".to_owned());
            assert_eq!(key(Api::OpenaiChat, given), Ok(bearer.clone()), "{given:?}");
            assert_eq!(key(Api::OllamaChat, given), Ok(bearer), "{given:?}");
            let own = ("x-api-key".to_owned(), "sk-1".to_owned());
            assert_eq!(key(Api::Anthropic, given), Ok(own), "{given:?}");
        }
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_named_by_its_variable_alone() {
        for (given, reason) in [
            ("sk-1\\n", "ends with a line end"),
            ("sk-1\nsk-2", "holds a line end"),
            ("sk-ключ", "not ASCII"),
            ("sk-\u{1}1", "control character"),
            ("Bearer sk-1", "begins with `Bearer `"),
            (" \n", "is not set"),
        ] {
            let said = key(Api::OpenaiChat, given).unwrap_err().to_string();
            assert!(said.contains("KEY") && said.contains(reason), "{said}");
            assert!(!said.contains("sk-"), "{said}");
        }
    }

    #[test]
    fn further_headers_come_from_the_spec_and_from_the_environment() {
        let environment = |name: &str| (name == "TOKEN").then(|| "Basic YTpi\n".to_owned());
        let further = BTreeMap::from([
            ("authorization".to_owned(), HeaderText::Env("TOKEN".to_owned())),
            ("x-team".to_owned(), HeaderText::Text("lab".to_owned())),
        ]);
        let headers = of(Api::Anthropic, None, &further, &environment).unwrap();
        let said: Vec<(&str, &str, bool)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap(), value.is_sensitive()))
            .collect();
        let expected = [
            ("anthropic-version", "2023-06-01", false),
            ("authorization", "Basic YTpi", true),
            ("x-team", "lab", false),
        ];
        assert_eq!(said, expected);
        let missing = of(Api::Ollama, None, &further, &|_| None).unwrap_err().to_string();
        assert_eq!(
            missing,
            "the environment variable TOKEN with the header `authorization` is not set"
        );
    }
}
