//! Values of secrets: wiped when dropped, never shown.

use std::fmt;

use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

/// One value of a secret. `Debug` shows only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one place that writes or hashes them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The value as text, if it is text.
    #[must_use]
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<&str> for SecretBytes {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

/// A JSON value that holds secrets; every string in it is wiped when it is dropped.
#[derive(Clone, PartialEq)]
pub struct SecretJson(Value);

impl SecretJson {
    /// Takes the value over.
    #[must_use]
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    /// Parses JSON text; `None` when it is none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok().map(Self)
    }

    /// The value, for the one place that picks from it.
    #[must_use]
    pub fn expose(&self) -> &Value {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    /// The value, for who goes on wiping it.
    pub(crate) fn into_inner(mut self) -> Value {
        self.0.take()
    }
}

impl Drop for SecretJson {
    fn drop(&mut self) {
        // A stack of its own, since the depth is the store's choice.
        let mut waiting = vec![self.0.take()];
        while let Some(value) = waiting.pop() {
            match value {
                Value::String(mut text) => text.zeroize(),
                Value::Array(items) => waiting.extend(items),
                Value::Object(fields) => waiting.extend(fields.into_iter().map(|(_, value)| value)),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
    }
}

impl fmt::Debug for SecretJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretJson(..)")
    }
}

/// What a store answered for one path.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The content; an object for key-value stores.
    pub content: SecretJson,
    /// Version as the store names it; empty when it has none.
    pub version: String,
    /// What changes whenever the content may have changed: equal revisions need no second read.
    pub revision: String,
}

/// The bytes that a JSON value stands for in a Secret: strings as they are, everything else as JSON with sorted keys.
#[must_use]
pub(crate) fn to_bytes(value: &Value) -> SecretBytes {
    match value {
        Value::Null => SecretBytes::new(Vec::new()),
        Value::String(text) => SecretBytes::from(text.as_str()),
        other => SecretBytes::new(to_sorted_json(other)),
    }
}

/// JSON text with keys in byte order and without escapes for HTML, as Go's encoder writes it with that setting.
#[must_use]
pub(crate) fn to_sorted_json(value: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    write_sorted(value, &mut text, MAX_DEPTH);
    text
}

fn write_sorted(value: &Value, text: &mut Vec<u8>, depth: usize) {
    match value {
        Value::Object(fields) if depth > 0 => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            text.push(b'{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                write_string(key, text);
                text.push(b':');
                write_sorted(fields.get(key).unwrap_or(&Value::Null), text, depth.saturating_sub(1));
            }
            text.push(b'}');
        }
        Value::Array(items) if depth > 0 => {
            text.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                write_sorted(item, text, depth.saturating_sub(1));
            }
            text.push(b']');
        }
        Value::String(string) => write_string(string, text),
        // Deeper than any parser of ours lets in.
        Value::Object(_) | Value::Array(_) => text.extend_from_slice(b"null"),
        Value::Null | Value::Bool(_) | Value::Number(_) => text.extend_from_slice(value.to_string().as_bytes()),
    }
}

fn write_string(string: &str, text: &mut Vec<u8>) {
    let quoted = Zeroizing::new(serde_json::to_string(string).unwrap_or_default());
    // Go also escapes the two line separators that JavaScript does not allow in strings.
    let escaped = Zeroizing::new(quoted.replace('\u{2028}', "\\u2028"));
    text.extend_from_slice(Zeroizing::new(escaped.replace('\u{2029}', "\\u2029")).as_bytes());
}

/// Nesting that serde_json itself allows.
const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_shows_a_value() {
        let bytes = SecretBytes::from("canary");
        let tree = SecretJson::new(json!({ "a": "canary" }));
        let reading = Reading { content: tree, version: "1".to_owned(), revision: "1".to_owned() };
        assert!(!format!("{bytes:?} {reading:?}").contains("canary"));
    }

    #[test]
    fn json_is_sorted_and_not_escaped_for_html() {
        let value = json!({ "b": [1, null, true], "a": { "z": "<&>", "k": "\u{2028}" } });
        let text = String::from_utf8(to_sorted_json(&value)).unwrap();
        assert_eq!(text, r#"{"a":{"k":"\u2028","z":"<&>"},"b":[1,null,true]}"#);
    }

    #[test]
    fn bytes_of_each_type() {
        let cases = [
            (json!(null), ""),
            (json!("x"), "x"),
            (json!(42), "42"),
            (json!(false), "false"),
            (json!(["a"]), "[\"a\"]"),
        ];
        for (value, expected) in cases {
            assert_eq!(to_bytes(&value).expose_str(), Some(expected));
        }
    }
}
