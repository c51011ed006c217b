//! JSON, as Go's encoder writes it.

use super::{Call, Entry, Returned, text};
use crate::format::json_float;
use crate::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("toJson", "a", |call| text(json(&call.value(0)).unwrap_or_default())),
    ("mustToJson", "a", |call| must(json(&call.value(0)))),
    ("toPrettyJson", "a", |call| text(json(&call.value(0)).map(|json| pretty(&json)).unwrap_or_default())),
    ("mustToPrettyJson", "a", |call| must(json(&call.value(0)).map(|json| pretty(&json)))),
    ("toRawJson", "a", |call| must(write(&call.value(0), false))),
    ("mustToRawJson", "a", |call| must(write(&call.value(0), false))),
    ("fromJson", "s", |call| Ok(from_json(call).unwrap_or_default())),
    // The parser's own words could quote the text.
    ("mustFromJson", "s", |call| from_json(call).ok_or_else(|| "invalid JSON".to_owned())),
];

fn must(json: Option<String>) -> Returned {
    json.map_or_else(|| Err("JSON encoding failed".to_owned()), text)
}

fn from_json(call: &Call<'_>) -> Option<Value> {
    serde_json::from_str::<serde_json::Value>(&call.text(0)).ok().as_ref().map(Value::from_json)
}

/// JSON with sorted keys and escapes for HTML; `None` for what JSON cannot hold.
pub(super) fn json(value: &Value) -> Option<String> {
    write(value, true)
}

fn write(value: &Value, escapes_html: bool) -> Option<String> {
    let mut out = String::new();
    write_value(value, (&mut out, escapes_html), 64)?;
    Some(out)
}

fn write_value(value: &Value, (out, html): (&mut String, bool), depth: u32) -> Option<()> {
    if depth == 0 || out.len() > crate::format::MAX_BYTES {
        return None;
    }
    let deeper = depth.saturating_sub(1);
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(_, value) => out.push_str(&value.to_string()),
        Value::Float(value) if value.is_finite() => out.push_str(&json_float(*value)),
        Value::Float(_) | Value::Complex(..) => return None,
        Value::Text(text) => write_string(&text.expose_str(), out, html),
        Value::Time(time) => write_string(&time.rfc3339(), out, html),
        Value::Version(version) => write_string(&version.to_string(), out, html),
        Value::KeyPair(pair) => {
            out.push_str("{\"Cert\":");
            write_string(&pair.cert.expose_str(), out, html);
            out.push_str(",\"Key\":");
            write_string(&pair.key.expose_str(), out, html);
            out.push('}');
        }
        Value::List(_, items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write_value(item, (out, html), deeper)?;
            }
            out.push(']');
        }
        Value::Map(_, fields) => {
            out.push('{');
            for (index, (key, item)) in fields.snapshot().into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write_string(&key, out, html);
                out.push(':');
                write_value(&item, (out, html), deeper)?;
            }
            out.push('}');
        }
    }
    Some(())
}

fn write_string(text: &str, out: &mut String, html: bool) {
    for letter in serde_json::to_string(text).unwrap_or_default().chars() {
        match letter {
            '<' | '>' | '&' if html => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
}

/// Compact JSON on lines of its own, by two spaces.
fn pretty(json: &str) -> String {
    let (mut out, mut depth, mut is_text, mut is_escaped) = (String::new(), 0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    let mut letters = json.chars().peekable();
    while let Some(letter) = letters.next() {
        if is_text {
            is_text = letter != '"' || is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            out.push(letter);
            continue;
        }
        match letter {
            '"' => is_text = true,
            '{' | '[' => {
                out.push(letter);
                if let Some(close) = letters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth = depth.saturating_add(1);
                    line(&mut out, depth);
                }
                continue;
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
            }
            _ => {}
        }
        out.push(letter);
        match letter {
            ',' => line(&mut out, depth),
            ':' => out.push(' '),
            _ => {}
        }
    }
    out
}
