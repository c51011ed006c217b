//! Assertion trees, the language of `validate.assert` and of a test's `checks`.
//!
//! A tree looks like what it asserts: maps hold for maps with these fields, lists for lists of the same length, scalars for
//! equal scalars. A key in parentheses is a query on the value at hand and its subtree is asserted of the result; `~.key`
//! asserts of every element; `key->name` binds the value to `$name`; a scalar in parentheses is a query too.

use serde_json::Value;

/// Trees and values deeper than this are refused.
const MAX_DEPTH: usize = 64;

/// Answers queries: the engine's JMESPath, where a missing key is null.
pub(crate) trait Queries {
    /// The result of `query` on `value`.
    ///
    /// # Errors
    /// What the query refused.
    fn search(&mut self, query: &str, value: &Value) -> Result<Value, String>;

    /// The value bound to a name before the assertion; `None` when there is none.
    ///
    /// # Errors
    /// Why the value cannot be had.
    fn binding(&mut self, name: &str) -> Option<Result<Value, String>>;
}

/// Asserts `tree` of `value`: what does not hold, each with its path.
///
/// # Errors
/// A tree that cannot be judged.
pub(crate) fn assert(tree: &Value, value: &Value, queries: &mut dyn Queries) -> Result<Vec<String>, String> {
    let mut assertion = Assertion { queries, bindings: Vec::new(), failures: Vec::new() };
    assertion.check(tree, value, &mut Vec::new())?;
    Ok(assertion.failures)
}

struct Assertion<'q> {
    queries: &'q mut dyn Queries,
    bindings: Vec<(String, Value)>,
    failures: Vec<String>,
}

/// What a key or a scalar says.
struct Parsed<'t> {
    /// `~` or `~name`: every element.
    each: Option<&'t str>,
    binding: Option<&'t str>,
    query: bool,
    statement: &'t str,
}

fn parse(text: &str) -> Parsed<'_> {
    let (each, rest) = match text.strip_prefix('~').and_then(|rest| rest.split_once('.')) {
        Some((name, rest)) if is_word(name) => (Some(name), rest),
        _ => (None, text),
    };
    let (statement, binding) = match rest.rsplit_once("->") {
        Some((left, name)) if is_word(name.trim()) && !name.trim().is_empty() => (left.trim_end(), Some(name.trim())),
        _ => (rest, None),
    };
    let inside = |open: char, close: char| statement.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    match (inside('\\', '\\'), inside('(', ')')) {
        (Some(literal), _) => Parsed { each, binding, query: false, statement: literal },
        (None, Some(query)) => Parsed { each, binding, query: true, statement: query },
        (None, None) => Parsed { each, binding, query: false, statement },
    }
}

fn is_word(text: &str) -> bool {
    text.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}

