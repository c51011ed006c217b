//! The standards as a table: one pod spec each, and the controls it breaks.

use serde_json::{Value, json};

use super::{Findings, PodSecurity};
use crate::outcome::Status;

fn judge(level: &str, exclude: &Value, spec: &Value) -> (Status, String) {
    let check = PodSecurity::compile(&json!({"level": level, "version": "latest", "exclude": exclude})).unwrap();
    let pod = json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": spec});
    let (judgement, _) = check.judge("r", (&pod, "Pod", &Findings::default()), &[]);
    (judgement.status, judgement.message)
}

fn hardened(more: &Value) -> Value {
    let mut context = json!({"allowPrivilegeEscalation": false, "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"}, "capabilities": {"drop": ["ALL"]}});
    for (key, value) in more.as_object().unwrap() {
        context[key] = value.clone();
    }
    json!({"containers": [{"name": "c", "image": "nginx", "securityContext": context}]})
}

#[test]
fn baseline_refuses_known_escalations() {
    let container =
        |security: Value| json!({"containers": [{"name": "c", "image": "nginx", "securityContext": security}]});
    let cases = [
        (json!({"containers": [{"name": "c"}]}), None),
        (json!({"hostNetwork": true}), Some("host namespaces")),
        (json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}), Some("hostPath volumes")),
        (json!({"containers": [{"name": "c", "ports": [{"hostPort": 80}]}]}), Some("hostPort")),
        (container(json!({"privileged": true})), Some("privileged")),
        (container(json!({"procMount": "Unmasked"})), Some("procMount")),
        (container(json!({"capabilities": {"add": ["SYS_ADMIN"]}})), Some("non-default capabilities")),
        (container(json!({"capabilities": {"add": ["KILL"]}})), None),
        (container(json!({"seLinuxOptions": {"user": "x"}})), Some("seLinuxOptions")),
        (container(json!({"seccompProfile": {"type": "Unconfined"}})), Some("seccompProfile")),
        (json!({"securityContext": {"sysctls": [{"name": "kernel.x", "value": "1"}]}}), Some("forbidden sysctls")),
        (
            json!({"containers": [{"name": "c", "livenessProbe": {"httpGet": {"host": "h"}}}]}),
            Some("probe or lifecycle host"),
        ),
    ];
    for (spec, reason) in cases {
        let (status, message) = judge("baseline", &json!([]), &spec);
        match reason {
            None => assert_eq!(status, Status::Pass, "{spec}: {message}"),
            Some(reason) => {
                assert!(status == Status::Fail && message.contains(&format!("reason: {reason},")), "{spec}: {message}")
            }
        }
    }
}

#[test]
fn restricted_asks_for_hardening() {
    let cases = [
        (hardened(&json!({})), true),
        (hardened(&json!({"allowPrivilegeEscalation": null})), false),
        (hardened(&json!({"runAsUser": 0})), false),
        (hardened(&json!({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}})), true),
        (hardened(&json!({"capabilities": {"drop": ["KILL"]}})), false),
        (hardened(&json!({"seccompProfile": null})), false),
    ];
    for (spec, passes) in cases {
        let (status, message) = judge("restricted", &json!([]), &spec);
        assert_eq!(status == Status::Pass, passes, "{spec}: {message}");
    }
}

#[test]
fn exclusions_excuse_by_image_field_and_value() {
    let spec = hardened(&json!({"capabilities": {"drop": ["ALL"], "add": ["SYS_TIME"]}}));
    let field = "spec.containers[*].securityContext.capabilities.add";
    let cases = [
        (json!([{"controlName": "Capabilities", "images": ["nginx*"]}]), true),
        (json!([{"controlName": "Capabilities", "images": ["busybox"]}]), false),
        (json!([{"controlName": "Capabilities"}]), false),
        (
            json!([{"controlName": "Capabilities", "images": ["*"], "restrictedField": field, "values": ["SYS_TIME"]}]),
            true,
        ),
        (
            json!([{"controlName": "Capabilities", "images": ["*"], "restrictedField": field, "values": ["KILL"]}]),
            false,
        ),
    ];
    for (exclude, passes) in cases {
        let (status, message) = judge("restricted", &exclude, &spec);
        assert_eq!(status == Status::Pass, passes, "{exclude}: {message}");
    }
}

