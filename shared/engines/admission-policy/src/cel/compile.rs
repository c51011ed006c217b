//! From manifests to compiled policies in CEL.

use std::sync::Arc;

use cel::{CompileError, Declarations, Output, Program};
use go_time::Schedule;
use model::{Fault, FaultKind};
use serde_json::Value;

use super::audit;
use super::autogen;
use super::constraints::Constraints;
use super::demands;
use super::exception::CelException;
use super::images::ImagePolicy;
use super::params::Parameters;
use super::policy::{
    Binding, CelBody, CelCheck, CelKind, CelPolicy, CelRule, CelSpec, EvaluationMode, Generation, Mutation, Targets,
    Validation,
};
use super::template::Template;
use crate::existing::version;
use crate::outcome::{Action, PolicyRef};
use crate::policy::schema::Metadata;
use crate::yaml::Document;

/// What is wrong, and at which pointer below the part that was compiled.
type Compiled<T> = Result<T, (String, String)>;

/// Conditions with their names.
type Conditions = Vec<(String, Program)>;

/// Variables that every expression may use.
const VARIABLES: [&str; 22] = [
    "envoy",
    "jwt",
    "attestors",
    "attestations",
    "ref",
    "object",
    "oldObject",
    "request",
    "namespaceObject",
    "variables",
    "params",
    "authorizer",
    "images",
    "resource",
    "http",
    "image",
    "globalContext",
    "generator",
    "exceptions",
    "json",
    "yaml",
    "biotope",
];

/// Compiles manifests of the CEL kinds.
pub(crate) struct CelCompiler<'a> {
    pub(crate) file: &'a str,
    pub(crate) document: &'a Document,
    pub(crate) faults: &'a mut Vec<Fault>,
}

/// What `kind` is: its work, whether it is namespaced, and whether it is Kubernetes' own.
fn kind_of(kind: &str) -> Option<(CelKind, bool, bool)> {
    let (bare, namespaced) = kind.strip_prefix("Namespaced").map_or((kind, false), |bare| (bare, true));
    Some(match bare {
        "ValidatingPolicy" => (CelKind::Validate, namespaced, false),
        "MutatingPolicy" => (CelKind::Mutate, namespaced, false),
        "GeneratingPolicy" => (CelKind::Generate, namespaced, false),
        "DeletingPolicy" => (CelKind::Delete, namespaced, false),
        "ImageValidatingPolicy" => (CelKind::VerifyImages, namespaced, false),
        "ValidatingAdmissionPolicy" => (CelKind::Validate, false, true),
        "MutatingAdmissionPolicy" => (CelKind::Mutate, false, true),
        _ => return None,
    })
}

