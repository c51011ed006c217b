//! `auditAnnotations`: what a policy wants to be written into the audit trail about a request that it judged.

use std::collections::BTreeMap;

use cel::{Program, Val};
use serde_json::Value;

use super::judge::{Answer, failed};
use super::scope::Scope;
use crate::outcome::Status;

/// Compiles the list: keys and what gives their values.
///
/// # Errors
/// The pointer below the policy's `spec`, and what is wrong there.
pub(super) fn compile(
    list: &[Value],
    program: impl Fn(&str, String) -> Result<Program, (String, String)>,
) -> Result<Vec<(String, Program)>, (String, String)> {
    let mut out: Vec<(String, Program)> = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let pointer = format!("/auditAnnotations/{index}");
        let text = |name: &str| item.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let wrong = |what: String| (pointer.clone(), what);
        let key = text("key").ok_or_else(|| wrong("an audit annotation needs a `key`".to_owned()))?;
        if out.iter().any(|(known, _)| known == key) {
            return Err(wrong(format!("the key `{key}` is there twice")));
        }
        let value = text("valueExpression");
        let value = value.ok_or_else(|| wrong(format!("audit annotation `{key}` needs a `valueExpression`")))?;
        out.push((key.to_owned(), program(value, format!("{pointer}/valueExpression"))?));
    }
    Ok(out)
}

/// The answer with the annotations of its policy, where the policy judged. One that fails makes an error of it.
pub(super) fn annotate<'a>(answer: Answer, annotations: &'a [(String, Program)], scope: &Scope<'a>) -> Answer {
    if !matches!(answer.status, Some(Status::Pass | Status::Fail)) || !answer.exceptions.is_empty() {
        return answer;
    }
    let mut found = BTreeMap::new();
    for (key, program) in annotations {
        let value = match scope.evaluate(program) {
            Ok(Val::Null) => continue,
            Ok(Val::Text(text)) => text.as_str().to_owned(),
            Ok(other) => {
                let what = format!("failed to convert auditAnnotation '{key}' expression: it is {}", other.type_name());
                return failed("failed to load context", &cel::EvalError::refused(what));
            }
            Err(error) => {
                let what = format!("failed to evaluate auditAnnotation '{key}': {error}");
                return failed("failed to load context", &cel::EvalError::refused(what));
            }
        };
        if !value.is_empty() {
            found.insert(key.clone(), value);
        }
    }
    Answer { annotations: found, ..answer }
}

/// Adds annotations of a policy to those of a request; several values of one are told together.
pub(crate) fn add(all: &mut BTreeMap<(String, String), String>, policy: &str, annotations: BTreeMap<String, String>) {
    for (key, value) in annotations {
        let text = all.entry((policy.to_owned(), key)).or_default();
        if text.is_empty() {
            *text = value;
        } else if *text != value {
            text.push_str(", ");
            text.push_str(&value);
        }
        let end = text.floor_char_boundary(MAX_VALUE);
        text.truncate(end);
    }
}

/// Longest value that an API server keeps, in bytes.
const MAX_VALUE: usize = 10 * 1024;
