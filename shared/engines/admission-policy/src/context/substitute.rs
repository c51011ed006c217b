//! `{{ variables }}` and `$(references)` in a policy's values.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Context, EvaluationError};
use crate::pattern::{Operator, anchor, operator_of};
use crate::value::go_text;

/// Rounds of substitution in one text; more means that variables produce each other.
const MAX_ROUNDS: usize = 64;
/// Deepest value that is walked.
const MAX_DEPTH: usize = 128;

/// Whether `value` holds a variable or a reference anywhere.
pub(crate) fn is_dynamic(value: &Value) -> bool {
    match value {
        Value::String(text) => text_is_dynamic(text),
        Value::Array(items) => items.iter().any(is_dynamic),
        Value::Object(fields) => fields.iter().any(|(key, value)| text_is_dynamic(key) || is_dynamic(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether `text` holds a variable or a reference.
pub(crate) fn text_is_dynamic(text: &str) -> bool {
    text.contains("{{") || text.contains("$(")
}

/// The complete expressions in `text`, trimmed; those that still hold a variable are left out.
pub(crate) fn variables_in(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(variable) = next_variable(text, from) {
        found.push(inner(text.get(variable.start..variable.end).unwrap_or_default()));
        from = variable.end;
    }
    found
}

/// The expression of a text that is one variable and nothing else.
pub(crate) fn only_variable(text: &str) -> Option<&str> {
    let variable = next_variable(text, 0).filter(|variable| variable.start == 0 && variable.end == text.len())?;
    let expression = inner(text.get(variable.start..variable.end)?);
    (!expression.contains("{{")).then_some(expression)
}

impl Context<'_> {
    /// Replaces every variable and reference in `value`.
    pub(crate) fn substitute(&mut self, value: &Value) -> Result<Value, EvaluationError> {
        if !is_dynamic(value) {
            return Ok(value.clone());
        }
        if has_reference(value) {
            return self.walk(&resolve_references(value)?, &mut String::new(), 0);
        }
        self.walk(value, &mut String::new(), 0)
    }

    /// Replaces every variable in `text`; the result must be text.
    pub(crate) fn substitute_text(&mut self, text: &str) -> Result<String, EvaluationError> {
        match self.text(text, "")? {
            Value::String(text) => Ok(text),
            other => Ok(jmespath::go_json::render(&other)),
        }
    }

    fn walk(&mut self, value: &Value, path: &mut String, depth: usize) -> Result<Value, EvaluationError> {
        if depth > MAX_DEPTH {
            return Err(EvaluationError::new("the value is nested too deeply"));
        }
        match value {
            Value::String(text) => self.text(text, path),
            Value::Array(items) => {
                let mut out = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    out.push(self.child(item, &index.to_string(), path, depth)?);
                }
                Ok(Value::Array(out))
            }
            Value::Object(fields) => {
                let mut out = Map::with_capacity(fields.len());
                for (key, item) in fields {
                    let value = self.child(item, key, path, depth)?;
                    let key = if key.contains("{{") {
                        match self.text(key, path)? {
                            Value::String(key) => key,
                            other => go_text::sprint(&other).into_owned(),
                        }
                    } else {
                        key.clone()
                    };
                    out.insert(key, value);
                }
                Ok(Value::Object(out))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
        }
    }

    fn child(
        &mut self,
        item: &Value,
        segment: &str,
        path: &mut String,
        depth: usize,
    ) -> Result<Value, EvaluationError> {
        let length = path.len();
        path.push('/');
        path.push_str(segment);
        let value = self.walk(item, path, depth + 1);
        path.truncate(length);
        value
    }

    /// One text: innermost variables first, again and again until none is left. A text that is one variable takes its type.
    pub(super) fn text(&mut self, text: &str, path: &str) -> Result<Value, EvaluationError> {
        let mut text: Cow<'_, str> = Cow::Borrowed(text);
        for _ in 0..MAX_ROUNDS {
            if next_variable(&text, 0).is_none() {
                return Ok(Value::String(unescape(&text)));
            }
            let mut out = String::with_capacity(text.len());
            let mut from = 0;
            while let Some(variable) = next_variable(&text, from) {
                let whole = variable.start == 0 && variable.end == text.len();
                let value = self.resolve(inner(text.get(variable.start..variable.end).unwrap_or_default()), path)?;
                if whole {
                    return Ok(value);
                }
                out.push_str(text.get(from..variable.start).unwrap_or_default());
                match &value {
                    Value::String(part) => out.push_str(part),
                    other => out.push_str(&jmespath::go_json::render(other)),
                }
                from = variable.end;
                if out.len() > self.limits.max_text_bytes {
                    return Err(EvaluationError::new(format!("the text at path {path} grows too long")));
                }
            }
            out.push_str(text.get(from..).unwrap_or_default());
            text = Cow::Owned(out);
        }
        Err(EvaluationError::new(format!("variables at path {path} produce each other without end")))
    }

    /// The value of one variable.
    pub(crate) fn resolve(&mut self, variable: &str, path: &str) -> Result<Value, EvaluationError> {
        let variable: Cow<'_, str> = if self.deleting && variable.contains("request.object") {
            Cow::Owned(variable.replace("request.object", "request.oldObject"))
        } else {
            Cow::Borrowed(variable)
        };
        self.query(&variable).map_err(|error| EvaluationError {
            message: ["failed to resolve ", &*variable, " at path ", path, ": ", &error.message].concat(),
            not_found: error.not_found,
        })
    }
}

/// Where a variable stands in a text.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The next `{{ ... }}` at or after `from` that is not escaped; inside, single braces pair up (one level).
pub(super) fn next_variable(text: &str, from: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    let mut start = from;
    while let Some(offset) = text.get(start..)?.find("{{") {
        let open = start + offset;
        let escaped = open > 0 && bytes.get(open - 1) == Some(&b'\\');
        match (!escaped).then(|| close(bytes, open + 2)).flatten() {
            Some(end) => return Some(Span { start: open, end }),
            None => start = open + 1,
        }
    }
    None
}

/// End of the variable whose inside begins at `at`.
fn close(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    loop {
        match bytes.get(at)? {
            b'{' => {
                let inside = bytes.get(at + 1..)?.iter().position(|byte| matches!(byte, b'{' | b'}'))?;
                if bytes.get(at + 1 + inside) == Some(&b'{') {
                    return None;
                }
                at += inside + 2;
            }
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(at + 2),
            b'}' => return None,
            _ => at += 1,
        }
    }
}

pub(super) fn inner(variable: &str) -> &str {
    variable.strip_prefix("{{").and_then(|text| text.strip_suffix("}}")).unwrap_or(variable).trim()
}

pub(super) fn unescape(text: &str) -> String {
    if text.contains("\\{{") { text.replace("\\{{", "{{") } else { text.to_owned() }
}

/// Replaces `$(./../path)` by the value it points at, within the same document.
fn resolve_references(document: &Value) -> Result<Value, EvaluationError> {
    fn walk(document: &Value, value: &Value, path: &mut String) -> Result<Value, EvaluationError> {
        let mut below = |segment: &str, item: &Value| {
            let length = path.len();
            path.push('/');
            path.push_str(segment);
            let value = walk(document, item, path);
            path.truncate(length);
            value
        };
        match value {
            Value::Array(items) => {
                let items = items.iter().enumerate().map(|(index, item)| below(&index.to_string(), item));
                Ok(Value::Array(items.collect::<Result<_, _>>()?))
            }
            Value::Object(fields) => {
                let mut out = Map::with_capacity(fields.len());
                for (key, item) in fields {
                    out.insert(key.clone(), below(key, item)?);
                }
                Ok(Value::Object(out))
            }
            Value::String(text) if text.contains("$(") => reference_text(document, text, path),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(value.clone()),
        }
    }
    walk(document, document, &mut String::new())
}

pub(super) fn has_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("$("),
        Value::Array(items) => items.iter().any(has_reference),
        Value::Object(fields) => fields.values().any(has_reference),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn reference_text(document: &Value, text: &str, path: &str) -> Result<Value, EvaluationError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("$(") {
        let (before, reference) = rest.split_at(at);
        let end = reference.find(')').map_or(reference.len(), |end| end + 1);
        let (reference, after) = reference.split_at(end);
        rest = after;
        if let Some(before) = before.strip_suffix('\\') {
            out.push_str(before);
            out.push_str(reference);
            continue;
        }
        out.push_str(before);
        let target = reference.trim_start_matches("$(").trim_end_matches(')');
        if target.contains(' ') {
            out.push_str(reference);
            continue;
        }
        let operator = operator_of(target);
        let width = if operator == Operator::Equal { 0 } else { operator.width() };
        let (prefix, relative) = target.split_at_checked(width).unwrap_or(("", target));
        let unresolved = || EvaluationError::new(format!("failed to resolve {reference} at path {path}"));
        if relative.is_empty() {
            return Err(unresolved());
        }
        let value = pointed_at(document, &absolute(path, relative)).ok_or_else(unresolved)?;
        if out.is_empty() && prefix.is_empty() && rest.is_empty() {
            return Ok(value.clone());
        }
        out.push_str(prefix);
        out.push_str(&go_text::sprint(value));
    }
    out.push_str(rest);
    Ok(Value::String(out))
}

fn absolute(path: &str, reference: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let whole = if reference.starts_with('/') { reference.to_owned() } else { format!("{path}/{reference}") };
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part.to_owned()),
        }
    }
    parts
}

/// The leaf at `path`, anchors in the document's keys left aside.
fn pointed_at<'v>(document: &'v Value, path: &[String]) -> Option<&'v Value> {
    let mut value = document;
    for part in path {
        value = match value {
            Value::Object(fields) => {
                let name = anchor::bare(part);
                fields
                    .get(part)
                    .or_else(|| fields.iter().find(|(key, _)| anchor::bare(key) == name).map(|(_, value)| value))?
            }
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
    }
    (!(value.is_object() || value.is_array())).then_some(value)
}