impl CelCompiler<'_> {
    /// Compiles a policy; `None`, with a fault, when it cannot be used.
    pub(crate) fn policy(&mut self, kind: &str, metadata: &Metadata) -> Option<CelPolicy> {
        let (work, namespaced, is_native) = kind_of(kind)?;
        let spec = self.document.value.get("spec").cloned().unwrap_or_default();
        let subject = format!("{kind} {}", metadata.name);
        let mode = self.mode(&spec, work, &subject)?;
        let in_kubernetes = mode == EvaluationMode::Kubernetes && !is_native;
        if let Some((pointer, what, remedy)) = demands::unmet(&spec, work, in_kubernetes) {
            self.fault(FaultKind::Invalid, &what, &format!("/spec{pointer}"), &subject, &remedy);
            return None;
        }
        let mut specs = Vec::new();
        match compile_spec(&spec, (work, is_native)) {
            Ok(own) => specs.push(own),
            Err((pointer, what)) => {
                let remedy = "correct the expression or the field; the policy is not applied until then";
                self.fault(FaultKind::Invalid, &what, &format!("/spec{pointer}"), &subject, remedy);
                return None;
            }
        }
        let existing = work == CelKind::Mutate && !is_native && on(&spec, "/evaluation/mutateExisting/enabled", false);
        let (targets, target_conditions) = self.targets(&spec, existing, &subject)?;
        if !is_native && targets.is_none() && mode == EvaluationMode::Kubernetes {
            specs.extend(
                autogen::generate(&spec, work).iter().filter_map(|spec| compile_spec(spec, (work, is_native)).ok()),
            );
        }
        let namespace = if namespaced { metadata.namespace.clone().unwrap_or_default() } else { String::new() };
        let key = if namespace.is_empty() { metadata.name.clone() } else { format!("{namespace}/{}", metadata.name) };
        let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let enabled = |pointer: &str| on(&spec, pointer, true);
        let param = |name: &str| text(&format!("/paramKind/{name}")).to_owned();
        if work == CelKind::Delete
            && let Err(error) = Schedule::parse(text("/schedule"))
        {
            let remedy = "give minute, hour, day, month and weekday, in UTC";
            self.fault(FaultKind::Invalid, &error.to_string(), "/spec/schedule", &subject, remedy);
            return None;
        }
        let generates = work == CelKind::Generate && on(&spec, "/evaluation/generateExisting/enabled", false);
        let acts = mode == EvaluationMode::Kubernetes && (existing || generates);
        Some(CelPolicy {
            reference: Arc::new(PolicyRef { kind: kind.to_owned(), namespace, name: metadata.name.clone() }),
            key,
            kind: work,
            specs,
            action: strictest(&actions(
                &spec,
                if matches!(work, CelKind::Validate | CelKind::VerifyImages) { Action::Enforce } else { Action::Audit },
            )),
            fails_closed: text("/failurePolicy") != "Ignore",
            background: enabled("/evaluation/background/enabled"),
            admission: enabled("/evaluation/admission/enabled"),
            mode,
            unscored: metadata.is_unscored(),
            targets,
            target_conditions,
            place: (self.file.to_owned(), self.document.line),
            is_native,
            schedule: text("/schedule").to_owned(),
            propagation: text("/deletionPropagationPolicy").to_owned(),
            synchronize: on(&spec, "/evaluation/synchronize/enabled", false),
            retained: on(&spec, "/evaluation/orphanDownstreamOnPolicyDelete/enabled", false),
            existing,
            standing: acts.then(|| version(&self.document.value)),
            shares_fields: on(&spec, "/useServerSideApply", false),
            skips_controller: matches!(work, CelKind::Mutate | CelKind::Generate)
                && !is_native
                && enabled("/evaluation/skipBackgroundRequests"),
            param_kind: spec.get("paramKind").is_some().then(|| (param("apiVersion"), param("kind"))),
        })
    }

    /// Which existing objects the policy changes; `None`, with a fault, when that cannot be told.
    fn targets(&mut self, spec: &Value, existing: bool, subject: &str) -> Option<(Option<Targets>, Conditions)> {
        const AT: &str = "/spec/targetMatchConstraints";
        let targets = targets(spec).and_then(|found| Ok((found, conditions(spec, "targetMatchConditions")?)));
        match targets {
            Ok((targets, conditions)) => {
                if targets.is_some() && !existing {
                    let what = "the policy names targets, but does not change existing objects, so it never acts";
                    let remedy = "set `evaluation.mutateExisting.enabled` to true";
                    self.fault(FaultKind::Warning, what, AT, subject, remedy);
                }
                Some((targets, conditions))
            }
            Err((pointer, what)) => {
                self.fault(FaultKind::Invalid, &what, &format!("/spec{pointer}"), subject, "correct the targets");
                None
            }
        }
    }

    /// What the policy judges; `None`, with a fault, when nobody judges it.
    fn mode(&mut self, spec: &Value, work: CelKind, subject: &str) -> Option<EvaluationMode> {
        Some(match spec.pointer("/evaluation/mode").and_then(Value::as_str).unwrap_or("Kubernetes") {
            "Kubernetes" if work == CelKind::Delete && spec.get("matchConstraints").is_none() => EvaluationMode::Json,
            "Kubernetes" => EvaluationMode::Kubernetes,
            "JSON" => EvaluationMode::Json,
            "HTTP" if work == CelKind::Validate => EvaluationMode::Http,
            "Envoy" if work == CelKind::Validate => EvaluationMode::Envoy,
            other => {
                let what = format!("evaluation mode {other}");
                let remedy = "use Kubernetes, JSON, HTTP or Envoy; the policy is not applied";
                self.fault(FaultKind::Unsupported, &what, "/spec/evaluation/mode", subject, remedy);
                return None;
            }
        })
    }

    /// Compiles a binding of one of Kubernetes' own policies.
    pub(crate) fn binding(&mut self, metadata: &Metadata) -> Option<Binding> {
        let spec = self.document.value.get("spec").cloned().unwrap_or_default();
        if let Some((pointer, what, remedy)) = demands::actions(&spec) {
            let subject = format!("binding {}", metadata.name);
            self.fault(FaultKind::Invalid, &what, &format!("/spec{pointer}"), &subject, &remedy);
            return None;
        }
        match Constraints::compile_binding(spec.get("matchResources")) {
            Ok(matches) => Some(Binding {
                policy: spec.get("policyName").and_then(Value::as_str).unwrap_or_default().to_owned(),
                matches,
                actions: actions(&spec, Action::Enforce),
                param: spec.get("paramRef").filter(|param| param.is_object()).cloned(),
            }),
            Err(what) => {
                let subject = format!("binding {}", metadata.name);
                self.fault(FaultKind::Invalid, &what, "/spec/matchResources", &subject, "correct the selector");
                None
            }
        }
    }

    /// Compiles a PolicyException of `policies.kyverno.io`.
    pub(crate) fn exception(&mut self, metadata: &Metadata) -> Option<CelException> {
        let spec = self.document.value.get("spec").cloned().unwrap_or_default();
        if let Some((pointer, what, remedy)) = demands::unmet_by_exception(&spec) {
            let subject = format!("PolicyException {}", metadata.name);
            self.fault(FaultKind::Invalid, &what, &format!("/spec{pointer}"), &subject, &remedy);
            return None;
        }
        match conditions(&spec, "matchConditions") {
            Ok(conditions) => Some(CelException::new(metadata, &self.document.value, conditions)),
            Err((pointer, what)) => {
                let subject = format!("PolicyException {}", metadata.name);
                self.fault(FaultKind::Invalid, &what, &format!("/spec{pointer}"), &subject, "correct the exception");
                None
            }
        }
    }

    fn fault(&mut self, kind: FaultKind, what: &str, pointer: &str, subject: &str, remedy: &str) {
        let line = self.document.line_of(pointer);
        self.faults.push(Fault::new(kind, self.file, what).at(line, 0).about(subject).cure(remedy));
    }
}

