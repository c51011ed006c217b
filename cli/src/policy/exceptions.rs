//! `--generate-exceptions`: PolicyExceptions for what fails.

use admission_policy::RuleVerdict;
use go_time::GoDuration;
use serde_json::{Value, json};

use super::documents::plain;

/// The exception that lets a violation be; `None` for a policy of Kubernetes itself, which knows none.
pub(super) fn exception(verdict: &RuleVerdict, object: &Value, ttl: GoDuration) -> Option<Value> {
    let policy = &*verdict.policy;
    let (name, namespace) = (text(object, "/metadata/name"), text(object, "/metadata/namespace"));
    let spec = match policy.kind.as_str() {
        "ClusterPolicy" | "Policy" => of_rule(verdict, object),
        kind if kind.ends_with("AdmissionPolicy") => return None,
        _ => of_policy(verdict, object),
    };
    let api = match policy.kind.as_str() {
        "ClusterPolicy" | "Policy" => "kyverno.io/v2",
        _ => "policies.kyverno.io/v1",
    };
    let parts = [policy.name.as_str(), &verdict.rule, &namespace, &name];
    let mut called: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    called.dedup();
    let called: String = plain(&called.join("-").to_lowercase()).chars().take(MAX_NAME).collect();
    let mut metadata = json!({ "name": called.trim_matches(['-', '.']) });
    if ttl > GoDuration::default() {
        metadata["labels"] = json!({ "cleanup.kyverno.io/ttl": ttl.to_string() });
    }
    Some(json!({ "apiVersion": api, "kind": "PolicyException", "metadata": metadata, "spec": spec }))
}

/// Longest name of an object.
const MAX_NAME: usize = 253;

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// One rule for one object. Where the rule was made for pod controllers, so for what the object makes.
fn of_rule(verdict: &RuleVerdict, object: &Value) -> Value {
    let policy = &*verdict.policy;
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    let namespace = text(object, "/metadata/namespace");
    let (mut kinds, mut names, mut rules) = (vec![kind], vec![name.clone()], vec![verdict.rule.clone()]);
    if let Some(origin) = verdict.rule.strip_prefix("autogen-cronjob-") {
        kinds.extend(["Job".to_owned(), "Pod".to_owned()]);
        rules.extend([format!("autogen-{origin}"), origin.to_owned()]);
        names.push(format!("{name}-*"));
    } else if let Some(origin) = verdict.rule.strip_prefix("autogen-") {
        kinds.push("Pod".to_owned());
        rules.push(origin.to_owned());
        names.push(format!("{name}-*"));
    }
    let mut resources = json!({ "kinds": kinds, "names": names });
    if !namespace.is_empty() {
        resources["namespaces"] = json!([namespace]);
    }
    let key = match policy.namespace.as_str() {
        "" => policy.name.clone(),
        namespace => format!("{namespace}/{}", policy.name),
    };
    json!({
        "exceptions": [{ "policyName": key, "ruleNames": rules }],
        "match": { "any": [{ "resources": resources }] },
    })
}

/// A policy in CEL for one object. For pod controllers, so for what the object makes.
fn of_policy(verdict: &RuleVerdict, object: &Value) -> Value {
    let quoted = |text: &str| Value::from(text).to_string();
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    let own = format!("object.metadata.name == {}", quoted(&name));
    let named = match CONTROLLERS.contains(&kind.as_str()) {
        true => format!("({own} || object.metadata.name.startsWith({}))", quoted(&format!("{name}-"))),
        false => own,
    };
    let expression = match text(object, "/metadata/namespace").as_str() {
        "" => named,
        namespace => format!("{named} && object.metadata.namespace == {}", quoted(namespace)),
    };
    json!({
        "policyRefs": [{ "name": verdict.policy.name, "kind": verdict.policy.kind }],
        "matchConditions": [{ "name": "object", "expression": expression }],
    })
}

/// Kinds whose objects make pods.
const CONTROLLERS: [&str; 7] =
    ["Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"];
