//! JSON: the kind of the document and what it holds at its top.

use serde_json::Value;

use super::summary::{Description, shown};

/// Keys are in the order of their bytes. Not valid is also what nests deeper than 127 levels, holds a
/// number beyond a double or half a surrogate pair: `serde_json` refuses these.
pub(super) fn describe(text: &str) -> Description {
    let mut entries = Vec::new();
    let line = match serde_json::from_str(text) {
        Err(_) => "JSON, not valid".to_owned(),
        Ok(Value::Null) => "JSON null".to_owned(),
        Ok(Value::Bool(_)) => "JSON boolean".to_owned(),
        Ok(Value::Number(_)) => "JSON number".to_owned(),
        Ok(Value::String(_)) => "JSON string".to_owned(),
        Ok(Value::Array(items)) => format!("JSON array, items: {}", items.len()),
        Ok(Value::Object(object)) => {
            let mut keys: Vec<&String> = object.keys().collect();
            keys.sort_unstable();
            entries.extend(keys.iter().map(|key| shown(key)));
            format!("JSON object, keys: {}", object.len())
        }
    };
    Description { line, entries }
}
