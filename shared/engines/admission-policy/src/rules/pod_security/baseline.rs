//! The baseline level: known privilege escalations.

use serde_json::{Value, json};

use super::{FieldError, Found, Pod, Violation};
use crate::value::path;

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Allowed sysctls, with the minor version since which they are.
const SYSCTLS: [(&str, u32); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];
const SELINUX_TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
const SELINUX_FIELDS: [(&str, &[&str]); 3] = [
    ("securityContext.seLinuxOptions.type", &SELINUX_TYPES),
    ("securityContext.seLinuxOptions.user", &[""]),
    ("securityContext.seLinuxOptions.role", &[""]),
];
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Every check of the level that is about a wanted control; the others find nothing.
pub(super) fn check(pod: &Pod<'_>, wanted: &dyn Fn(&str) -> bool) -> [Violation; 12] {
    let seccomp = ("securityContext.seccompProfile.type", &["RuntimeDefault", "Localhost"][..], true);
    let proc_mount = ("securityContext.procMount", &["Default"][..], false);
    let found = |control, check: &dyn Fn(&Pod<'_>) -> Violation| pod.found(wanted, control, check);
    [
        found("AppArmor", &apparmor),
        found("Capabilities", &capabilities),
        found("Host Namespaces", &host_namespaces),
        found("HostPath Volumes", &host_paths),
        found("Host Ports", &host_ports),
        found("Host Probes / Lifecycle Hooks", &host_probes),
        found("Privileged Containers", &|pod| {
            flags(pod, "Privileged Containers", "privileged", "securityContext.privileged")
        }),
        found("/proc Mount Type", &|pod| values(pod, "/proc Mount Type", "procMount", proc_mount)),
        found("SELinux", &selinux),
        found("Seccomp", &|pod| values(pod, "Seccomp", "seccompProfile", seccomp)),
        found("Sysctls", &sysctls),
        found("HostProcess", &host_process),
    ]
}

fn host_namespaces(pod: &Pod<'_>) -> Violation {
    let set = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| pod.get(field) == Some(&json!(true)));
    Violation::new("Host Namespaces", "host namespaces", set.map(|field| Pod::error(field, json!(true))).collect())
}

/// A flag of containers that must not be set.
fn flags(pod: &Pod<'_>, control: &'static str, reason: &'static str, field: &str) -> Violation {
    let set = pod.containers().filter(|container| container.get(field) == Some(&json!(true)));
    Violation::new(control, reason, set.map(|container| container.error(field, json!(true))).collect())
}

/// A text field of containers (and of the pod) that, where it is set, must be one of some values.
fn values(
    pod: &Pod<'_>,
    control: &'static str,
    reason: &'static str,
    (field, allowed, in_pod): (&str, &[&str], bool),
) -> Violation {
    let bad = |value: &Value| value.as_str().is_none_or(|text| !allowed.contains(&text));
    let own = pod.get(field).filter(|value| in_pod && bad(value));
    let mut errors: Vec<_> = own.map(|value| Pod::error(field, value.clone())).into_iter().collect();
    for container in pod.containers() {
        if let Some(value) = container.get(field).filter(|value| bad(value)) {
            errors.push(container.error(field, value.clone()));
        }
    }
    Violation::new(control, reason, errors)
}

fn host_ports(pod: &Pod<'_>) -> Violation {
    let mut errors = Vec::new();
    for container in pod.containers() {
        let ports = container.get("ports").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (index, port) in ports.iter().enumerate() {
            if let Some(value) = port.get("hostPort").filter(|port| port.as_i64().is_some_and(|port| port != 0)) {
                errors.push(container.error(&format!("ports[{index}].hostPort"), value.clone()));
            }
        }
    }
    Violation::new("Host Ports", "hostPort", errors)
}

