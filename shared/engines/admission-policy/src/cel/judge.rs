//! One policy in CEL on one request.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use cel::{EvalError, Val};
use serde_json::{Map, Value, json};

use super::audit;
use super::compile::strictest;
use super::exception::CelException;
use super::existing::{is_meant, mutate_existing};
use super::mutate::mutate;
use super::policy::{
    Binding, CelBody, CelCheck, CelKind, CelPolicy, CelRule, EvaluationMode, Generation, Targets, Validation,
};
use super::scope::{Given, Scope, failed_expression};
use super::verify::{Checked, verify};
use crate::context::is_plural_of;
use crate::kinds;
use crate::outcome::{Action, ChangedTarget, Status};
use crate::request::{Operation, Request};
use crate::rules::Judgement;
use crate::snapshot::{MissingFact, Snapshot};
use crate::stage::Stage;

/// A request as expressions see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    request: &'a Request,
    snapshot: &'a Snapshot,
    /// The object as mutations left it; null on a deletion.
    object: &'a Value,
    views: &'a Views,
    /// The request was let in: existing objects are changed, not its own.
    afterwards: bool,
}

/// What is made of a request once for all policies, and only when an expression asks for it.
#[derive(Debug, Default)]
pub(crate) struct Views {
    request: OnceCell<Value>,
    namespace: OnceCell<Value>,
}

impl Views {
    /// `request`.
    pub(super) fn request(&self, request: &Request) -> &Value {
        self.request.get_or_init(|| request_json(request))
    }

    /// `namespaceObject`.
    pub(super) fn namespace(&self, request: &Request, snapshot: &Snapshot) -> &Value {
        self.namespace.get_or_init(|| namespace_object(request, snapshot))
    }
}

/// What came of one form of a policy.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) rule: String,
    pub(crate) status: Option<Status>,
    pub(crate) message: String,
    pub(crate) exceptions: Vec<String>,
    pub(crate) patched: Option<Value>,
    pub(crate) generated: Vec<Value>,
    /// Existing objects as they will be.
    pub(crate) targets: Vec<ChangedTarget>,
    pub(crate) missing: Vec<MissingFact>,
    /// What a violation leads to, where a binding says so.
    pub(crate) action: Option<Action>,
    /// What is written into the audit trail.
    pub(crate) annotations: BTreeMap<String, String>,
    /// What came of images.
    pub(crate) checked: Checked,
}

const NULL: &Value = &Value::Null;

impl<'a> Input<'a> {
    /// The input of `request`, whose object may have been changed to `object` by now.
    pub(crate) fn new(
        request: &'a Request,
        snapshot: &'a Snapshot,
        object: Option<&'a Value>,
        views: &'a Views,
    ) -> Self {
        let deleting = request.operation == Operation::Delete;
        let object = object.or(request.object.as_ref()).filter(|_| !deleting).unwrap_or(NULL);
        Self { request, snapshot, object, views, afterwards: false }
    }

    /// The same, judged in a stage.
    pub(crate) fn in_stage(self, stage: Stage) -> Self {
        Self { afterwards: stage == Stage::Generate, ..self }
    }

    pub(super) fn request(&self) -> &'a Request {
        self.request
    }

    pub(super) fn snapshot(&self) -> &'a Snapshot {
        self.snapshot
    }

    pub(super) fn given<'i>(&self, params: &'i Value) -> Given<'i>
    where
        'a: 'i,
    {
        Given {
            object: self.object,
            old_object: self.request.old_object.as_ref().unwrap_or(NULL),
            request: self.request,
            views: self.views,
            requested: None,
            namespace: "",
            params,
            snapshot: self.snapshot,
            now: self.request.received_at,
        }
    }
}

