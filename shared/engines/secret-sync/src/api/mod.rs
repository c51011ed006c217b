//! The objects of External Secrets' API groups as they are written: every field of the versions `v1`, `v1beta1` and `v1alpha1`, typed, and
//! whatever else an object has kept as it is, so that reading and writing an object loses nothing.
//!
//! `manifest` says what these objects mean here; this module is for those who hold, change or write the objects themselves.
//! Sections of providers and generators are kept as they are: each provider reads its own.

mod external;
mod push;
mod store;
pub mod validate;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use external::{
    ClusterExternalSecretSpec, DataEntry, DataFromEntry, ExternalSecretSpec, Find, FindName, GeneratorReference,
    RemoteReference, Rewrite, RewriteMerge, RewriteRegexp, RewriteTransform, SourceReference, StoreReference,
    SyncWindow, SyncWindows, Target, TargetManifest, Template, TemplateFrom, TemplateItem, TemplateMetadata,
    TemplateReference,
};
pub use push::{
    ClusterPushSecretSpec, PushEntry, PushMatch, PushRemoteReference, PushSecretSelector, PushSecretSpec, PushSelector,
    PushStoreReference, PushToEntry,
};
pub use store::{RetrySettings, SecretStoreSpec, StoreCondition};

/// One object of the groups.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// What to fetch, and the Secret that it becomes.
    ExternalSecret(Box<Resource<ExternalSecretSpec>>),
    /// An ExternalSecret for each of many namespaces.
    ClusterExternalSecret(Box<Resource<ClusterExternalSecretSpec>>),
    /// Where to fetch from.
    SecretStore(Box<Resource<SecretStoreSpec>>),
    /// The same for all namespaces.
    ClusterSecretStore(Box<Resource<SecretStoreSpec>>),
    /// A Secret that is written to stores.
    PushSecret(Box<Resource<PushSecretSpec>>),
    /// A PushSecret for each of many namespaces.
    ClusterPushSecret(Box<Resource<ClusterPushSecretSpec>>),
    /// What makes a secret up: a password, a key, a token.
    Generator(Box<Resource<Value>>),
}

/// An object with its head, specification and status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource<S> {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name, namespace, labels, annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// What is wanted.
    pub spec: S,
    /// What has come of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
    /// Fields that the API does not have.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl Object {
    /// Reads an object by its kind and version.
    ///
    /// # Errors
    /// When it is of another group, version or kind, or a field has another type than the API gives it. The message never quotes the
    /// object's values.
    pub fn parse(object: Value) -> Result<Self, ApiError> {
        let at = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (at("apiVersion"), at("kind"));
        let is_external = matches!(
            version.as_str(),
            "external-secrets.io/v1" | "external-secrets.io/v1beta1" | "external-secrets.io/v1alpha1"
        );
        match kind.as_str() {
            "ExternalSecret" if is_external => read(object).map(Self::ExternalSecret),
            "ClusterExternalSecret" if is_external => read(object).map(Self::ClusterExternalSecret),
            "SecretStore" if is_external => read(object).map(Self::SecretStore),
            "ClusterSecretStore" if is_external => read(object).map(Self::ClusterSecretStore),
            "PushSecret" if is_external => read(object).map(Self::PushSecret),
            "ClusterPushSecret" if is_external => read(object).map(Self::ClusterPushSecret),
            // New generators come with every release; what they are told is theirs to read.
            _ if version == "generators.external-secrets.io/v1alpha1" && !kind.is_empty() => {
                read(object).map(Self::Generator)
            }
            _ => Err(ApiError::Unknown { version, kind }),
        }
    }

    /// The object as it is written.
    ///
    /// # Errors
    /// Never for objects that were read; a number that JSON does not have could be put in by hand.
    pub fn to_value(&self) -> Result<Value, serde_json::Error> {
        match self {
            Self::ExternalSecret(object) => serde_json::to_value(object),
            Self::ClusterExternalSecret(object) => serde_json::to_value(object),
            Self::SecretStore(object) | Self::ClusterSecretStore(object) => serde_json::to_value(object),
            Self::PushSecret(object) => serde_json::to_value(object),
            Self::ClusterPushSecret(object) => serde_json::to_value(object),
            Self::Generator(object) => serde_json::to_value(object),
        }
    }
}

fn read<S: DeserializeOwned>(object: Value) -> Result<Box<Resource<S>>, ApiError> {
    let subject = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    serde_json::from_value(object).map(Box::new).map_err(|error| ApiError::Malformed {
        subject,
        // The library quotes the value that it did not expect, and that may be a secret.
        what: error.to_string().split(['`', '"']).next().unwrap_or_default().trim_end().to_owned(),
    })
}

/// An object cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// It is none of these.
    #[error("`{version}` `{kind}` is no object of External Secrets")]
    Unknown {
        /// Group and version.
        version: String,
        /// Kind.
        kind: String,
    },
    /// A field has another type.
    #[error("`{subject}`: {what}")]
    Malformed {
        /// Name of the object.
        subject: String,
        /// What is wrong.
        what: String,
    },
}
