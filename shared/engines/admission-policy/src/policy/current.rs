//! `{{@}}` in a rule: the value that the object has where the variable stands in the patch.
//!
//! Kyverno takes the path of the variable in what it fills in at the time, leaves out the first two parts, and looks there in the
//! object of the request, or in the target. In a patch that is the same place of the object. Patterns, and the patches of a
//! `foreach`, are filled in from their own top, so that parts of the place itself are left out; elsewhere it is the whole object.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// The rule with a query in place of each such variable.
pub(crate) fn spell_out(rule: &Value) -> Cow<'_, Value> {
    if !is_there(rule) {
        return Cow::Borrowed(rule);
    }
    let has_targets = rule.pointer("/mutate/targets").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let of_target = Top(if has_targets { "target" } else { OBJECT });
    Cow::Owned(each_field(rule, |key, value| match key {
        "mutate" => each_field(value, |key, value| match key {
            "patchStrategicMerge" => of_target.at(value, &["mutate", key]),
            "foreach" => each_item(value, |item| of_target.element(item)),
            "targets" => each_item(value, target),
            _ => of_target.whole(value),
        }),
        "validate" => Top(OBJECT).element(value),
        "generate" => each_field(value, |key, value| match key {
            "foreach" => each_item(value, |item| Top(OBJECT).at(item, &[])),
            key => Top(OBJECT).at(value, &[key]),
        }),
        _ => Top(OBJECT).whole(value),
    }))
}

/// A target: what selects it is asked before it is known.
fn target(item: &Value) -> Value {
    each_field(item, |key, value| match key {
        "context" | "preconditions" => Top("target").whole(value),
        _ => Top(OBJECT).whole(value),
    })
}

const OBJECT: &str = "request.object";

/// What is looked into.
#[derive(Clone, Copy)]
struct Top(&'static str);

impl Top {
    /// A validation, or an entry of a `foreach`.
    fn element(self, value: &Value) -> Value {
        each_field(value, |key, value| match key {
            "pattern" | "anyPattern" => self.at(value, &[]),
            "patchStrategicMerge" => self.at(value, &[key]),
            "foreach" => each_item(value, |item| self.element(item)),
            _ => self.whole(value),
        })
    }

    /// A part of which each text is filled in by itself.
    fn whole(self, value: &Value) -> Value {
        fill(value, &mut Vec::new(), &|_| self.0.to_owned())
    }

    /// A part that is filled in at once, which stands below `path`.
    fn at(self, value: &Value, path: &[&str]) -> Value {
        let mut path = path.iter().map(|&part| part.to_owned()).collect();
        fill(value, &mut path, &|path| query(self.0, path))
    }
}

fn query(top: &str, path: &[String]) -> String {
    let mut query = top.to_owned();
    for part in path.get(2..).unwrap_or_default() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            query.push_str(&["[", part, "]"].concat());
        } else if part.bytes().all(plain) && part.bytes().next().is_some_and(|first| !first.is_ascii_digit()) {
            query.push_str(&[".", part].concat());
        } else {
            query.push_str(&[".", &Value::from(part.as_str()).to_string()].concat());
        }
    }
    query
}

fn each_field(value: &Value, mut change: impl FnMut(&str, &Value) -> Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    fields.iter().map(|(key, value)| (key.clone(), change(key, value))).collect::<Map<_, _>>().into()
}

fn each_item(value: &Value, change: impl FnMut(&Value) -> Value) -> Value {
    let Value::Array(items) = value else { return value.clone() };
    items.iter().map(change).collect()
}

