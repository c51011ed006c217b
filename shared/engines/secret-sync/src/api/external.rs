//! ExternalSecret, and what it has in common with others.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

type Strings = Map<String, Value>;

/// What to fetch, and what becomes of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ExternalSecretSpec {
    /// Where to fetch from, unless an entry says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_store_ref: Option<StoreReference>,
    /// The Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// When to fetch again: `Periodic`, `CreatedOnce`, `OnChange`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_policy: Option<String>,
    /// How often, as a Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_interval: Option<String>,
    /// When fetching is let or kept from happening.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_windows: Option<SyncWindows>,
    /// Single keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<DataEntry>>,
    /// Many keys at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_from: Option<Vec<DataFromEntry>>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Names a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StoreReference {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `SecretStore` or `ClusterSecretStore`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Names a generator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GeneratorReference {
    /// Group and version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Where one entry comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SourceReference {
    /// A store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_ref: Option<StoreReference>,
    /// A generator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator_ref: Option<GeneratorReference>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// One key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DataEntry {
    /// Key in the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<String>,
    /// What to fetch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ref: Option<RemoteReference>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<SourceReference>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// What to fetch of a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RemoteReference {
    /// Name in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// Version of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether to fetch what is said about it instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_policy: Option<String>,
    /// How keys become valid ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_strategy: Option<String>,
    /// How values are decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoding_strategy: Option<String>,
    /// What to do about NUL bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null_byte_policy: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Many keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DataFromEntry {
    /// All keys of one entry of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extract: Option<RemoteReference>,
    /// All entries that a search finds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub find: Option<Find>,
    /// How keys are renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Vec<Rewrite>>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<SourceReference>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Find {
    /// Where to search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// By name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<FindName>,
    /// By tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Strings>,
    /// How keys become valid ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_strategy: Option<String>,
    /// How values are decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoding_strategy: Option<String>,
    /// What to do about NUL bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null_byte_policy: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A search by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FindName {
    /// Regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regexp: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// One step of renaming keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rewrite {
    /// By a regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regexp: Option<RewriteRegexp>,
    /// By a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<RewriteTransform>,
    /// Values of keys become keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<RewriteMerge>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Renaming by a regular expression.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RewriteRegexp {
    /// What matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What it becomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Renaming by a template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RewriteTransform {
    /// The template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Merging the values of keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RewriteMerge {
    /// `Extract` or `JSON`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// What to do about keys that occur twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict_policy: Option<String>,
    /// Key that gets the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
    /// Keys that win, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Vec<String>>,
    /// Whether those keys must be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_policy: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SyncWindows {
    /// `allow` or `deny`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<Vec<SyncWindow>>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// One time, again and again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SyncWindow {
    /// When it begins, as cron writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// How long it is, as a Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// The Secret, or another object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Target {
    /// Name; that of the ExternalSecret by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Owner`, `Orphan`, `Merge`, `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_policy: Option<String>,
    /// `Retain`, `Delete`, `Merge`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<String>,
    /// What it looks like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Another kind of object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<TargetManifest>,
    /// Whether it may be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A kind of object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TargetManifest {
    /// Group and version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// What an object looks like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Template {
    /// Type of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `v2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
    /// Labels and annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TemplateMetadata>,
    /// A template for each key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Strings>,
    /// `Replace` or `Merge`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_policy: Option<String>,
    /// Templates from elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_from: Option<Vec<TemplateFrom>>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Labels, annotations and finalizers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TemplateMetadata {
    /// Annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Strings>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Strings>,
    /// Finalizers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finalizers: Option<Vec<String>>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Templates from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TemplateFrom {
    /// A ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<TemplateReference>,
    /// A Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<TemplateReference>,
    /// A text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub literal: Option<String>,
    /// What they fill: `Data`, `Labels`, `Annotations`, or a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// How what they make is decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values_decoding_strategy: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// An object with templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TemplateReference {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Keys of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<TemplateItem>>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// One template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TemplateItem {
    /// Key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `Values` or `KeysAndValues`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_as: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// An ExternalSecret for each of many namespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClusterExternalSecretSpec {
    /// What each is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_secret_spec: Option<ExternalSecretSpec>,
    /// Name of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_secret_name: Option<String>,
    /// Labels and annotations of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_secret_metadata: Option<TemplateMetadata>,
    /// Which namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<Value>,
    /// Which namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selectors: Option<Vec<Value>>,
    /// Which namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// How often namespaces are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_time: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}
