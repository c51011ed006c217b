//! What admission refuses, in upstream's words.

use std::time::Duration;

use serde_json::Value;

use super::external::{DataFromEntry, ExternalSecretSpec, Target};
use super::store::SecretStoreSpec;
use crate::schedule;

/// Everything that is wrong with an ExternalSecret; empty when it may be admitted.
#[must_use]
pub fn external_secret(spec: &ExternalSecretSpec) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(target) = &spec.target {
        wrong.extend(policies(target));
        wrong.extend(template(target));
    }
    let (data, from) = (spec.data.as_deref().unwrap_or_default(), spec.data_from.as_deref().unwrap_or_default());
    if data.is_empty() && from.is_empty() {
        wrong.push("either data or dataFrom should be specified".to_owned());
    }
    wrong.extend(from.iter().filter_map(entry));
    for (place, item) in data.iter().enumerate() {
        let is_again = data.iter().take(place).any(|before| before.secret_key == item.secret_key);
        if is_again && item.secret_key.is_some() {
            wrong.push(format!("duplicate secretKey found: {}", item.secret_key.as_deref().unwrap_or_default()));
        }
    }
    wrong
}

fn policies(target: &Target) -> Option<String> {
    let is_not_owner = matches!(target.creation_policy.as_deref(), Some("Merge" | "None" | "CreateOrMerge"));
    match target.deletion_policy.as_deref() {
        Some("Delete") if is_not_owner => Some(
            "deletionPolicy=Delete must not be used when the controller doesn't own the secret. Please set creationPolicy=Owner"
                .to_owned(),
        ),
        Some("Merge") if target.creation_policy.as_deref() == Some("None") => Some(
            "deletionPolicy=Merge must not be used with creationPolicy=None. There is no Secret to merge with".to_owned(),
        ),
        _ => None,
    }
}

/// A template must not make a token of a service account, which would be a way to another's rights, and fills known parts of a Secret.
fn template(target: &Target) -> Vec<String> {
    let Some(template) = &target.template else { return Vec::new() };
    let mut wrong = Vec::new();
    let annotations = template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    let is_named = annotations.is_some_and(|annotations| annotations.contains_key(ACCOUNT));
    if template.kind.as_deref() == Some(TOKEN) && is_named {
        wrong.push(format!("template.type=\"{TOKEN}\" with annotation \"{ACCOUNT}\" is not allowed"));
    }
    if target.manifest.is_some() {
        return wrong;
    }
    for from in template.template_from.iter().flatten() {
        let name = from.target.as_deref().unwrap_or_default();
        if !matches!(name.to_lowercase().as_str(), "" | "data" | "annotations" | "labels") {
            wrong.push(format!(
                "templateFrom target=\"{name}\" is not allowed when targeting a Secret, must be one of \"Data\", \"Annotations\" or \"Labels\""
            ));
        }
    }
    wrong
}

fn entry(entry: &DataFromEntry) -> Option<String> {
    let generator = entry.source_ref.as_ref().is_some_and(|source| source.generator_ref.is_some());
    let ways = [entry.extract.is_some(), entry.find.is_some(), generator];
    if ways.iter().filter(|way| **way).count() > 1 {
        return Some("extract, find, or generatorRef cannot be set at the same time".to_owned());
    }
    if ways.contains(&true) {
        return None;
    }
    match &entry.source_ref {
        None => Some("either extract, find, or sourceRef must be set to dataFrom".to_owned()),
        Some(source) if source.store_ref.is_none() => {
            Some("generatorRef or storeRef must be set when using sourceRef in dataFrom".to_owned())
        }
        Some(_) => None,
    }
}

/// Everything that is wrong with a store; empty when it may be admitted.
#[must_use]
pub fn secret_store(name: &str, spec: &SecretStoreSpec) -> Vec<String> {
    let mut wrong = Vec::new();
    match spec.refresh_interval.as_ref().map(refresh_interval) {
        Some(Err(RefreshError::Negative)) => wrong.push("refreshInterval must not be negative".to_owned()),
        Some(Err(RefreshError::Malformed)) => {
            wrong.push("invalid refreshInterval: it is neither a number of seconds nor a duration".to_owned());
        }
        Some(Ok(_)) | None => {}
    }
    for (place, condition) in spec.conditions.iter().flatten().enumerate() {
        for (at, pattern) in condition.namespace_regexes.iter().flatten().enumerate() {
            if jmespath::go_regex::compile(pattern).is_err() {
                wrong.push(format!("failed to compile {at}th namespace regex in {place}th condition"));
            }
        }
    }
    let found = spec.provider.as_ref().map_or(0, serde_json::Map::len);
    if found != 1 {
        wrong.push(format!(
            "store error for {name}: secret stores must only have exactly one backend specified, found {found}"
        ));
    }
    wrong
}

/// How often a store is validated: whole seconds as a number, or a Go duration as text.
///
/// # Errors
/// When it is neither, or negative.
pub fn refresh_interval(value: &Value) -> Result<Duration, RefreshError> {
    match value {
        Value::Null => Ok(Duration::ZERO),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(seconds), _) => Ok(Duration::from_secs(seconds)),
            (None, Some(_)) => Err(RefreshError::Negative),
            (None, None) => Err(RefreshError::Malformed),
        },
        Value::String(text) => match text.strip_prefix('-') {
            Some(rest) if schedule::parse_duration(rest).is_some() => Err(RefreshError::Negative),
            _ => schedule::parse_duration(text).ok_or(RefreshError::Malformed),
        },
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(RefreshError::Malformed),
    }
}

/// A refresh interval cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// It is negative.
    #[error("must not be negative")]
    Negative,
    /// It is none.
    #[error("is neither a number of seconds nor a duration")]
    Malformed,
}

/// Whether a fetched value is refused for a NUL byte, which the policy `Fail` asks for.
#[must_use]
pub fn is_refused_for_nul(policy: &str, value: &[u8]) -> bool {
    policy == "Fail" && value.contains(&0)
}

const TOKEN: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
