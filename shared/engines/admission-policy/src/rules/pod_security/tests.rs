//! The standards as a table: one pod spec each, and the controls it breaks.

use serde_json::{Value, json};

use super::PodSecurity;
use crate::outcome::Status;

fn judge(level: &str, exclude: &Value, spec: &Value) -> (Status, String) {
    let check = PodSecurity::compile(&json!({"level": level, "version": "latest", "exclude": exclude})).unwrap();
    let pod = json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": spec});
    let (judgement, _) = check.judge("r", (&pod, "Pod"), &[]);
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
