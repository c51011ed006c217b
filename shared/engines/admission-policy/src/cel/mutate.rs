//! MutatingPolicy at work: apply configurations and JSON patches, on the object of the request or on existing ones.

use cel::{EvalError, Program};
use serde_json::Value;

use super::judge::{Answer, Input, failed};
use super::merge::merge;
use super::policy::{CelRule, EvaluationMode, Mutation, Targets};
use super::scope::{Given, Scope};
use crate::outcome::Status;
use crate::patch::json_patch::{self, PatchError};
use crate::request::Request;

/// Applies the mutations one after the other. A patch whose `test` fails changes nothing; in a JSON document it undoes the
/// whole policy.
pub(super) fn mutate<'a>(
    scope: &Scope<'a>,
    mutations: &'a [Mutation],
    (object, mode): (&Value, EvaluationMode),
) -> Answer {
    let mut object = object.clone();
    for mutation in mutations {
        match change(scope, mutation, &object) {
            Ok(Some(changed)) => {
                scope.replace_object(changed.clone());
                object = changed;
            }
            Ok(None) if mode == EvaluationMode::Json => {
                let message = "a `test` of the JSON patch failed".to_owned();
                return Answer { status: Some(Status::Skip), message, ..Answer::default() };
            }
            Ok(None) => {}
            Err(error) => return failed("failed to evaluate policy", &error),
        }
    }
    Answer { status: Some(Status::Pass), message: "success".to_owned(), patched: Some(object), ..Answer::default() }
}

/// Changes existing objects; each is `object` to the expressions.
pub(super) fn mutate_existing<'a>(
    scope: &Scope<'a>,
    (targets, conditions, mutations): (&'a Targets, &'a [(String, Program)], &'a [Mutation]),
    rule: &CelRule,
    input: &Input<'_>,
) -> Answer {
    let found: Vec<Value> = match targets {
        Targets::Matching(matches) => {
            let is_meant = |object: &&Value| {
                let target = Request::create((*object).clone());
                matches.include(&target, input.snapshot().labels_of(&target.namespace))
            };
            input.snapshot().objects.iter().filter(is_meant).cloned().collect()
        }
        Targets::Expression(program) => match scope.evaluate(program).and_then(|found| found.to_json()) {
            Ok(found) => match found.get("items").and_then(Value::as_array) {
                Some(items) => items.clone(),
                None => vec![found],
            },
            Err(error) => return failed("failed to find the targets", &error),
        },
    };
    let mut changed = Vec::new();
    for target in found.iter().filter(|target| target.is_object()) {
        let own =
            Scope::new(Given { object: target, requested: scope.given().requested, ..input.given(&Value::Null) }, rule);
        match own.all(conditions) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => return failed("failed to evaluate the target match conditions", &error),
        }
        match mutate(&own, mutations, (target, EvaluationMode::Kubernetes)) {
            Answer { patched: Some(object), .. } => changed.push(object),
            refused => return refused,
        }
    }
    Answer { status: Some(Status::Pass), message: "success".to_owned(), targets: changed, ..Answer::default() }
}

/// The changed object; `None` when a `test` of the patch failed.
fn change<'a>(scope: &Scope<'a>, mutation: &'a Mutation, object: &Value) -> Result<Option<Value>, EvalError> {
    match mutation {
        Mutation::Apply(program) => {
            let configuration = scope.evaluate(program)?.to_json()?;
            if !configuration.is_object() {
                return Err(EvalError::refused("the apply configuration is no Object{}"));
            }
            Ok(Some(merge(object, &configuration)))
        }
        Mutation::Patch(program) => {
            let Value::Array(operations) = scope.evaluate(program)?.to_json()? else {
                return Err(EvalError::refused("the JSON patch is no list of JSONPatch{}"));
            };
            let mut changed = object.clone();
            match json_patch::apply(&mut changed, &operations) {
                Ok(_) => Ok(Some(changed)),
                Err(PatchError::TestFailed(_)) => Ok(None),
                Err(error @ PatchError::Invalid(_)) => Err(EvalError::refused(error.to_string())),
            }
        }
    }
}