/// `request` as CEL sees it, without the objects.
fn request_json(request: &Request) -> Value {
    let bare = Request {
        uid: request.uid.clone(),
        operation: request.operation,
        kind: request.kind.clone(),
        resource: request.resource.clone(),
        subresource: request.subresource.clone(),
        name: request.name.clone(),
        namespace: request.namespace.clone(),
        user: request.user.clone(),
        dry_run: request.dry_run,
        options: request.options.clone(),
        ..Request::default()
    };
    let mut fields = bare.fields();
    fields.shift_remove("roles");
    fields.shift_remove("clusterRoles");
    fields.entry("operation").or_insert_with(|| Value::from(request.operation.as_str()));
    fields.entry("userInfo").or_insert_with(|| json!({}));
    Value::Object(fields)
}

fn namespace_object(request: &Request, snapshot: &Snapshot) -> Value {
    if request.namespace.is_empty() || request.kind.kind == "Namespace" {
        return Value::Null;
    }
    let is_it = |object: &&Value| {
        object.get("kind").and_then(Value::as_str) == Some("Namespace")
            && object.pointer("/metadata/name").and_then(Value::as_str) == Some(&request.namespace)
    };
    if let Some(known) = snapshot.objects.iter().find(is_it) {
        return known.clone();
    }
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), Value::from(request.namespace.as_str()));
    if let Some(labels) = snapshot.labels_of(&request.namespace) {
        metadata.insert("labels".to_owned(), json!(labels));
    }
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
}

/// Judges a policy: one answer for each of its forms that matches.
pub(crate) fn judge(
    policy: &CelPolicy,
    input: &Input<'_>,
    (exceptions, bindings): (&[CelException], &[Binding]),
) -> Vec<Answer> {
    let request = input.request;
    let own = &policy.reference.namespace;
    if !own.is_empty() && *own != request.namespace {
        return Vec::new();
    }
    let labels = input.snapshot.labels_of(&request.namespace);
    let mut answers = Vec::new();
    // What is made for pod controllers changes the object of the request alone.
    let forms = if changes_existing(policy, input) { 1 } else { policy.specs.len() };
    for spec in policy.specs.iter().take(forms) {
        let is_about = match changes_itself(policy, input) {
            true => is_meant(policy, input),
            false => policy.mode != EvaluationMode::Kubernetes || spec.matches.include(request, labels),
        };
        if !is_about {
            continue;
        }
        let bound: Vec<&Binding> =
            bindings.iter().filter(|binding| policy.is_native && binding.policy == policy.reference.name).collect();
        if bound.is_empty() {
            answers.push(apply(policy, &spec.rule, input, (exceptions, NULL)));
            continue;
        }
        for binding in bound.into_iter().filter(|binding| binding.matches.include(request, labels)) {
            let parameters = params(policy, binding, input);
            if parameters.is_empty() {
                answers.extend(unknown_parameters(policy, binding, input));
            }
            for params in parameters {
                let answer = apply(policy, &spec.rule, input, (exceptions, &params));
                answers.push(Answer { action: Some(strictest(&binding.actions)), ..answer });
            }
        }
    }
    answers
}

/// The parameters that a binding refers to; null when it needs none.
fn params(policy: &CelPolicy, binding: &Binding, input: &Input<'_>) -> Vec<Value> {
    let (Some((api_version, kind)), Some(reference)) = (&policy.param_kind, &binding.param) else {
        return vec![Value::Null];
    };
    let text =
        |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, namespace) = (text(reference, "/name"), text(reference, "/namespace"));
    let labels = reference.pointer("/selector/matchLabels").and_then(Value::as_object);
    let is_meant = |object: &&Value| {
        let own = text(object, "/metadata/namespace");
        let right_namespace =
            own.is_empty() || own == namespace || (namespace.is_empty() && own == input.request.namespace);
        let selected = labels
            .into_iter()
            .flatten()
            .all(|(key, value)| object.pointer("/metadata/labels").and_then(|labels| labels.get(key)) == Some(value));
        text(object, "/apiVersion") == *api_version
            && text(object, "/kind") == *kind
            && (name.is_empty() || text(object, "/metadata/name") == name)
            && right_namespace
            && selected
    };
    let found: Vec<Value> = input.snapshot.objects.iter().filter(is_meant).cloned().collect();
    // A mutation sees all that a selector found as one list.
    if policy.kind == CelKind::Mutate && found.len() > 1 {
        return vec![json!({"apiVersion": "v1", "kind": "List", "items": found})];
    }
    found
}

