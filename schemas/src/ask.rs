//! Commands: request and reply between operators, the CLI and a service.

use model::{Digest, PodUid};
use serde::{Deserialize, Serialize};

use crate::build::v1::SeverityCounts;

/// `ask.registry-scanner.scan`: scan this image now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScanRequest {
    /// Image reference, or the path of an OCI layout folder that the scanner can read.
    pub target: String,
    /// Platform as `os/arch[/variant]`; the scanner's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// The answer to any command: `ok` or an error with its remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reply<T> {
    /// It was done.
    Ok(T),
    /// It was not.
    Error(AskError),
}

/// Why a command was not done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AskError {
    /// What went wrong.
    pub message: String,
    /// What the asker can do about it.
    #[serde(default)]
    pub remedy: String,
    /// Whether the same command may work later.
    #[serde(default)]
    pub retryable: bool,
}

/// What came of a scan; the findings are in the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScanReply {
    /// Digest of the image that was scanned.
    pub digest: Digest,
    /// Packages found.
    pub packages: u64,
    /// Findings by severity.
    pub counts: SeverityCounts,
    /// Whether some layer could not be read.
    #[serde(default)]
    pub partial: bool,
}

/// `ask.secret-broker.rotate`: make a new version of a secret and hand it to its holders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RotateRequest {
    /// Store, as `SecretStore default/vault`.
    pub store: String,
    /// Path in the store.
    pub path: String,
    /// Why, for the audit trail: an incident id or a person's words.
    #[serde(default)]
    pub reason: String,
}

/// What came of a rotation. Holds names and versions, never a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RotateReply {
    /// Version before.
    pub previous: String,
    /// Version that was made.
    pub version: String,
    /// Keys that have new values.
    pub keys: Vec<String>,
    /// Targets that have the new version, as `namespace/name`.
    pub targets: Vec<String>,
    /// Targets that did not get it in time.
    pub late: Vec<String>,
    /// Pods that held the version before.
    pub holders: Vec<RotateHolder>,
}

/// A pod that held the version before a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RotateHolder {
    /// The pod.
    pub pod_uid: PodUid,
    /// Its namespace.
    pub namespace: String,
    /// Its name; empty when unknown.
    pub name: String,
    /// The target that it holds.
    pub target: String,
    /// How: `env`, `envFrom`, `volume`, `projected`.
    pub by: Vec<String>,
    /// What was done about it.
    pub outcome: RotateOutcome,
    /// Why it was not restarted; empty when it was, or needs not be.
    #[serde(default)]
    pub reason: String,
}

/// What was done about a pod that held an old version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RotateOutcome {
    /// It is evicted; what controls it makes a new one.
    Restarted,
    /// It reads files, which change by themselves.
    Follows,
    /// It keeps the old version until somebody restarts it.
    Keeps,
}
