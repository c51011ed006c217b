//! Kyverno's functions on texts, regular expressions, wildcards and versions.

use std::borrow::Cow;

use regex::Regex;
use serde_json::Value;

use super::{Arguments, Function, NUMBER, OBJECT, Outcome, TEXT, boolean, function};
use crate::error::EvalError;
use crate::item::{Item, equal};
use crate::{go_regex, semver_range, wildcard};

const TEXT_OR_NUMBER: u16 = TEXT | NUMBER;

pub(super) const FUNCTIONS: &[Function] = &[
    function("split", &[TEXT, TEXT], split),
    function("compare", &[TEXT, TEXT], compare),
    function("equal_fold", &[TEXT, TEXT], |arguments| boolean(fold(arguments.text(0)) == fold(arguments.text(1)))),
    function("replace", &[TEXT, TEXT, TEXT, NUMBER], |arguments| {
        let count = arguments.number(3);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "negative means all; floats saturate"
        )]
        replace(&arguments, if count < 0.0 { usize::MAX } else { count as usize })
    }),
    function("replace_all", &[TEXT, TEXT, TEXT], |arguments| replace(&arguments, usize::MAX)),
    function("to_upper", &[TEXT], |arguments| arguments.produce(arguments.text(0).to_uppercase())),
    function("to_lower", &[TEXT], |arguments| arguments.produce(arguments.text(0).to_lowercase())),
    function("trim", &[TEXT, TEXT], |arguments| {
        arguments.produce(arguments.text(0).trim_matches(|c| arguments.text(1).contains(c)))
    }),
    function("trim_prefix", &[TEXT, TEXT], |arguments| {
        let text = arguments.text(0);
        arguments.produce(text.strip_prefix(arguments.text(1)).unwrap_or(text))
    }),
    function("truncate", &[TEXT, NUMBER], truncate),
    function("regex_match", &[TEXT, TEXT_OR_NUMBER], |arguments| {
        boolean(pattern(&arguments)?.is_match(&arguments.scalar_text(1)))
    }),
    function("regex_replace_all", &[TEXT, TEXT_OR_NUMBER, TEXT_OR_NUMBER], |arguments| {
        regex_replace(&arguments, false)
    }),
    function("regex_replace_all_literal", &[TEXT, TEXT_OR_NUMBER, TEXT_OR_NUMBER], |arguments| {
        regex_replace(&arguments, true)
    }),
    function("pattern_match", &[TEXT, TEXT_OR_NUMBER], |arguments| {
        boolean(wildcard::matches(arguments.text(0), &arguments.scalar_text(1)))
    }),
    function("label_match", &[OBJECT, OBJECT], label_match),
    function("to_boolean", &[TEXT], to_boolean),
    function("semver_compare", &[TEXT, TEXT], semver_compare),
    function("path_canonicalize", &[TEXT], |arguments| arguments.produce(clean_path(arguments.text(0)))),
];

fn split<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let (text, separator) = (arguments.text(0), arguments.text(1));
    let parts: Vec<Value> = if separator.is_empty() {
        text.chars().map(|c| Value::String(c.to_string())).collect()
    } else {
        text.split(separator).map(Value::from).collect()
    };
    arguments.evaluation.charge(parts.len() as u64)?;
    arguments.evaluation.charge_text(text.len())?;
    Ok(Item::Owned(Value::Array(parts)))
}

fn compare<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let order = arguments.text(0).cmp(arguments.text(1));
    Ok(Item::Owned(Value::from(order as i8)))
}

/// Texts that differ in case only fold to the same text.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

fn replace<'a>(arguments: &Arguments<'_, 'a>, count: usize) -> Outcome<'a> {
    let (text, old, new) = (arguments.text(0), arguments.text(1), arguments.text(2));
    let found = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old).count() };
    arguments.evaluation.charge_text(text.len().saturating_add(found.min(count).saturating_mul(new.len())))?;
    Ok(Item::Owned(Value::String(text.replacen(old, new, count))))
}

fn truncate<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "negative means none; floats saturate")]
    let length = arguments.number(1).max(0.0) as usize;
    arguments.produce(arguments.text(0).chars().take(length).collect::<String>())
}

fn pattern<'r>(arguments: &'r Arguments<'_, '_>) -> Result<Cow<'r, Regex>, EvalError> {
    if let Some(regex) = &arguments.call.regex {
        return Ok(Cow::Borrowed(regex));
    }
    arguments.evaluation.charge(1_000)?;
    go_regex::compile(arguments.text(0)).map(Cow::Owned).map_err(|error| arguments.fail(error.to_string()))
}

fn regex_replace<'a>(arguments: &Arguments<'_, 'a>, literal: bool) -> Outcome<'a> {
    let regex = pattern(arguments)?;
    let (text, replacement) = (arguments.scalar_text(1), arguments.scalar_text(2));
    let growth = (text.len() + 1).saturating_mul(replacement.len());
    arguments.evaluation.charge_text(if growth > 1 << 16 { growth } else { text.len() })?;
    let result = if literal {
        regex.replace_all(&text, regex::NoExpand(&replacement)).into_owned()
    } else {
        go_regex::replace_all(&regex, &text, &replacement)
    };
    arguments.produce(result)
}

fn label_match<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let object = |index| arguments.item(index).value().and_then(Value::as_object);
    let (Some(wanted), Some(labels)) = (object(0), object(1)) else { return boolean(false) };
    boolean(wanted.iter().all(|(key, value)| labels.get(key).is_some_and(|label| equal(label, value))))
}

fn to_boolean<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    match arguments.text(0).to_lowercase().as_str() {
        "true" => boolean(true),
        "false" => boolean(false),
        _ => {
            Err(arguments
                .fail(format!("lowercase argument must be 'true' or 'false' (provided: '{}')", arguments.text(0))))
        }
    }
}

fn semver_compare<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let range = semver_range::Range::parse(arguments.text(1)).map_err(|error| arguments.fail(error.to_string()))?;
    // A text that is no version compares as 0.0.0, as in Kyverno.
    let version = semver_range::Version::parse(arguments.text(0)).unwrap_or_default();
    boolean(range.contains(&version))
}

/// A path without `.`, `..` and doubled slashes, by Go's rules; nothing stays nothing.
fn clean_path(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}
