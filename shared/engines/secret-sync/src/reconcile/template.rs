//! What a template makes of the data: keys, labels and annotations of a Secret, or any part of another object.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{TargetSecret, Texts, World};
use crate::api::{Template, TemplateFrom, TemplateItem, TemplateReference};
use crate::decode::{DecodingStrategy, decode};
use crate::manifest::SecretPart;
use crate::provider::Keys;
use crate::value::{SecretBytes, SecretJson};

/// A template cannot be applied. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The engine version is another than `v2`.
    #[error("unsupported template engine version: {0}")]
    Engine(String),
    /// An object with templates, or a key of it, is not there.
    #[error("error fetching templateFrom data: {0}")]
    Missing(String),
    /// A template fails.
    #[error("could not execute template: {0}")]
    Failed(String),
    /// A part that a template may not fill.
    #[error(
        "templateFrom target {0:?} is not allowed when targeting a Secret, must be one of \"Data\", \"Annotations\" or \"Labels\""
    )]
    Target(String),
}

/// A template with what it is for: a name of its own, or text whose lines are `key: value`.
struct Job<'t> {
    name: String,
    text: String,
    makes_keys: bool,
    target: &'t str,
    decoding: Option<&'t str>,
}

/// Fills a Secret: `templateFrom` in order, then `data`, labels and annotations.
///
/// # Errors
/// When a template is missing, fails, or fills a part that a Secret does not have.
pub fn apply_to_secret(
    template: &Template,
    data: &Keys,
    secret: &mut TargetSecret,
    world: &World<'_>,
) -> Result<(), TemplateError> {
    check_engine(template)?;
    if let Some(kind) = template.kind.as_ref().filter(|kind| !kind.is_empty()) {
        secret.kind.clone_from(kind);
    }
    if keeps_data(template) {
        secret.data.extend(data.clone());
    }
    for from in template.template_from.iter().flatten() {
        let name = from.target.as_deref().unwrap_or_default();
        let part = SecretPart::parse(name).ok_or_else(|| TemplateError::Target(name.to_owned()))?;
        for job in jobs(from, &secret.namespace, world)? {
            for (key, value) in made(&job, data, world)? {
                put(secret, part, key, value);
            }
        }
    }
    for (key, text) in template.data.iter().flatten() {
        let value = rendered(key, text.as_str().unwrap_or_default(), data, world)?;
        put(secret, SecretPart::Data, key.clone(), value);
    }
    let metadata = template.metadata.as_ref();
    let parts = [
        (SecretPart::Labels, metadata.and_then(|metadata| metadata.labels.as_ref())),
        (SecretPart::Annotations, metadata.and_then(|metadata| metadata.annotations.as_ref())),
    ];
    for (part, texts) in parts {
        for (key, text) in texts.into_iter().flatten() {
            let value = rendered(key, text.as_str().unwrap_or_default(), data, world)?;
            put(secret, part, key.clone(), value);
        }
    }
    Ok(())
}

fn check_engine(template: &Template) -> Result<(), TemplateError> {
    match template.engine_version.as_deref() {
        None | Some("" | "v2") => Ok(()),
        Some(other) => Err(TemplateError::Engine(other.to_owned())),
    }
}

/// Whether the fetched keys stay beside those that templates make.
fn keeps_data(template: &Template) -> bool {
    let is_bare =
        template.data.as_ref().is_none_or(Map::is_empty) && template.template_from.as_ref().is_none_or(Vec::is_empty);
    is_bare || template.merge_policy.as_deref() == Some("Merge")
}

fn put(secret: &mut TargetSecret, part: SecretPart, key: String, value: SecretBytes) {
    let text = || String::from_utf8_lossy(value.expose()).into_owned();
    match part {
        SecretPart::Data => drop(secret.data.insert(key, value)),
        SecretPart::Labels => drop(secret.labels.insert(key, text())),
        SecretPart::Annotations => drop(secret.annotations.insert(key, text())),
    }
}

fn jobs<'t>(from: &'t TemplateFrom, namespace: &str, world: &World<'_>) -> Result<Vec<Job<'t>>, TemplateError> {
    let (target, decoding) = (from.target.as_deref().unwrap_or_default(), from.values_decoding_strategy.as_deref());
    let mut jobs = Vec::new();
    if let Some(reference) = &from.config_map {
        let name = reference.name.as_deref().unwrap_or_default();
        let missing = || TemplateError::Missing(format!("could not get ConfigMap {name:?}"));
        let texts = world.objects.config_map(namespace, name).ok_or_else(missing)?;
        let text = |key: &str| texts.get(key).cloned();
        jobs.extend(items(reference, ("configmap", name), text)?);
    }
    if let Some(reference) = &from.secret {
        let name = reference.name.as_deref().unwrap_or_default();
        let missing = || TemplateError::Missing(format!("could not get Secret {name:?}"));
        let secret = world.objects.secret(namespace, name).ok_or_else(missing)?;
        let text = |key: &str| Some(String::from_utf8_lossy(secret.data.get(key)?.expose()).into_owned());
        jobs.extend(items(reference, ("secret", name), text)?);
    }
    if let Some(text) = &from.literal {
        jobs.push(("literal".to_owned(), text.clone(), true));
    }
    let job = |(name, text, makes_keys)| Job { name, text, makes_keys, target, decoding };
    Ok(jobs.into_iter().map(job).collect())
}

