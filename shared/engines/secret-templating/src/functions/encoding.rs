//! Encodings and hashes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use super::{Entry, Returned, at, string, text};
use crate::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("b64enc", (1, 1), |arguments, _| Ok(Value::text(STANDARD.encode(text(arguments, 0)?)))),
    // sprig returns the error's text as the value, which External Secrets keeps.
    ("b64dec", (1, 1), |arguments, _| {
        let encoded = text(arguments, 0)?;
        let solid: Vec<u8> = encoded.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
        Ok(STANDARD.decode(&solid).map_or_else(|_| Value::text(bad_base64(&encoded)), Value::text))
    }),
    ("hexdec", (1, 1), |arguments, _| {
        hex::decode(text(arguments, 0)?).map(Value::text).map_err(|_| "encoding/hex: invalid byte".to_owned())
    }),
    ("sha1sum", (1, 1), |arguments, _| Ok(Value::text(hex::encode(sha1::Sha1::digest(text(arguments, 0)?))))),
    ("sha256sum", (1, 1), |arguments, _| Ok(Value::text(hex::encode(sha2::Sha256::digest(text(arguments, 0)?))))),
    ("sha512sum", (1, 1), |arguments, _| Ok(Value::text(hex::encode(sha2::Sha512::digest(text(arguments, 0)?))))),
    ("toJson", (1, 1), |arguments, _| Ok(Value::text(json(&at(arguments, 0))))),
    ("fromJson", (1, 1), |arguments, _| Ok(from_json(&string(arguments, 0)?).unwrap_or_default())),
    ("mustFromJson", (1, 1), |arguments, _| must_from_json(arguments)),
];

fn bad_base64(encoded: &[u8]) -> String {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'\r' | b'\n');
    let at = encoded.iter().position(|byte| !is_letter(*byte)).unwrap_or(encoded.len() / 4 * 4);
    format!("illegal base64 data at input byte {at}")
}

fn from_json(text: &str) -> Option<Value> {
    serde_json::from_str::<serde_json::Value>(text).ok().as_ref().map(Value::from_json)
}

fn must_from_json(arguments: &[Value]) -> Returned {
    // The parser's own words could quote the text.
    from_json(&string(arguments, 0)?).ok_or_else(|| "invalid JSON".to_owned())
}

/// JSON as Go's encoder writes it: sorted keys, escapes for HTML.
pub(super) fn json(value: &Value) -> String {
    let mut out = String::new();
    write_json(value, &mut out, 64);
    out
}

fn write_json(value: &Value, out: &mut String, depth: u32) {
    if out.len() > crate::format::MAX_BYTES {
        return;
    }
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&crate::format::float(*value, (-6, 21)).replace("e-0", "e-")),
        Value::Text(text) => write_string(&text.expose_str(), out),
        Value::List(_) | Value::Map(_) | Value::Strings(_) if depth == 0 => out.push_str("null"),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write_json(item, out, depth.saturating_sub(1));
            }
            out.push(']');
        }
        Value::Map(fields) | Value::Strings(fields) => {
            out.push('{');
            for (index, (key, item)) in fields.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write_string(key, out);
                out.push(':');
                write_json(item, out, depth.saturating_sub(1));
            }
            out.push('}');
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    for letter in serde_json::to_string(text).unwrap_or_default().chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
}
