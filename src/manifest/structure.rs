//! The first pass over a manifest: keys and types, against the very schema that editors use.
//!
//! Deserialising stops at the first error; this walk finds all of them, with their places. It leaves
//! units, references and everything that needs a meaning to the checks.

use serde_json::Value;

use super::nearest::suggest;
use super::problem::Problem;
use super::source::{Entry, Kind, Node, Source};

/// Everything in the source that the schema does not allow.
pub(super) fn check(source: &Source, schema: &Value) -> Vec<Problem> {
    let mut walk = Walk { schema, problems: Vec::new() };
    walk.node(&source.root, schema, "");
    walk.problems
}

struct Walk<'s> {
    schema: &'s Value,
    problems: Vec<Problem>,
}

impl<'s> Walk<'s> {
    fn node(&mut self, node: &Node, schema: &'s Value, path: &str) {
        let schema = self.resolve(schema);
        if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
            let options: Vec<&Value> = options.iter().map(|option| self.resolve(option)).collect();
            match options.iter().find(|option| allows(option, &node.kind)) {
                Some(option) => self.node(node, option, path),
                None => self.wrong_type(node, &options, path),
            }
            return;
        }
        if !allows(schema, &node.kind) {
            self.wrong_type(node, &[schema], path);
            return;
        }
        match &node.kind {
            Kind::Table(entries) => self.table(node, entries, schema, path),
            Kind::Array(items) => {
                if let Some(inner) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.node(item, inner, &format!("{path}[{index}]"));
                    }
                }
            }
            Kind::Text(text) => self.choice(node, text, schema, path),
            Kind::Integer(number) => self.range(node, *number, schema, path),
            _ => {}
        }
    }

    fn table(&mut self, node: &Node, entries: &[Entry], schema: &'s Value, path: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let further = schema.get("additionalProperties");
        for entry in entries {
            let inner =
                if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
            if let Some(schema) = properties.and_then(|properties| properties.get(&entry.key)) {
                self.node(&entry.value, schema, &inner);
            } else if let Some(schema) = further.filter(|further| !further.is_boolean()) {
                self.node(&entry.value, schema, &inner);
            } else if further == Some(&Value::Bool(false)) {
                let known = properties.into_iter().flat_map(|properties| properties.keys());
                let place = if path.is_empty() { "the file".into() } else { format!("`{path}`") };
                self.problems.push(Problem {
                    message: format!("unknown key `{}` in {place}", entry.key),
                    span: entry.key_span.clone(),
                    label: "unknown key".into(),
                    help: suggest(&entry.key, known.map(String::as_str)),
                });
            }
        }
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let Some(key) = required.as_str() else { continue };
            if !entries.iter().any(|entry| entry.key == key) {
                let place = if path.is_empty() { "the file".into() } else { format!("`{path}`") };
                self.problems.push(Problem {
                    message: format!("missing key `{key}` in {place}"),
                    span: if path.is_empty() { 0..0 } else { node.span.clone() },
                    label: format!("needs `{key}`"),
                    help: describe(schema, key),
                });
            }
        }
    }

    fn choice(&mut self, node: &Node, text: &str, schema: &Value, path: &str) {
        let known = choices(schema);
        if !known.is_empty() && !known.contains(&text) {
            self.problems.push(Problem {
                message: format!("`{text}` is not a value of `{path}`"),
                span: node.span.clone(),
                label: "unknown value".into(),
                help: suggest(text, known),
            });
        }
    }

    fn range(&mut self, node: &Node, number: Option<i64>, schema: &Value, path: &str) {
        let minimum = schema.get("minimum").and_then(Value::as_i64);
        let maximum = schema.get("maximum").and_then(Value::as_i64).or(
            match schema.get("format").and_then(Value::as_str) {
                Some("uint32") => Some(i64::from(u32::MAX)),
                Some("uint16") => Some(i64::from(u16::MAX)),
                _ => None,
            },
        );
        let fits = number.is_some_and(|number| {
            minimum.is_none_or(|minimum| number >= minimum)
                && maximum.is_none_or(|maximum| number <= maximum)
        });
        if !fits {
            let low = minimum.unwrap_or(i64::MIN);
            let high = maximum.unwrap_or(i64::MAX);
            self.problems.push(Problem {
                message: format!("`{path}` is out of range"),
                span: node.span.clone(),
                label: "out of range".into(),
                help: Some(format!("write a whole number from {low} to {high}")),
            });
        }
    }

    fn wrong_type(&mut self, node: &Node, schemas: &[&Value], path: &str) {
        let mut wanted: Vec<&str> = schemas.iter().flat_map(|schema| types(schema)).collect();
        wanted.dedup();
        self.problems.push(Problem {
            message: format!("`{path}` must be {}, not {}", wanted.join(" or "), node.kind.name()),
            span: node.span.clone(),
            label: node.kind.name().to_owned(),
            help: None,
        });
    }

    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        // A chain of references in a generated schema is short and ends.
        while let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
            match self.schema.pointer(pointer.trim_start_matches('#')) {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }
}

fn choices(schema: &Value) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let described =
        schema.get("oneOf").and_then(Value::as_array).into_iter().flatten().flat_map(|option| {
            let listed = option.get("enum").and_then(Value::as_array).into_iter().flatten();
            option.get("const").into_iter().chain(listed)
        });
    listed.chain(described).filter_map(Value::as_str).collect()
}

fn json_types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ if !choices(schema).is_empty() => vec!["string"],
        _ => Vec::new(),
    }
}

fn allows(schema: &Value, kind: &Kind) -> bool {
    let types = json_types(schema);
    types.is_empty()
        || types.iter().any(|name| match *name {
            "object" => matches!(kind, Kind::Table(_)),
            "array" => matches!(kind, Kind::Array(_)),
            "string" => matches!(kind, Kind::Text(_)),
            "integer" => matches!(kind, Kind::Integer(_)),
            "number" => matches!(kind, Kind::Integer(_) | Kind::Float),
            "boolean" => matches!(kind, Kind::Bool),
            _ => false,
        })
}

fn types(schema: &Value) -> Vec<&'static str> {
    json_types(schema)
        .into_iter()
        .filter_map(|name| match name {
            "object" => Some("a table"),
            "array" => Some("a list"),
            "string" => Some("a text"),
            "integer" => Some("a whole number"),
            "number" => Some("a number"),
            "boolean" => Some("true or false"),
            _ => None,
        })
        .collect()
}

fn describe(schema: &Value, key: &str) -> Option<String> {
    let text = schema.pointer(&format!("/properties/{key}/description"))?.as_str()?;
    Some(format!("`{key}`: {}", text.replace('\n', " ")))
}
