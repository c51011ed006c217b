//! Picking a part of a secret by a path of names and indexes.

use serde_json::Value;

/// Finds `property` in `content`: first a key of exactly that name, then a path (`a.b`, `list.0`, `list.#`, `list.#.name`), where a
/// backslash takes the meaning from the next letter.
#[must_use]
pub fn find(content: &Value, property: &str) -> Option<Value> {
    if let Some(value) = content.get(property) {
        return Some(value.clone());
    }
    walk(content, &segments(property))
}

/// Whether `property` uses a part of the path language that is not built: queries, modifiers, wildcards, pipes.
#[must_use]
pub(crate) fn is_supported(property: &str) -> bool {
    let mut is_escaped = false;
    for letter in property.chars() {
        if !is_escaped && matches!(letter, '*' | '?' | '|' | '@' | '!' | '{' | '[' | '(') {
            return false;
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    true
}

fn segments(property: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut letters = property.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '.' => segments.push(String::new()),
            '\\' => push(&mut segments, letters.next().unwrap_or('\\')),
            other => push(&mut segments, other),
        }
    }
    segments
}

fn push(segments: &mut [String], letter: char) {
    if let Some(last) = segments.last_mut() {
        last.push(letter);
    }
}

fn walk(start: &Value, segments: &[String]) -> Option<Value> {
    let mut value = start;
    for (index, segment) in segments.iter().enumerate() {
        value = match value {
            Value::Object(fields) => fields.get(segment)?,
            Value::Array(items) if segment == "#" => {
                let rest = segments.get(index.saturating_add(1)..).unwrap_or_default();
                if rest.is_empty() {
                    return Some(items.len().into());
                }
                // Only one `#` is followed: a second one inside would nest lists as deep as the manifest likes.
                let is_flat = !rest.iter().any(|segment| segment == "#");
                return is_flat.then(|| items.iter().filter_map(|item| walk(item, rest)).collect());
            }
            Value::Array(items) => items.get(segment.parse::<usize>().ok()?)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
    }
    Some(value.clone())
}

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
            ("a.x", None),
            ("a.b.c.d", None),
            ("", None),
        ];
        for (property, expected) in cases {
            assert_eq!(find(&content, property), expected, "{property}");
        }
    }
}
