//! The pods of the cluster: each is published once, when it appears.

use bus::Publisher;
use kubernetes::{Cluster, Resource};
use service::Context;

use super::changed;
use crate::facts::Facts;
use crate::manifests::Pods;

/// Follows the pods of the cluster.
pub(super) fn follow(context: &Context, cluster: &Cluster, (facts, publisher): (Facts, Publisher)) {
    let mut seen = cluster.follow(&Resource::new("", "v1", "Pod", "pods"));
    let shutdown = context.shutdown.clone();
    context.spawn(async move {
        let mut pods = Pods::new(facts, publisher);
        while changed(&mut seen, &shutdown).await {
            let objects = std::sync::Arc::clone(&seen.borrow().objects);
            for pod in objects.values() {
                if let Err(fault) = pods.publish(pod, "cluster").await {
                    tracing::warn!(fault = %fault.what, "a pod of the cluster is left out");
                }
            }
            pods.forget_all_but(objects.values().map(AsRef::as_ref));
        }
    });
}