fn fill(value: &Value, path: &mut Vec<String>, query: &dyn Fn(&[String]) -> String) -> Value {
    let below = |part: String, item: &Value, path: &mut Vec<String>| {
        path.push(part);
        let filled = fill(item, path, query);
        path.pop();
        filled
    };
    match value {
        Value::String(text) => Value::String(fill_text(text, &|| query(path))),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, item)| below(index.to_string(), item, path)).collect()
        }
        Value::Object(fields) => {
            let mut out = Map::with_capacity(fields.len());
            for (key, item) in fields {
                let item = below(key.clone(), item, path);
                out.insert(fill_text(key, &|| query(path)), item);
            }
            Value::Object(out)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The text with a query in place of each variable that is the current value.
fn fill_text(text: &str, query: &dyn Fn() -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = next(rest) {
        out.push_str(&[before, "{{ ", &query(), " }}"].concat());
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What stands before and behind the first such variable.
fn next(text: &str) -> Option<(&str, &str)> {
    text.match_indices("{{").find_map(|(at, open)| {
        let before = text.get(..at)?;
        let inside = text.get(at + open.len()..)?.trim_start().strip_prefix('@')?;
        let after = inside.trim_start().strip_prefix("}}")?;
        (!before.ends_with('\\')).then_some((before, after))
    })
}

fn is_there(value: &Value) -> bool {
    match value {
        Value::String(text) => next(text).is_some(),
        Value::Array(items) => items.iter().any(is_there),
        Value::Object(fields) => fields.iter().any(|(key, value)| next(key).is_some() || is_there(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_variable_becomes_a_query_for_its_place() {
        let rule = json!({
            "preconditions": {"all": [{"key": "{{@}}"}]},
            "mutate": {
                "patchStrategicMerge": {"metadata": {"labels": {"a.b/c": "x-{{ to_upper('{{ @ }}') }}"}},
                    "spec": {"list": ["{{@}}", "\\{{@}}", "{{ @.x }}"]}},
                "foreach": [{"patchStrategicMerge": {"spec": {"n": "{{@}}"}}, "foreach": [{"patchesJson6902": "{{@}}"}]}],
            },
            "validate": {"message": "{{@}}", "pattern": {"spec": {"x": {"y_1": "{{@}}"}, "2a": "{{@}}"}}},
            "generate": {"data": {"spec": {"z": "{{@}}"}}, "name": "{{@}}"},
        });
        assert_eq!(
            *spell_out(&rule),
            json!({
                "preconditions": {"all": [{"key": "{{ request.object }}"}]},
                "mutate": {
                    "patchStrategicMerge": {
                        "metadata": {"labels": {"a.b/c":
                            "x-{{ to_upper('{{ request.object.metadata.labels.\"a.b/c\" }}') }}"}},
                        "spec": {"list": ["{{ request.object.spec.list[0] }}", "\\{{@}}", "{{ @.x }}"]}},
                    "foreach": [{"patchStrategicMerge": {"spec": {"n": "{{ request.object.n }}"}},
                        "foreach": [{"patchesJson6902": "{{ request.object }}"}]}],
                },
                "validate": {"message": "{{ request.object }}",
                    "pattern": {"spec": {"x": {"y_1": "{{ request.object.y_1 }}"}, "2a": "{{ request.object }}"}}},
                "generate": {"data": {"spec": {"z": "{{ request.object.z }}"}}, "name": "{{ request.object }}"},
            })
        );
    }

    #[test]
    fn a_rule_with_targets_looks_into_them() {
        let rule = json!({"mutate": {
            "targets": [{"name": "{{@}}", "preconditions": ["{{@}}"]}, 7],
            "patchStrategicMerge": {"data": {"a": "{{@}}"}},
        }});
        let expected = json!({"mutate": {
            "targets": [{"name": "{{ request.object }}", "preconditions": ["{{ target }}"]}, 7],
            "patchStrategicMerge": {"data": {"a": "{{ target.data.a }}"}},
        }});
        assert_eq!(*spell_out(&rule), expected);
    }

    #[test]
    fn other_rules_and_odd_shapes_stay_as_they_are() {
        for rule in [
            json!({"validate": {"pattern": {"a": "{{ request.object }} @"}}}),
            json!({"mutate": "{{", "validate": [1], "generate": null}),
            json!(["{{ @ "]),
            json!("{{ @ }"),
        ] {
            assert!(matches!(spell_out(&rule), Cow::Borrowed(_)), "{rule}");
        }
        assert_eq!(*spell_out(&json!({"mutate": ["{{@}}"]})), json!({"mutate": ["{{@}}"]}));
    }
}