impl Assertion<'_> {
    fn check(&mut self, tree: &Value, value: &Value, path: &mut Vec<String>) -> Result<(), String> {
        if path.len() > MAX_DEPTH {
            return Err("the assertion is too deep".to_owned());
        }
        match tree {
            Value::Object(fields) => {
                for (key, below) in fields {
                    path.push(key.clone());
                    self.field(key, below, value, path)?;
                    path.pop();
                }
                Ok(())
            }
            Value::Array(wanted) => {
                let Value::Array(items) = value else {
                    let found = crate::value::go_text::type_name(value);
                    self.fail(path, &format!("Invalid value: {value}: expected a list, found {found}"));
                    return Ok(());
                };
                if items.len() != wanted.len() {
                    self.fail(path, &format!("Invalid value: {value}: lengths of slices don't match"));
                    return Ok(());
                }
                for (index, (tree, item)) in wanted.iter().zip(items).enumerate() {
                    path.push(format!("[{index}]"));
                    self.check(tree, item, path)?;
                    path.pop();
                }
                Ok(())
            }
            Value::String(text) => {
                let parsed = parse(text);
                let wanted =
                    if parsed.query { self.search(parsed.statement, value)? } else { Value::from(parsed.statement) };
                self.equal(&wanted, value, path);
                Ok(())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.equal(tree, value, path);
                Ok(())
            }
        }
    }

    fn field(&mut self, key: &str, below: &Value, value: &Value, path: &mut Vec<String>) -> Result<(), String> {
        let parsed = parse(key);
        let found = if parsed.query {
            self.search(parsed.statement, value)?
        } else {
            match value.get(parsed.statement) {
                Some(found) => found.clone(),
                None => {
                    if below.is_null() {
                        return Ok(());
                    }
                    self.fail(path, "Required value: field not found in the input object");
                    return Ok(());
                }
            }
        };
        let mark = self.bindings.len();
        if let Some(name) = parsed.binding {
            self.bindings.push((name.to_owned(), found.clone()));
        }
        let result = match (parsed.each, &found) {
            (None, _) => self.check(below, &found, path),
            (Some(name), Value::Array(items)) => {
                self.each(items.iter().enumerate().map(|(i, item)| (Value::from(i), item)), (name, below), path)
            }
            (Some(name), Value::Object(fields)) => {
                self.each(fields.iter().map(|(key, item)| (Value::from(key.as_str()), item)), (name, below), path)
            }
            (Some(_), other) => {
                let found = crate::value::go_text::type_name(other);
                self.fail(path, &format!("Invalid value: {other}: expected a list or a map, found {found}"));
                Ok(())
            }
        };
        self.bindings.truncate(mark);
        result
    }

    fn each<'v>(
        &mut self,
        items: impl Iterator<Item = (Value, &'v Value)>,
        (name, below): (&str, &Value),
        path: &mut Vec<String>,
    ) -> Result<(), String> {
        for (place, item) in items {
            let mark = self.bindings.len();
            path.push(format!("[{}]", place.as_str().map_or_else(|| place.to_string(), str::to_owned)));
            if !name.is_empty() {
                self.bindings.push((name.to_owned(), place));
            }
            self.check(below, item, path)?;
            path.pop();
            self.bindings.truncate(mark);
        }
        Ok(())
    }

    fn equal(&mut self, wanted: &Value, found: &Value, path: &[String]) {
        let same = match (wanted, found) {
            (Value::Number(_), Value::Number(_)) => wanted.as_f64() == found.as_f64(),
            _ => wanted == found,
        };
        if !same {
            self.fail(path, &format!("Invalid value: {found}: Expected value: {wanted}"));
        }
    }

    fn fail(&mut self, path: &[String], what: &str) {
        let mut place = String::new();
        for part in path {
            if !place.is_empty() && !part.starts_with('[') {
                place.push('.');
            }
            place.push_str(part);
        }
        self.failures.push(format!("{place}: {what}"));
    }

    fn search(&mut self, query: &str, value: &Value) -> Result<Value, String> {
        let bound = self.bound(query)?;
        self.queries.search(&bound, value)
    }

    /// The query with every `$name` as the literal it is bound to.
    fn bound(&mut self, query: &str) -> Result<String, String> {
        let mut out = String::with_capacity(query.len());
        let mut rest = query;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let end = after.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(after.len());
            let (name, next) = after.split_at(end);
            let known = self.bindings.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            let value = match known {
                Some(value) => value,
                None => self.queries.binding(name).unwrap_or_else(|| Err(format!("nothing is bound to ${name}")))?,
            };
            out.push('`');
            out.push_str(&value.to_string().replace('`', "\\`"));
            out.push('`');
            rest = next;
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// Queries on values alone, without anything bound.
pub(crate) struct Plain;

impl Queries for Plain {
    fn search(&mut self, query: &str, value: &Value) -> Result<Value, String> {
        let compiled = jmespath::compile(query).map_err(|error| error.to_string())?;
        let context = jmespath::Context::new(model::Timestamp::from_nanos(0));
        match compiled.search(value, &context) {
            Err(error) if error.is_not_found() => Ok(Value::Null),
            other => other.map_err(|error| error.to_string()),
        }
    }

    fn binding(&mut self, _: &str) -> Option<Result<Value, String>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn trees_hold_or_say_where_not() {
        let pod = json!({"metadata": {"name": "web", "labels": {"a": "1"}},
            "spec": {"containers": [{"name": "x", "image": "nginx:1"}, {"name": "y", "image": "busybox"}]}});
        for (tree, failures) in [
            (json!({"metadata": {"name": "web"}}), vec![]),
            (
                json!({"metadata": {"name": "db"}}),
                vec!["metadata.name: Invalid value: \"web\": Expected value: \"db\""],
            ),
            (json!({"metadata": {"(length(name))": 3}}), vec![]),
            (
                json!({"spec": {"containers": [{}]}}),
                vec![
                    "spec.containers: Invalid value: [{\"name\":\"x\",\"image\":\"nginx:1\"},{\"name\":\"y\",\"image\":\"busybox\"}]: lengths of slices don't match",
                ],
            ),
            (
                json!({"spec": {"~.containers": {"(contains(image, ':'))": true}}}),
                vec!["spec.~.containers[1].(contains(image, ':')): Invalid value: false: Expected value: true"],
            ),
            (json!({"metadata": {"labels->all": {"(keys($all))": ["a"]}}}), vec![]),
            (json!({"spec": {"~index.containers": {"(name == 'x' || $index == `1`)": true}}}), vec![]),
            (json!({"metadata": {"name": "(join('', ['w', 'eb']))"}}), vec![]),
            (json!({"missing": "x"}), vec!["missing: Required value: field not found in the input object"]),
        ] {
            assert_eq!(assert(&tree, &pod, &mut Plain).unwrap(), failures, "{tree}");
        }
        assert!(assert(&json!({"(foo($nobody))": 1}), &pod, &mut Plain).is_err());
    }
}