/// An exclusion excuses what its part of the pod is found guilty of, and nothing else.
#[test]
fn exclusions_excuse_the_errors_of_their_part_of_the_pod() {
    let with = |volume: Value| {
        let mut spec = hardened(&json!({}));
        spec["volumes"] = json!([volume]);
        spec
    };
    let disk = with(json!({"name": "v", "flexVolume": {"driver": "d"}}));
    let host = with(json!({"name": "v", "hostPath": {"path": "/var"}}));
    let unset = hardened(&json!({"runAsNonRoot": null}));
    let mut two = unset.clone();
    two["containers"] = json!([two["containers"][0], {"name": "d", "image": "proxy"}]);
    let open = hardened(&json!({"capabilities": {"drop": ["KILL"], "add": ["SYS_TIME", "CHOWN"]}}));
    let volumes = |field: &str| json!([{"controlName": "Volume Types", "restrictedField": field, "values": ["x"]}]);
    let capabilities = |field: &str, values: &[&str]| json!({"controlName": "Capabilities", "images": ["nginx"], "restrictedField": field, "values": values});
    let (add, drop) =
        ("spec.containers[*].securityContext.capabilities.add", "spec.containers[*].securityContext.capabilities.drop");
    let cases = [
        // A volume has no value that could be compared.
        (&disk, volumes("spec.volumes[*].flexVolume"), true),
        (&disk, volumes("spec.volumes[*]"), false),
        (&disk, volumes("spec.volumes[*].hostPath"), false),
        // The baseline stays: a path of the host breaks two controls.
        (&host, json!([{"controlName": "Volume Types"}]), false),
        (&host, json!([{"controlName": "Volume Types"}, {"controlName": "HostPath Volumes"}]), true),
        // Without images, the pod stands for a single container; more containers need their images.
        (&unset, json!([{"controlName": "Running as Non-root"}]), true),
        (&two, json!([{"controlName": "Running as Non-root"}]), false),
        (&unset, json!([{"controlName": "Running as Non-root", "images": ["nginx"], "values": ["false"]}]), true),
        // Every value of a list has to be excused, for both levels.
        (&open, json!([capabilities(add, &["SYS_TIME"]), capabilities(drop, &["KILL"])]), false),
        (&open, json!([capabilities(add, &["SYS_TIME", "CHOWN"]), capabilities(drop, &["KILL"])]), true),
        (&open, json!([capabilities(add, &["SYS_TIME", "CHOWN"])]), false),
    ];
    for (spec, exclude, passes) in cases {
        let (status, message) = judge("restricted", &exclude, spec);
        assert_eq!(status == Status::Pass, passes, "{exclude}: {message}");
    }
}

#[test]
fn says_what_fields_are_found_like() {
    let message = |context: Value| {
        let spec =
            json!({"containers": [{"name": "c", "securityContext": context}], "volumes": [{"name": "v", "nfs": {}}]});
        judge("restricted", &json!([]), &spec).1
    };
    let none = message(json!(null));
    for part in [
        "allowPrivilegeEscalation != false, field error list: [spec.containers[0].securityContext.allowPrivilegeEscalation: Required value]",
        "[spec.containers[0].securityContext.capabilities.drop: Required value]",
        "[spec.volumes[0].nfs: Forbidden]",
    ] {
        assert!(none.contains(part), "{part} in {none}");
    }
    let some = message(json!({"capabilities": {"drop": ["KILL", "CHOWN"], "add": ["SYS_TIME", "BPF"]}}));
    for part in [
        "allowPrivilegeEscalation is forbidden, forbidden values found: nil]",
        "unrestricted capabilities, field error list: [spec.containers[0].securityContext.capabilities.drop is forbidden, forbidden values found: [CHOWN KILL], spec.containers[0].securityContext.capabilities.add is forbidden, forbidden values found: [BPF SYS_TIME]]",
        "(Forbidden reason: non-default capabilities, field error list: [spec.containers[0].securityContext.capabilities.add is forbidden",
    ] {
        assert!(some.contains(part), "{part} in {some}");
    }
}

/// Checks that later versions brought apply to the versions before them too; what later versions allow does not.
#[test]
fn versions_only_allow_more() {
    let judge = |version: &str, spec: &Value| {
        let check = PodSecurity::compile(&json!({"level": "restricted", "version": version})).unwrap();
        check.judge("r", (&json!({"kind": "Pod", "spec": spec}), "Pod", &Findings::default()), &[]).0.status
            == Status::Pass
    };
    let mut tuned = hardened(&json!({}));
    tuned["securityContext"] = json!({"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]});
    let mut image = hardened(&json!({}));
    image["volumes"] = json!([{"name": "v", "image": {"reference": "r"}}]);
    let root = hardened(&json!({"runAsUser": 0}));
    for (spec, version, passes) in [
        (&tuned, "v1.31", false),
        (&tuned, "v1.32", true),
        (&tuned, "latest", true),
        (&image, "v1.20", true),
        (&root, "v1.20", false),
    ] {
        assert_eq!(judge(version, spec), passes, "{version} {spec}");
    }
}