/// A switch of a policy, which stands as it is by default where nothing is said.
fn on(spec: &Value, pointer: &str, default: bool) -> bool {
    spec.pointer(pointer).and_then(Value::as_bool).unwrap_or(default)
}

/// The actions of `validationActions` (once spelt `validationAction`).
fn actions(spec: &Value, default: Action) -> Vec<Action> {
    let list = spec.get("validationActions").or_else(|| spec.get("validationAction")).and_then(Value::as_array);
    let read = |word: &Value| match word.as_str() {
        Some("Deny") => Some(Action::Enforce),
        Some("Warn") => Some(Action::Warn),
        Some("Audit") => Some(Action::Audit),
        _ => None,
    };
    let known: Vec<Action> = list.into_iter().flatten().filter_map(read).collect();
    if known.is_empty() { vec![default] } else { known }
}

/// `targetMatchConstraints`, when existing objects are meant.
fn targets(spec: &Value) -> Compiled<Option<Targets>> {
    const AT: &str = "/targetMatchConstraints";
    let Some(raw) = spec.get("targetMatchConstraints").filter(|raw| raw.is_object()) else { return Ok(None) };
    if let Some(text) = raw.get("expression").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        let program = program(text, format!("{AT}/expression"))?;
        let rules = Constraints::compile(raw).map_err(|what| (AT.to_owned(), what))?;
        return Ok(Some(Targets::Expression(program, rules.has_rules().then_some(rules))));
    }
    if raw.get("resourceRules").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return Ok(None);
    }
    Constraints::compile(raw).map(|matches| Some(Targets::Matching(matches))).map_err(|what| (AT.to_owned(), what))
}

