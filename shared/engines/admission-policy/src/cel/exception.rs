//! PolicyException of `policies.kyverno.io`.

use cel::Program;
use serde_json::Value;

use super::policy::CelPolicy;
use crate::outcome::Status;
use crate::policy::schema::Metadata;

/// A compiled exception.
#[derive(Debug)]
pub(crate) struct CelException {
    /// `namespace/name`.
    pub(crate) key: String,
    /// Names and kinds of the policies.
    policies: Vec<(String, String)>,
    pub(crate) conditions: Vec<(String, Program)>,
    /// Images that the policy is to allow; then the policy is judged all the same.
    pub(crate) images: Vec<String>,
    /// Values that the policy is to allow.
    pub(crate) values: Vec<String>,
    /// What is reported: skip, or pass.
    pub(crate) status: Status,
    /// The exception with the highest priority decides what is reported.
    pub(crate) priority: i64,
}

impl CelException {
    pub(super) fn new(metadata: &Metadata, manifest: &Value, conditions: Vec<(String, Program)>) -> Self {
        let spec = manifest.get("spec").unwrap_or(&Value::Null);
        let list = |key: &str| spec.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let texts = |key: &str| list(key).iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let priority = manifest.pointer("/metadata/labels/polex.kyverno.io~1priority").and_then(Value::as_str);
        let key = match metadata.namespace.as_deref() {
            Some(namespace) if !namespace.is_empty() => format!("{namespace}/{}", metadata.name),
            _ => metadata.name.clone(),
        };
        Self {
            key,
            policies: list("policyRefs").iter().map(|one| (text(one, "name"), text(one, "kind"))).collect(),
            conditions,
            images: texts("images"),
            values: texts("allowedValues"),
            status: if text(spec, "reportResult") == "pass" { Status::Pass } else { Status::Skip },
            priority: priority.and_then(|priority| priority.parse().ok()).unwrap_or(0),
        }
    }

    /// Whether it names the policy.
    pub(crate) fn names(&self, policy: &CelPolicy) -> bool {
        self.policies.iter().any(|(name, kind)| {
            (*name == policy.reference.name || *name == policy.key)
                && (kind.is_empty() || *kind == policy.reference.kind)
        })
    }
}
