//! Statuses as objects of the API have them.

use model::Timestamp;
use secret_sync::reconcile::push::PushStatus;
use secret_sync::reconcile::{Condition, Head, Status, Texts};
use serde_json::{Value, json};

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    value.pointer(pointer)?.as_str()?.parse().ok()
}

fn texts(value: &Value, pointer: &str) -> Texts {
    let fields = value.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The head of an object.
pub(crate) fn head(object: &Value) -> Head {
    let mut annotations = texts(object, "/metadata/annotations");
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    Head {
        namespace: text(object, "/metadata/namespace"),
        name: text(object, "/metadata/name"),
        uid: text(object, "/metadata/uid"),
        generation: object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0),
        labels: texts(object, "/metadata/labels"),
        annotations,
        is_deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
    }
}

fn conditions(object: &Value) -> Vec<Condition> {
    let listed = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let condition = |value: &Value| Condition {
        kind: text(value, "/type"),
        holds: text(value, "/status") == "True",
        reason: text(value, "/reason"),
        message: text(value, "/message"),
        since: time(value, "/lastTransitionTime").unwrap_or_else(service::now),
    };
    listed.map(condition).collect()
}

fn condition_list(conditions: &[Condition]) -> Value {
    let one = |condition: &Condition| {
        json!({
            "type": condition.kind, "status": if condition.holds { "True" } else { "False" },
            "reason": condition.reason, "message": condition.message,
            "lastTransitionTime": seconds(condition.since),
        })
    };
    conditions.iter().map(one).collect()
}

/// As Kubernetes writes times.
pub(super) fn seconds(at: Timestamp) -> String {
    let text = at.to_string();
    text.split('.').next().map_or(text.clone(), |whole| format!("{}Z", whole.trim_end_matches('Z')))
}

/// The status of an ExternalSecret.
pub(super) fn of_external(object: &Value) -> Status {
    Status {
        refreshed: time(object, "/status/refreshTime"),
        synced_version: text(object, "/status/syncedResourceVersion"),
        conditions: conditions(object),
        binding: text(object, "/status/binding/name"),
    }
}

/// The same, to be written.
pub(super) fn external(status: &Status) -> Value {
    let mut value = json!({ "conditions": condition_list(&status.conditions) });
    if let Some(fields) = value.as_object_mut() {
        fields.extend(status.refreshed.map(|at| ("refreshTime".to_owned(), json!(seconds(at)))));
        if !status.synced_version.is_empty() {
            fields.insert("syncedResourceVersion".to_owned(), json!(status.synced_version));
        }
        if !status.binding.is_empty() {
            fields.insert("binding".to_owned(), json!({ "name": status.binding }));
        }
    }
    value
}

/// The status of a PushSecret.
pub(super) fn of_push(object: &Value) -> PushStatus {
    let synced = object.pointer("/status/syncedPushSecrets").cloned().unwrap_or_default();
    PushStatus {
        refreshed: time(object, "/status/refreshTime"),
        synced_version: text(object, "/status/syncedResourceVersion"),
        conditions: conditions(object),
        synced: serde_json::from_value(synced).unwrap_or_default(),
    }
}

/// The same, to be written.
pub(super) fn push(status: &PushStatus) -> Value {
    let mut value = json!({
        "conditions": condition_list(&status.conditions),
        "syncedPushSecrets": status.synced,
    });
    if let Some(fields) = value.as_object_mut() {
        fields.extend(status.refreshed.map(|at| ("refreshTime".to_owned(), json!(seconds(at)))));
        if !status.synced_version.is_empty() {
            fields.insert("syncedResourceVersion".to_owned(), json!(status.synced_version));
        }
    }
    value
}
