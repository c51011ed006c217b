//! Whether stores can be used, said at each as upstream says it.

use std::time::Duration;

use model::Timestamp;
use secret_sync::api::{SecretStoreSpec, validate};
use secret_sync::reconcile::{Again, Note};
use secret_sync::{StoreKind, StoreRef};
use serde_json::{Value, json};

use super::pass::Looked;
use super::{Key, Reconciler, status};

/// What is said of a store.
struct Verdict {
    is_ready: bool,
    reason: &'static str,
    message: String,
    event: (&'static str, String),
}

impl Verdict {
    fn bad(reason: &'static str, what: String) -> Self {
        let message = format!("unable to validate store: {what}");
        Self { is_ready: false, reason, message, event: (reason, what) }
    }

    fn good(event: &'static str) -> Self {
        let message = "store validated".to_owned();
        Self { is_ready: true, reason: "Valid", message: message.clone(), event: (event, message) }
    }
}

/// Whether a store is for a controller of another class, which looks after it.
pub(super) fn is_foreign(object: &Value, class: &str) -> bool {
    let wanted = object.pointer("/spec/controller").and_then(Value::as_str).unwrap_or_default();
    !wanted.is_empty() && wanted != class
}

/// Looks at a store.
pub(super) async fn look(reconciler: &Reconciler, key: &Key, object: &Value, known: Option<&Value>) -> Looked {
    let (kind, namespace, name) = key;
    let kind = if kind == "SecretStore" { StoreKind::SecretStore } else { StoreKind::ClusterSecretStore };
    let store = StoreRef { kind, namespace: namespace.clone(), name: name.clone() };
    let spec = object.get("spec").cloned().unwrap_or_default();
    let interval = spec.get("refreshInterval").and_then(|interval| validate::refresh_interval(interval).ok());
    let verdict = judge(reconciler, &store, &spec).await;
    let again = match verdict.is_ready {
        true => Again::After(interval.filter(|interval| !interval.is_zero()).unwrap_or(INTERVAL)),
        false => Again::BackOff,
    };
    let is_warning = !verdict.is_ready;
    let notes = vec![Note { is_warning, reason: verdict.event.0, message: verdict.event.1.clone() }];
    let status = said(&verdict, known, service::now());
    Looked { status, notes, again, delivered: None, is_new: false, problem: None, is_released: false }
}

async fn judge(reconciler: &Reconciler, store: &StoreRef, spec: &Value) -> Verdict {
    let Ok(read) = serde_json::from_value::<SecretStoreSpec>(spec.clone()) else {
        let what = "the spec has a field of another type than the API gives it".to_owned();
        return Verdict::bad("InvalidProviderConfig", what);
    };
    let wrong = validate::secret_store(&store.name, &read);
    if !wrong.is_empty() {
        return Verdict::bad("InvalidStoreConfiguration", wrong.join("; "));
    }
    match reconciler.connector.validate(store, spec).await {
        Ok(true) => Verdict::good("Valid"),
        Ok(false) => Verdict::good("ValidationUnknown"),
        // What cannot be set up is not told from what does not answer: the words are.
        Err(error) => Verdict::bad("InvalidProviderConfig", error.to_string()),
    }
}

fn said(verdict: &Verdict, known: Option<&Value>, now: Timestamp) -> Value {
    let before = known.and_then(|known| known.pointer("/status/conditions/0"));
    let ready = if verdict.is_ready { "True" } else { "False" };
    let is_same = |before: &&Value| before.get("status").and_then(Value::as_str) == Some(ready);
    let since = before.filter(is_same).and_then(|before| before.get("lastTransitionTime")).cloned();
    json!({
        "capabilities": "ReadWrite",
        "conditions": [{
            "type": "Ready", "status": ready, "reason": verdict.reason, "message": verdict.message,
            "lastTransitionTime": since.unwrap_or_else(|| status::seconds(now).into()),
        }],
    })
}

/// How often a store is looked at that does not say it itself, as upstream does it.
const INTERVAL: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_the_time_of_its_last_change() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let before =
            json!({ "status": { "conditions": [{ "status": "True", "lastTransitionTime": "2025-01-01T00:00:00Z" }] } });
        let since =
            |verdict: &Verdict| said(verdict, Some(&before), now)["conditions"][0]["lastTransitionTime"].clone();
        assert_eq!(since(&Verdict::good("Valid")), "2025-01-01T00:00:00Z");
        assert_eq!(since(&Verdict::bad("ValidationFailed", "sealed".to_owned())), "2026-01-02T03:04:05Z");
    }

    #[test]
    fn stores_of_another_class_are_left_alone() {
        assert!(is_foreign(&json!({ "spec": { "controller": "dev" } }), "default"));
        for own in [json!({ "spec": {} }), json!({ "spec": { "controller": "default" } })] {
            assert!(!is_foreign(&own, "default"));
        }
    }
}
