//! What servers say when something went wrong: errors in the shapes that are met, and pages made for people.

use serde_json::Value;
use serde_json::value::RawValue;

use super::json::shortened;
use super::object::object;
use super::refusal::web_page;
use super::repair::repaired;
use super::text::text_of;

/// Longest text of an error that is kept, bytes.
const ERROR_LIMIT: usize = 2048;
/// What is said for an error that says nothing.
const WORDLESS: &str = "an error without a message";
/// Longest title of a page that is shown, bytes.
const TITLE_LIMIT: usize = 120;

/// Whether a field says anything: not null, false, 0 or empty.
pub(super) fn is_filled(told: Option<&RawValue>) -> bool {
    told.is_some_and(|told| serde_json::from_str(told.get()).map_or(true, |value| says(&value)))
}

/// Whether a field is this text.
pub(super) fn is(told: Option<&RawValue>, text: &str) -> bool {
    told.is_some_and(|told| serde_json::from_str::<&str>(told.get()).is_ok_and(|told| told == text))
}

fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

object! {
    /// Where servers put what they say of an error.
    struct Told {
        error as "error": &'a RawValue,
        message as "message": &'a RawValue,
        detail as "detail": &'a RawValue,
        text as "text": &'a RawValue,
    }
}

/// The server's words in an error: the first that is filled of `error.message`, `error`, `message`, `detail`
/// and `text`, or all of it; shortened, and never empty.
#[must_use]
pub fn error_words(error: &[u8]) -> String {
    said(error).unwrap_or_else(|| WORDLESS.to_owned())
}

/// The same; `None`: it says nothing.
fn said(error: &[u8]) -> Option<String> {
    let words = told(error)
        .or_else(|| told(&repaired(error)?))
        .unwrap_or_else(|| String::from_utf8_lossy(error.trim_ascii()).into_owned());
    Some(shortened(&words, ERROR_LIMIT)).filter(|words| !words.is_empty())
}

/// The words in JSON; `None`: it is none.
fn told(error: &[u8]) -> Option<String> {
    let error: &RawValue = serde_json::from_slice(error).ok()?;
    let Some(fields) = fields(error) else { return Some(in_words(error)) };
    let inside = fields.error.known().and_then(self::fields);
    let inside = inside.and_then(|inside| inside.message.known());
    let all = [inside, fields.error.known(), fields.message.known(), fields.detail.known()];
    let first = all.into_iter().chain([fields.text.known()]).flatten();
    Some(in_words(first.into_iter().find(|told| is_filled(Some(told))).unwrap_or(error)))
}

fn fields(told: &RawValue) -> Option<Told<'_>> {
    let is_object = told.get().starts_with('{');
    is_object.then(|| serde_json::from_str(told.get()).ok()).flatten()
}

/// A text, or JSON in the shortest form.
fn in_words(told: &RawValue) -> String {
    text_of(told).unwrap_or_else(|| {
        let told = told.get();
        let repaired = || serde_json::from_slice(&repaired(told.as_bytes())?).ok();
        let value: Option<Value> = serde_json::from_str(told).ok().or_else(repaired);
        value.map_or_else(|| told.to_owned(), |value| value.to_string())
    })
}

/// The message in the body of a response whose status is an error; `None`: it says nothing. A page made for
/// people is named by its title.
#[must_use]
pub fn error_body(body: &[u8]) -> Option<String> {
    web_page(&String::from_utf8_lossy(body)).or_else(|| said(body))
}

/// The title of a page made for people; `None`: it has none, or not yet.
#[must_use]
pub fn title(html: &[u8]) -> Option<String> {
    element(&String::from_utf8_lossy(html), "title")
}

/// The text of the first element of this name, on one line; `None`: there is none, or not yet.
pub(super) fn element(html: &str, name: &str) -> Option<String> {
    // Only ASCII letters change, so places stay where they are.
    let lower = html.to_ascii_lowercase();
    let open = lower.find(&format!("<{name}"))?;
    let start = open + lower.get(open..)?.find('>')? + 1;
    let end = start + lower.get(start..)?.find(&format!("</{name}"))?;
    let text = html.get(start..end)?.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(shortened(&text, TITLE_LIMIT)).filter(|text| !text.is_empty())
}

/// What follows `error:` at the beginning of a line, in any case and after blanks; `None`: it begins otherwise.
pub(super) fn after_error(line: &[u8]) -> Option<&[u8]> {
    const ERROR: &[u8] = b"error:";
    let (start, rest) = line.trim_ascii().split_at_checked(ERROR.len())?;
    start.eq_ignore_ascii_case(ERROR).then_some(rest)
}
