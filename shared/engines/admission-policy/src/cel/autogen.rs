//! Policies for pod controllers, made from policies for pods.
//!
//! Only a policy whose one resource rule is about `pods`, without selectors, exclusions or names, is rewritten. Paths are
//! replaced as text; the namespace of the object itself stays.

use serde_json::{Map, Value, json};

use super::policy::CelKind;

/// Controllers with a pod template: resource, API group.
const TEMPLATED: [(&str, &str); 5] = [
    ("daemonsets", "apps"),
    ("deployments", "apps"),
    ("jobs", "batch"),
    ("replicasets", "apps"),
    ("statefulsets", "apps"),
];
const CRON_JOBS: &str = "cronjobs";

/// The specs for controllers that `spec` gives rise to.
pub(super) fn generate(spec: &Value, kind: CelKind) -> Vec<Value> {
    if !matches!(kind, CelKind::Validate | CelKind::Mutate | CelKind::VerifyImages) || !is_about_pods(spec) {
        return Vec::new();
    }
    let chosen = spec.pointer("/autogen/podControllers/controllers").and_then(Value::as_array);
    let wanted = |resource: &str| chosen.is_none_or(|chosen| chosen.iter().any(|one| one.as_str() == Some(resource)));
    let templated: Vec<_> = TEMPLATED.into_iter().filter(|(resource, _)| wanted(resource)).collect();
    let mut specs = Vec::new();
    if !templated.is_empty() {
        specs.push(rewritten(spec, kind, &["template"], &templated));
    }
    if wanted(CRON_JOBS) {
        specs.push(rewritten(spec, kind, &["jobTemplate", "spec", "template"], &[(CRON_JOBS, "batch")]));
    }
    specs
}

fn is_about_pods(spec: &Value) -> bool {
    let Some(constraints) = spec.get("matchConstraints") else { return false };
    let count = |key: &str| constraints.get(key).and_then(Value::as_array).map_or(0, Vec::len);
    let selects = |key: &str| {
        let part = |name: &str| match constraints.get(key).and_then(|selector| selector.get(name)) {
            Some(Value::Object(labels)) => !labels.is_empty(),
            Some(Value::Array(expressions)) => !expressions.is_empty(),
            _ => false,
        };
        part("matchLabels") || part("matchExpressions")
    };
    let Some(rule) = constraints.pointer("/resourceRules/0") else { return false };
    let only = |key: &str, value: &str| rule.get(key).is_some_and(|list| *list == json!([value]));
    let named = rule.get("resourceNames").and_then(Value::as_array).is_some_and(|names| !names.is_empty());
    count("resourceRules") == 1
        && count("excludeResourceRules") == 0
        && !selects("namespaceSelector")
        && !selects("objectSelector")
        && !named
        && only("apiGroups", "")
        && only("apiVersions", "v1")
        && only("resources", "pods")
}

fn rewritten(spec: &Value, kind: CelKind, path: &[&str], targets: &[(&str, &str)]) -> Value {
    let template = format!("spec.{}", path.join("."));
    let mut spec = match kind {
        CelKind::Mutate => rewrite_mutations(spec, &template, path),
        _ => rewrite_texts(spec, &|text| moved(text, &template, &["object", "oldObject"])),
    };
    let operations = spec.pointer("/matchConstraints/resourceRules/0/operations").cloned().unwrap_or_default();
    let rule = |(resource, group): &(&str, &str)| json!({"apiGroups": [group], "apiVersions": ["v1"], "resources": [resource], "operations": operations});
    let rules: Vec<Value> = targets.iter().map(rule).collect();
    if let Some(fields) = spec.as_object_mut() {
        fields.insert("matchConstraints".to_owned(), json!({"resourceRules": rules}));
    }
    spec
}

/// Of a mutation only the conditions and the apply configurations are rewritten; JSON patches stay as they are.
fn rewrite_mutations(spec: &Value, template: &str, path: &[&str]) -> Value {
    let mut spec = spec.clone();
    let expressions = |value: &mut Value, rewrite: &dyn Fn(&str) -> String| {
        if let Some(Value::String(text)) = value.get_mut("expression") {
            *text = rewrite(text);
        }
    };
    for condition in spec.get_mut("matchConditions").and_then(Value::as_array_mut).into_iter().flatten() {
        expressions(condition, &|text| moved(text, template, &["object", "Object", "oldObject"]));
    }
    for mutation in spec.get_mut("mutations").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(apply) = mutation.get_mut("applyConfiguration") {
            expressions(apply, &|text| wrapped(&moved(text, template, &["object", "Object", "oldObject"]), path));
        }
    }
    spec
}

