//! What became of each policy of the cluster, as its status says: whether all of it is in force, and if not, why.
//!
//! The status has Kyverno's form, by which `kubectl get` and deployment tools tell: `status.conditions` of the older kinds,
//! `status.conditionStatus` of those in CEL. It is written when policies change, and only where it says something else than before. A
//! policy that was not read yet is left alone. Replicas write the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use admission_policy::PolicySet;
use kubernetes::{Cluster, ClusterError, Resource};
use model::{Fault, FaultKind};
use serde_json::{Value, json};
use service::Context;
use tokio::time::Instant;

use super::{POLICY_KINDS, Repeated, file_of, repeat, served};
use crate::examine::in_a_line;
use crate::policies::Policies;

/// Starts writing.
pub(crate) fn keep(context: &Context, (cluster, registers): (Cluster, bool), policies: Policies) {
    repeat(context, LOOK, Statuses { cluster, policies, registers, told: None, retry: None });
}

struct Statuses {
    cluster: Cluster,
    policies: Policies,
    /// Whether the gateway registers its webhooks itself.
    registers: bool,
    /// What was told last: the faults of a load, and whether the webhooks were there.
    told: Option<(Arc<Vec<Fault>>, bool)>,
    /// When it is tried again, where something could not be written.
    retry: Option<Instant>,
}

impl Repeated for Statuses {
    async fn look(&mut self) {
        let Some((set, faults)) = self.policies.loaded() else { return };
        let is_late = self.retry.is_some_and(|at| at <= Instant::now());
        let told =
            self.told.as_ref().filter(|(told, _)| !is_late && Arc::ptr_eq(told, &faults)).map(|(_, asked)| *asked);
        // Once it is asked, it stays so.
        if told == Some(true) || (told.is_some() && !self.registers) {
            return;
        }
        let is_asked = self.registers && matches!(self.cluster.get(REGISTRATION).await, Ok(Some(_)));
        if told == Some(is_asked) {
            return;
        }
        let state = State { is_asked, ..State::of(&set, &faults) };
        let mut failed = 0;
        for (group, kinds) in POLICY_KINDS {
            match served(&self.cluster, group, kinds).await {
                Ok(resources) => {
                    for resource in resources.iter().filter(|resource| resource.kind != "PolicyException") {
                        failed += self.tell_all(resource, &state).await;
                    }
                }
                Err(error) => {
                    failed += 1;
                    tracing::debug!(group, error = error.chain(), "the server's kinds of policies cannot be read");
                }
            }
        }
        self.retry = (failed > 0).then(|| Instant::now() + RETRY);
        self.told = Some((faults, is_asked));
    }
}

impl Statuses {
    /// Tells all policies of a kind; how many could not be told.
    async fn tell_all(&self, resource: &Resource, state: &State<'_>) -> usize {
        let (mut token, mut failed) = (String::new(), 0);
        loop {
            let (objects, next) = match self.cluster.page(resource, ("", ""), &token).await {
                Ok(page) => page,
                Err(error) => {
                    let (kind, error) = (&resource.kind, error.chain());
                    tracing::debug!(kind, error, "policies cannot be listed: their status says nothing new");
                    return failed + 1;
                }
            };
            for object in &objects {
                if let Err(error) = self.tell(resource, object, state).await {
                    failed += 1;
                    let (kind, error) = (&resource.kind, error.chain());
                    tracing::warn!(kind, error, "a policy's status cannot be written");
                }
            }
            if next.is_empty() {
                return failed;
            }
            token = next;
        }
    }

    async fn tell(&self, resource: &Resource, object: &Value, state: &State<'_>) -> Result<(), ClusterError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let Some(standing) = state.standing(&resource.kind, (namespace, name)) else { return Ok(()) };
        let Some(status) = standing.status(resource, object.get("status").unwrap_or(&Value::Null), state.is_asked)
        else {
            return Ok(());
        };
        let mut metadata = json!({ "name": name });
        if !namespace.is_empty() {
            metadata["namespace"] = json!(namespace);
        }
        let told = json!({
            "apiVersion": resource.api_version(), "kind": resource.kind, "metadata": metadata, "status": status,
        });
        self.cluster.apply_status(resource, &told, MANAGER).await.map(drop)
    }
}

/// What came of loading the policies.
struct State<'s> {
    /// Policies in force, by kind and `namespace/name`.
    in_force: BTreeSet<(String, String)>,
    faults: &'s [Fault],
    /// The API server asks the gateway.
    is_asked: bool,
}

impl<'s> State<'s> {
    fn of(set: &PolicySet, faults: &'s [Fault]) -> Self {
        let named = set.summaries().into_iter().map(|summary| (summary.kind, summary.name));
        let scheduled = set.cleanup_schedules().into_iter().map(|schedule| {
            let policy = schedule.policy;
            let name = [policy.namespace.as_str(), &policy.name].join("/");
            (policy.kind, name.trim_start_matches('/').to_owned())
        });
        Self { in_force: named.chain(scheduled).collect(), faults, is_asked: false }
    }

