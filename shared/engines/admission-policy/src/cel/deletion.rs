//! DeletingPolicy: which objects are to go when the schedule comes round.

use go_time::Schedule;
use model::Timestamp;
use serde_json::Value;

use super::judge::{Input, Views, judge};
use super::policy::{CelKind, CelPolicy, EvaluationMode};
use crate::cleanup::{CleanupOutcome, CleanupSchedule};
use crate::outcome::{PolicyRef, Status};
use crate::request::{GroupVersionKind, Request};
use crate::set::PolicySet;
use crate::snapshot::Snapshot;

/// When the deleting policies run.
pub(crate) fn schedules(set: &PolicySet) -> impl Iterator<Item = CleanupSchedule> + '_ {
    let deleting = set.cel_policies.iter().filter(|policy| policy.kind == CelKind::Delete);
    deleting.filter_map(|policy| {
        Some(CleanupSchedule {
            policy: policy.reference.as_ref().clone(),
            schedule: policy.schedule.clone(),
            runs: Schedule::parse(&policy.schedule).ok()?,
            propagation: policy.propagation.clone(),
            targets: policy.specs.iter().flat_map(|spec| spec.matches.targets()).collect(),
        })
    })
}

/// Adds what a deleting policy finds among the objects of the snapshot.
pub(crate) fn clean_up(
    set: &PolicySet,
    policy: &PolicyRef,
    (objects, snapshot, now): (&[Value], &Snapshot, Timestamp),
    outcome: &mut CleanupOutcome,
) {
    let is_it = |candidate: &&CelPolicy| {
        candidate.kind == CelKind::Delete
            && candidate.mode == EvaluationMode::Kubernetes
            && *candidate.reference == *policy
    };
    for policy in set.cel_policies.iter().filter(is_it) {
        for object in objects {
            judge_object(set, policy, (snapshot, now, object), outcome);
        }
    }
}

fn judge_object(
    set: &PolicySet,
    policy: &CelPolicy,
    (snapshot, now, object): (&Snapshot, Timestamp, &Value),
    outcome: &mut CleanupOutcome,
) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let request = Request {
        kind: GroupVersionKind::of(object),
        name: text("/metadata/name"),
        namespace: text("/metadata/namespace"),
        // What selectors look at.
        object: Some(object.clone()),
        background: true,
        received_at: Some(now),
        ..Request::default()
    };
    let views = Views::default();
    let input = Input::new(&request, snapshot, Some(object), &views);
    for answer in judge(policy, &input, (&set.cel_exceptions, &[])) {
        match answer.status {
            Some(Status::Pass) if answer.exceptions.is_empty() => outcome.delete.push(object.clone()),
            Some(Status::Error) => {
                outcome.errors.push(format!("{}/{}: {}", request.namespace, request.name, answer.message));
            }
            _ => {}
        }
        outcome.missing.extend(answer.missing);
    }
}
