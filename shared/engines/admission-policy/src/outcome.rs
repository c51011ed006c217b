//! What came of an evaluation: verdicts with their reasons, and what follows from them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::request::Request;
use crate::snapshot::MissingFact;

/// The verdict of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// The rule holds, or did its work.
    Pass,
    /// The rule is violated.
    Fail,
    /// The rule matched but did not apply (preconditions, anchors, an exception).
    Skip,
    /// Violated, but the policy only warns.
    Warn,
    /// The rule could not be judged.
    Error,
}

impl Status {
    /// The word of policy reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Skip => "skip",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleKind {
    /// Allows or refuses.
    Validate,
    /// Changes the object.
    Mutate,
    /// Makes other objects.
    Generate,
    /// Checks who signed the images.
    VerifyImages,
    /// Removes objects.
    Cleanup,
}

/// What a violated rule leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Reported.
    #[default]
    Audit,
    /// Refused.
    Enforce,
    /// Allowed with a warning.
    Warn,
}

/// The policy a verdict belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyRef {
    /// Kind, such as `ClusterPolicy`.
    pub kind: String,
    /// Namespace; empty for cluster-wide policies.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl PolicyRef {
    /// Whether the policy is one of Kubernetes itself.
    pub(crate) fn is_native(&self) -> bool {
        self.kind.ends_with("AdmissionPolicy")
    }

    /// Whether the policy is of one of the kinds of `policies.kyverno.io`.
    pub(crate) fn is_in_cel(&self) -> bool {
        let bare = self.kind.strip_prefix("Namespaced").unwrap_or(&self.kind);
        matches!(
            bare,
            "ValidatingPolicy" | "MutatingPolicy" | "GeneratingPolicy" | "DeletingPolicy" | "ImageValidatingPolicy"
        )
    }
}

/// The verdict of one rule on one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleVerdict {
    /// The policy.
    pub policy: Arc<PolicyRef>,
    /// The rule, with its autogen prefix if it has one.
    pub rule: String,
    /// What the rule does.
    pub kind: RuleKind,
    /// The verdict.
    pub status: Status,
    /// Why, in the words that people know.
    pub message: String,
    /// `namespace/name` of the exceptions that applied.
    pub exceptions: Vec<String>,
    /// What a violation leads to.
    pub action: Action,
    /// An error refuses the request (`failurePolicy: Fail`).
    pub fails_closed: bool,
    /// Objects that this rule generates.
    pub generated: Vec<Value>,
    /// Later changes of the generated objects are undone, and changes of their source carried over.
    pub synchronize: bool,
    /// The generated objects stay when the policy goes.
    pub retained: bool,
    /// What the rule copies is not there.
    pub source_gone: bool,
    /// Existing objects that this rule changes.
    pub targets: Vec<ChangedTarget>,
    /// Facts that were missing.
    pub missing: Vec<MissingFact>,
    /// Reports show a violation as a warning (annotation `policies.kyverno.io/scored: "false"`).
    pub unscored: bool,
}

/// An existing object that a rule changes.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedTarget {
    /// The object as it will be.
    pub object: Value,
    /// The part of it that is written, such as `status`; empty for the object itself.
    pub subresource: String,
}

impl RuleVerdict {
    /// A verdict that nothing follows from but itself.
    pub(crate) fn new(
        policy: &Arc<PolicyRef>,
        rule: String,
        kind: RuleKind,
        (status, message): (Status, String),
    ) -> Self {
        Self {
            policy: Arc::clone(policy),
            rule,
            kind,
            status,
            message,
            exceptions: Vec::new(),
            action: Action::Audit,
            fails_closed: false,
            generated: Vec::new(),
            synchronize: false,
            retained: false,
            source_gone: false,
            targets: Vec::new(),
            missing: Vec::new(),
            unscored: false,
        }
    }

    /// The status as reports show it.
    #[must_use]
    pub fn reported(&self) -> Status {
        if self.unscored && self.status == Status::Fail { Status::Warn } else { self.status }
    }

    /// Whether the rule changes what is asked for: an object that it could not change is another than the one that the policy
    /// promises, whether violations are refused or only reported.
    fn changes_requests(&self) -> bool {
        match self.policy.kind.as_str() {
            "ClusterPolicy" | "Policy" => matches!(self.kind, RuleKind::Mutate | RuleKind::VerifyImages),
            "MutatingPolicy" | "NamespacedMutatingPolicy" => self.kind == RuleKind::Mutate,
            // Kubernetes carries out its own, and images are judged by the action.
            _ => false,
        }
    }

    /// Whether the verdict refuses the request.
    #[must_use]
    pub fn denies(&self) -> bool {
        match self.status {
            Status::Fail => self.action == Action::Enforce,
            Status::Error => self.fails_closed && (self.action == Action::Enforce || self.changes_requests()),
            Status::Pass | Status::Skip | Status::Warn => false,
        }
    }
}

/// The outcome of one request.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Every verdict, in the order of evaluation.
    pub verdicts: Vec<RuleVerdict>,
    /// Whether the request goes through.
    pub allowed: bool,
    /// Why it does not, as the client prints it; empty when allowed.
    pub message: String,
    /// Warnings for the client.
    pub warnings: Vec<String>,
    /// What policies want in the audit trail (`auditAnnotations`), by policy and key.
    pub audit_annotations: BTreeMap<(String, String), String>,
    /// The object after all mutations, when they changed it.
    pub patched: Option<Value>,
    /// The same as a JSON patch (RFC 6902).
    pub patch: Vec<Value>,
}