/// Deny before warn before audit.
pub(super) fn strictest(actions: &[Action]) -> Action {
    let strictest = [Action::Enforce, Action::Warn].into_iter().find(|action| actions.contains(action));
    strictest.unwrap_or(Action::Audit)
}

/// Compiles a `validate.cel` rule with its `celPreconditions`.
///
/// # Errors
/// What is wrong with an expression.
pub(crate) fn compile_rule(raw: &Value, preconditions: Option<&[Value]>, message: &str) -> Result<CelCheck, String> {
    let rule = || {
        let mut validations = validations(raw, "expressions")?;
        for validation in validations.iter_mut().filter(|validation| validation.message.is_empty()) {
            message.clone_into(&mut validation.message);
        }
        Ok(CelRule {
            composited: true,
            conditions: named_list(Output::Bool, preconditions.unwrap_or_default(), "")?,
            variables: named(raw, "variables")?,
            images: Vec::new(),
            verification: None,
            annotations: audit::compile(items(raw, "auditAnnotations"), program)?,
            body: CelBody::Validations(validations),
        })
    };
    let params = Parameters::compile(raw)?;
    rule().map(|rule| CelCheck { rule, params }).map_err(|(_, what): (String, String)| what)
}

/// Compiles the conditions of a webhook; `None` without any.
///
/// # Errors
/// What is wrong with a condition, after its pointer in the list.
pub(crate) fn compile_conditions(list: &[Value]) -> Result<Option<CelRule>, (String, String)> {
    let one = |(index, item): (usize, &Value)| {
        let name = item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok((name, expression_for(Output::Bool, item, format!("/{index}"))?))
    };
    let conditions = list.iter().enumerate().map(one).collect::<Compiled<Vec<_>>>()?;
    let body = CelBody::Validations(Vec::new());
    Ok((!conditions.is_empty()).then(|| CelRule {
        composited: false,
        conditions,
        variables: Vec::new(),
        images: Vec::new(),
        verification: None,
        annotations: Vec::new(),
        body,
    }))
}

fn compile_spec(spec: &Value, (kind, is_native): (CelKind, bool)) -> Compiled<CelSpec> {
    let constraints = spec.get("matchConstraints").cloned().unwrap_or_default();
    let matches = Constraints::compile(&constraints).map_err(|what| ("/matchConstraints".to_owned(), what))?;
    let matches = if kind == CelKind::Delete { matches.of_any_operation() } else { matches };
    let conditions_key = if kind == CelKind::Delete { "conditions" } else { "matchConditions" };
    let body = match kind {
        CelKind::Validate | CelKind::VerifyImages => CelBody::Validations(validations(spec, "validations")?),
        CelKind::Mutate => CelBody::Mutations(mutations(spec)?),
        CelKind::Generate => CelBody::Generations(generations(spec)?),
        CelKind::Delete => CelBody::Deletion,
    };
    let rule = CelRule {
        composited: is_native,
        conditions: conditions(spec, conditions_key)?,
        variables: named(spec, "variables")?,
        images: named(spec, "images")?,
        verification: (kind == CelKind::VerifyImages).then(|| ImagePolicy::compile(spec, program)).transpose()?,
        annotations: audit::compile(items(spec, "auditAnnotations"), program)?,
        body,
    };
    Ok(CelSpec { matches, rule })
}

fn items<'v>(spec: &'v Value, key: &str) -> &'v [Value] {
    spec.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn program(text: &str, pointer: String) -> Compiled<Program> {
    program_for(Output::Any, text, pointer)
}

/// An expression that has to give a value of a type.
fn program_for(output: Output, text: &str, pointer: String) -> Compiled<Program> {
    let program = Program::compile(text).map_err(|error| (pointer.clone(), in_one_line(text, &error)))?;
    let declarations = Declarations { variables: VARIABLES.to_vec(), functions: super::library::NAMES.to_vec() };
    program.check_as(&declarations, output).map_err(|error| (pointer, in_one_line(text, &error)))?;
    Ok(program)
}

