//! What two cells ask for differently, field by field of their identity.

use serde::Serialize;
use serde_json::Value;

use super::SetCell;

/// One field of the identities, with the cells in which it differs alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AskedDifference {
    /// `agents[0].model`.
    pub field: String,
    pub a: String,
    pub b: String,
    /// `<id8>` in A.
    pub cells: Vec<String>,
}

/// In the order of the cells, then of the fields.
pub fn differences(both: &[(&SetCell, &SetCell)]) -> Vec<AskedDifference> {
    let mut found: Vec<AskedDifference> = Vec::new();
    for (a, b) in both.iter().filter(|(a, b)| a.id != b.id) {
        let mut fields = Vec::new();
        walk("", Some(&a.identity), Some(&b.identity), &mut fields);
        for (field, of_a, of_b) in fields {
            let same = |known: &&mut AskedDifference| {
                known.field == field && known.a == of_a && known.b == of_b
            };
            match found.iter_mut().find(same) {
                Some(known) => known.cells.push(a.short().to_owned()),
                None => found.push(AskedDifference {
                    field,
                    a: of_a,
                    b: of_b,
                    cells: vec![a.short().to_owned()],
                }),
            }
        }
    }
    found
}

fn walk(path: &str, a: Option<&Value>, b: Option<&Value>, out: &mut Vec<(String, String, String)>) {
    match (a, b) {
        (Some(Value::Object(of_a)), Some(Value::Object(of_b))) => {
            let keys: std::collections::BTreeSet<&String> =
                of_a.keys().chain(of_b.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&path, of_a.get(key), of_b.get(key), out);
            }
        }
        (Some(Value::Array(of_a)), Some(Value::Array(of_b))) => {
            for index in 0..of_a.len().max(of_b.len()) {
                let path = format!("{path}[{index}]");
                walk(&path, of_a.get(index), of_b.get(index), out);
            }
        }
        (a, b) if a == b => {}
        (a, b) => out.push((path.to_owned(), text(a), text(b))),
    }
}

/// What is at its default is left out of an identity.
fn text(value: Option<&Value>) -> String {
    match value {
        None => "not asked for".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