/// What is said where the parameters of a binding may be in a cluster that nobody asked yet.
fn unknown_parameters(policy: &CelPolicy, binding: &Binding, input: &Input<'_>) -> Option<Answer> {
    let ((api_version, kind), reference) = (policy.param_kind.as_ref()?, binding.param.as_ref()?);
    let namespace = reference.get("namespace").and_then(Value::as_str).filter(|own| !own.is_empty());
    let namespace = namespace.unwrap_or(&input.request.namespace);
    if input.snapshot.has_listed((api_version, kind), namespace) {
        return None;
    }
    let (api_version, kind, namespace) = (api_version.clone(), kind.clone(), namespace.to_owned());
    let fact = MissingFact::Objects { api_version, kind, namespace };
    let (rule, message) = ("evaluation".to_owned(), format!("failed to load parameters: {fact}"));
    Some(Answer { rule, status: Some(Status::Error), message, missing: vec![fact], ..Answer::default() })
}

/// Whether the policy is to change objects that are there already.
fn changes_existing(policy: &CelPolicy, input: &Input<'_>) -> bool {
    input.afterwards && policy.kind == CelKind::Mutate
}

/// Whether the policy came into force, and the object of the request is one of those that it is to change. Where an expression
/// names these, the object is what it starts from.
pub(super) fn changes_itself(policy: &CelPolicy, input: &Input<'_>) -> bool {
    let is_told = matches!(policy.targets, Some(Targets::Expression(..)));
    changes_existing(policy, input) && input.request.background && !is_told
}

fn apply(
    policy: &CelPolicy,
    rule: &CelRule,
    input: &Input<'_>,
    (exceptions, params): (&[CelException], &Value),
) -> Answer {
    let requested = (!policy.is_native).then_some(input.object);
    let mut given = Given { namespace: &policy.reference.namespace, requested, ..input.given(params) };
    // What is to be changed after a deletion is looked for from the object that was there.
    if changes_existing(policy, input) && input.request.operation == Operation::Delete {
        given.object = given.old_object;
    }
    let scope = Scope::new(given, rule);
    let changes = matches!(policy.kind, CelKind::Mutate | CelKind::Generate);
    let step = if changes { "failed to evaluate policy" } else { "failed to load context" };
    let mut answer = match excused(policy, &scope, exceptions) {
        Ok(Some(answer)) => answer,
        // What starts it has no conditions to meet when nothing does.
        Ok(None) if changes_itself(policy, input) => work(policy, rule, &scope, input),
        Ok(None) => match scope.all(&rule.conditions) {
            Ok(true) if rule.verification.is_some() => verify(policy, (rule, exceptions), &scope, input),
            Ok(true) => work(policy, rule, &scope, input),
            Ok(false) => Answer { status: Some(Status::Skip), message: "skip".to_owned(), ..Answer::default() },
            Err(_) if !policy.fails_closed => {
                Answer { status: Some(Status::Skip), message: "skip".to_owned(), ..Answer::default() }
            }
            Err(error) => failed(step, &error),
        },
        Err(error) => failed(step, &error),
    };
    answer = audit::annotate(answer, &rule.annotations, &scope);
    answer.missing.extend(scope.take_missing());
    answer
}

pub(super) fn failed(step: &str, error: &EvalError) -> Answer {
    let message = format!("{step}: {error}");
    Answer { rule: "evaluation".to_owned(), status: Some(Status::Error), message, ..Answer::default() }
}

