//! Rules for pod controllers, made from rules for pods.
//!
//! A rule about pods is rewritten twice: for the controllers with a pod template, and for cron jobs. Patterns are wrapped;
//! in everything else the paths of `request.object` are replaced as text.

use serde_json::{Map, Value, json};

use super::matching::KindSelector;

/// Annotation that picks the controllers.
const ANNOTATION: &str = "pod-policies.kyverno.io/autogen-controllers";
const CONTROLLERS: [&str; 6] = ["DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"];
const CRON_JOB: &str = "CronJob";
/// Longest name of a rule.
const MAX_NAME: usize = 63;

/// The rules that `rules` (of one policy) give rise to, each with the index of its origin.
pub(crate) fn generate(
    rules: &[Value],
    annotations: Option<&std::collections::BTreeMap<String, String>>,
) -> Vec<(usize, Value)> {
    if !qualifies(rules) {
        return Vec::new();
    }
    let requested = annotations.and_then(|annotations| annotations.get(ANNOTATION));
    let wanted: Vec<&str> = match requested {
        Some(list) if list == "none" => return Vec::new(),
        Some(list) => list.split(',').collect(),
        None => CONTROLLERS.iter().copied().chain([CRON_JOB]).collect(),
    };
    let everything = wanted.contains(&"all");
    let controllers: Vec<&str> =
        CONTROLLERS.into_iter().filter(|controller| everything || wanted.contains(controller)).collect();
    let cron = everything || wanted.contains(&CRON_JOB);
    let mut out = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.starts_with("autogen-") || !is_about_pods(rule) {
            continue;
        }
        if !controllers.is_empty() {
            out.extend(controller_rule(rule, name, &controllers).map(|rule| (index, rule)));
        }
        if cron {
            out.extend(cron_rule(rule, name).map(|rule| (index, rule)));
        }
    }
    out
}

/// Whether the rules of a policy, taken together, can be rewritten at all.
fn qualifies(rules: &[Value]) -> bool {
    let mut needed = false;
    for rule in rules {
        let has = |pointer: &str| rule.pointer(pointer).is_some_and(|value| !value.is_null());
        let foreach = rule.pointer("/mutate/foreach").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let patched = foreach.iter().any(|item| item.get("patchesJson6902").is_some());
        if has("/generate") || has("/mutate/patchesJson6902") || patched {
            return false;
        }
        for block in ["match", "exclude"].into_iter().filter_map(|key| rule.get(key)) {
            for resources in filters(block).filter_map(|filter| filter.get("resources")) {
                let kinds = kinds_of(resources);
                let restricted =
                    ["name", "names", "selector", "annotations"].iter().any(|key| is_set(resources.get(*key)));
                if restricted || (kinds.len() > 1 && kinds.iter().any(|kind| bare_kind(kind) == "Pod")) {
                    return false;
                }
                needed |= kinds.iter().any(|kind| *kind == "Pod" || *kind == CRON_JOB || CONTROLLERS.contains(kind));
            }
        }
    }
    needed
}

fn is_set(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => true,
    }
}

/// Every filter of a block: its own, `any` and `all`.
fn filters(block: &Value) -> impl Iterator<Item = &Value> {
    let list = |key: &str| block.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    std::iter::once(block).chain(list("any")).chain(list("all"))
}

fn kinds_of(resources: &Value) -> Vec<&str> {
    let kinds = resources.get("kinds").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    kinds.iter().filter_map(Value::as_str).collect()
}

fn all_kinds(rule: &Value, block: &str) -> Vec<String> {
    let Some(block) = rule.get(block) else { return Vec::new() };
    let resources = filters(block).filter_map(|filter| filter.get("resources"));
    resources.flat_map(kinds_of).map(bare_kind).collect()
}

/// The kind without group, version and subresource.
fn bare_kind(kind: &str) -> String {
    KindSelector::parse(kind).kind
}

fn is_about_pods(rule: &Value) -> bool {
    let excluded = all_kinds(rule, "exclude");
    let pod = |kinds: &[String]| kinds.iter().any(|kind| kind == "Pod");
    pod(&all_kinds(rule, "match")) && (excluded.is_empty() || pod(&excluded))
}

fn controller_rule(rule: &Value, name: &str, controllers: &[&str]) -> Option<Value> {
    let mut rule = wrap_rule(rule, "template")?;
    rewrite_kinds(&mut rule, |kinds| kinds.iter().any(|kind| bare_kind(kind) == "Pod"), controllers);
    put(&mut rule, "name", Value::from(rule_name("autogen", name)));
    Some(replace_paths(rule, "spec.template"))
}

