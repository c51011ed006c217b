//! Who leads among several brokers of a cluster: the holder of a Lease of `coordination.k8s.io/v1`.
//!
//! Only the leader asks stores and writes; the others keep their watches warm and wait. A lease counts as abandoned when it was not
//! renewed for its duration by the clock of who looks at it, so that clocks need not agree. A leader that could not renew stops well
//! before that, and its last writes have ended by then.

use std::time::Duration;

use kubernetes::{Cluster, ClusterError, Resource};
use serde_json::{Value, json};
use service::Context;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::LeaseConfig;
use crate::metrics::Metrics;

/// Whether this broker leads, as it changes.
pub(crate) type Leading = watch::Receiver<bool>;

/// Stands for the lease as long as the service runs.
#[derive(Debug)]
pub(super) struct Candidate {
    cluster: Cluster,
    namespace: String,
    name: String,
    identity: String,
    duration: Duration,
    /// The lease as it was seen last, and when it was seen to change.
    seen: Option<(String, Instant)>,
    renewed: Option<Instant>,
}

impl Candidate {
    pub(super) fn new(cluster: Cluster, config: &LeaseConfig, identity: String) -> Self {
        let namespace = config.namespace.clone().unwrap_or_else(|| cluster.namespace().to_owned());
        let duration = Duration::from_secs(config.duration_s);
        Self { cluster, namespace, name: config.name.clone(), identity, duration, seen: None, renewed: None }
    }

    /// Runs until the service ends, and tells `to` whether this broker leads. Lets go of the lease at the end.
    pub(super) async fn run(mut self, context: Context, to: watch::Sender<bool>, metrics: Metrics) {
        let mut tick = tokio::time::interval(self.duration / 5);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = context.shutdown.cancelled() => break,
                _ = tick.tick() => {}
            }
            let patience = self.duration / 3;
            let attempted = tokio::time::timeout(patience, self.attempt()).await;
            match attempted {
                Ok(Ok(true)) => self.renewed = Some(Instant::now()),
                Ok(Ok(false)) => self.renewed = None,
                Ok(Err(error)) => tracing::debug!(reason = error.chain(), "the lease cannot be renewed"),
                Err(_) => tracing::debug!("the lease cannot be renewed in time"),
            }
            let is_leading = self.renewed.is_some_and(|at| at.elapsed() < self.duration * 2 / 3);
            if to.send_if_modified(|before| std::mem::replace(before, is_leading) != is_leading) {
                metrics.leading(is_leading);
                let identity = &self.identity;
                if is_leading {
                    tracing::info!(lease = self.name, namespace = self.namespace, identity, "this broker leads");
                } else {
                    tracing::warn!(
                        lease = self.name,
                        namespace = self.namespace,
                        identity,
                        "this broker leads no more"
                    );
                }
            }
        }
        let was_leading = to.send_replace(false);
        if was_leading && let Err(error) = self.release().await {
            tracing::debug!(reason = error.chain(), "the lease cannot be let go of; it ends by itself");
        }
    }

    fn kind() -> Resource {
        Resource::new("coordination.k8s.io", "v1", "Lease", "leases")
    }

    /// Takes or renews the lease where that is due; whether it is held now.
    async fn attempt(&mut self) -> Result<bool, ClusterError> {
        let path = Self::kind().path(&self.namespace, &self.name);
        let Some(mut lease) = self.cluster.get(&path).await? else {
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": { "name": self.name, "namespace": self.namespace },
                "spec": self.spec(0, None),
            });
            return taken(self.cluster.post(&Self::kind().path(&self.namespace, ""), &lease).await);
        };
        let holder = lease.pointer("/spec/holderIdentity").and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_ours = holder == self.identity;
        let version = lease.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != version) {
            self.seen = Some((version, Instant::now()));
        }
        // The holder says how long it may be silent.
        let held_for = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64).map(Duration::from_secs);
        let held_for = held_for.unwrap_or(self.duration);
        let is_abandoned = self.seen.as_ref().is_some_and(|(_, since)| since.elapsed() >= held_for);
        if !is_ours && !holder.is_empty() && !is_abandoned {
            return Ok(false);
        }
        let changes = lease.pointer("/spec/leaseTransitions").and_then(Value::as_u64).unwrap_or(0);
        let since = lease.pointer("/spec/acquireTime").cloned().filter(|_| is_ours);
        lease["spec"] = self.spec(if is_ours { changes } else { changes.saturating_add(1) }, since);
        taken(self.cluster.put(&path, &lease).await)
    }

    fn spec(&self, changes: u64, since: Option<Value>) -> Value {
        let now = json!(micros(service::now()));
        json!({
            "holderIdentity": self.identity, "leaseDurationSeconds": self.duration.as_secs(), "leaseTransitions": changes,
            "acquireTime": since.unwrap_or_else(|| now.clone()), "renewTime": now,
        })
    }

    /// Lets another take over at once.
    async fn release(&self) -> Result<(), ClusterError> {
        let path = Self::kind().path(&self.namespace, &self.name);
        let Some(mut lease) = self.cluster.get(&path).await? else { return Ok(()) };
        if lease.pointer("/spec/holderIdentity").and_then(Value::as_str) == Some(self.identity.as_str()) {
            lease["spec"]["holderIdentity"] = json!("");
            self.cluster.put(&path, &lease).await?;
        }
        Ok(())
    }
}

/// Somebody else was faster, or the lease was taken.
fn taken(outcome: Result<Option<Value>, ClusterError>) -> Result<bool, ClusterError> {
    match outcome {
        Ok(lease) => Ok(lease.is_some()),
        Err(ClusterError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The API takes exactly six digits behind the second.
fn micros(now: model::Timestamp) -> String {
    let text = now.to_string();
    let second = text.get(..19).unwrap_or_default();
    format!("{second}.{:06}Z", now.as_nanos().rem_euclid(1_000_000_000) / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_six_digits() {
        assert_eq!(micros("2026-01-02T03:04:05Z".parse().unwrap()), "2026-01-02T03:04:05.000000Z");
        assert_eq!(micros("2026-01-02T03:04:05.000120999Z".parse().unwrap()), "2026-01-02T03:04:05.000120Z");
    }
}
