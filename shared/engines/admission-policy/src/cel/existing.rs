//! A MutatingPolicy on objects that are there already: which ones it means, and what becomes of them.

use cel::{EvalError, Program};
use serde_json::Value;

use super::constraints::Constraints;
use super::judge::{Answer, Input, changes_itself, failed};
use super::lookup::api_path;
use super::mutate::mutate;
use super::policy::{CelPolicy, CelRule, EvaluationMode, Mutation, Targets};
use super::scope::{Given, Scope};
use crate::context::answer;
use crate::outcome::{ChangedTarget, Status};
use crate::request::Request;
use crate::snapshot::MissingFact;

/// Changes existing objects; each is `object` to the expressions.
pub(super) fn mutate_existing<'a>(
    policy: &'a CelPolicy,
    (rule, mutations): (&'a CelRule, &'a [Mutation]),
    scope: &Scope<'a>,
    input: &Input<'_>,
) -> Answer {
    let found = match find(policy, scope, input) {
        Ok(found) => found,
        Err(error) => return failed("failed to find the targets", &error),
    };
    let mut changed = Vec::new();
    for (target, subresource) in found {
        match change(policy, (rule, mutations), &target, (scope, input)) {
            Ok(Some(object)) => changed.push(ChangedTarget { object, subresource }),
            Ok(None) => {}
            Err(refused) => return *refused,
        }
    }
    Answer { status: Some(Status::Pass), message: "success".to_owned(), targets: changed, ..Answer::default() }
}

/// A target as it will be; `None` where it does not meet the conditions.
fn change<'a>(
    policy: &'a CelPolicy,
    (rule, mutations): (&'a CelRule, &'a [Mutation]),
    target: &Value,
    (scope, input): (&Scope<'a>, &Input<'_>),
) -> Result<Option<Value>, Box<Answer>> {
    let null = &Value::Null;
    let given = Given { object: target, old_object: null, requested: scope.given().requested, ..input.given(null) };
    let own = Scope::new(given, rule);
    let judged = match own.all(&policy.target_conditions) {
        Ok(true) => mutate(&own, mutations, (target, EvaluationMode::Kubernetes)),
        Ok(false) => return Ok(None),
        Err(error) => failed("failed to evaluate the target match conditions", &error),
    };
    match judged {
        Answer { patched: Some(object), .. } => Ok(Some(object)),
        mut refused => {
            refused.missing.extend(own.take_missing());
            Err(Box::new(refused))
        }
    }
}

/// The objects that are meant, each with the part of it that is to be written.
fn find<'a>(policy: &'a CelPolicy, scope: &Scope<'a>, input: &Input<'_>) -> Result<Vec<(Value, String)>, EvalError> {
    if let Some(Targets::Expression(program, rules)) = &policy.targets {
        let found = told(program, scope)?;
        let Some(rules) = rules else {
            return Ok(found.into_iter().map(|object| (object, String::new())).collect());
        };
        return Ok(found.into_iter().filter_map(|object| meant(rules, object, input)).collect());
    }
    let Some(matching) = policy.meant_targets() else { return Ok(Vec::new()) };
    if changes_itself(policy, input) {
        let own = input.request().object.clone();
        return Ok(own.and_then(|object| meant(matching, object, input)).into_iter().collect());
    }
    let candidates = candidates(matching, policy, scope)?;
    Ok(candidates.into_iter().filter_map(|object| meant(matching, object, input)).collect())
}

impl CelPolicy {
    /// Which existing objects are to be changed, where no expression names them.
    pub(crate) fn meant_targets(&self) -> Option<&Constraints> {
        match &self.targets {
            Some(Targets::Matching(matching)) => Some(matching),
            Some(Targets::Expression(..)) => None,
            None => self.specs.first().map(|own| &own.matches),
        }
    }
}

/// What an expression names: one object, or a list.
fn told<'a>(program: &'a Program, scope: &Scope<'a>) -> Result<Vec<Value>, EvalError> {
    let mut found = scope.evaluate(program)?.to_json()?;
    let objects = match found.get_mut("items").map(Value::take) {
        Some(Value::Array(mut items)) => {
            items.iter_mut().for_each(|item| name_kind(item, &found));
            items
        }
        _ => vec![found],
    };
    Ok(objects.into_iter().filter(Value::is_object).collect())
}

/// Gives an item of a list the API version and kind that lists leave out.
pub(super) fn name_kind(item: &mut Value, list: &Value) {
    let text = |key: &str| list.get(key).and_then(Value::as_str).unwrap_or_default();
    let Some(fields) = item.as_object_mut() else { return };
    for (key, value) in [("apiVersion", text("apiVersion")), ("kind", text("kind").trim_end_matches("List"))] {
        if !value.is_empty() {
            fields.entry(key.to_owned()).or_insert_with(|| Value::from(value));
        }
    }
}

/// Whether a policy that comes into force is to change the object of the request.
pub(super) fn is_meant(policy: &CelPolicy, input: &Input<'_>) -> bool {
    policy.meant_targets().is_some_and(|matching| part(matching, &mut input.request().clone(), input).is_some())
}

/// The object, where the constraints are about it or a part of it.
fn meant(constraints: &Constraints, object: Value, input: &Input<'_>) -> Option<(Value, String)> {
    let mut target = Request {
        operation: input.request().operation,
        background: input.request().background,
        ..Request::create(object)
    };
    let part = part(constraints, &mut target, input)?;
    Some((target.object?, part))
}

/// The part of an object that the constraints are about; empty for all of it.
fn part(constraints: &Constraints, target: &mut Request, input: &Input<'_>) -> Option<String> {
    let labels = input.snapshot().labels_of(&target.namespace);
    let whole = Some("").into_iter();
    let part = whole.chain(constraints.resources().into_iter().map(|one| one.part)).find(|part| {
        (*part).clone_into(&mut target.subresource);
        constraints.include(target, labels)
    });
    part.map(str::to_owned)
}

/// All objects of the kinds that the constraints name.
fn candidates<'a>(constraints: &Constraints, policy: &CelPolicy, scope: &Scope<'a>) -> Result<Vec<Value>, EvalError> {
    let snapshot = scope.given().snapshot;
    let own = &policy.reference.namespace;
    let mut objects = snapshot.objects.clone();
    let mut missing = None;
    for one in constraints.resources() {
        let version =
            if one.group.is_empty() { one.version.to_owned() } else { [one.group, "/", one.version].concat() };
        let path = api_path(&version, one.name, own, "");
        let call = ["GET ", &path].concat();
        match snapshot.api_calls.get(&call) {
            Some(list) => {
                let items = list.get("items").and_then(Value::as_array).into_iter().flatten();
                let mut listed: Vec<Value> = items.cloned().collect();
                listed.iter_mut().for_each(|item| name_kind(item, list));
                listed.retain(|item| !objects.iter().any(|known| is_same(known, item)));
                objects.extend(listed);
            }
            None if snapshot.is_all_there_is() || answer(&path, &snapshot.objects).is_some() => {}
            None => {
                let fact = MissingFact::ApiCall { call, body: String::new() };
                missing = Some(scope.note_missing("targets", fact));
            }
        }
    }
    let inside = |object: &Value| own.is_empty() || text(object, "/metadata/namespace") == own;
    objects.retain(|object| object.is_object() && inside(object));
    missing.map_or(Ok(objects), Err)
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn is_same(one: &Value, other: &Value) -> bool {
    ["/apiVersion", "/kind", "/metadata/namespace", "/metadata/name"]
        .iter()
        .all(|pointer| text(one, pointer) == text(other, pointer))
}
