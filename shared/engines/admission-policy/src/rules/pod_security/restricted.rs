//! The restricted level: hardening.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{FieldError, Found, Pod, Violation};

const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Every check of the level beyond baseline that is about a wanted control; the others find nothing.
pub(super) fn check(pod: &Pod<'_>, wanted: &dyn Fn(&str) -> bool) -> [Violation; 6] {
    let found = |control, check: &dyn Fn(&Pod<'_>) -> Violation| pod.found(wanted, control, check);
    // Since 1.25 a pod for Windows is not asked for what only Linux has.
    let is_exempt = pod.is_windows() && pod.minor >= 25;
    let of_linux = |mut violation: Violation| {
        if is_exempt {
            violation.errors.clear();
        }
        violation
    };
    [
        of_linux(found("Privilege Escalation", &escalation)),
        of_linux(found("Capabilities", &capabilities)),
        found("Volume Types", &volumes),
        found("Running as Non-root", &non_root),
        found("Running as Non-root user", &user),
        of_linux(found("Seccomp", &seccomp)),
    ]
}

/// Capabilities that containers add beyond those allowed.
pub(super) fn added(pod: &Pod<'_>, allowed: &[&str]) -> Vec<FieldError> {
    let field = "securityContext.capabilities.add";
    let bad = |value: &Value| value.as_str().is_none_or(|name| !allowed.contains(&name));
    let error = |container: super::Container<'_>| {
        let list = container.get(field)?.as_array()?;
        let bad: BTreeSet<&str> =
            list.iter().filter(|one| bad(one)).map(|one| one.as_str().unwrap_or("null")).collect();
        (!bad.is_empty()).then(|| container.error(field, json!(bad)))
    };
    pod.containers().filter_map(error).collect()
}

fn volumes(pod: &Pod<'_>) -> Violation {
    let mut errors = Vec::new();
    for (index, volume) in pod.list("volumes").iter().enumerate() {
        let kinds = volume.as_object().into_iter().flatten().filter(|(key, value)| *key != "name" && !value.is_null());
        let mut kinds = kinds.map(|(kind, _)| kind.as_str());
        if kinds.clone().any(|kind| VOLUMES.contains(&kind)) {
            continue;
        }
        let path = ["spec.volumes[", &index.to_string(), "].", kinds.next().unwrap_or("unknown")].concat();
        errors.push(FieldError { path, container: None, found: Found::Set });
    }
    Violation::new("Volume Types", "restricted volume types", errors)
}

fn escalation(pod: &Pod<'_>) -> Violation {
    let field = "securityContext.allowPrivilegeEscalation";
    let bad = pod.containers().filter(|container| container.get(field) != Some(&json!(false)));
    let error = |container: super::Container<'_>| match container.get(field) {
        None if container.get("securityContext").is_none() => container.missing(field),
        value => container.error(field, value.cloned().unwrap_or_else(|| json!("nil"))),
    };
    Violation::new("Privilege Escalation", "allowPrivilegeEscalation != false", bad.map(error).collect())
}

fn non_root(pod: &Pod<'_>) -> Violation {
    let field = "securityContext.runAsNonRoot";
    let own = pod.get(field);
    let (mut set, mut unset) = (Vec::new(), Vec::new());
    if own == Some(&json!(false)) {
        set.push(Pod::error(field, json!(false)));
    }
    for container in pod.containers() {
        match container.get(field) {
            Some(Value::Bool(true)) => {}
            Some(value) => set.push(container.error(field, value.clone())),
            None if own == Some(&json!(true)) => {}
            None => unset.push(container.missing(field)),
        }
    }
    set.extend(unset);
    Violation::new("Running as Non-root", "runAsNonRoot != true", set)
}

fn user(pod: &Pod<'_>) -> Violation {
    let field = "securityContext.runAsUser";
    let root = |value: Option<&Value>| value.and_then(Value::as_i64) == Some(0);
    let own = root(pod.get(field)).then(|| Pod::error(field, json!(0)));
    let bad = pod.containers().filter(|container| root(container.get(field)));
    let errors = own.into_iter().chain(bad.map(|container| container.error(field, json!(0)))).collect();
    Violation::new("Running as Non-root user", "runAsUser=0", errors)
}

fn capabilities(pod: &Pod<'_>) -> Violation {
    let field = "securityContext.capabilities.drop";
    let mut errors = Vec::new();
    for container in pod.containers() {
        let dropped = container.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let names: BTreeSet<&str> = dropped.iter().filter_map(Value::as_str).collect();
        match names.is_empty() {
            _ if names.contains("ALL") => {}
            true => errors.push(container.missing(field)),
            false => errors.push(container.error(field, json!(names))),
        }
    }
    errors.extend(added(pod, &["NET_BIND_SERVICE"]));
    Violation::new("Capabilities", "unrestricted capabilities", errors)
}

fn seccomp(pod: &Pod<'_>) -> Violation {
    let field = "securityContext.seccompProfile.type";
    let fine = |value: &Value| matches!(value.as_str(), Some("RuntimeDefault" | "Localhost"));
    let own = pod.get(field);
    let mut errors: Vec<_> =
        own.filter(|value| !fine(value)).map(|value| Pod::error(field, value.clone())).into_iter().collect();
    let mut unset = Vec::new();
    for container in pod.containers() {
        match container.get(field) {
            Some(value) if fine(value) => {}
            Some(value) => errors.push(container.error(field, value.clone())),
            None if own.is_some() => {}
            None => unset.push(container.missing(field)),
        }
    }
    // What is set wrongly is told first, and alone.
    let errors = if errors.is_empty() { unset } else { errors };
    Violation::new("Seccomp", "seccompProfile", errors)
}
