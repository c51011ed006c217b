//! Picking a part of a secret: a key of exactly that name, else a path in the syntax of gjson, as External Secrets has it
//! (<https://github.com/tidwall/gjson/blob/master/SYNTAX.md>).

use serde_json::Value;
use zeroize::Zeroizing;

use crate::value::SecretBytes;

/// Finds `property` in `content`: first a key of exactly that name, then a path (`a.b`, `list.0`, `list.#`, `list.#.name`,
/// `list.#(name=="x").value`, `*.name`, `{a,b}`, ...), where a backslash takes the meaning from the next letter.
#[must_use]
pub fn find(content: &Value, property: &str) -> Option<Value> {
    if let Some(value) = content.get(property) {
        return Some(value.clone());
    }
    let text = Zeroizing::new(content.to_string());
    let found = select(&text, property)?;
    serde_json::from_str(found.json()).ok()
}

/// What a path finds in a JSON text: a text as it is, anything else as JSON.
#[must_use]
pub(crate) fn query(text: &str, path: &str) -> Option<SecretBytes> {
    let found = select(text, path)?;
    Some(match found.kind() {
        gjson::Kind::Null => SecretBytes::new(Vec::new()),
        gjson::Kind::String => SecretBytes::from(found.str()),
        _ => SecretBytes::from(found.json()),
    })
}

fn select<'t>(text: &'t str, path: &'t str) -> Option<gjson::Value<'t>> {
    if path.is_empty() || path.len() > MAX_PATH {
        return None;
    }
    let found = gjson::get(text, path);
    found.exists().then_some(found)
}

/// Longest path: what is nested in one is bounded by it.
const MAX_PATH: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_by_name_then_by_path() {
        let content = json!({ "a.b": 1, "a": { "b": 2, "c": [{ "n": "x" }, { "n": "y" }] }, "d.e": { "f": 3 } });
        let cases = [
            ("a.b", Some(json!(1))),
            ("a.c.1.n", Some(json!("y"))),
            ("a.c.#", Some(json!(2))),
            ("a.c.#.n", Some(json!(["x", "y"]))),
            ("d\\.e.f", Some(json!(3))),
            ("a.c.#(n==\"y\").n", Some(json!("y"))),
            ("a.c.#.n|0", Some(json!("x"))),
            ("d*.f", Some(json!(3))),
            ("a.x", None),
            ("a.b.c.d", None),
            ("", None),
        ];
        for (property, expected) in cases {
            assert_eq!(find(&content, property), expected, "{property}");
        }
    }
}
