//! What a policy compiles to.

use std::sync::Arc;

use serde_json::Value;

use super::matching::Match;
use super::selector::Selector;
use crate::cel::{CelCheck, CelRule};
use crate::conditions::Conditions;
use crate::context::{ContextEntry, ListQuery, ValueTemplate};
use crate::outcome::{Action, PolicyRef};
use crate::patch::layers::Layer;
use crate::patch::text::PatchText;
use crate::pattern::Pattern;
use crate::request::{Operation, Request};
use crate::rules::manifests::Manifests;
use crate::rules::pod_security::PodSecurity;
use crate::rules::verify_images::VerifyImages;

/// A compiled ClusterPolicy or Policy.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) reference: Arc<PolicyRef>,
    /// `namespace/name` for namespaced policies, else the name: what exceptions refer to.
    pub(crate) key: String,
    pub(crate) rules: Vec<Rule>,
    /// Only the first rule that applies counts (`applyRules: One`).
    pub(crate) apply_one: bool,
    /// Looked at in the background.
    pub(crate) background: bool,
    /// Applied to requests.
    pub(crate) admission: bool,
    pub(crate) fails_closed: bool,
    /// Violations of audited rules warn the client.
    pub(crate) emit_warning: bool,
    /// Others may add fields to what is generated (`useServerSideApply`).
    pub(crate) shares_fields: bool,
    /// A violation is reported as a warning (`policies.kyverno.io/scored: "false"`).
    pub(crate) unscored: bool,
    /// Some rule acts on what is there already; a hash of the policy as it is written.
    pub(crate) standing: Option<u64>,
    pub(crate) action: ActionRule,
    /// Conditions in CEL that requests meet before any rule is looked at (`webhookConfiguration.matchConditions`).
    pub(crate) conditions: Option<CelRule>,
}

/// What a violation leads to, and where it leads to something else.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActionRule {
    pub(crate) action: Option<Action>,
    pub(crate) overrides: Vec<ActionOverride>,
}

#[derive(Clone, Debug)]
pub(crate) struct ActionOverride {
    pub(crate) action: Action,
    pub(crate) namespaces: Vec<String>,
    pub(crate) selector: Option<Selector>,
}

/// A compiled rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    /// File and line, for explanations.
    pub(crate) place: (String, u32),
    pub(crate) matches: Match,
    pub(crate) exclude: Match,
    pub(crate) context: Vec<ContextEntry>,
    pub(crate) preconditions: Option<Conditions>,
    pub(crate) body: Body,
    /// Some text of the rule names an element by the number of its nesting (`element0`).
    pub(crate) numbered: bool,
    /// Requests of whoever writes what policies generate and change are left out.
    pub(crate) skips_controller: bool,
    /// It acts on what is there already, once the policy comes into force (`generateExisting`, `mutateExistingOnPolicyUpdate`).
    pub(crate) acts_on_existing: bool,
}

impl Rule {
    /// Whether the rule may have more to do once such a request was let in. A deletion must be asked for by name.
    pub(crate) fn follows(&self, request: &Request) -> bool {
        !(request.by_controller && self.skips_controller)
            && (request.operation != Operation::Delete || request.background || self.matches.names_deletions())
    }
}

/// What a rule does.
#[derive(Debug)]
pub(crate) enum Body {
    Validate(Validate),
    Mutate(Mutate),
    Generate(Generate),
    VerifyImages(VerifyImages),
}

#[derive(Debug)]
pub(crate) struct Validate {
    pub(crate) message: String,
    pub(crate) action: ActionRule,
    /// Updates of objects that violate the rule already go through.
    pub(crate) allow_existing: bool,
    pub(crate) check: Check,
}

/// How a validate rule judges.
#[derive(Debug)]
pub(crate) enum Check {
    Pattern(Template),
    AnyPattern(Vec<Template>),
    Deny(Conditions),
    ForEach(Vec<ForEach>),
    PodSecurity(PodSecurity),
    /// Who must have signed the manifest.
    Manifests(Box<Manifests>),
    Cel(Box<CelCheck>),
    /// An assertion tree on the request.
    Assert(Value),
}

/// A pattern.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) raw: Value,
    pub(crate) form: Form,
}

/// What a pattern compiles to.
#[derive(Debug)]
pub(crate) enum Form {
    Compiled(Pattern),
    /// It holds variables, and is a pattern once they are replaced.
    Dynamic(ValueTemplate),
}

#[derive(Debug)]
pub(crate) struct ForEach {
    pub(crate) list: ListQuery,
    pub(crate) element_scope: Option<bool>,
    pub(crate) context: Vec<ContextEntry>,
    pub(crate) preconditions: Option<Conditions>,
    pub(crate) check: Check,
}

#[derive(Debug)]
pub(crate) struct Mutate {
    pub(crate) change: Change,
    /// Existing objects to change instead of the one in the request.
    pub(crate) targets: Vec<Target>,
}

/// How a mutation changes an object.
#[derive(Debug)]
pub(crate) enum Change {
    StrategicMerge(Merge),
    /// The operations of a JSON patch.
    JsonPatch(Vec<Value>),
    /// The operations as written: YAML text that holds variables.
    JsonPatchText(PatchText),
    ForEach(Vec<ForEachMutation>),
}

/// A strategic merge patch.
#[derive(Debug)]
pub(crate) struct Merge {
    pub(crate) patch: ValueTemplate,
    /// Something in it, as it is written, depends on the object.
    pub(crate) has_anchors: bool,
    /// The patch as it is merged where it stands, if it can be.
    pub(crate) layers: Option<Layer>,
}

#[derive(Debug)]
pub(crate) struct ForEachMutation {
    pub(crate) list: ListQuery,
    pub(crate) descending: bool,
    pub(crate) context: Vec<ContextEntry>,
    pub(crate) preconditions: Option<Conditions>,
    pub(crate) change: Change,
}

/// Existing objects that a mutation is about.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) selector: Value,
    pub(crate) context: Vec<ContextEntry>,
    pub(crate) preconditions: Option<Conditions>,
}

/// A generate rule.
#[derive(Debug)]
pub(crate) struct Generate {
    pub(crate) items: Vec<GenerateItem>,
    /// Later changes of the source or of the copies are undone.
    pub(crate) synchronize: bool,
    /// The objects stay when the policy goes: it says so, or they are copies.
    pub(crate) retained: bool,
}

/// One way to make objects, for each element of a list if there is one.
#[derive(Debug)]
pub(crate) struct GenerateItem {
    pub(crate) list: Option<ListQuery>,
    pub(crate) context: Vec<ContextEntry>,
    pub(crate) preconditions: Option<Conditions>,
    /// The fields `apiVersion`, `kind`, `name`, `namespace`, `data`, `clone`, `cloneList` as written.
    pub(crate) raw: Value,
}
