//! What the files of a test look like. A wrong type or an unknown field is told with its place, and never passed over: a row
//! that is not read proves nothing.

use serde_json::{Map, Value};

use crate::policy::fields::nearest;
use crate::yaml::Document;

/// What may stand somewhere; nothing may stand everywhere.
#[derive(Debug)]
pub(super) enum Shape {
    /// Anything.
    Any,
    /// A text; numbers and flags become one, as Kubernetes reads them.
    Text,
    /// `true` or `false`.
    Flag,
    /// A map of anything.
    Map,
    /// A map of this.
    MapOf(&'static Shape),
    /// A list of this.
    List(&'static Shape),
    /// A list of texts, or one text alone.
    Texts,
    /// A map of these fields, whatever the case of their letters.
    Fields(&'static [(&'static str, Shape)]),
}

/// What does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// JSON pointer of the place.
    pub(super) pointer: String,
    /// What is wrong, and what would be right.
    pub(super) what: String,
}

/// The document in its shape.
///
/// # Errors
/// Line, and what does not fit there.
pub(super) fn shaped(mut document: Document, shape: &Shape) -> Result<Value, (u32, String)> {
    // The reader of such files takes a key that is there twice for a mistake, not for a change of mind.
    if let Some((key, line)) = document.twice.first() {
        return Err((*line, format!("the key `{key}` is there twice: remove one of them")));
    }
    let mut value = std::mem::take(&mut document.value);
    match fit(&mut value, shape, &mut Vec::new()) {
        Ok(()) => Ok(value),
        Err(misfit) => Err((document.line_of(&misfit.pointer), misfit.what)),
    }
}

fn fit(value: &mut Value, shape: &Shape, trail: &mut Vec<String>) -> Result<(), Misfit> {
    match (shape, &mut *value) {
        (Shape::Any, _) | (Shape::Flag, Value::Bool(_)) | (Shape::Text | Shape::Texts, Value::String(_)) => Ok(()),
        (Shape::Map, Value::Object(_)) => Ok(()),
        (_, Value::Null) if trail.last().is_none_or(|last| last.parse::<usize>().is_err()) => Ok(()),
        (Shape::Text | Shape::Texts, Value::Bool(_) | Value::Number(_)) => {
            *value = Value::String(value.to_string());
            Ok(())
        }
        (Shape::Texts, Value::Array(items)) => each(items, &Shape::Text, trail),
        (Shape::List(of), Value::Array(items)) => each(items, of, trail),
        (Shape::MapOf(of), Value::Object(fields)) => fields.iter_mut().try_for_each(|(key, item)| {
            trail.push(key.clone());
            fit(item, of, trail)?;
            trail.pop();
            Ok(())
        }),
        (Shape::Fields(known), Value::Object(fields)) => fit_fields(fields, known, trail),
        (wanted, found) => {
            let what = format!("{} must be {}, not {}", path(trail), wanted.word(), word(found));
            Err(Misfit { pointer: pointer(trail), what })
        }
    }
}

fn each(items: &mut [Value], of: &Shape, trail: &mut Vec<String>) -> Result<(), Misfit> {
    for (index, item) in items.iter_mut().enumerate() {
        trail.push(index.to_string());
        fit(item, of, trail)?;
        trail.pop();
    }
    Ok(())
}

fn fit_fields(
    fields: &mut Map<String, Value>,
    known: &'static [(&'static str, Shape)],
    trail: &mut Vec<String>,
) -> Result<(), Misfit> {
    for (key, item) in fields.iter_mut() {
        trail.push(key.clone());
        let Some((_, shape)) = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)) else {
            let remedy = match nearest(key, known.iter().map(|(name, _)| *name)) {
                Some(meant) => format!("write `{meant}` if that is meant"),
                None => "remove it".to_owned(),
            };
            return Err(Misfit { pointer: pointer(trail), what: format!("unknown field {}: {remedy}", path(trail)) });
        };
        fit(item, shape, trail)?;
        trail.pop();
    }
    Ok(())
}

