//! Manifests of the `kyverno.io` group as they are written; nothing is judged here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// `metadata`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Metadata {
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    pub(crate) labels: Option<BTreeMap<String, Value>>,
}

impl Metadata {
    /// Whether violations are to be reported as warnings.
    pub(crate) fn is_unscored(&self) -> bool {
        let scored = self.annotations.as_ref().and_then(|all| all.get("policies.kyverno.io/scored"));
        scored.is_some_and(|scored| scored == "false")
    }
}

/// A ClusterPolicy or Policy.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Policy {
    pub(crate) spec: PolicySpec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicySpec {
    pub(crate) rules: Option<Vec<Value>>,
    pub(crate) validation_failure_action: Option<String>,
    pub(crate) validation_failure_action_overrides: Option<Vec<ActionOverride>>,
    pub(crate) failure_policy: Option<String>,
    pub(crate) webhook_configuration: Option<WebhookConfiguration>,
    pub(crate) background: Option<bool>,
    pub(crate) admission: Option<bool>,
    pub(crate) apply_rules: Option<String>,
    pub(crate) emit_warning: Option<bool>,
    pub(crate) use_server_side_apply: Option<bool>,
    pub(crate) generate_existing: Option<bool>,
    pub(crate) mutate_existing_on_policy_update: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookConfiguration {
    pub(crate) failure_policy: Option<String>,
    pub(crate) match_conditions: Option<Vec<Value>>,
}

/// An action for some namespaces.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActionOverride {
    pub(crate) action: String,
    pub(crate) namespaces: Option<Vec<String>>,
    pub(crate) namespace_selector: Option<Selector>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    pub(crate) name: String,
    #[serde(rename = "match")]
    pub(crate) matches: Option<Match>,
    pub(crate) exclude: Option<Match>,
    pub(crate) context: Option<Vec<Value>>,
    pub(crate) preconditions: Option<Value>,
    pub(crate) cel_preconditions: Option<Vec<Value>>,
    pub(crate) validate: Option<Validate>,
    pub(crate) mutate: Option<Mutate>,
    pub(crate) generate: Option<Value>,
    pub(crate) verify_images: Option<Vec<Value>>,
    pub(crate) image_extractors: Option<Value>,
    pub(crate) skip_background_requests: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Match {
    pub(crate) any: Option<Vec<Filter>>,
    pub(crate) all: Option<Vec<Filter>>,
    #[serde(flatten)]
    pub(crate) own: Filter,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Filter {
    pub(crate) resources: Option<Resources>,
    pub(crate) subjects: Option<Vec<Subject>>,
    pub(crate) roles: Option<Vec<String>>,
    pub(crate) cluster_roles: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resources {
    pub(crate) kinds: Option<Vec<String>>,
    pub(crate) name: Option<String>,
    pub(crate) names: Option<Vec<String>>,
    pub(crate) namespaces: Option<Vec<String>>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    pub(crate) selector: Option<Selector>,
    pub(crate) namespace_selector: Option<Selector>,
    pub(crate) operations: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Subject {
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Selector {
    pub(crate) match_labels: Option<BTreeMap<String, String>>,
    pub(crate) match_expressions: Option<Vec<Requirement>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Requirement {
    pub(crate) key: String,
    pub(crate) operator: String,
    pub(crate) values: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Validate {
    pub(crate) message: Option<String>,
    pub(crate) failure_action: Option<String>,
    pub(crate) failure_action_overrides: Option<Vec<ActionOverride>>,
    pub(crate) allow_existing_violations: Option<bool>,
    pub(crate) pattern: Option<Value>,
    pub(crate) any_pattern: Option<Value>,
    pub(crate) deny: Option<Deny>,
    pub(crate) foreach: Option<Vec<ForEach>>,
    pub(crate) pod_security: Option<Value>,
    pub(crate) cel: Option<Value>,
    pub(crate) manifests: Option<Value>,
    pub(crate) assert: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Deny {
    pub(crate) conditions: Option<Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ForEach {
    pub(crate) list: Option<String>,
    pub(crate) element_scope: Option<bool>,
    pub(crate) context: Option<Vec<Value>>,
    pub(crate) preconditions: Option<Value>,
    pub(crate) pattern: Option<Value>,
    pub(crate) any_pattern: Option<Value>,
    pub(crate) deny: Option<Deny>,
    pub(crate) foreach: Option<Vec<ForEach>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mutate {
    pub(crate) patch_strategic_merge: Option<Value>,
    #[serde(rename = "patchesJson6902")]
    pub(crate) patches_json6902: Option<String>,
    pub(crate) foreach: Option<Vec<ForEachMutation>>,
    pub(crate) targets: Option<Vec<Value>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ForEachMutation {
    pub(crate) list: Option<String>,
    pub(crate) order: Option<String>,
    pub(crate) context: Option<Vec<Value>>,
    pub(crate) preconditions: Option<Value>,
    pub(crate) patch_strategic_merge: Option<Value>,
    #[serde(rename = "patchesJson6902")]
    pub(crate) patches_json6902: Option<String>,
    pub(crate) foreach: Option<Vec<ForEachMutation>>,
}

/// A PolicyException of `kyverno.io`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Exception {
    pub(crate) spec: ExceptionSpec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExceptionSpec {
    pub(crate) exceptions: Option<Vec<ExceptionTarget>>,
    #[serde(rename = "match")]
    pub(crate) matches: Option<Match>,
    pub(crate) conditions: Option<Value>,
    pub(crate) pod_security: Option<Vec<Value>>,
    pub(crate) background: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExceptionTarget {
    pub(crate) policy_name: String,
    pub(crate) rule_names: Option<Vec<String>>,
}
