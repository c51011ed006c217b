//! MutatingPolicy at work: apply configurations and JSON patches.

use cel::EvalError;
use serde_json::Value;

use super::judge::{Answer, failed};
use super::merge::merge;
use super::policy::{EvaluationMode, Mutation};
use super::scope::Scope;
use crate::outcome::Status;
use crate::patch::json_patch::PatchError;
use crate::patch::strict;

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
            match strict::apply(&mut changed, &operations) {
                Ok(()) => Ok(Some(changed)),
                Err(PatchError::TestFailed(_)) => Ok(None),
                Err(PatchError::Invalid(what)) => Err(EvalError::refused(format!("JSON Patch: {what}"))),
            }
        }
    }
}