impl Shape {
    fn word(&self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Text => "a text",
            Self::Flag => "true or false",
            Self::Map | Self::MapOf(_) | Self::Fields(_) => "a map",
            Self::List(_) => "a list",
            Self::Texts => "a list of texts",
        }
    }
}

fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn pointer(trail: &[String]) -> String {
    trail.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}

/// `` `results[0].rule` ``; the document itself has no path.
fn path(trail: &[String]) -> String {
    let mut path = String::new();
    for step in trail {
        if step.parse::<usize>().is_ok() {
            path.push_str(&format!("[{step}]"));
        } else {
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(step);
        }
    }
    if path.is_empty() { "the document".to_owned() } else { format!("`{path}`") }
}

/// A `kind: Test` document, deprecated forms included.
pub(super) const TEST: Shape = Shape::Fields(&[
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("metadata", Shape::Map),
    ("name", Shape::Text),
    ("policies", Shape::Texts),
    ("resources", Shape::Texts),
    ("oldResources", Shape::Texts),
    ("targetResources", Shape::Texts),
    ("clusterResources", Shape::Texts),
    ("paramResources", Shape::Texts),
    ("exceptions", Shape::Texts),
    ("variables", Shape::Text),
    ("values", VALUES),
    ("userinfo", Shape::Text),
    ("context", Shape::Text),
    ("apiCallResponses", Shape::List(&Shape::Map)),
    ("globalContextEntries", Shape::List(&Shape::Map)),
    ("results", Shape::List(&ROW)),
    ("checks", Shape::List(&CHECK)),
    ("jsonPayload", Shape::Texts),
    ("jsonPayloads", Shape::Texts),
    ("httpPayloads", Shape::Texts),
    ("envoyPayloads", Shape::Texts),
]);

const ROW: Shape = Shape::Fields(&[
    ("policy", Shape::Text),
    ("rule", Shape::Text),
    ("kind", Shape::Text),
    ("namespace", Shape::Text),
    ("resource", Shape::Text),
    ("resources", Shape::Texts),
    ("resourceSpecs", Shape::List(&RESOURCE)),
    ("patchedResource", Shape::Text),
    ("patchedResources", Shape::Text),
    ("generatedResource", Shape::Text),
    ("generatedResources", Shape::Texts),
    ("cloneSourceResource", Shape::Text),
    ("operation", Shape::Text),
    ("resourceOperation", Shape::Text),
    ("result", Shape::Text),
    ("status", Shape::Text),
    ("isValidatingPolicy", Shape::Flag),
    ("isMutatingPolicy", Shape::Flag),
    ("isGeneratingPolicy", Shape::Flag),
    ("isDeletingPolicy", Shape::Flag),
    ("isImageValidatingPolicy", Shape::Flag),
    ("isValidatingAdmissionPolicy", Shape::Flag),
    ("isMutatingAdmissionPolicy", Shape::Flag),
    ("failOnMissingResources", Shape::Flag),
    ("row", Shape::Any),
]);

const RESOURCE: Shape = Shape::Fields(&[
    ("group", Shape::Text),
    ("version", Shape::Text),
    ("kind", Shape::Text),
    ("namespace", Shape::Text),
    ("subresource", Shape::Text),
    ("name", Shape::Text),
]);

const CHECK: Shape = Shape::Fields(&[
    ("match", Shape::Fields(&[("resource", Shape::Any), ("policy", Shape::Any), ("rule", Shape::Any)])),
    ("assert", Shape::Any),
    ("error", Shape::Any),
]);

