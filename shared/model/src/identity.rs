//! All identities that one event may carry: how phases find each other.

use serde::{Deserialize, Serialize};

use crate::{AdmissionId, ContainerId, Digest, PodUid, WorkloadRef};

/// Every identity that the sender of an event knew. All fields are optional; an event carries all it knows, never a guess.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Identity {
    /// Manifest digest of the image, of the platform that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<Digest>,
    /// Digest of the index (manifest list) that the image was chosen from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_digest: Option<Digest>,
    /// Image reference as the user wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Uid of the admission review.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admission_id: Option<AdmissionId>,
    /// Uid of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<PodUid>,
    /// Name of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// Namespace of the pod or object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Owner of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadRef>,
    /// Service account of the pod, without its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Id of the container at its runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<ContainerId>,
    /// Name of the container in the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    /// Inode number of the container's cgroup in the cgroup2 tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_id: Option<u64>,
    /// Secrets concerned: where they come from and which version, never their value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretRef>,
}

/// One secret by origin and version. There is no field for a value, on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretRef {
    /// Store: `SecretStore default/vault` or `ClusterSecretStore vault`.
    pub store: String,
    /// Path or key in the store, as in `remoteRef.key`.
    pub path: String,
    /// Version at the store, as it names it; empty when it has none.
    #[serde(default)]
    pub version: String,
    /// The Kubernetes Secret it was written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}
