//! Expressions and what cel-go with the libraries of Kubernetes and Kyverno makes of them, one a line: the expression, a tab, and the value
//! as JSON or `error`.

use cel::{Limits, Program, Variables};
use serde_json::Value;

const VECTORS: &str = include_str!("../fixtures/vectors.tsv");

#[test]
fn expressions_mean_what_they_mean_to_cel_go() {
    let mut wrong = Vec::new();
    for line in VECTORS.lines() {
        let (expression, expected) = line.split_once('\t').unwrap();
        let found = value_of(expression);
        let right = match (expected, &found) {
            ("error", found) => found.is_err(),
            (expected, Ok(found)) => same(&serde_json::from_str(expected).unwrap(), found),
            (_, Err(_)) => false,
        };
        if !right {
            wrong.push(format!("{expression}: {expected}, not {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn value_of(expression: &str) -> Result<Value, String> {
    let program = Program::compile(expression).map_err(|error| error.to_string())?;
    let value = program.evaluate(&Variables::new(), Limits::default()).and_then(|value| value.to_json());
    value.map_err(|error| error.to_string())
}

/// Whether two values are the same JSON; numbers may be written with a fraction or without.
fn same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        // JSON has no names for these; what is no number is null here.
        (Value::String(name), Value::Null) => matches!(name.as_str(), "NaN" | "Infinity" | "-Infinity"),
        _ => expected == found,
    }
}
