//! The Kubernetes object that owns a pod.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A workload: the topmost controller of a pod, or the pod itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorkloadRef {
    /// Kind: `Deployment`, `StatefulSet`, `Pod`, ...
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl fmt::Display for WorkloadRef {
    /// `Deployment default/web`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}
