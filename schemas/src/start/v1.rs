//! Start events, version 1. None has a field for a secret's value.

use model::SecretRef;
use serde::{Deserialize, Serialize};

use crate::envelope::EventData;
use crate::event_type::EventType;

/// One key of a target, with a keyed hash by which two events can be seen to speak of the same value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeyDigest {
    /// Key in the Secret.
    pub key: String,
    /// HMAC-SHA-256 of the value under a key that only the broker has, in hex.
    pub hmac: String,
}

/// `start.secret.synced`, keyed by namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretSynced {
    /// The manifest: `ExternalSecret default/db`.
    pub manifest: String,
    /// Namespace of the target.
    pub namespace: String,
    /// Name of the target Secret.
    pub target: String,
    /// Where its values come from, with versions.
    pub sources: Vec<SecretRef>,
    /// Its keys.
    #[serde(default)]
    pub keys: Vec<KeyDigest>,
}

impl EventData for SecretSynced {
    const TYPE: EventType = EventType::SecretSynced;
}

/// `start.secret.rotated`, keyed by namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretRotated {
    /// The manifest.
    pub manifest: String,
    /// Namespace of the target.
    pub namespace: String,
    /// Name of the target Secret.
    pub target: String,
    /// Sources with the versions that are in force now.
    pub sources: Vec<SecretRef>,
    /// Sources with the versions before.
    #[serde(default)]
    pub previous: Vec<SecretRef>,
    /// Keys whose value changed.
    #[serde(default)]
    pub keys: Vec<KeyDigest>,
}

impl EventData for SecretRotated {
    const TYPE: EventType = EventType::SecretRotated;
}

/// `start.secret.sync-failed`, keyed by namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretSyncFailed {
    /// The manifest.
    pub manifest: String,
    /// Namespace of the target.
    pub namespace: String,
    /// Name of the target Secret.
    pub target: String,
    /// What went wrong, in one line.
    pub reason: String,
    /// What can be done about it.
    #[serde(default)]
    pub remedy: String,
    /// Attempts in a row that failed.
    #[serde(default)]
    pub attempts: u64,
}

impl EventData for SecretSyncFailed {
    const TYPE: EventType = EventType::SecretSyncFailed;
}

/// `start.secret.stale`, keyed by namespace: the target may be older than its store for too long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretStale {
    /// The manifest.
    pub manifest: String,
    /// Namespace of the target.
    pub namespace: String,
    /// Name of the target Secret.
    pub target: String,
    /// Seconds since it was last confirmed.
    pub age_s: u64,
}

impl EventData for SecretStale {
    const TYPE: EventType = EventType::SecretStale;
}

/// `start.secret.delivered`, keyed by pod uid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretDelivered {
    /// Namespace of pod and Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub target: String,
    /// Where its values come from, with the versions that the pod was handed.
    pub sources: Vec<SecretRef>,
    /// How the pod refers to it: `env`, `envFrom`, `volume`, `projected`.
    #[serde(default)]
    pub by: Vec<String>,
}

impl EventData for SecretDelivered {
    const TYPE: EventType = EventType::SecretDelivered;
}