fn host_process(pod: &Pod<'_>) -> Violation {
    let field = "securityContext.windowsOptions.hostProcess";
    let mut found = flags(pod, "HostProcess", "hostProcess", field);
    if pod.get(field) == Some(&json!(true)) {
        found.errors.insert(0, Pod::error(field, json!(true)));
    }
    found
}

fn selinux(pod: &Pod<'_>) -> Violation {
    let bad = |field: &&(&str, &[&str]), value: &Value| {
        let newer = field.1.len() > 1 && pod.minor < 31;
        value.as_str().is_none_or(|text| !field.1.contains(&text) || (newer && text == "container_engine_t"))
    };
    let own = SELINUX_FIELDS.iter().filter_map(|field| {
        let value = pod.get(field.0).filter(|value| bad(&field, value))?;
        Some(Pod::error(field.0, value.clone()))
    });
    let mut errors: Vec<_> = own.collect();
    for container in pod.containers() {
        errors.extend(SELINUX_FIELDS.iter().filter_map(|field| {
            let value = container.get(field.0).filter(|value| bad(&field, value))?;
            Some(container.error(field.0, value.clone()))
        }));
    }
    Violation::new("SELinux", "seLinuxOptions", errors)
}

fn sysctls(pod: &Pod<'_>) -> Violation {
    let allowed = |name: &str| SYSCTLS.iter().any(|(known, since)| *known == name && pod.minor >= *since);
    let mut errors = Vec::new();
    for (index, sysctl) in pod.list("securityContext.sysctls").iter().enumerate() {
        let name = sysctl.get("name").and_then(Value::as_str).unwrap_or_default();
        if !allowed(name) {
            errors.push(Pod::error(&format!("securityContext.sysctls[{index}].name"), Value::from(name)));
        }
    }
    Violation::new("Sysctls", "forbidden sysctls", errors)
}

fn apparmor(pod: &Pod<'_>) -> Violation {
    let field = ("securityContext.appArmorProfile.type", &["RuntimeDefault", "Localhost"][..], true);
    let mut found = values(pod, "AppArmor", "forbidden AppArmor profile", field);
    for (key, value) in pod.annotations.and_then(Value::as_object).into_iter().flatten() {
        let profile = value.as_str().unwrap_or_default();
        let fine = profile.is_empty() || profile == "runtime/default" || profile.starts_with("localhost/");
        if key.starts_with(APPARMOR) && !fine {
            let path = format!("metadata.annotations[{key}]");
            found.errors.push(FieldError { path, container: None, found: Found::Value(value.clone()) });
        }
    }
    if found.errors.iter().any(|error| Some(&error.found) != found.errors.first().map(|first| &first.found)) {
        found.reason = "forbidden AppArmor profiles";
    }
    found
}

fn host_paths(pod: &Pod<'_>) -> Violation {
    let mut errors = Vec::new();
    for (index, volume) in pod.list("volumes").iter().enumerate() {
        if let Some(path) = volume.get("hostPath").filter(|path| !path.is_null()) {
            let shown = path.get("path").cloned().unwrap_or_default();
            errors.push(Pod::error(&format!("volumes[{index}].hostPath"), shown));
        }
    }
    Violation::new("HostPath Volumes", "hostPath volumes", errors)
}

fn capabilities(pod: &Pod<'_>) -> Violation {
    Violation::new("Capabilities", "non-default capabilities", super::restricted::added(pod, &CAPABILITIES))
}

fn host_probes(pod: &Pod<'_>) -> Violation {
    let mut errors = Vec::new();
    for container in pod.containers() {
        for handler in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop"] {
            let Some(found) = container.get(handler) else { continue };
            for action in ["httpGet", "tcpSocket"] {
                let host = path::at(found, &[action, "host"]).filter(|host| !host.is_null());
                if let Some(host) = host.filter(|host| host.as_str() != Some("")) {
                    errors.push(container.error(&format!("{handler}.{action}.host"), host.clone()));
                }
            }
        }
    }
    Violation::new("Host Probes / Lifecycle Hooks", "probe or lifecycle host", errors)
}
