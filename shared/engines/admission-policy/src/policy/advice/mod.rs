//! What Kyverno refuses in a policy though its parts can be read: rules that would never judge, or not what they seem to.
//!
//! Such a policy works here as far as it can; its writer is told by a warning at the place, with what to do.

mod actions;
mod conditions;
mod entries;
mod matches;
mod variables;

use model::{Fault, FaultKind};
use serde_json::Value;

use self::matches::users_in;
use super::schema::Metadata;
use crate::kinds;
use crate::yaml::Document;

/// Something that is hardly meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    /// JSON pointer of the place in the manifest.
    pub(crate) pointer: String,
    pub(crate) what: String,
    pub(crate) remedy: String,
}

impl Advice {
    /// The warning of a manifest.
    pub(crate) fn fault(&self, file: &str, document: &Document, subject: &str) -> Fault {
        let line = document.line_of(&self.pointer);
        Fault::new(FaultKind::Warning, file, &*self.what).at(line, 0).about(subject).cure(&*self.remedy)
    }
}

/// Collects advice.
#[derive(Debug, Default)]
pub(crate) struct Adviser {
    pub(crate) found: Vec<Advice>,
    /// Namespace of a namespaced policy.
    namespace: Option<String>,
    /// Whether stored objects are judged, too.
    background: bool,
}

impl Adviser {
    fn tell(&mut self, pointer: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) {
        self.found.push(Advice { pointer: pointer.into(), what: what.into(), remedy: remedy.into() });
    }
}

/// Looks at a ClusterPolicy or Policy.
pub(crate) fn of_policy(kind: &str, metadata: &Metadata, policy: &Value) -> Vec<Advice> {
    let spec = policy.get("spec").unwrap_or(&Value::Null);
    let flag = |key: &str| spec.get(key).and_then(Value::as_bool).unwrap_or(true);
    let mut adviser = Adviser {
        found: Vec::new(),
        namespace: (kind == "Policy").then(|| metadata.namespace.clone().unwrap_or_default()),
        background: flag("background"),
    };
    if kind == "ClusterPolicy" && metadata.namespace.as_ref().is_some_and(|namespace| !namespace.is_empty()) {
        adviser.tell("/metadata/namespace", "a ClusterPolicy is in no namespace", "remove it, or write a Policy");
    }
    adviser.spec(spec, flag("admission"));
    let rules = list(spec, "rules");
    for (index, rule) in rules.iter().enumerate() {
        let pointer = format!("/spec/rules/{index}");
        let name = text(rule, "name");
        if rules.iter().take(index).any(|other| text(other, "name") == name) {
            adviser.tell(format!("{pointer}/name"), format!("there is a rule `{name}` before"), "give it another name");
        }
        adviser.rule(spec, rule, &pointer, flag("admission"));
    }
    adviser.found
}

/// Looks at what a PolicyException excepts.
pub(crate) fn of_exception(spec: &Value) -> Vec<Advice> {
    let background = spec.get("background").and_then(Value::as_bool).unwrap_or(true);
    let mut adviser = Adviser { background, ..Adviser::default() };
    adviser.block(spec.get("match").unwrap_or(&Value::Null), "/spec/match");
    for (index, one) in list(spec, "exceptions").iter().enumerate() {
        if text(one, "policyName").is_empty() {
            let pointer = format!("/spec/exceptions/{index}");
            adviser.tell(pointer, "the exception names no policy", "give it a `policyName`");
        }
    }
    adviser.exclusions(list(spec, "podSecurity"), "", "/spec/podSecurity");
    adviser.found
}

/// Looks at a CleanupPolicy or ClusterCleanupPolicy.
pub(crate) fn of_cleanup(spec: &Value) -> Vec<Advice> {
    let mut adviser = Adviser::default();
    for key in ["match", "exclude"] {
        let Some(block) = spec.get(key) else { continue };
        for (pointer, field) in users_in(block, &format!("/spec/{key}")) {
            adviser.tell(
                format!("{pointer}/{field}"),
                format!("`{field}` is about who asks; nobody asks for a cleanup"),
                "remove it: the objects are found without it",
            );
        }
    }
    for (index, entry) in list(spec, "context").iter().enumerate() {
        for source in ["configMap", "imageRegistry"].into_iter().filter(|source| is_there(entry, source)) {
            adviser.tell(
                format!("/spec/context/{index}/{source}"),
                format!("Kyverno takes no `{source}` in the context of a cleanup policy"),
                "use an `apiCall` or a `variable`",
            );
        }
    }
    adviser.found
}