/// Exceptions that cover the request: they end the work, unless they only allow images or values.
pub(super) fn excused<'a>(
    policy: &CelPolicy,
    scope: &Scope<'a>,
    exceptions: &'a [CelException],
) -> Result<Option<Answer>, EvalError> {
    let mut covering: Vec<&CelException> = Vec::new();
    let is_full = |exception: &&CelException| exception.images.is_empty() && exception.values.is_empty();
    for exception in exceptions.iter().filter(|exception| exception.names(policy)) {
        match scope.all(&exception.conditions) {
            Ok(true) => covering.push(exception),
            Ok(false) => {}
            // What is excused already stays so, whatever another exception is worth.
            Err(_) if covering.iter().any(is_full) => {}
            Err(error) => return Err(error),
        }
    }
    let mut full = covering.iter().copied().filter(|exception| is_full(exception)).rev();
    let Some(first) = full.next() else {
        covering.iter().for_each(|exception| scope.allow(&exception.images, &exception.values));
        return Ok(None);
    };
    let decisive = full.fold(first, |best, one| if one.priority >= best.priority { one } else { best });
    let keys: Vec<String> = covering.iter().map(|exception| exception.key.clone()).collect();
    let word = if decisive.status == Status::Pass { "passed" } else { "skipped" };
    Ok(Some(Answer {
        rule: "exception".to_owned(),
        status: Some(decisive.status),
        message: format!("rule is {word} due to policy exception: {}", keys.join(", ")),
        exceptions: keys,
        ..Answer::default()
    }))
}

pub(super) fn work<'a>(policy: &'a CelPolicy, rule: &'a CelRule, scope: &Scope<'a>, input: &Input<'_>) -> Answer {
    match &rule.body {
        CelBody::Validations(validations) => match check(scope, validations) {
            Ok(None) => Answer { status: Some(Status::Pass), message: "success".to_owned(), ..Answer::default() },
            Ok(Some(message)) => Answer { status: Some(Status::Fail), message, ..Answer::default() },
            Err(error) => Answer { rule: String::new(), ..failed("error", &error) },
        },
        CelBody::Mutations(mutations) if changes_existing(policy, input) => {
            mutate_existing(policy, (rule, mutations), scope, input)
        }
        CelBody::Mutations(mutations) => {
            as_reported(policy, mutate(scope, mutations, (input.object, policy.mode)), input)
        }
        CelBody::Generations(generations) => {
            for generation in generations {
                let made = match generation {
                    Generation::Expression(program) => scope.evaluate(program).map(drop),
                    Generation::Template(template) => template.render(scope).and_then(|made| scope.make(made)),
                };
                if let Err(error) = made {
                    return Answer {
                        rule: policy.reference.name.clone(),
                        ..failed("failed to evaluate policy", &error)
                    };
                }
            }
            Answer {
                rule: policy.reference.name.clone(),
                status: Some(Status::Pass),
                message: "policy evaluated successfully".to_owned(),
                generated: scope.take_generated().into_iter().map(unscoped).collect(),
                ..Answer::default()
            }
        }
        CelBody::Deletion => {
            let name = input.request.name.as_str();
            let message = format!("resource {name} is to be deleted");
            Answer { rule: policy.reference.name.clone(), status: Some(Status::Pass), message, ..Answer::default() }
        }
    }
}

/// A mutation as reports tell it: of an object that is there already, one that would still change it has failed.
fn as_reported(policy: &CelPolicy, answer: Answer, input: &Input<'_>) -> Answer {
    let mut answer = answer;
    if policy.is_native {
        answer.rule.clone_from(&policy.reference.name);
    }
    if answer.status != Some(Status::Pass) {
        return answer;
    }
    let is_open = answer.patched.as_ref().is_some_and(|patched| patched != input.object);
    if input.request.background && is_open {
        let message = "mutation is not applied".to_owned();
        return Answer { status: Some(Status::Fail), message, patched: None, ..answer };
    }
    if policy.is_native {
        "mutation is successfully applied".clone_into(&mut answer.message);
    }
    answer
}

