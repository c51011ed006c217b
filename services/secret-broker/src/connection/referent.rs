//! Logins whose Secrets and accounts are of the namespace that uses a store of the cluster: references that name no namespace.

use serde_json::{Value, json};

/// Whether a provider's settings leave a namespace open.
pub(super) fn is_open(settings: &Value) -> bool {
    PARTS.iter().filter_map(|part| settings.get(part)).any(is_open_below)
}

/// Names the namespace wherever the settings leave it open.
pub(super) fn fill(settings: &mut Value, namespace: &str) {
    for part in PARTS {
        if let Some(value) = settings.get_mut(part) {
            fill_below(value, namespace);
        }
    }
}

fn is_open_reference(value: &Value) -> bool {
    value.get("name").is_some_and(Value::is_string) && value.get("namespace").is_none_or(Value::is_null)
}

fn is_open_below(value: &Value) -> bool {
    is_open_reference(value) || value.as_object().is_some_and(|fields| fields.values().any(is_open_below))
}

fn fill_below(value: &mut Value, namespace: &str) {
    let is_open = is_open_reference(value);
    let Some(fields) = value.as_object_mut() else { return };
    if is_open {
        fields.insert("namespace".to_owned(), json!(namespace));
    }
    fields.values_mut().for_each(|value| fill_below(value, namespace));
}

/// Parts of a provider's settings with references. `caProvider` has to name its namespace.
const PARTS: [&str; 2] = ["auth", "tls"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_open_is_filled() {
        let mut settings = json!({
            "caProvider": { "name": "ca" },
            "auth": {
                "kubernetes": { "role": "r", "serviceAccountRef": { "name": "app" } },
                "tokenSecretRef": { "name": "t", "namespace": "vault" },
            },
        });
        assert!(is_open(&settings));
        fill(&mut settings, "shop");
        assert!(!is_open(&settings));
        assert_eq!(settings.pointer("/auth/kubernetes/serviceAccountRef/namespace"), Some(&json!("shop")));
        assert_eq!(settings.pointer("/auth/tokenSecretRef/namespace"), Some(&json!("vault")));
        assert_eq!(settings.pointer("/caProvider/namespace"), None);
    }
}