/// What is wrong with an expression, with what stands at the place, for it may be one of many lines.
fn in_one_line(text: &str, error: &CompileError) -> String {
    const MOST: usize = 40;
    let rest = text.get(error.position..).unwrap_or_default().lines().next().unwrap_or_default();
    let shown: String = rest.chars().take(MOST).collect();
    let more = if shown.len() < rest.len() { "..." } else { "" };
    let near = if shown.is_empty() { String::new() } else { format!(", at `{shown}{more}`") };
    format!("{} in line {}, column {} of the expression{near}", error.what, error.line, error.column)
}

fn expression(item: &Value, pointer: String) -> Compiled<Program> {
    expression_for(Output::Any, item, pointer)
}

fn expression_for(output: Output, item: &Value, pointer: String) -> Compiled<Program> {
    match item.get("expression").and_then(Value::as_str) {
        Some(text) => program_for(output, text, format!("{pointer}/expression")),
        None => Err((pointer, "an `expression` is missing".to_owned())),
    }
}

fn named(spec: &Value, key: &str) -> Compiled<Vec<(String, Program)>> {
    named_list(Output::Any, items(spec, key), key)
}

fn conditions(spec: &Value, key: &str) -> Compiled<Conditions> {
    named_list(Output::Bool, items(spec, key), key)
}

fn named_list(output: Output, list: &[Value], key: &str) -> Compiled<Vec<(String, Program)>> {
    let one = |(index, item): (usize, &Value)| {
        let name = item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok((name, expression_for(output, item, format!("/{key}/{index}"))?))
    };
    list.iter().enumerate().map(one).collect()
}

fn generations(spec: &Value) -> Compiled<Vec<Generation>> {
    let one = |(index, item): (usize, &Value)| {
        let pointer = format!("/generate/{index}");
        let Some(template) = item.get("template").filter(|template| template.is_object()) else {
            return expression(item, pointer).map(Generation::Expression);
        };
        let text = |name: &str| template.get(name).and_then(Value::as_str).unwrap_or_default();
        let at = format!("{pointer}/template");
        let interpolate = match text("interpolate") {
            "cel" => true,
            "" | "none" => false,
            other => return Err((at, format!("`interpolate: {other}` is neither `cel` nor `none`"))),
        };
        let compiled = |text: &str| program(text, at.clone()).map_err(|(_, what)| what);
        let template = Template::compile(text("value"), interpolate, &compiled);
        template.map(Generation::Template).map_err(|what| (format!("{at}/value"), what))
    };
    items(spec, "generate").iter().enumerate().map(one).collect()
}

fn validations(spec: &Value, key: &str) -> Compiled<Vec<Validation>> {
    let one = |(index, item): (usize, &Value)| {
        let pointer = format!("/{key}/{index}");
        let text = |name: &str| item.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        Ok(Validation {
            expression: expression_for(Output::Bool, item, pointer.clone())?,
            message: text("message").unwrap_or_default().trim().to_owned(),
            message_expression: text("messageExpression")
                .map(|text| program_for(Output::Text, text, format!("{pointer}/messageExpression")))
                .transpose()?,
        })
    };
    items(spec, key).iter().enumerate().map(one).collect()
}

fn mutations(spec: &Value) -> Compiled<Vec<Mutation>> {
    let one = |(index, item): (usize, &Value)| {
        let pointer = format!("/mutations/{index}");
        match (item.get("applyConfiguration"), item.get("jsonPatch")) {
            (Some(apply), None) => Ok(Mutation::Apply(expression(apply, format!("{pointer}/applyConfiguration"))?)),
            (None, Some(patch)) => Ok(Mutation::Patch(expression(patch, format!("{pointer}/jsonPatch"))?)),
            _ => Err((pointer, "a mutation needs either `applyConfiguration` or `jsonPatch`".to_owned())),
        }
    };
    items(spec, "mutations").iter().enumerate().map(one).collect()
}