    /// How it stands with a policy; `None` when it was not read yet.
    fn standing(&self, kind: &str, (namespace, name): (&str, &str)) -> Option<Standing> {
        let file = file_of(kind, &format!("{namespace}/{name}"));
        let own: Vec<&Fault> = self.faults.iter().filter(|fault| fault.file == file).collect();
        let key = [namespace, name].join("/").trim_start_matches('/').to_owned();
        let is_in_force = self.in_force.contains(&(kind.to_owned(), key));
        if !is_in_force && own.is_empty() {
            return None;
        }
        let broken: Vec<&Fault> = own.iter().copied().filter(|fault| fault.kind != FaultKind::Warning).collect();
        let is_ready = is_in_force && broken.is_empty();
        let said = if is_ready { own } else { broken };
        let message = if said.is_empty() { "Ready".to_owned() } else { in_a_line(&said) };
        Some(Standing { is_ready, message })
    }
}

/// How it stands with a policy.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    is_ready: bool,
    message: String,
}

impl Standing {
    /// The status to write; `None` where the one that is there says the same.
    fn status(&self, resource: &Resource, before: &Value, is_asked: bool) -> Option<Value> {
        let Self { is_ready, message } = self;
        let condition = |kind: &str, holds: bool, message: &str| {
            let (status, reason) = if holds { ("True", "Succeeded") } else { ("False", "Failed") };
            json!({ "type": kind, "status": status, "reason": reason, "message": message })
        };
        let (wanted, place) = if resource.group == "kyverno.io" {
            (json!({ "conditions": [condition("Ready", *is_ready, message)] }), "/conditions")
        } else {
            let asked = condition("WebhookConfigured", true, "Webhook configured.");
            let conditions: Vec<Value> = is_asked.then_some(asked).into_iter().collect();
            let own = json!({ "ready": is_ready, "message": message, "conditions": conditions });
            (json!({ "conditionStatus": own }), "/conditionStatus/conditions")
        };
        with_times(wanted, place, before)
    }
}

/// The status with times, unless nothing in it is new. The time of a condition is that of its last turn.
fn with_times(mut wanted: Value, place: &str, before: &Value) -> Option<Value> {
    let known: Vec<Value> = before.pointer(place).and_then(Value::as_array).cloned().unwrap_or_default();
    let now = service::now().to_string();
    let now = now.split_once('.').map_or(now.clone(), |(seconds, _)| format!("{seconds}Z"));
    for condition in wanted.pointer_mut(place).and_then(Value::as_array_mut).into_iter().flatten() {
        let same = known
            .iter()
            .find(|one| one.get("type") == condition.get("type") && one.get("status") == condition.get("status"));
        let time = same.and_then(|one| one.get("lastTransitionTime")).cloned();
        condition["lastTransitionTime"] = time.unwrap_or_else(|| json!(now));
    }
    (!includes(before, &wanted)).then_some(wanted)
}

/// Whether a value has all fields of another one, with the same values.
fn includes(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|own| includes(own, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            part.iter().all(|value| whole.iter().any(|own| includes(own, value)))
        }
        _ => whole == part,
    }
}

/// Where the webhooks are registered.
const REGISTRATION: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/biotope-admission";
/// Another one than that of when a cleanup ran: an apply takes back what its manager wrote before.
const MANAGER: &str = "biotope-admission-gateway-status";
/// How often it is looked whether the policies changed.
const LOOK: Duration = Duration::from_secs(1);
/// After how long what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    const POLICIES: &str = "apiVersion: kyverno.io/v1
kind: Policy
metadata: { name: mixed, namespace: team }
spec:
  rules:
  - name: whole
    match: { any: [{ resources: { kinds: [Pod] } }] }
    validate: { message: name it, pattern: { metadata: { name: '?*' } } }
  - name: half
    match: { any: [{ resources: { kinds: [Pod] } }] }
";

    fn resource(group: &str, kind: &str) -> Resource {
        Resource::new(group, "v1", kind, "policies")
    }

    #[test]
    fn a_policy_of_which_a_part_was_set_aside_is_not_ready_and_its_status_says_why() {
        let (set, faults) = PolicySet::load([("cluster:Policy/team/mixed", POLICIES)]);
        let state = State::of(&set, &faults);
        let standing = state.standing("Policy", ("team", "mixed")).unwrap();
        assert!(!standing.is_ready && standing.message.starts_with("rule half: the rule does nothing"), "{standing:?}");
        assert_eq!(state.standing("Policy", ("other", "mixed")), None, "it was not read yet");
        let status = standing.status(&resource("kyverno.io", "Policy"), &Value::Null, true).unwrap();
        assert_eq!(status.pointer("/conditions/0/status"), Some(&json!("False")));
        let again = standing.status(&resource("kyverno.io", "Policy"), &status, true);
        assert_eq!(again, None, "nothing is new");
    }

    #[test]
    fn the_time_of_a_condition_is_that_of_its_last_turn() {
        let standing = Standing { is_ready: true, message: "Ready".to_owned() };
        let of = resource("policies.kyverno.io", "ValidatingPolicy");
        let condition =
            |status: &str| json!({ "type": "WebhookConfigured", "status": status, "lastTransitionTime": "then" });
        let before = |status: &str| json!({ "conditionStatus": { "conditions": [condition(status)] } });
        let time = |status: &str| {
            let status = standing.status(&of, &before(status), true).unwrap();
            status.pointer("/conditionStatus/conditions/0/lastTransitionTime").cloned().unwrap()
        };
        assert_eq!(time("True"), json!("then"));
        assert_ne!(time("False"), json!("then"));
        let unasked = standing.status(&of, &Value::Null, false).unwrap();
        assert_eq!(unasked.pointer("/conditionStatus/ready"), Some(&json!(true)));
        assert_eq!(unasked.pointer("/conditionStatus/conditions"), Some(&json!([])));
    }
}
