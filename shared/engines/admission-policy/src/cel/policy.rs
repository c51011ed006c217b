//! What a policy in CEL compiles to.

use std::sync::Arc;

use cel::Program;
use serde_json::Value;

use super::constraints::Constraints;
use super::images::ImagePolicy;
use super::params::Parameters;
use super::template::Template;
use crate::outcome::{Action, PolicyRef};
use crate::request::Request;
use crate::stage::Stage;

/// What the policy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CelKind {
    Validate,
    Mutate,
    Generate,
    Delete,
    VerifyImages,
}

/// What a policy judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EvaluationMode {
    /// Kubernetes objects that its constraints match.
    Kubernetes,
    /// Any JSON as it is.
    Json,
    /// HTTP requests.
    Http,
    /// Envoy's check requests.
    Envoy,
}

/// A compiled policy.
#[derive(Debug)]
pub(crate) struct CelPolicy {
    pub(crate) reference: Arc<PolicyRef>,
    /// `namespace/name` for namespaced policies, else the name.
    pub(crate) key: String,
    pub(crate) kind: CelKind,
    /// The policy's own, then those made for pod controllers.
    pub(crate) specs: Vec<CelSpec>,
    pub(crate) action: Action,
    pub(crate) fails_closed: bool,
    pub(crate) background: bool,
    pub(crate) admission: bool,
    /// What is judged.
    pub(crate) mode: EvaluationMode,
    /// A violation is reported as a warning (`policies.kyverno.io/scored: "false"`).
    pub(crate) unscored: bool,
    /// A mutation changes existing objects (`evaluation.mutateExisting`).
    pub(crate) existing: bool,
    /// It acts on what is there already, once it comes into force; a hash of the policy as it is written.
    pub(crate) standing: Option<u64>,
    /// Which ones, and not the one of the request; without, all that the policy matches.
    pub(crate) targets: Option<Targets>,
    /// What such an object has to meet, where it is the `object`.
    pub(crate) target_conditions: Vec<(String, Program)>,
    /// File and line, for explanations.
    pub(crate) place: (String, u32),
    /// A policy of Kubernetes itself: bindings say where it applies.
    pub(crate) is_native: bool,
    /// When a deleting policy runs, in cron's five fields.
    pub(crate) schedule: String,
    /// How dependents of deleted objects are treated.
    pub(crate) propagation: String,
    /// Generated objects are kept in step.
    pub(crate) synchronize: bool,
    /// They stay when the policy goes.
    pub(crate) retained: bool,
    /// Requests of whoever writes what policies generate and change are left out.
    pub(crate) skips_controller: bool,
    /// Others may add fields to what is generated (`useServerSideApply`).
    pub(crate) shares_fields: bool,
    /// Kind of the parameters, `apiVersion` and `kind`.
    pub(crate) param_kind: Option<(String, String)>,
}

/// Which existing objects are changed.
#[derive(Debug)]
pub(crate) enum Targets {
    /// All that match.
    Matching(Constraints),
    /// What an expression on the request's object gives, one object or a list; where there are rules besides, those of them
    /// that match.
    Expression(Program, Option<Constraints>),
}

/// One form of a policy.
#[derive(Debug)]
pub(crate) struct CelSpec {
    pub(crate) matches: Constraints,
    pub(crate) rule: CelRule,
}

/// A `validate.cel` rule.
#[derive(Debug)]
pub(crate) struct CelCheck {
    pub(crate) rule: CelRule,
    pub(crate) params: Option<Parameters>,
}

/// Conditions, variables and work; also what a `validate.cel` rule is.
#[derive(Debug)]
pub(crate) struct CelRule {
    /// Failing variables are told as Kubernetes tells them.
    pub(crate) composited: bool,
    pub(crate) conditions: Vec<(String, Program)>,
    pub(crate) variables: Vec<(String, Program)>,
    pub(crate) images: Vec<(String, Program)>,
    /// What an ImageValidatingPolicy knows about images.
    pub(crate) verification: Option<ImagePolicy>,
    /// `auditAnnotations`: keys, and what gives their values.
    pub(crate) annotations: Vec<(String, Program)>,
    pub(crate) body: CelBody,
}

/// The work of a policy.
#[derive(Debug)]
pub(crate) enum CelBody {
    Validations(Vec<Validation>),
    Mutations(Vec<Mutation>),
    Generations(Vec<Generation>),
    /// Objects that pass the conditions are removed.
    Deletion,
}

/// One check.
#[derive(Debug)]
pub(crate) struct Validation {
    pub(crate) expression: Program,
    pub(crate) message: String,
    pub(crate) message_expression: Option<Program>,
}

/// Resources to make.
#[derive(Debug)]
pub(crate) enum Generation {
    /// An expression that calls the generator.
    Expression(Program),
    /// Resources written as YAML.
    Template(Template),
}

/// One change.
#[derive(Debug)]
pub(crate) enum Mutation {
    /// An `Object{..}` that is merged.
    Apply(Program),
    /// A list of `JSONPatch{..}`.
    Patch(Program),
}

/// A ValidatingAdmissionPolicyBinding or MutatingAdmissionPolicyBinding.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) policy: String,
    pub(crate) matches: Constraints,
    pub(crate) actions: Vec<Action>,
    /// `paramRef`, as written.
    pub(crate) param: Option<Value>,
}

impl CelPolicy {
    /// Whether the policy is judged in a stage. One that changes existing objects does so after the request was let in, and,
    /// where it names no targets, the object of the request as well.
    pub(crate) fn acts_in(&self, stage: Stage) -> bool {
        match (self.kind, stage) {
            (CelKind::Mutate, Stage::Mutate) => self.targets.is_none(),
            (CelKind::Mutate, Stage::Generate) => self.existing,
            (kind, stage) => kind.stage() == Some(stage),
        }
    }

    /// Whether the policy leaves out the requests of whoever writes what policies generate and change.
    pub(crate) fn leaves_out(&self, request: &Request) -> bool {
        request.by_controller && self.skips_controller
    }
}

impl CelKind {
    /// The stage in which the policy is judged; deletions belong to no admission.
    pub(crate) fn stage(self) -> Option<Stage> {
        match self {
            Self::Validate => Some(Stage::Validate),
            Self::Mutate => Some(Stage::Mutate),
            Self::Generate => Some(Stage::Generate),
            Self::VerifyImages => Some(Stage::VerifyImages),
            Self::Delete => None,
        }
    }
}
