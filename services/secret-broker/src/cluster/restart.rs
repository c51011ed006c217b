//! Restarts of pods that hold an old version.

use futures::future::BoxFuture;
use kubernetes::Cluster;
use schemas::ask::{RotateHolder, RotateOutcome};
use serde_json::json;

use crate::holders::Holder;

/// Evicts those that keep what they started with and that something makes anew. One pod may hold several targets: it is evicted once.
pub(super) fn all(cluster: Cluster, holders: Vec<Holder>) -> BoxFuture<'static, Vec<RotateHolder>> {
    Box::pin(async move {
        let mut done: Vec<RotateHolder> = Vec::with_capacity(holders.len());
        for holder in holders {
            if !holder.keeps() {
                done.push(holder.with(RotateOutcome::Follows, ""));
                continue;
            }
            if !holder.has_controller {
                done.push(holder.with(RotateOutcome::Keeps, "nothing would make a new one: restart it by hand"));
                continue;
            }
            let known =
                done.iter().find(|other| other.pod_uid == holder.uid && other.outcome != RotateOutcome::Follows);
            let (outcome, reason) = match known {
                Some(known) => (known.outcome, known.reason.clone()),
                None => evict(&cluster, &holder).await,
            };
            done.push(holder.with(outcome, &reason));
        }
        done
    })
}

/// Evicts this very pod, not one of the same name that came after it.
async fn evict(cluster: &Cluster, holder: &Holder) -> (RotateOutcome, String) {
    let (namespace, name) = (&holder.namespace, &holder.name);
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "namespace": namespace, "name": name },
        "deleteOptions": { "preconditions": { "uid": holder.uid } },
    });
    match cluster.post(&format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction"), &eviction).await {
        Ok(_) => (RotateOutcome::Restarted, String::new()),
        Err(error) => (RotateOutcome::Keeps, error.chain()),
    }
}
