//! What is kept of a manifest of the API: its text, a tenth of what the parsed object takes.

use std::fmt;

use secret_sync::SecretJson;
use secret_sync::reconcile::Head;
use serde_json::Value;
use zeroize::Zeroizing;

/// The text of an object without what the server adds at every turn, wiped when it goes: values of a `fake` provider stand in it.
#[derive(PartialEq, Eq)]
pub(super) struct Manifest(Zeroizing<Box<str>>);

impl Manifest {
    /// Keeps what an author wrote of `object`. A new status is no new manifest.
    pub(super) fn keep(mut object: Value) -> Self {
        if let Some(fields) = object.as_object_mut() {
            fields.shift_remove("status");
        }
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.shift_remove("resourceVersion");
        }
        if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.shift_remove(LAST_APPLIED);
        }
        let object = SecretJson::new(object);
        Self(Zeroizing::new(object.expose().to_string().into_boxed_str()))
    }

    /// Keeps the name and the labels: all that matters of a namespace.
    pub(super) fn keep_labels(object: Value) -> Self {
        let part = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
        let metadata = serde_json::json!({ "name": part("/metadata/name"), "labels": part("/metadata/labels") });
        Self::keep(serde_json::json!({ "kind": part("/kind"), "metadata": metadata }))
    }

    /// The text, which is JSON.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// The object.
    pub(super) fn object(&self) -> SecretJson {
        SecretJson::parse(self.0.as_bytes()).unwrap_or_else(|| SecretJson::new(Value::Null))
    }

    /// What says which object it is, and what is marked on it.
    pub(super) fn head(&self) -> Head {
        crate::reconciler::head(self.object().expose())
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Manifest(..)")
    }
}

/// What `kubectl apply` leaves: the whole manifest once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_server_adds_is_no_change() {
        let object = |version: &str, status: &str| {
            json!({
                "kind": "ExternalSecret",
                "metadata": { "name": "db", "namespace": "shop", "resourceVersion": version, "generation": 2,
                              "annotations": { "own": "1", LAST_APPLIED: version } },
                "spec": { "refreshInterval": "1h" }, "status": status,
            })
        };
        let kept = Manifest::keep(object("1", "a"));
        assert!(kept == Manifest::keep(object("2", "b")));
        let head = kept.head();
        assert_eq!((head.name.as_str(), head.generation, head.annotations.len()), ("db", 2, 1));
        assert!(!format!("{kept:?}").contains("db"));
    }
}
