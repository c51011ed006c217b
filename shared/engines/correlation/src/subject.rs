//! Whom a case is about.

use std::fmt;
use std::sync::Arc;

use model::{Digest, NodeName, PodUid, WorkloadRef};
use serde::{Deserialize, Serialize};

/// A subject as text: `pod/<uid>`, `workload/<namespace>/<kind>/<name>`, `image/<digest>`, `node/<name>`, then the group-by values.
/// The text is part of the incident id, so its form is fixed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Subject(Arc<str>);

impl Subject {
    pub(crate) fn pod(uid: &PodUid, group: &str) -> Self {
        Self(format!("pod/{uid}{group}").into())
    }

    pub(crate) fn workload(workload: &WorkloadRef, group: &str) -> Self {
        Self(format!("workload/{}/{}/{}{group}", workload.namespace, workload.kind, workload.name).into())
    }

    pub(crate) fn image(digest: &Digest, group: &str) -> Self {
        Self(format!("image/{digest}{group}").into())
    }

    pub(crate) fn node(node: &NodeName, group: &str) -> Self {
        Self(format!("node/{node}{group}").into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The pod's uid, when it is about a pod.
    pub(crate) fn pod_uid(&self) -> Option<PodUid> {
        self.0.strip_prefix("pod/")?.split('|').next()?.parse().ok()
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
