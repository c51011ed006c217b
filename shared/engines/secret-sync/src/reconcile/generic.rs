//! Targets that are no Secrets: which object is meant, whether it may be written, what stands in it.

use serde_json::{Map, Value, json};
use sha3::{Digest as _, Sha3_224};

use super::Policy;
use crate::api::{ExternalSecretSpec, Target, TargetManifest};
use crate::provider::Keys;

/// Group, version and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectKind {
    /// Group; empty for the core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

fn manifest(spec: &ExternalSecretSpec) -> Option<&TargetManifest> {
    spec.target.as_ref()?.manifest.as_ref()
}

/// Whether the target is another object than a Secret.
#[must_use]
pub fn is_generic(spec: &ExternalSecretSpec) -> bool {
    manifest(spec).is_some()
}

/// What kind of object the target is.
#[must_use]
pub fn kind(spec: &ExternalSecretSpec) -> ObjectKind {
    let Some(manifest) = manifest(spec) else {
        return ObjectKind { group: String::new(), version: "v1".to_owned(), kind: "Secret".to_owned() };
    };
    let version = manifest.api_version.as_deref().unwrap_or_default();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = manifest.kind.clone().unwrap_or_default();
    ObjectKind { group: group.to_owned(), version: version.to_owned(), kind }
}

/// The name of the target: that of the ExternalSecret where it has none of its own.
#[must_use]
pub fn name<'a>(target: Option<&'a Target>, default: &'a str) -> &'a str {
    target.and_then(|target| target.name.as_deref()).filter(|name| !name.is_empty()).unwrap_or(default)
}

/// The key by which ExternalSecrets of an object are found; `None` for a Secret.
#[must_use]
pub fn index(spec: &ExternalSecretSpec, default: &str) -> Option<String> {
    let ObjectKind { group, version, kind } = is_generic(spec).then(|| kind(spec))?;
    Some(format!("{group}/{version}/{kind}/{}", name(spec.target.as_ref(), default)))
}

/// Why the target may not be written; `None` when it may.
#[must_use]
pub fn refused(spec: &ExternalSecretSpec, policy: &Policy) -> Option<String> {
    let manifest = manifest(spec)?;
    if !policy.allows_manifests {
        return Some("generic targets are disabled. Enable with --unsafe-allow-generic-targets flag".to_owned());
    }
    let is_empty = |text: &Option<String>| text.as_ref().is_none_or(String::is_empty);
    if is_empty(&manifest.api_version) {
        return Some("target.manifest.apiVersion is required".to_owned());
    }
    is_empty(&manifest.kind).then(|| "target.manifest.kind is required".to_owned())
}

/// Puts the data where an object of this kind has it, as text.
pub fn simple(object: &mut Value, data: &Keys) {
    let text = |value: &crate::SecretBytes| Value::String(String::from_utf8_lossy(value.expose()).into_owned());
    let texts: Map<String, Value> = data.iter().map(|(key, value)| (key.clone(), text(value))).collect();
    let is_config = object.get("kind").and_then(Value::as_str) == Some("ConfigMap");
    let Some(fields) = object.as_object_mut() else { return };
    if is_config {
        fields.insert("data".to_owned(), Value::Object(texts));
        return;
    }
    let spec = fields.entry("spec").or_insert_with(|| json!({}));
    if !spec.is_object() {
        *spec = json!({});
    }
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("data".to_owned(), Value::Object(texts));
    }
}

/// A step of a path: a field, or a place in a list.
enum Step<'p> {
    Field(&'p str),
    Item(usize),
}

/// Sets what stands at a dotted path with `[n]` for places in lists; an object is merged into the one that stands there.
///
/// # Errors
/// When the path is malformed, too long, or leads through a text or number.
pub fn set(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let mut at = object;
    for step in steps(path)? {
        at = match step {
            Step::Field(name) => {
                if at.is_null() {
                    *at = json!({});
                }
                let fields =
                    at.as_object_mut().ok_or_else(|| format!("path {path:?} leads through no object at {name:?}"))?;
                fields.entry(name).or_insert(Value::Null)
            }
            Step::Item(index) => {
                if at.is_null() {
                    *at = json!([]);
                }
                let items =
                    at.as_array_mut().ok_or_else(|| format!("path {path:?} leads through no list at [{index}]"))?;
                while items.len() <= index {
                    items.push(Value::Null);
                }
                items.get_mut(index).ok_or_else(|| format!("path {path:?} has a place too far"))?
            }
        };
    }
    match (at.as_object_mut(), value) {
        (Some(fields), Value::Object(more)) => fields.extend(more),
        (_, value) => *at = value,
    }
    Ok(())
}

