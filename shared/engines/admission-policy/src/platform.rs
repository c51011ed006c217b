//! The platform's own facts as policies ask for them: `biotope.image()`, `biotope.incidents()` and `biotope.secret()`, the
//! same in JMESPath and CEL. Answers are parts of [`Snapshot::biotope`](crate::Snapshot); nothing else is copied.

use std::fmt;

use cel::{EvalError, Object, Val};
use model::ImageReference;
use serde_json::{Map, Value, json};

use crate::snapshot::Snapshot;

/// What an image nobody scanned, and a secret nobody delivered, look like.
fn unknown() -> Value {
    json!({"known": false})
}

/// The facts of an image, by its reference or digest, as the scanner knows it.
fn image_facts<'v>(biotope: &'v Value, image: &str) -> Option<&'v Value> {
    let images = biotope.get("images")?;
    let by = |name: &str| images.get(name).filter(|facts| facts.is_object());
    by(image).or_else(|| {
        let parsed: ImageReference = image.parse().ok()?;
        let digest = parsed.digest().and_then(|digest| by(digest.as_str()));
        digest.or_else(|| by(&parsed.to_string()))
    })
}

fn image(biotope: &Value, reference: &str) -> Value {
    known(image_facts(biotope, reference))
}

fn known(facts: Option<&Value>) -> Value {
    let Some(Value::Object(facts)) = facts else { return unknown() };
    let mut out = Map::with_capacity(facts.len() + 1);
    out.insert("known".to_owned(), Value::Bool(true));
    out.extend(facts.iter().map(|(key, value)| (key.clone(), value.clone())));
    Value::Object(out)
}

/// The open incidents of an image: those of the digest in its reference, or of the digest it was last scanned as.
fn incidents(biotope: &Value, image: &str) -> Value {
    let written = || image.parse::<ImageReference>().ok()?.digest().map(ToString::to_string);
    let scanned = || image_facts(biotope, image)?.get("digest")?.as_str().map(str::to_owned);
    let all = biotope.get("incidents");
    let of = |digest: &str| all.and_then(|all| all.get(digest)).filter(|list| list.is_array()).cloned();
    of(image).or_else(|| of(&written().or_else(scanned)?)).unwrap_or_else(|| json!([]))
}

fn secret(biotope: &Value, name: &str) -> Value {
    known(biotope.get("secrets").and_then(|secrets| secrets.get(name)))
}

/// Calls a function of the platform; `None` when there is none of this name for these arguments.
fn call(biotope: &Value, name: &str, arguments: &[&str]) -> Option<Value> {
    match (name, arguments) {
        ("image", [reference]) => Some(image(biotope, reference)),
        ("incidents", [image]) => Some(incidents(biotope, image)),
        ("secret", [name]) => Some(secret(biotope, name)),
        ("secret", [namespace, name]) => Some(secret(biotope, &format!("{namespace}/{name}"))),
        _ => None,
    }
}

/// Whether a query asks for the facts other than by the functions.
pub(crate) fn wants_everything(query: &str) -> bool {
    query.match_indices("biotope").any(|(at, word)| {
        let rest = query.get(at + word.len()..).unwrap_or_default();
        !["image(", "incidents(", "secret("]
            .iter()
            .any(|function| rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(function)))
    })
}

impl jmespath::Environment for Snapshot {
    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, jmespath::EvalError>> {
        let texts: Option<Vec<&str>> = arguments.iter().map(Value::as_str).collect();
        call(&self.biotope, name, &texts?).map(Ok)
    }

    fn parse_yaml(&self, text: &str) -> Option<Result<Value, String>> {
        let mut documents = crate::yaml::documents(text).into_iter();
        Some(match documents.next() {
            None => Ok(Value::Null),
            Some(Ok(document)) => Ok(document.value),
            Some(Err(error)) => Err(error.to_string()),
        })
    }
}

/// `biotope` in CEL.
pub(crate) struct Platform<'a>(pub(crate) &'a Value);

impl fmt::Debug for Platform<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Platform")
    }
}

impl<'a> Object<'a> for Platform<'a> {
    fn type_name(&self) -> &str {
        "biotope"
    }

    fn field(&self, name: &str) -> Option<Result<Val<'a>, EvalError>> {
        self.0.get(name).map(|value| Ok(Val::from_json(value)))
    }

    fn call(&self, name: &str, arguments: &[Val<'a>]) -> Option<Result<Val<'a>, EvalError>> {
        let texts: Option<Vec<&str>> = arguments.iter().map(Val::as_str).collect();
        call(self.0, name, &texts?).map(|answer| Ok(Val::from_owned_json(answer)))
    }

    fn to_json(&self) -> Option<Value> {
        Some(self.0.clone())
    }
}