/// A `kind: Values` document, or the values in a test.
pub(super) const VALUES: Shape = Shape::Fields(&[
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("metadata", Shape::Map),
    ("globalValues", Shape::Map),
    (
        "policies",
        Shape::List(&Shape::Fields(&[
            ("name", Shape::Text),
            ("resources", Shape::List(&Shape::Fields(&[("name", Shape::Text), ("values", Shape::Map)]))),
            (
                "rules",
                Shape::List(&Shape::Fields(&[
                    ("name", Shape::Text),
                    ("values", Shape::Map),
                    ("foreachValues", Shape::MapOf(&Shape::List(&Shape::Any))),
                ])),
            ),
        ])),
    ),
    (
        "namespaceSelector",
        Shape::List(&Shape::Fields(&[("name", Shape::Text), ("labels", Shape::MapOf(&Shape::Text))])),
    ),
    ("namespaces", Shape::List(&Shape::Map)),
    ("subresources", Shape::List(&Shape::Fields(&[("subresource", Shape::Map), ("parentResource", Shape::Map)]))),
]);

/// A `kind: UserInfo` document.
pub(super) const USER: Shape = Shape::Fields(&[
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("metadata", Shape::Map),
    ("roles", Shape::Texts),
    ("clusterRoles", Shape::Texts),
    (
        "userInfo",
        Shape::Fields(&[
            ("username", Shape::Text),
            ("uid", Shape::Text),
            ("groups", Shape::Texts),
            ("extra", Shape::MapOf(&Shape::Texts)),
        ]),
    ),
]);

/// A `kind: Context` document.
pub(super) const CONTEXT: Shape = Shape::Fields(&[
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("metadata", Shape::Map),
    ("spec", Shape::Fields(&[("resources", Shape::List(&Shape::Map)), ("images", Shape::List(&Shape::Map))])),
]);

/// A `kind: ClusterResource` document.
pub(super) const CLUSTER: Shape = Shape::Fields(&[
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("metadata", Shape::Map),
    ("spec", Shape::Fields(&[("crds", Shape::Texts), ("resources", Shape::List(&Shape::Map))])),
]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn read(text: &str) -> Result<Value, (u32, String)> {
        shaped(yaml::documents(text).swap_remove(0).unwrap(), &TEST)
    }

    #[test]
    fn scalars_become_texts_and_nothing_may_stand_everywhere() {
        let read =
            read("metadata: {name: 7}\npolicies: 7\nresources: [1.5, yes]\nresults:\n- {rule: 7, kind: }\nchecks:\n");
        let read = read.unwrap();
        assert_eq!(read["policies"], "7");
        assert_eq!(read["resources"], serde_json::json!(["1.5", "true"]));
        assert_eq!(read["results"][0]["rule"], "7");
    }

    #[test]
    fn what_does_not_fit_is_told_with_line_and_remedy() {
        for (text, line, what) in [
            ("name: a\nresults: 7", 2, "`results` must be a list, not a number"),
            ("results:\n- {policy: a}\n- 7", 3, "`results[1]` must be a map, not a number"),
            ("results:\n-", 2, "`results[0]` must be a map, not nothing"),
            ("results:\n- rule: {}", 2, "`results[0].rule` must be a text, not a map"),
            (
                "results:\n- isDeletingPolicy: 'yes'",
                2,
                "`results[0].isDeletingPolicy` must be true or false, not a text",
            ),
            ("policies:\n- [a]", 2, "`policies[0]` must be a text, not a list"),
            ("name: a\nresourcez: []", 2, "unknown field `resourcez`: write `resources` if that is meant"),
            (
                "values:\n  globelValues: {}",
                2,
                "unknown field `values.globelValues`: write `globalValues` if that is meant",
            ),
            (
                "values:\n  policies:\n  - rules: [{foreachValues: {a: 7}}]",
                3,
                "`values.policies[0].rules[0].foreachValues.a` must be a list, not a number",
            ),
            ("[a]", 1, "the document must be a map, not a list"),
            ("results: []\nname: a\nresults: []", 3, "the key `results` is there twice: remove one of them"),
        ] {
            assert_eq!(read(text), Err((line, what.to_owned())), "{text}");
        }
    }
}