fn rewrite_texts(value: &Value, rewrite: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(rewrite(text)),
        Value::Array(items) => items.iter().map(|item| rewrite_texts(item, rewrite)).collect(),
        Value::Object(fields) => {
            let entry = |(key, item): (&String, &Value)| (key.clone(), rewrite_texts(item, rewrite));
            Value::Object(fields.iter().map(entry).collect::<Map<_, _>>())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Moves `object.spec` and `object.metadata` below the template, at whole words only.
fn moved(text: &str, template: &str, roots: &[&str]) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(c) = rest.chars().next() {
        let found = roots.iter().filter(|_| !is_word(previous) && previous != '.').find_map(|root| {
            let behind = rest.strip_prefix(root)?.strip_prefix('.')?;
            let part = ["spec", "metadata"].into_iter().find(|part| behind.starts_with(part))?;
            let after = behind.get(part.len()..)?;
            let own = part == "metadata" && is_own_metadata(after);
            let whole = !own && !after.starts_with(is_word);
            // The constructor `Object.metadata` is moved for labels and annotations only.
            let constructs = *root == "Object" && part == "metadata";
            let labels = after.starts_with(".labels") || after.starts_with(".annotations");
            (whole && (!constructs || labels)).then_some((format!("{root}.{template}.{part}"), after))
        });
        match found {
            Some((replacement, after)) => {
                out.push_str(&replacement);
                previous = 'a';
                rest = after;
            }
            None => {
                out.push(c);
                previous = c;
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }
    out
}

/// The namespace of a controller is that of its pods, which a template does not repeat.
fn is_own_metadata(after: &str) -> bool {
    after.strip_prefix(".namespace").is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Puts what stands in the leading `Object{..}` below the template.
fn wrapped(expression: &str, path: &[&str]) -> String {
    let trimmed = expression.trim();
    let Some(content) = trimmed.strip_prefix("Object{") else { return expression.to_owned() };
    let mut depth = 1_usize;
    let end = content.char_indices().find_map(|(at, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    });
    let Some((inner, rest)) = end.and_then(|end| Some((content.get(..end)?, content.get(end + 1..)?))) else {
        return expression.to_owned();
    };
    let mut open = "Object{spec: Object.spec{".to_owned();
    let mut name = "Object.spec".to_owned();
    for part in path {
        name.push('.');
        name.push_str(part);
        open.push_str(&format!("{part}: {name}{{"));
    }
    format!("{open}{inner}{}{rest}", "}".repeat(path.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_whole_words() {
        for (text, expected) in [
            ("object.spec.a + oldObject.spec.b", "object.spec.template.spec.a + oldObject.spec.template.spec.b"),
            ("object.metadata.labels", "object.spec.template.metadata.labels"),
            ("object.metadata.namespace == 'x'", "object.metadata.namespace == 'x'"),
            ("namespaceObject.metadata.name", "namespaceObject.metadata.name"),
            ("object.specials", "object.specials"),
            ("a.object.spec", "a.object.spec"),
        ] {
            assert_eq!(moved(text, "spec.template", &["object", "oldObject"]), expected);
        }
    }

    #[test]
    fn wraps_apply_configurations() {
        let text = moved("Object{spec: Object.spec{a: object.spec.a}}", "spec.template", &["object", "Object"]);
        assert_eq!(
            wrapped(&text, &["template"]),
            "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{a: object.spec.template.spec.a}}}}"
        );
    }

    #[test]
    fn rewrites_policies_about_pods_only() {
        let rule = |resources: Value| json!({"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": resources, "operations": ["CREATE"]}]}});
        assert_eq!(generate(&rule(json!(["pods"])), CelKind::Validate).len(), 2);
        assert_eq!(generate(&rule(json!(["services"])), CelKind::Validate).len(), 0);
        let mut selected = rule(json!(["pods"]));
        selected["matchConstraints"]["objectSelector"] = json!({"matchLabels": {"a": "b"}});
        assert_eq!(generate(&selected, CelKind::Validate).len(), 0);
        let mut chosen = rule(json!(["pods"]));
        chosen["autogen"] = json!({"podControllers": {"controllers": ["deployments"]}});
        assert_eq!(generate(&chosen, CelKind::Validate).len(), 1);
    }
}
