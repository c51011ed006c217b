//! `{{ variables }}` that nothing provides, or that are not known where they stand.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Adviser, list};
use crate::context::variables_in;

/// Variables about who asks.
const USERS: [&str; 5] =
    ["serviceAccountName", "serviceAccountNamespace", "request.userInfo", "request.roles", "request.clusterRoles"];
/// What an expression may begin with, besides the entries of the context.
const PROVIDED: [&str; 10] = [
    "request",
    "serviceAccountName",
    "serviceAccountNamespace",
    "element",
    "images",
    "image",
    "target",
    "biotope",
    "@",
    "globalReference",
];

impl Adviser {
    /// The variables of a rule.
    pub(super) fn variables(&mut self, spec: &Value, rule: &Value, pointer: &str) {
        let mut names = BTreeSet::new();
        declared(rule, &mut names);
        let changes_others = list(spec, "rules").iter().any(|rule| rule.pointer("/mutate/targets").is_some());
        let has_targets = rule.pointer("/mutate/targets").is_some();
        let mut told = BTreeSet::new();
        for key in ["context", "preconditions", "validate", "mutate", "generate"] {
            let Some(part) = rule.get(key) else { continue };
            let mut texts = Vec::new();
            texts_below(part, &format!("{pointer}/{key}"), &mut texts);
            for (place, text) in texts {
                for expression in variables_in(text) {
                    if self.background && !changes_others {
                        self.user(expression, &place, &mut told);
                    }
                    self.unknown(expression, &place, &names, &mut told);
                    if has_targets && mentions(expression, "target") && finds_targets(&place, pointer) {
                        let what = "`target` is not known yet: this says which objects are the targets";
                        self.tell(place.clone(), what, "write it into the context or preconditions of the target");
                    }
                }
            }
        }
        for key in ["match", "exclude"] {
            let mut texts = Vec::new();
            texts_below(rule.get(key).unwrap_or(&Value::Null), &format!("{pointer}/{key}"), &mut texts);
            if let Some((place, text)) = texts.into_iter().find(|(_, text)| !variables_in(text).is_empty()) {
                let what = format!("`{text}` stands where no variable is replaced");
                self.tell(place, what, "write the condition into `preconditions`");
            }
        }
    }

    fn user(&mut self, expression: &str, place: &str, told: &mut BTreeSet<String>) {
        for name in USERS.into_iter().filter(|name| mentions(expression, name)) {
            if told.insert(name.to_owned()) {
                let what = format!("`{name}` is about who asks, whom nobody knows of objects that are stored already");
                self.tell(place, what, "set `background: false`");
            }
        }
    }

    fn unknown(&mut self, expression: &str, place: &str, names: &BTreeSet<&str>, told: &mut BTreeSet<String>) {
        let bare = expression.replace('"', "");
        // Functions, literals and filters may begin with anything.
        let first: String = bare.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '@')).collect();
        let rest = bare.get(first.len()..).unwrap_or_default();
        let plain = !first.is_empty() && (rest.is_empty() || rest.starts_with(['.', '[', ' ']));
        let is_known = !plain
            || bare.contains("{{")
            || bare.contains('(')
            || PROVIDED.iter().any(|name| bare.contains(name))
            || first.starts_with(|c: char| c.is_ascii_digit())
            || names.iter().any(|name| bare.starts_with(name) || bare.contains(&format!(" {name}")));
        if !is_known && told.insert(first.clone()) {
            let what = format!("nothing provides the variable `{first}`");
            self.tell(place, what, "declare it in the `context` of the rule, or correct the name");
        }
    }
}

/// Whether a place is read before the targets of a rule are found.
fn finds_targets(place: &str, rule: &str) -> bool {
    let place = place.strip_prefix(rule).unwrap_or_default();
    let target = place.strip_prefix("/mutate/targets/").and_then(|rest| rest.split_once('/'));
    let names = ["apiVersion", "kind", "name", "namespace", "selector"];
    place.starts_with("/context/")
        || place.starts_with("/preconditions/")
        || target.is_some_and(|(_, field)| names.iter().any(|name| field.starts_with(name)))
}

/// Whether an expression uses a variable of this name, and not a field that is called the same.
fn mentions(expression: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    expression.match_indices(name).any(|(at, _)| {
        let before = expression.get(..at).unwrap_or_default();
        let after = expression.get(at + name.len()..).unwrap_or_default();
        !before.ends_with(|c: char| is_part(c) || c == '.') && !after.starts_with(is_part)
    })
}

/// The names of every context entry of a rule, those of its lists included.
fn declared<'v>(value: &'v Value, names: &mut BTreeSet<&'v str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| declared(item, names)),
        Value::Object(fields) => {
            for (key, item) in fields {
                if key == "context" {
                    names.extend(item.as_array().into_iter().flatten().filter_map(|entry| entry.get("name")?.as_str()));
                }
                declared(item, names);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Every text below a value, with its pointer.
fn texts_below<'v>(value: &'v Value, pointer: &str, out: &mut Vec<(String, &'v str)>) {
    match value {
        Value::String(text) if text.contains("{{") => out.push((pointer.to_owned(), text)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                texts_below(item, &format!("{pointer}/{index}"), out);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                texts_below(item, &format!("{pointer}/{key}"), out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