impl Outcome {
    /// Facts that would have been needed. Gather them and evaluate again.
    #[must_use]
    pub fn missing_facts(&self) -> Vec<MissingFact> {
        let mut facts: Vec<_> = self.verdicts.iter().flat_map(|verdict| verdict.missing.iter().cloned()).collect();
        facts.sort();
        facts.dedup();
        facts
    }

    /// The audit annotations as a review's answer names them: `policy.key`, as long as the API server allows.
    #[must_use]
    pub fn named_annotations(&self) -> BTreeMap<String, &str> {
        let name = |policy: &str, key: &str| format!("{policy}.{key}").chars().take(MAX_NAME).collect::<String>();
        self.audit_annotations.iter().map(|((policy, key), value)| (name(policy, key), value.as_str())).collect()
    }

    /// The `AdmissionReview` to answer with; `encode` turns the patch's bytes into base64.
    #[must_use]
    pub fn review(&self, uid: &str, encode: impl Fn(&[u8]) -> String) -> Value {
        let mut response = Map::new();
        let mut put = |key: &str, value: Value| response.insert(key.to_owned(), value);
        put("uid", Value::from(uid));
        put("allowed", Value::Bool(self.allowed));
        if !self.allowed {
            put("status", json!({"status": "Failure", "message": self.message, "code": 400}));
        }
        if self.allowed && !self.patch.is_empty() {
            let patch = Value::Array(self.patch.clone()).to_string();
            put("patchType", Value::from("JSONPatch"));
            put("patch", Value::String(encode(patch.as_bytes())));
        }
        if !self.warnings.is_empty() {
            put("warnings", json!(self.warnings));
        }
        if !self.audit_annotations.is_empty() {
            put("auditAnnotations", json!(self.named_annotations()));
        }
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }

    /// Fills in decision, message and warnings from the verdicts.
    pub(crate) fn decide(&mut self, request: &Request) {
        self.allowed = !self.verdicts.iter().any(RuleVerdict::denies);
        if !self.allowed {
            self.message = blocked(request, &self.verdicts);
        }
        let warns = |verdict: &&RuleVerdict| match verdict.status {
            Status::Warn => true,
            Status::Fail => verdict.action == Action::Warn,
            Status::Error if verdict.policy.is_in_cel() && verdict.kind != RuleKind::Mutate => {
                verdict.action == Action::Warn
            }
            // A change of the request that is to be told.
            Status::Pass | Status::Error => {
                verdict.action == Action::Warn && verdict.kind == RuleKind::Mutate && verdict.targets.is_empty()
            }
            Status::Skip => false,
        };
        let line = |verdict: &RuleVerdict| match verdict.policy.is_in_cel() {
            true => failed(verdict),
            false => ["policy ", &verdict.policy.name, ".", &verdict.rule, ": ", &verdict.message].concat(),
        };
        self.warnings = self.verdicts.iter().filter(warns).map(line).collect();
    }
}

/// Longest name of an audit annotation that an API server takes.
const MAX_NAME: usize = 63;

/// `Policy labels failed: set the label team`.
fn failed(verdict: &RuleVerdict) -> String {
    let word = if verdict.status == Status::Error { "error" } else { "failed" };
    format!("Policy {} {word}: {}", verdict.policy.name, verdict.message)
}

/// `resource Pod/ns/name was blocked due to the following policies`, then policy, rule and reason as YAML; policies in CEL
/// say theirs on a line.
fn blocked(request: &Request, verdicts: &[RuleVerdict]) -> String {
    let (in_cel, plain): (Vec<_>, Vec<_>) =
        verdicts.iter().filter(|verdict| verdict.denies()).partition(|verdict| verdict.policy.is_in_cel());
    let lines: Vec<String> = in_cel.into_iter().map(failed).collect();
    if plain.is_empty() {
        return lines.join("; ");
    }
    format!("{}{}", blocked_by_rules(request, plain), lines.join("; "))
}

fn blocked_by_rules(request: &Request, verdicts: Vec<&RuleVerdict>) -> String {
    let mut policies: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for verdict in verdicts {
        policies.entry(&verdict.policy.name).or_default().insert(&verdict.rule, &verdict.message);
    }
    let name = request.subject().pointer("/metadata/name").and_then(Value::as_str).unwrap_or(&request.name);
    let resource = format!("{}/{}/{name}", request.kind.kind, request.namespace);
    let mut text = format!("\n\nresource {resource} was blocked due to the following policies \n\n");
    for (policy, rules) in policies {
        let _ = writeln!(text, "{policy}:");
        for (rule, message) in rules {
            let _ = writeln!(text, "  {rule}: {}", yaml_text(message));
        }
    }
    text
}

/// A message as a YAML scalar: quoted where a plain one would read differently.
fn yaml_text(message: &str) -> String {
    let plain = !message.is_empty()
        && !message.contains(": ")
        && !message.contains(" #")
        && !message.contains(['\n', '\''])
        && !message.ends_with(':')
        && message.starts_with(|c: char| c.is_alphanumeric() || c == '/');
    if plain {
        return message.to_owned();
    }
    if message.contains('\n') {
        let body = message.trim_end().replace('\n', "\n    ");
        return format!("|-\n    {body}");
    }
    format!("'{}'", message.replace('\'', "''"))
}
