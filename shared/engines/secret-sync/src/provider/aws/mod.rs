//! Amazon's Secrets Manager and Parameter Store: both speak JSON, one operation by name each.

pub mod parameter_store;
pub mod secrets_manager;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::provider::{Keys, ProviderError, metadata, object};
use crate::value::{SecretBytes, SecretJson, to_sorted_json};

/// Why an operation has no answer. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AwsError {
    /// The service refused it: the name of the exception, and its words.
    Refused {
        /// Name, as `ResourceNotFoundException`.
        code: String,
        /// Words.
        message: String,
    },
    /// The service does not answer.
    Failed(String),
    /// The operation is on its way.
    Unanswered,
}

impl AwsError {
    fn is(&self, names: &[&str]) -> bool {
        matches!(self, Self::Refused { code, .. } if names.contains(&code.as_str()))
    }
}

impl From<AwsError> for ProviderError {
    fn from(error: AwsError) -> Self {
        match error {
            AwsError::Refused { code, message } => Self::Failed(format!("{code}: {message}")),
            AwsError::Failed(what) => Self::Failed(what),
            AwsError::Unanswered => Self::Unanswered,
        }
    }
}

/// The operations of a service (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/>).
pub trait Calls {
    /// Performs `operation` with `input`, and gives its output.
    ///
    /// # Errors
    /// When the service refuses or does not answer.
    fn call(&mut self, operation: &'static str, input: &SecretJson) -> Result<SecretJson, AwsError>;
}

/// Texts of a ConfigMap or Secret, by kind, name and key, for resource policies.
pub type Policies<'a> = &'a dyn Fn(&str, &str, &str) -> Result<String, ProviderError>;

fn call(calls: &mut impl Calls, operation: &'static str, input: Value) -> Result<SecretJson, AwsError> {
    calls.call(operation, &SecretJson::new(input))
}

/// The answer of a read; what is not there is told apart from what failed.
fn found(
    answer: Result<SecretJson, AwsError>,
    is_missing: impl Fn(&AwsError) -> bool,
) -> Result<SecretJson, ProviderError> {
    answer.map_err(|error| if is_missing(&error) { ProviderError::Missing } else { error.into() })
}

fn put_field(input: &mut Value, name: &str, value: Value) {
    if let Some(fields) = input.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// Tags as the API has them, by name.
#[must_use]
pub fn tags(list: &Value) -> BTreeMap<String, String> {
    let text = |tag: &Value, name: &str| tag.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    list.as_array().into_iter().flatten().map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect()
}

fn is_ours(tags: &BTreeMap<String, String>) -> bool {
    tags.get(MANAGED_BY).map(String::as_str) == Some(OURS)
}

fn tag_list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

/// The tags to set, and whether one of them, other than the mark of the manager, is new or differs.
#[must_use]
pub fn tags_to_update(now: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> (Value, bool) {
    let differs = |(key, value): (&String, &String)| key != MANAGED_BY && now.get(key) != Some(value);
    (tag_list(wanted), wanted.iter().any(differs))
}

/// Tags that are set and not wanted; the mark of the manager stays.
#[must_use]
pub fn tags_to_remove(now: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> BTreeSet<String> {
    now.keys().filter(|key| *key != MANAGED_BY && !wanted.contains_key(*key)).cloned().collect()
}

/// The tags that a PushSecret asks for, with the mark of the manager.
fn wanted_tags(settings: Option<&Map<String, Value>>) -> Result<BTreeMap<String, String>, ProviderError> {
    let mut tags = metadata::texts(settings, "tags").unwrap_or_default();
    if tags.insert(MANAGED_BY.to_owned(), OURS.to_owned()).is_some() {
        let what = format!("error parsing tags in metadata: Cannot specify a '{MANAGED_BY}' tag");
        return Err(ProviderError::Failed(what));
    }
    Ok(tags)
}

/// Settings of a push; a field that the service does not have is refused.
fn settings(given: Option<&Value>, fields: &[&str]) -> Result<Option<Map<String, Value>>, ProviderError> {
    let settings = metadata::spec(given).map_err(|error| error.within("failed to parse metadata"))?;
    let unknown = settings.iter().flat_map(Map::keys).find(|name| {
        // The peer's reader takes a name in any case.
        !fields.iter().any(|field| field.eq_ignore_ascii_case(name))
    });
    match unknown {
        Some(name) => Err(ProviderError::Failed(format!("failed to parse metadata: unknown field {name:?}"))),
        None => Ok(settings),
    }
}

/// A field in any case of its letters.
fn setting<'s>(settings: Option<&'s Map<String, Value>>, name: &str) -> Option<&'s Value> {
    settings?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn setting_or<'s>(settings: Option<&'s Map<String, Value>>, name: &str, default: &'s str) -> &'s str {
    setting(settings, name).and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or(default)
}

/// A part of the content: a key of exactly that name where it has dots, else a path.
fn part(content: &SecretBytes, property: &str, key: &str) -> Result<SecretBytes, ProviderError> {
    let missing = || ProviderError::Failed(format!("key {property} does not exist in secret {key}"));
    let text = content.expose_str().ok_or_else(missing)?;
    let escaped = property.replace('.', "\\.");
    let by_name = property.contains('.').then(|| crate::provider::gjson(text, &escaped)).flatten();
    by_name.or_else(|| crate::provider::gjson(text, property)).ok_or_else(missing)
}

/// The keys of the JSON object that the content is.
fn keys(content: &SecretBytes, key: &str) -> Result<Keys, ProviderError> {
    let wrong = || ProviderError::Failed(format!("unable to unmarshal secret {key}: it is no JSON object"));
    let fields = SecretJson::new(Value::Object(object(content.expose()).ok_or_else(wrong)?));
    let value = |value: &Value| match value {
        Value::String(text) => SecretBytes::from(text.as_str()),
        other => SecretBytes::new(to_sorted_json(other)),
    };
    let fields = fields.expose().as_object().into_iter().flatten();
    Ok(fields.map(|(key, found)| (key.clone(), value(found))).collect())
}

/// Tags as one JSON object, which a reference with `metadataPolicy: Fetch` gets.
fn tags_as_content(tags: &BTreeMap<String, String>) -> SecretBytes {
    SecretBytes::new(to_sorted_json(&json!(tags)))
}

const MANAGED_BY: &str = "managed-by";
const OURS: &str = "external-secrets";
