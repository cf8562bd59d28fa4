//! What servers say when something went wrong: errors in the shapes that are met, and pages made for people.

use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{repaired, shortened};
use super::refusal::web_page;

/// Longest text of an error that is kept, bytes.
const ERROR_LIMIT: usize = 2048;
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

/// The server's words in an error: the first that is filled of `error.message`, `error`, `message`, `detail`
/// and `text`, or all of it; shortened.
#[must_use]
pub fn error_words(error: &[u8]) -> String {
    let text = String::from_utf8_lossy(error);
    let value =
        serde_json::from_str(&text).ok().or_else(|| serde_json::from_slice(&repaired(error)?).ok());
    let words = match value {
        Some(Value::String(words)) => words,
        Some(Value::Object(fields)) => ["error", "message", "detail", "text"]
            .iter()
            .filter_map(|name| fields.get(*name))
            .find(|value| says(value))
            .map_or_else(|| text.trim().to_owned(), inner),
        _ => text.trim().to_owned(),
    };
    shortened(&words, ERROR_LIMIT)
}

/// The message inside an error (`"…"`, `{"message": "…"}`).
fn inner(error: &Value) -> String {
    let message = error.get("message").filter(|message| says(message)).unwrap_or(error);
    message.as_str().map_or_else(|| message.to_string(), str::to_owned)
}

/// The message in the body of a response whose status is an error; `None`: it says nothing. A page made for
/// people is named by its title.
#[must_use]
pub fn error_body(body: &[u8]) -> Option<String> {
    let page = web_page(&String::from_utf8_lossy(body));
    page.or_else(|| Some(error_words(body)).filter(|message| !message.is_empty()))
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

/// What follows `error:` at the beginning of a line, in any case; `None`: it begins otherwise.
pub(super) fn after_error(line: &[u8]) -> Option<&[u8]> {
    const ERROR: &[u8] = b"error:";
    let (start, rest) = line.trim_ascii().split_at_checked(ERROR.len())?;
    start.eq_ignore_ascii_case(ERROR).then_some(rest)
}
