//! Canonical JSON (RFC 8785) written directly: keys are given in order, so that a million documents
//! can be hashed in a second. A test compares every document with a library's canonicalisation.

use serde_json::Value;

use crate::manifest::study::Level;

/// A document being written.
#[derive(Debug, Default)]
pub(super) struct Canonical {
    bytes: Vec<u8>,
}

impl Canonical {
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub fn object(&mut self, write: impl FnOnce(&mut Self)) {
        self.bytes.push(b'{');
        write(self);
        self.bytes.push(b'}');
    }

    pub fn array<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.bytes.push(b'[');
        for item in items {
            self.separate();
            write(self, item);
        }
        self.bytes.push(b']');
    }

    /// The next key of the object that is open; keys must come in ascending order.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.separate();
        self.text(key);
        self.bytes.push(b':');
        self
    }

    pub fn text(&mut self, text: &str) {
        // serde_json escapes as RFC 8785 asks; writing to memory does not fail.
        let _ = serde_json::to_writer(&mut self.bytes, text);
    }

    pub fn boolean(&mut self, truth: bool) {
        self.bytes.extend_from_slice(if truth { b"true" } else { b"false" });
    }

    pub fn number(&mut self, number: f64) {
        self.bytes.extend_from_slice(ryu_js::Buffer::new().format(number).as_bytes());
    }

    pub fn level(&mut self, level: &Level) {
        match level {
            Level::Default => self.bytes.extend_from_slice(b"null"),
            Level::Text(text) => self.text(text),
            Level::Number(number) | Level::Written { number, .. } => self.number(*number),
            Level::Bool(truth) => self.boolean(*truth),
        }
    }

    /// A value of any shape.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Bool(truth) => self.boolean(*truth),
            Value::Number(number) => self.number(number.as_f64().unwrap_or(f64::NAN)),
            other => {
                // Fails only for what a `Value` cannot hold.
                self.bytes.extend(serde_json_canonicalizer::to_vec(other).unwrap_or_default());
            }
        }
    }

    fn separate(&mut self) {
        if !matches!(self.bytes.last(), Some(b'{' | b'[')) {
            self.bytes.push(b',');
        }
    }
}