fn items(
    reference: &TemplateReference,
    (kind, name): (&str, &str),
    text: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String, bool)>, TemplateError> {
    let item = |item: &TemplateItem| {
        let key = item.key.clone().unwrap_or_default();
        let text =
            text(&key).ok_or_else(|| TemplateError::Missing(format!("error in {kind} {name}: missing key {key}")))?;
        Ok((key, text, item.template_as.as_deref() == Some("KeysAndValues")))
    };
    reference.items.iter().flatten().map(item).collect()
}

fn rendered(name: &str, text: &str, data: &Keys, world: &World<'_>) -> Result<SecretBytes, TemplateError> {
    let failed = |what| TemplateError::Failed(format!("unable to execute template at key {name}: {what}"));
    world.templates.render(name, text, data).map_err(failed)
}

/// The keys and values that a template makes.
fn made(job: &Job<'_>, data: &Keys, world: &World<'_>) -> Result<Keys, TemplateError> {
    let text = rendered(&job.name, &job.text, data, world)?;
    let keys = if job.makes_keys { lines(&job.name, &text)? } else { Keys::from([(job.name.clone(), text)]) };
    let Some(strategy) = job.decoding else { return Ok(keys) };
    let unknown = || TemplateError::Failed(format!("decoding strategy {strategy} is not supported"));
    let strategy = DecodingStrategy::parse(strategy).ok_or_else(unknown)?;
    let one = |(key, value)| {
        let failed = |_| TemplateError::Failed(format!("the value of key {key} cannot be decoded"));
        Ok((String::clone(&key), decode(strategy, value).map_err(failed)?))
    };
    keys.into_iter().map(one).collect()
}

/// A rendered text as YAML: a text for each key.
fn lines(name: &str, text: &SecretBytes) -> Result<Keys, TemplateError> {
    let broken =
        || TemplateError::Failed(format!("unable to unmarshal the result of template {name}: it is no map of texts"));
    let map: BTreeMap<String, String> =
        serde_saphyr::from_str(text.expose_str().ok_or_else(broken)?).map_err(|_| broken())?;
    Ok(map.into_iter().map(|(key, value)| (key, SecretBytes::new(value.into_bytes()))).collect())
}

/// Fills any object: data goes to `data` of a ConfigMap and to `spec.data` of anything else, templates to the path that they name.
///
/// # Errors
/// As [`apply_to_secret`], and when a path leads through something that is no object or list.
pub fn apply_to_manifest(
    template: Option<&Template>,
    (namespace, data): (&str, &Keys),
    object: &mut Value,
    world: &World<'_>,
) -> Result<(), TemplateError> {
    let Some(template) = template else {
        super::generic::simple(object, data);
        return Ok(());
    };
    check_engine(template)?;
    if keeps_data(template) {
        super::generic::simple(object, data);
    }
    for from in template.template_from.iter().flatten() {
        for job in jobs(from, namespace, world)? {
            let path = path_of(job.target);
            if job.makes_keys {
                let text = rendered(&job.name, &job.text, data, world)?;
                let broken = || TemplateError::Failed(format!("the result of template {} is no YAML", job.name));
                let text = text.expose_str().ok_or_else(broken)?;
                let value = SecretJson::new(serde_saphyr::from_str(text).map_err(|_| broken())?);
                super::generic::set(object, &path, value.expose().clone()).map_err(TemplateError::Failed)?;
            } else {
                for (key, value) in made(&job, data, world)? {
                    set_text(object, &path, &key, &value)?;
                }
            }
        }
    }
    let metadata = template.metadata.as_ref();
    let parts = [
        ("data", template.data.as_ref()),
        ("metadata.labels", metadata.and_then(|metadata| metadata.labels.as_ref())),
        ("metadata.annotations", metadata.and_then(|metadata| metadata.annotations.as_ref())),
    ];
    for (path, texts) in parts {
        for (key, text) in texts.into_iter().flatten() {
            let value = rendered(key, text.as_str().unwrap_or_default(), data, world)?;
            set_text(object, path, key, &value)?;
        }
    }
    Ok(())
}

fn set_text(object: &mut Value, path: &str, key: &str, value: &SecretBytes) -> Result<(), TemplateError> {
    let text = String::from_utf8_lossy(value.expose()).into_owned();
    let entry = Value::Object(Map::from_iter([(key.to_owned(), Value::String(text))]));
    super::generic::set(object, path, entry).map_err(TemplateError::Failed)
}

fn path_of(target: &str) -> String {
    match target.to_lowercase().as_str() {
        "" | "data" => "data".to_owned(),
        "labels" => "metadata.labels".to_owned(),
        "annotations" => "metadata.annotations".to_owned(),
        _ => target.to_owned(),
    }
}

/// Copies the texts of a map that may hold other things.
pub(super) fn texts(map: Option<&Map<String, Value>>) -> Texts {
    let text = |(key, value): (&String, &Value)| (key.clone(), value.as_str().unwrap_or_default().to_owned());
    map.into_iter().flatten().map(text).collect()
}