fn steps(path: &str) -> Result<Vec<Step<'_>>, String> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, places) = part.split_once('[').map_or((part, ""), |(name, places)| (name, places));
        if name.is_empty() && places.is_empty() {
            return Err(format!("path {path:?} has an empty step"));
        }
        if !name.is_empty() {
            steps.push(Step::Field(name));
        }
        for place in places.split_terminator(']').filter(|_| !places.is_empty()) {
            let index = place.trim_start_matches('[').parse::<usize>().ok().filter(|index| *index <= MAX_PLACE);
            steps.push(Step::Item(
                index.ok_or_else(|| format!("path {path:?} has no place of a list in its brackets"))?,
            ));
        }
    }
    if steps.len() > MAX_STEPS { Err(format!("path {path:?} has too many steps")) } else { Ok(steps) }
}

/// Longest list that a path may make.
const MAX_PLACE: usize = 10_000;
/// Longest path.
const MAX_STEPS: usize = 64;

/// The hash of what an object holds: its `spec`, else its `data`.
///
/// # Errors
/// When it has neither.
pub fn content_hash(object: &Value) -> Result<String, String> {
    let content = object.get("spec").or_else(|| object.get("data"));
    let content = content.ok_or_else(|| "generic target content has no spec or data field".to_owned())?;
    let mut text = String::new();
    print(content, &mut text, MAX_STEPS);
    Ok(hex::encode(Sha3_224::digest(text.as_bytes())))
}

/// As Go prints a tree: `map[a:1 b:[x y]]`, keys in order.
fn print(value: &Value, text: &mut String, depth: usize) {
    let list = |items: &mut dyn Iterator<Item = (Option<&String>, &Value)>, text: &mut String| {
        for (at, (key, item)) in items.enumerate() {
            if at > 0 {
                text.push(' ');
            }
            if let Some(key) = key {
                text.push_str(key);
                text.push(':');
            }
            print(item, text, depth.saturating_sub(1));
        }
        text.push(']');
    };
    match value {
        Value::Null => text.push_str("<nil>"),
        Value::String(content) => text.push_str(content),
        Value::Object(fields) if depth > 0 => {
            let mut fields: Vec<(Option<&String>, &Value)> =
                fields.iter().map(|(key, item)| (Some(key), item)).collect();
            fields.sort_by_key(|(key, _)| *key);
            text.push_str("map[");
            list(&mut fields.into_iter(), text);
        }
        Value::Array(items) if depth > 0 => {
            text.push('[');
            list(&mut items.iter().map(|item| (None, item)), text);
        }
        Value::Object(_) | Value::Array(_) => text.push('…'),
        Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_make_what_is_not_there() {
        let mut object = json!({ "spec": { "a": 1 } });
        for (path, value, expected) in [
            ("spec", json!({ "b": 2 }), json!({ "spec": { "a": 1, "b": 2 } })),
            ("spec.list[1].x", json!("y"), json!({ "spec": { "a": 1, "b": 2, "list": [null, { "x": "y" }] } })),
            ("spec.list[0][0]", json!(3), json!({ "spec": { "a": 1, "b": 2, "list": [[3], { "x": "y" }] } })),
        ] {
            set(&mut object, path, value).unwrap();
            assert_eq!(object, expected, "{path}");
        }
        for path in ["", "spec..a", "spec.a.b", "spec.list[99999]", "spec.list[x]", "spec[0]"] {
            assert!(set(&mut object, path, json!(1)).is_err(), "{path}");
        }
    }

    #[test]
    fn trees_print_as_in_go() {
        let mut text = String::new();
        print(&json!({ "b": [1, "x", null], "a": { "k": true } }), &mut text, 9);
        assert_eq!(text, "map[a:map[k:true] b:[1 x <nil>]]");
    }
}