/// Cluster-wide kinds have no namespace.
fn unscoped(mut object: Value) -> Value {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let cluster_wide = kinds::cluster_wide().any(|known| known == kind || is_plural_of(kind, known));
    if cluster_wide && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("namespace");
    }
    object
}

/// The message of the first check that fails.
fn check<'a>(scope: &Scope<'a>, validations: &'a [Validation]) -> Result<Option<String>, EvalError> {
    for (index, validation) in validations.iter().enumerate() {
        if scope.truth(&validation.expression)? {
            continue;
        }
        let message = match &validation.message_expression {
            Some(program) => match scope.evaluate(program) {
                Ok(Val::Text(text)) => text.as_str().to_owned(),
                Ok(other) => format!("failed to convert message expression to string: it is {}", other.type_name()),
                Err(error) => format!("failed to evaluate message expression: {error}"),
            },
            None => validation.message.clone(),
        };
        let empty = message.is_empty();
        return Ok(Some(if empty { format!("CEL expression validation failed at index {index}") } else { message }));
    }
    Ok(None)
}

/// Whether a request meets the conditions of a webhook, and the facts that were missing.
///
/// # Errors
/// What failed, where no condition is false.
pub(crate) fn conditions_hold(rule: &CelRule, input: &Input<'_>) -> (Result<bool, String>, Vec<MissingFact>) {
    let scope = Scope::new(input.given(NULL), rule);
    let held = scope.all(&rule.conditions).map_err(|error| error.to_string());
    (held, scope.take_missing())
}

/// Judges a `validate.cel` rule.
pub(crate) fn judge_rule(name: &str, check: &CelCheck, input: &Input<'_>) -> (Judgement, Vec<MissingFact>) {
    let Some(params) = &check.params else { return judge_with(name, &check.rule, input, NULL) };
    let found = match params.find(input) {
        Ok(found) => found,
        Err(none) => return (Judgement::new(Status::Error, none.message), none.missing),
    };
    for params in found {
        let (judgement, missing) = judge_with(name, &check.rule, input, params);
        if judgement.status != Status::Pass {
            return (judgement, missing);
        }
    }
    (Judgement::new(Status::Pass, format!("Validation rule '{name}' passed.")), Vec::new())
}

fn judge_with(name: &str, rule: &CelRule, input: &Input<'_>, params: &Value) -> (Judgement, Vec<MissingFact>) {
    let scope = Scope::new(input.given(params), rule);
    let judgement = match scope.all_told(&rule.conditions) {
        Ok(false) => Judgement::new(Status::Skip, "cel preconditions not met"),
        Err(what) => Judgement::new(Status::Fail, what),
        Ok(true) => match &rule.body {
            CelBody::Validations(validations) => judge_validations(name, &scope, validations),
            _ => Judgement::new(Status::Skip, "nothing to validate"),
        },
    };
    let missing = scope.take_missing();
    (judgement, missing)
}

fn judge_validations<'a>(name: &str, scope: &Scope<'a>, validations: &'a [Validation]) -> Judgement {
    for validation in validations {
        let failure = match scope.truth(&validation.expression) {
            Ok(true) => continue,
            Ok(false) => None,
            Err(error) => Some(error),
        };
        if let Some(error) = failure {
            return Judgement::new(Status::Fail, failed_expression(&validation.expression, &error));
        }
        let computed = validation.message_expression.as_ref().and_then(|program| match scope.evaluate(program) {
            Ok(Val::Text(text)) if !text.as_str().trim().is_empty() => Some(text.as_str().trim().to_owned()),
            _ => None,
        });
        let message = computed.unwrap_or_else(|| validation.message.clone());
        let message = if message.is_empty() {
            ["failed expression: ", validation.expression.text().trim()].concat()
        } else {
            message
        };
        return Judgement::new(Status::Fail, message);
    }
    Judgement::new(Status::Pass, ["Validation rule '", name, "' passed."].concat())
}
