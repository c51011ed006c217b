//! In what an object differs from the manifest that was signed: leaf by leaf, by the dotted way to each.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Map, Value, json};

/// Leaves of an object by the way to them: `spec.ports.0.port`. Nulls, empty maps and empty lists have none.
pub(super) type Leaves<'v> = BTreeMap<String, &'v Value>;

/// The leaves of an object.
pub(super) fn leaves(object: &Value) -> Leaves<'_> {
    let mut found = BTreeMap::new();
    collect(object, String::new(), &mut found);
    found
}

fn collect<'v>(value: &'v Value, way: String, found: &mut Leaves<'v>) {
    let below = |key: &str| if way.is_empty() { key.to_owned() } else { format!("{way}.{key}") };
    match value {
        Value::Null => {}
        Value::Object(fields) => fields.iter().for_each(|(key, value)| collect(value, below(key), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| collect(value, below(&index.to_string()), found));
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => drop(found.insert(way, value)),
    }
}

/// Whether two leaves say the same; numbers as Go's decoder reads them, as floats.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (one, other) => one == other,
    }
}

/// One leaf that differs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) key: String,
    /// As signed; null when the manifest has no such leaf.
    before: Value,
    /// As asked for; null when the object has no such leaf.
    after: Value,
}

impl Difference {
    fn new(key: &str, before: Option<&Value>, after: Option<&Value>) -> Self {
        let value = |leaf: Option<&Value>| leaf.cloned().unwrap_or_default();
        match (before, after) {
            (Some(before), Some(after)) if kind(before) != kind(after) => {
                Self { key: key.to_owned(), before: with_kind(before), after: with_kind(after) }
            }
            _ => Self { key: key.to_owned(), before: value(before), after: value(after) },
        }
    }

    /// What does not count: an empty text for none, an image with its registry or tag added, a namespace that was left open.
    fn is_meaningless(&self) -> bool {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let empty = |one: &Value, other: &Value| one.is_null() && other.as_str() == Some("");
        let completed = || match (text(&self.before), text(&self.after)) {
            (Some(before), Some(after)) => {
                format!("docker.io/{before}") == after || format!("{before}:latest") == after
            }
            _ => false,
        };
        empty(&self.before, &self.after)
            || empty(&self.after, &self.before)
            || (self.key.ends_with("image") && completed())
            || (self.key == "metadata.namespace" && self.before.is_null())
    }
}

fn kind(leaf: &Value) -> &'static str {
    match leaf {
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        _ => "string",
    }
}

/// A leaf with its type, as Go prints it for a text.
fn with_kind(leaf: &Value) -> Value {
    let (kind, text) = (kind(leaf), crate::value::go_text::sprint(leaf));
    let text = if leaf.is_string() { text.into_owned() } else { format!("%!s({kind}={text})") };
    Value::from(format!("(type: {kind}) {text}"))
}

/// What differs, in the order of the ways, without what does not count.
pub(super) fn between(manifest: &Leaves<'_>, object: &Leaves<'_>) -> Vec<Difference> {
    let keys: BTreeSet<&String> = manifest.keys().chain(object.keys()).collect();
    let one = |key: &String| {
        let (before, after) = (manifest.get(key).copied(), object.get(key).copied());
        let equal = matches!((before, after), (Some(before), Some(after)) if same(before, after));
        (!equal).then(|| Difference::new(key, before, after))
    };
    let mut found: Vec<Difference> = keys.into_iter().filter_map(one).collect();
    forget_moves(&mut found);
    found.retain(|difference| !difference.is_meaningless());
    found
}

