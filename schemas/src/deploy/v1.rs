//! Deploy events, version 1.

use std::collections::BTreeMap;

use model::{Digest, Fault};
use serde::{Deserialize, Serialize};

use crate::envelope::EventData;
use crate::event_type::EventType;

/// What an admission review came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Let in.
    Allow,
    /// Refused.
    Deny,
    /// A word that this reader does not know.
    #[default]
    #[serde(other)]
    Other,
}

/// What one rule said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleVerdict {
    /// The object fits.
    Pass,
    /// The object does not fit.
    Fail,
    /// The rule does not apply, or an exception lets the object by.
    Skip,
    /// The object does not fit, and the policy only warns.
    Warn,
    /// The rule could not be judged.
    Error,
    /// A word that this reader does not know.
    #[default]
    #[serde(other)]
    Other,
}

/// The verdict of one rule on one review.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct PolicyResult {
    /// Policy, `namespace/name` when it has a namespace.
    pub policy: String,
    /// Rule.
    pub rule: String,
    /// Verdict.
    pub verdict: RuleVerdict,
    /// Whether a failure of this rule denies (`Enforce`) or not (`Audit`).
    pub enforced: bool,
    /// Message.
    pub message: String,
    /// The PolicyException, `namespace/name`, that let the object by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
}

/// One image of an admitted object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct AdmittedImage {
    /// Container that runs it.
    pub container: String,
    /// Reference as written.
    pub reference: String,
    /// Digest, when known from the reference or from scan facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// `deploy.admission.reviewed`, keyed by namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AdmissionReviewed {
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: String,
    /// Kind of the object.
    pub kind: String,
    /// Namespace; empty for a cluster-scoped object.
    #[serde(default)]
    pub namespace: String,
    /// Name, or its `generateName`.
    #[serde(default)]
    pub name: String,
    /// Who asked.
    #[serde(default)]
    pub user: String,
    /// Decision.
    pub decision: Decision,
    /// What the rules that applied said; passes are left out.
    #[serde(default)]
    pub results: Vec<PolicyResult>,
    /// Images of the object.
    #[serde(default)]
    pub images: Vec<AdmittedImage>,
    /// Whether the request was a dry run.
    #[serde(default)]
    pub dry_run: bool,
    /// How long the decision took, in microseconds.
    #[serde(default)]
    pub duration_us: u64,
}

impl EventData for AdmissionReviewed {
    const TYPE: EventType = EventType::AdmissionReviewed;
}

/// `deploy.policy.changed`, keyed by namespace, `cluster` for cluster-wide policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct PolicyChanged {
    /// Policies in force.
    pub policies: Vec<String>,
    /// Exceptions in force.
    pub exceptions: Vec<String>,
    /// What was set aside.
    pub faults: Vec<Fault>,
}

impl EventData for PolicyChanged {
    const TYPE: EventType = EventType::PolicyChanged;
}

/// `deploy.pod.created`, keyed by pod uid: the join of admission, pod, workload, images and secrets. The event's identity holds the
/// admission id, pod uid, name, namespace, workload and service account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct PodCreated {
    /// Images by container.
    pub images: Vec<AdmittedImage>,
    /// Names of the Secrets that the pod refers to.
    pub secrets: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Node that it is bound to; empty when it is not yet.
    pub node: String,
}

impl EventData for PodCreated {
    const TYPE: EventType = EventType::PodCreated;
}
