//! PushSecret.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::external::{FindName, GeneratorReference, Rewrite, Template, TemplateMetadata};

/// A Secret that is written to stores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PushSecretSpec {
    /// How often, as a Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_interval: Option<String>,
    /// Where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_store_refs: Option<Vec<PushStoreReference>>,
    /// `Replace` or `IfNotExists`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_policy: Option<String>,
    /// `Delete` or `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<String>,
    /// What.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<PushSelector>,
    /// Which keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<PushEntry>>,
    /// Which keys, by a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_to: Option<Vec<PushToEntry>>,
    /// What they become before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Names stores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PushStoreReference {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Or labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<Value>,
    /// Kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// What is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PushSelector {
    /// A Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<PushSecretSelector>,
    /// Or what a generator makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator_ref: Option<GeneratorReference>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Names Secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PushSecretSelector {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Or labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Value>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// One key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PushEntry {
    /// Key and place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "match")]
    pub matched: Option<PushMatch>,
    /// What the provider is told.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    pub metadata: Option<Value>,
    /// How the key becomes a valid one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_strategy: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Key and place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PushMatch {
    /// Key in the Secret; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<String>,
    /// Place in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ref: Option<PushRemoteReference>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A place in a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PushRemoteReference {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_key: Option<String>,
    /// Part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Many keys by a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PushToEntry {
    /// Where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_ref: Option<PushStoreReference>,
    /// Name that gets all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_key: Option<String>,
    /// Which keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "match")]
    pub matched: Option<FindName>,
    /// How they are renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Vec<Rewrite>>,
    /// What the provider is told.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    pub metadata: Option<Value>,
    /// How keys become valid ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_strategy: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A PushSecret for each of many namespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClusterPushSecretSpec {
    /// What each is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_secret_spec: Option<PushSecretSpec>,
    /// How often namespaces are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_time: Option<String>,
    /// Name of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_secret_name: Option<String>,
    /// Labels and annotations of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_secret_metadata: Option<TemplateMetadata>,
    /// Which namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selectors: Option<Vec<Value>>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A field that may be there and be null, which is not the same as absent.
fn nullable<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
