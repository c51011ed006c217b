//! The restricted level: hardening.

use serde_json::{Value, json};

use super::{FieldError, Pod, Violation};

const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

/// Every check of the level beyond baseline.
pub(super) fn check(pod: &Pod<'_>) -> Vec<Violation> {
    let mut found = vec![volumes(pod), non_root(pod), user(pod)];
    // Since 1.25 a pod for Windows is not asked for what only Linux has.
    if !(pod.is_windows() && pod.minor >= 25) {
        found.extend([escalation(pod), capabilities(pod), seccomp(pod)]);
    }
    found
}

/// Capabilities that containers add beyond those allowed.
pub(super) fn added(pod: &Pod<'_>, allowed: &[&str]) -> Vec<FieldError> {
    let field = "securityContext.capabilities.add";
    let mut errors = Vec::new();
    for container in pod.containers() {
        let list = container.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (index, capability) in list.iter().enumerate() {
            if capability.as_str().is_none_or(|name| !allowed.contains(&name)) {
                errors.push(container.error(&format!("{field}[{index}]"), Some(capability.clone())));
            }
        }
    }
    errors
}

fn volumes(pod: &Pod<'_>) -> Violation {
    let mut errors = Vec::new();
    for (index, volume) in pod.list("volumes").iter().enumerate() {
        let kinds = volume.as_object().into_iter().flatten().filter(|(key, value)| *key != "name" && !value.is_null());
        for (kind, _) in kinds.filter(|(kind, _)| !VOLUMES.contains(&kind.as_str())) {
            errors.push(Pod::error(&format!("volumes[{index}].{kind}"), Some(Value::from(kind.as_str()))));
        }
    }
    Violation::new("Volume Types", "restricted volume types", errors)
}

fn escalation(pod: &Pod<'_>) -> Violation {
    let field = "securityContext.allowPrivilegeEscalation";
    let bad = pod.containers().filter(|container| container.get(field) != Some(&json!(false)));
    let errors = bad.map(|container| container.error(field, container.get(field).cloned())).collect();
    Violation::new("Privilege Escalation", "allowPrivilegeEscalation != false", errors)
}

fn non_root(pod: &Pod<'_>) -> Violation {
    let field = "securityContext.runAsNonRoot";
    let own = pod.get(field);
    let mut errors = Vec::new();
    if own == Some(&json!(false)) {
        errors.push(Pod::error(field, Some(json!(false))));
    }
    for container in pod.containers() {
        match container.get(field) {
            Some(Value::Bool(true)) => {}
            Some(value) => errors.push(container.error(field, Some(value.clone()))),
            None if own == Some(&json!(true)) => {}
            None => errors.push(container.error(field, None)),
        }
    }
    Violation::new("Running as Non-root", "runAsNonRoot != true", errors)
}

fn user(pod: &Pod<'_>) -> Violation {
    let field = "securityContext.runAsUser";
    let root = |value: Option<&Value>| value.and_then(Value::as_i64) == Some(0);
    let mut errors = Vec::new();
    if pod.minor >= 23 {
        if root(pod.get(field)) {
            errors.push(Pod::error(field, Some(json!(0))));
        }
        let bad = pod.containers().filter(|container| root(container.get(field)));
        errors.extend(bad.map(|container| container.error(field, Some(json!(0)))));
    }
    Violation::new("Running as Non-root user", "runAsUser=0", errors)
}

fn capabilities(pod: &Pod<'_>) -> Violation {
    let field = "securityContext.capabilities.drop";
    let mut errors = Vec::new();
    for container in pod.containers() {
        let dropped = container.get(field).and_then(Value::as_array);
        if !dropped.is_some_and(|list| list.iter().any(|one| one.as_str() == Some("ALL"))) {
            errors.push(container.error(field, dropped.map(|list| Value::Array(list.clone()))));
        }
    }
    errors.extend(added(pod, &["NET_BIND_SERVICE"]));
    Violation::new("Capabilities", "unrestricted capabilities", errors)
}

fn seccomp(pod: &Pod<'_>) -> Violation {
    let field = "securityContext.seccompProfile.type";
    let fine = |value: &Value| matches!(value.as_str(), Some("RuntimeDefault" | "Localhost"));
    let own = pod.get(field);
    let mut errors = Vec::new();
    if let Some(value) = own.filter(|value| !fine(value)) {
        errors.push(Pod::error(field, Some(value.clone())));
    }
    for container in pod.containers() {
        match container.get(field) {
            Some(value) if fine(value) => {}
            Some(value) => errors.push(container.error(field, Some(value.clone()))),
            None if own.is_some() => {}
            None => errors.push(container.error(field, None)),
        }
    }
    Violation::new("Seccomp", "seccompProfile", errors)
}