fn cron_rule(rule: &Value, name: &str) -> Option<Value> {
    let mut rule = wrap_rule(&wrap_rule(rule, "template")?, "jobTemplate")?;
    rewrite_kinds(&mut rule, |_| true, &[CRON_JOB]);
    put(&mut rule, "name", Value::from(rule_name("autogen-cronjob", name)));
    Some(replace_paths(rule, "spec.jobTemplate.spec.template"))
}

/// Sets a field of a map.
fn put(place: &mut Value, key: &str, value: Value) {
    if let Some(fields) = place.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}

fn rule_name(prefix: &str, name: &str) -> String {
    let name = format!("{prefix}-{name}");
    name.char_indices().take_while(|(at, c)| at + c.len_utf8() <= MAX_NAME).map(|(_, c)| c).collect()
}

/// Wraps the patterns of a rule under `spec.<key>`; `None` when the rule does nothing that can be rewritten.
fn wrap_rule(rule: &Value, key: &str) -> Option<Value> {
    let original = rule;
    let mut rule = original.clone();
    let wrap = |pattern: &Value| json!({"spec": {key: pattern}});
    if let Some(mutate) = original.get("mutate").filter(|mutate| !mutate.is_null()) {
        if let Some(patch) = mutate.get("patchStrategicMerge").filter(|patch| !patch.is_null()) {
            put(&mut rule, "mutate", json!({"patchStrategicMerge": wrap(patch)}));
            return Some(rule);
        }
        if let Some(items) = mutate.get("foreach").and_then(Value::as_array).filter(|items| !items.is_empty()) {
            let items: Vec<Value> = items.iter().map(|item| wrap_foreach(item, &wrap)).collect();
            put(&mut rule, "mutate", json!({"foreach": items}));
            return Some(rule);
        }
    }
    if let Some(validate) = rule.get("validate").filter(|validate| !validate.is_null()).cloned() {
        put(&mut rule, "validate", wrap_validate(&validate, &wrap)?);
        return Some(rule);
    }
    rule.get("verifyImages").is_some().then_some(rule)
}

fn wrap_foreach(item: &Value, wrap: &impl Fn(&Value) -> Value) -> Value {
    let mut out = Map::new();
    for key in ["list", "context", "preconditions"] {
        if let Some(value) = item.get(key) {
            out.insert(key.to_owned(), value.clone());
        }
    }
    out.insert("patchStrategicMerge".to_owned(), wrap(item.get("patchStrategicMerge").unwrap_or(&Value::Null)));
    Value::Object(out)
}

