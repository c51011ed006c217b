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
    select(text, path).map(|found| self::text(&found))
}

/// A value as gjson prints it: a text as it is, nothing as nothing, a number without an exponent, anything else as it is written.
pub(crate) fn text(value: &gjson::Value<'_>) -> SecretBytes {
    let is_whole = |json: &str| json.strip_prefix('-').unwrap_or(json).bytes().all(|byte| byte.is_ascii_digit());
    match value.kind() {
        gjson::Kind::Null => SecretBytes::new(Vec::new()),
        gjson::Kind::String => SecretBytes::from(value.str()),
        gjson::Kind::Number if !is_whole(value.json()) => SecretBytes::from(value.f64().to_string().as_str()),
        _ => SecretBytes::from(value.json()),
    }
}

/// Puts a text at a dotted path into a JSON value, and makes the objects on the way; a backslash takes the meaning from a dot. A number
/// is a place in a list, and `-1` its end.
///
/// # Errors
/// When the path is empty or leads through something that is no object or list.
pub(crate) fn set(root: &mut Value, path: &str, text: &str) -> Result<(), &'static str> {
    let mut at = root;
    for part in parts(path) {
        if part.is_empty() {
            return Err("the property has an empty part");
        }
        if at.is_null() {
            *at = Value::Object(serde_json::Map::new());
        }
        at = match at {
            Value::Object(fields) => fields.entry(part).or_insert(Value::Null),
            Value::Array(items) => {
                let place = if part == "-1" { Some(items.len()) } else { part.parse().ok() };
                let place: usize =
                    place.filter(|place| *place <= MAX_PATH).ok_or("the property names no place in a list")?;
                while items.len() <= place {
                    items.push(Value::Null);
                }
                items.get_mut(place).ok_or("the property names no place in a list")?
            }
            _ => return Err("the property leads through a text, number or truth value"),
        };
    }
    *at = Value::String(text.to_owned());
    Ok(())
}

fn parts(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        match (letter, parts.last_mut()) {
            ('.', _) => parts.push(String::new()),
            ('\\', Some(part)) => part.extend(letters.next()),
            (letter, Some(part)) => part.push(letter),
            (_, None) => {}
        }
    }
    parts
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
    fn sets_at_a_path() {
        let mut root = json!({ "a": { "b": "1" }, "l": [1] });
        for (path, text) in [("a.c", "2"), ("x\\.y", "3"), ("l.-1", "4"), ("n.m", "5")] {
            set(&mut root, path, text).unwrap();
        }
        let wanted = json!({ "a": { "b": "1", "c": "2" }, "l": [1, "4"], "x.y": "3", "n": { "m": "5" } });
        assert_eq!(root, wanted);
        for path in ["", "a..b", "a.b.c", "l.x"] {
            assert!(set(&mut root, path, "v").is_err(), "{path}");
        }
    }

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
