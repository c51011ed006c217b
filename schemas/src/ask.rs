//! Commands: request and reply between operators, the CLI and a service.

use model::Digest;
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