/// Drops leaves that only moved inside their list: gone at one index, and there at another.
fn forget_moves(found: &mut Vec<Difference>) {
    let place = |difference: &Difference, value: &Value| (without_indexes(&difference.key), value.to_string());
    let of = |gone: bool| -> HashSet<(String, String)> {
        let fits = |one: &&Difference| if gone { one.after.is_null() } else { one.before.is_null() };
        let value = |one: &Difference| place(one, if gone { &one.before } else { &one.after });
        found.iter().filter(fits).map(value).collect()
    };
    let (gone, come) = (of(true), of(false));
    found.retain(|one| {
        let in_list = without_indexes(&one.key) != one.key;
        let moved = (one.after.is_null() && come.contains(&place(one, &one.before)))
            || (one.before.is_null() && gone.contains(&place(one, &one.after)));
        !(in_list && moved)
    });
}

/// The way with a sign in place of each index that has something before and behind it.
fn without_indexes(key: &str) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    let last = parts.len().saturating_sub(1);
    let is_index = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let named =
        parts.iter().enumerate().map(|(at, part)| if at > 0 && at < last && is_index(part) { "#" } else { part });
    named.collect::<Vec<_>>().join(".")
}

/// As the message shows differences: JSON, the first of them.
pub(super) fn render(found: &[Difference]) -> String {
    let item = |one: &Difference| {
        let mut values = Map::new();
        values.insert("after".to_owned(), one.after.clone());
        values.insert("before".to_owned(), one.before.clone());
        json!({"key": one.key, "values": values})
    };
    let shown: Vec<Value> = found.iter().take(MAX_SHOWN).map(item).collect();
    jmespath::go_json::render(&json!({ "items": shown }))
}

/// More differences than this are not told.
const MAX_SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// Expectations are what upstream's own comparison says about the same pairs.
    #[test]
    fn differs_as_upstream_does() {
        let cases = [
            (json!({"a": 1, "s": "x", "f": false}), json!({"a": 1.0, "s": "x"}), r#"f:false:null"#),
            (json!({}), json!({"e": "", "f": false, "z": 0, "q": "y"}), r#"f:null:false q:null:"y" z:null:0"#),
            (
                json!({"l": {"p": [{"n": "a"}, {"n": "b"}]}}),
                json!({"l": {"p": [{"n": "x"}, {"n": "a"}, {"n": "b"}]}}),
                r#"l.p.0.n:"a":"x" l.p.1.n:"b":"a" l.p.2.n:null:"b""#,
            ),
            (json!({"l": {"p": [{"n": "a"}, {"m": "b"}]}}), json!({"l": {"p": [{"m": "b"}, {"n": "a"}]}}), ""),
            (json!({"l": ["a", "b"]}), json!({"l": ["b"]}), r#"l.0:"a":"b" l.1:"b":null"#),
            (json!({"p": 80}), json!({"p": "80"}), r#"p:"(type: float64) %!s(float64=80)":"(type: string) 80""#),
            (json!({"a": []}), json!({"a": {}, "n": null}), ""),
            (json!({"x": {"image": "nginx"}}), json!({"x": {"image": "docker.io/nginx"}}), ""),
            (json!({"image": "nginx"}), json!({"image": "nginx:latest"}), ""),
            (json!({"image": "nginx:1"}), json!({"image": "nginx:2"}), r#"image:"nginx:1":"nginx:2""#),
            (json!({"metadata": {}}), json!({"metadata": {"namespace": "x"}}), ""),
            (
                json!({"metadata": {"namespace": "y"}}),
                json!({"metadata": {"namespace": "x"}}),
                r#"metadata.namespace:"y":"x""#,
            ),
        ];
        for (manifest, object, expected) in cases {
            let found = between(&leaves(&manifest), &leaves(&object));
            let text: Vec<String> =
                found.iter().map(|one| format!("{}:{}:{}", one.key, one.before, one.after)).collect();
            assert_eq!(text.join(" "), expected, "{manifest} and {object}");
        }
    }

    #[test]
    fn differences_are_told_as_upstream_tells_them() {
        let found = between(&leaves(&json!({"a": "<b>"})), &leaves(&json!({"a": 1})));
        let expected = r#"{"items":[{"key":"a","values":{"after":"(type: float64) %!s(float64=1)","before":"(type: string) \u003cb\u003e"}}]}"#;
        assert_eq!(render(&found), expected);
    }
}