fn wrap_validate(validate: &Value, wrap: &impl Fn(&Value) -> Value) -> Option<Value> {
    let present = |key: &str| validate.get(key).filter(|value| !value.is_null());
    let mut out = Map::new();
    for key in ["message", "failureAction", "failureActionOverrides", "allowExistingViolations"] {
        if let Some(value) = present(key) {
            out.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(pattern) = present("pattern") {
        out.insert("pattern".to_owned(), wrap(pattern));
    } else if let Some(deny) = present("deny") {
        out.insert("deny".to_owned(), deny.clone());
    } else if let Some(security) = present("podSecurity") {
        out.insert("podSecurity".to_owned(), security.clone());
    } else if let Some(patterns) = present("anyPattern").and_then(Value::as_array) {
        out.insert("anyPattern".to_owned(), patterns.iter().map(wrap).collect());
    } else if let Some(items) = present("foreach") {
        out.insert("foreach".to_owned(), items.clone());
    } else if let Some(cel) = present("cel") {
        out.insert("cel".to_owned(), cel.clone());
    } else if let Some(assert) = present("assert") {
        let mut assert = assert.clone();
        for key in ["object", "oldObject"] {
            if let Some(object) = assert.get(key).filter(|object| object.is_object()) {
                let wrapped = wrap(object);
                put(&mut assert, key, wrapped);
            }
        }
        out.insert("assert".to_owned(), assert);
    } else {
        return None;
    }
    Some(Value::Object(out))
}

/// Puts `kinds` in place of the kinds of every filter that `applies`.
fn rewrite_kinds(rule: &mut Value, applies: impl Fn(&[&str]) -> bool, kinds: &[&str]) {
    for block in ["match", "exclude"] {
        let Some(block) = rule.get_mut(block) else { continue };
        let plain =
            ["any", "all"].iter().all(|key| block.get(*key).and_then(Value::as_array).is_none_or(Vec::is_empty));
        if plain {
            if let Some(resources) = block.get_mut("resources") {
                rewrite(resources, |_| true, kinds);
            }
            continue;
        }
        for key in ["any", "all"] {
            for filter in block.get_mut(key).and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default() {
                if let Some(resources) = filter.get_mut("resources") {
                    rewrite(resources, &applies, kinds);
                }
            }
        }
    }
}

fn rewrite(resources: &mut Value, applies: impl Fn(&[&str]) -> bool, kinds: &[&str]) {
    let current = kinds_of(resources);
    if !current.is_empty() && applies(&current) {
        put(resources, "kinds", kinds.iter().map(|kind| Value::from(gvk(kind))).collect());
    }
}

fn gvk(kind: &str) -> String {
    match kind {
        "Job" | CRON_JOB => format!("batch/*/{kind}"),
        "ReplicationController" => format!("v1/{kind}"),
        _ => format!("apps/*/{kind}"),
    }
}

/// Replaces the pod's paths by those below the template, in every text of the rule.
fn replace_paths(rule: Value, template: &str) -> Value {
    let cel = rule.pointer("/validate/cel").is_some_and(|cel| !cel.is_null());
    let roots: [&str; 2] = if cel { ["object", "oldObject"] } else { ["request.object", "request.oldObject"] };
    let mut pairs = Vec::new();
    for part in ["spec", "metadata"] {
        for root in roots {
            pairs.push((format!("{root}.{part}"), format!("{root}.{template}.{part}")));
        }
    }
    replace_texts(rule, &pairs)
}

fn replace_texts(value: Value, pairs: &[(String, String)]) -> Value {
    let replace = |text: String| {
        pairs.iter().fold(
            text,
            |text, (from, to)| if text.contains(from.as_str()) { text.replace(from.as_str(), to) } else { text },
        )
    };
    match value {
        Value::String(text) => Value::String(replace(text)),
        Value::Array(items) => items.into_iter().map(|item| replace_texts(item, pairs)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, value)| (replace(key), replace_texts(value, pairs))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod_rule(validate: &Value) -> Value {
        json!({"name": "r", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "validate": validate})
    }

    #[test]
    fn wraps_patterns_and_rewrites_paths() {
        let rule = pod_rule(&json!({"message": "{{request.object.spec.x}}", "pattern": {"spec": {"a": 1}}}));
        let made = generate(&[rule], None);
        assert_eq!(made.len(), 2);
        assert_eq!(made[0].1["name"], "autogen-r");
        assert_eq!(made[0].1["validate"]["pattern"], json!({"spec": {"template": {"spec": {"a": 1}}}}));
        assert_eq!(made[0].1["validate"]["message"], "{{request.object.spec.template.spec.x}}");
        assert_eq!(made[1].1["name"], "autogen-cronjob-r");
        assert_eq!(
            made[1].1["validate"]["pattern"],
            json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"a": 1}}}}}})
        );
        assert_eq!(made[1].1["match"]["any"][0]["resources"]["kinds"], json!(["batch/*/CronJob"]));
    }

    #[test]
    fn leaves_restricted_rules_alone() {
        let pattern = json!({"pattern": {"spec": {}}});
        let mut named = pod_rule(&pattern);
        named["match"]["any"][0]["resources"]["names"] = json!(["x"]);
        let mut mixed = pod_rule(&pattern);
        mixed["match"]["any"][0]["resources"]["kinds"] = json!(["Pod", "Deployment"]);
        let generating = json!({"name": "g", "match": {"resources": {"kinds": ["Namespace"]}}, "generate": {}});
        for rules in [vec![named], vec![mixed], vec![pod_rule(&pattern), generating]] {
            assert!(generate(&rules, None).is_empty(), "{rules:?}");
        }
        let off = [(ANNOTATION.to_owned(), "none".to_owned())].into();
        assert!(generate(&[pod_rule(&pattern)], Some(&off)).is_empty());
        let some = [(ANNOTATION.to_owned(), "Deployment,CronJob".to_owned())].into();
        assert_eq!(generate(&[pod_rule(&pattern)], Some(&some)).len(), 2);
    }

    #[test]
    fn knows_the_kind_in_a_selector() {
        for (text, kind) in [
            ("Pod", "Pod"),
            ("v1/Pod", "Pod"),
            ("*/Pod", "Pod"),
            ("apps/v1/Deployment", "Deployment"),
            ("Pod/exec", "Pod"),
            ("v1/Pod.status", "Pod"),
        ] {
            assert_eq!(bare_kind(text), kind, "{text}");
        }
    }
}