impl Adviser {
    /// What the policy says as a whole.
    fn spec(&mut self, spec: &Value, admission: bool) {
        if !admission && !self.background {
            let remedy = "set `admission` or `background` to true";
            self.tell("/spec", "the policy judges neither requests nor stored objects", remedy);
        }
        let webhook = spec.get("webhookConfiguration").unwrap_or(&Value::Null);
        for (pointer, holder, field, twin) in [
            ("/spec/webhookTimeoutSeconds", spec, "webhookTimeoutSeconds", "timeoutSeconds"),
            ("/spec/webhookConfiguration/timeoutSeconds", webhook, "timeoutSeconds", ""),
            ("/spec/failurePolicy", spec, "failurePolicy", "failurePolicy"),
        ] {
            let value = holder.get(field).filter(|value| !value.is_null());
            if field != "failurePolicy"
                && value.and_then(Value::as_i64).is_some_and(|seconds| !(1..=30).contains(&seconds))
            {
                self.tell(
                    pointer,
                    format!("`{field}` is not between 1 and 30 seconds"),
                    "an API server waits no longer",
                );
            }
            if value.is_some() && !twin.is_empty() && is_there(webhook, twin) {
                let remedy = format!("remove `spec.{field}`: `spec.webhookConfiguration.{twin}` counts");
                self.tell(pointer, format!("`{field}` is there twice"), remedy);
            }
        }
        if is_there(spec, "generateExistingOnPolicyUpdate") {
            let remedy = "write `generateExisting` below `generate` of the rule";
            let what = "Kyverno has no `generateExistingOnPolicyUpdate` any more";
            self.tell("/spec/generateExistingOnPolicyUpdate", what, remedy);
        }
        if self.namespace.is_some() && !list(spec, "validationFailureActionOverrides").is_empty() {
            let what = "actions by namespace are for a ClusterPolicy: a Policy is in one namespace";
            self.tell("/spec/validationFailureActionOverrides", what, "set `validationFailureAction`");
        }
        self.overrides(list(spec, "validationFailureActionOverrides"), "/spec/validationFailureActionOverrides");
    }

    /// Overrides that say two things about one namespace.
    fn overrides(&mut self, overrides: &[Value], pointer: &str) {
        let action = |one: &Value| text(one, "action").to_ascii_lowercase();
        for (index, one) in overrides.iter().enumerate() {
            let before = overrides.iter().take(index).filter(|before| action(before) != action(one));
            let known: Vec<&Value> = before.flat_map(|before| list(before, "namespaces")).collect();
            for namespace in list(one, "namespaces").iter().filter(|namespace| known.contains(namespace)) {
                let what = format!("there are two actions for the namespace {namespace}");
                self.tell(format!("{pointer}/{index}/namespaces"), what, "keep one: the first counts");
            }
        }
    }

    fn rule(&mut self, spec: &Value, rule: &Value, pointer: &str, admission: bool) {
        let does = |key: &str| is_there(rule, key);
        if !admission && ["mutate", "generate", "verifyImages"].into_iter().any(does) {
            let remedy = "remove `admission: false`, or put the rule into a policy of its own";
            self.tell(pointer, "the rule works on requests, which the policy leaves out", remedy);
        }
        if does("imageExtractors") && !does("verifyImages") {
            let pointer = format!("{pointer}/imageExtractors");
            self.tell(pointer, "`imageExtractors` are for rules that verify images", "remove them: they do nothing");
        }
        for key in ["match", "exclude"].into_iter().filter(|key| does(key)) {
            self.block(rule.get(key).unwrap_or(&Value::Null), &format!("{pointer}/{key}"));
        }
        self.kinds(rule, pointer);
        self.entries(rule, pointer);
        self.conditions_of(rule, pointer);
        self.variables(spec, rule, pointer);
        self.actions(spec, rule, pointer);
    }
}

fn is_there(value: &Value, key: &str) -> bool {
    value.get(key).is_some_and(|value| !value.is_null())
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A kind as it may be written, `v1/Pod`, without what stands before it.
fn bare(kind: &str) -> &str {
    kind.rsplit('/').next().unwrap_or(kind)
}

fn is_cluster_wide(kind: &str) -> bool {
    kinds::is_cluster_wide(bare(kind))
}

fn is_namespaced(kind: &str) -> bool {
    kinds::is_namespaced(bare(kind))
}
