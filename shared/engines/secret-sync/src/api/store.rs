//! Stores.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where to fetch from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecretStoreSpec {
    /// Who is to look after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    /// The provider, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Map<String, Value>>,
    /// How failures are tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_settings: Option<RetrySettings>,
    /// How often it is validated: seconds, or a Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_interval: Option<Value>,
    /// Who may use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<StoreCondition>>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// How failures are tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RetrySettings {
    /// How often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i64>,
    /// After how long, as a Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<String>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Who may use a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StoreCondition {
    /// Namespaces by label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<Value>,
    /// Namespaces by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// Namespaces by regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_regexes: Option<Vec<String>>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}
