//! The settings that a PushSecret carries for a provider: `apiVersion`, `kind: PushSecretMetadata`, `spec`.

use serde_json::{Map, Value};

use crate::provider::ProviderError;

/// Reads the `spec` of the settings; `None` when there are none.
///
/// # Errors
/// When they are no object, of another kind or version, or have fields besides.
pub fn spec(metadata: Option<&Value>) -> Result<Option<Map<String, Value>>, ProviderError> {
    let Some(metadata) = metadata.filter(|metadata| !metadata.is_null()) else { return Ok(None) };
    let wrong = |what: &str| ProviderError::failed(format!("failed to parse {KIND}: {what}"));
    // A cluster hands them over as they stand in the object; some callers as text.
    let parsed = match metadata.get("raw").unwrap_or(metadata) {
        Value::String(text) => serde_saphyr::from_str::<Value>(text).map_err(|_| wrong("it is no YAML"))?,
        other => other.clone(),
    };
    let Value::Object(mut object) = parsed else { return Err(wrong("it is no object")) };
    if object.is_empty() {
        return Ok(None);
    }
    if let Some(name) = object.keys().find(|name| !["apiVersion", "kind", "spec"].contains(&name.as_str())) {
        return Err(wrong(&format!("unknown field {name:?}")));
    }
    let text = |object: &Map<String, Value>, name: &str| {
        object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (version, kind) = (text(&object, "apiVersion"), text(&object, "kind"));
    if version != API_VERSION {
        return Err(ProviderError::failed(format!("unexpected apiVersion {version:?}, expected {API_VERSION:?}")));
    }
    if kind != KIND {
        return Err(ProviderError::failed(format!("unexpected kind {kind:?}, expected {KIND:?}")));
    }
    match object.remove("spec") {
        Some(Value::Object(spec)) => Ok(Some(spec)),
        None | Some(Value::Null) => Ok(Some(Map::new())),
        Some(_) => Err(wrong("spec is no object")),
    }
}

/// One value of settings that are a plain object, as some providers have them: `None` when there are no settings or no such key.
///
/// # Errors
/// When they are no object.
pub fn value(metadata: Option<&Value>, key: &str) -> Result<Option<Value>, ProviderError> {
    let Some(metadata) = metadata.filter(|metadata| !metadata.is_null()) else { return Ok(None) };
    let wrong = || ProviderError::failed(format!("failed to parse JSON raw data: key {key:?} cannot be looked for"));
    let parsed = match metadata.get("raw").unwrap_or(metadata) {
        Value::String(text) => serde_json::from_str(text).map_err(|_| wrong())?,
        other => other.clone(),
    };
    match parsed {
        Value::Object(mut object) => Ok(object.remove(key)),
        _ => Err(wrong()),
    }
}

/// A field of `spec` that is a map of texts.
pub(crate) fn texts(
    spec: Option<&Map<String, Value>>,
    name: &str,
) -> Option<std::collections::BTreeMap<String, String>> {
    let map = spec?.get(name)?.as_object()?;
    Some(map.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect())
}

/// A field of `spec` that is a text.
pub(crate) fn text<'s>(spec: Option<&'s Map<String, Value>>, name: &str) -> &'s str {
    spec.and_then(|spec| spec.get(name)).and_then(Value::as_str).unwrap_or_default()
}

const API_VERSION: &str = "kubernetes.external-secrets.io/v1alpha1";
const KIND: &str = "PushSecretMetadata";
