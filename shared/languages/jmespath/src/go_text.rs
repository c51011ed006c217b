//! The text that Go prints for a JSON value (`%v`), which several operators compare and some messages show.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Number, Value};

/// Go's `fmt.Sprint` of `value`.
pub fn sprint(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Null => Cow::Borrowed("<nil>"),
        Value::Number(number) => Cow::Owned(number_text(number)),
        Value::Array(_) | Value::Object(_) => {
            let mut out = String::new();
            write(value, &mut out, 0);
            Cow::Owned(out)
        }
    }
}

/// The name that Go prints for the type of `value` (`%T`).
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Integers plainly, others in Go's shortest form.
pub fn number_text(number: &Number) -> String {
    if let Some(value) = number.as_i64() {
        return value.to_string();
    }
    if let Some(value) = number.as_u64() {
        return value.to_string();
    }
    crate::go_json::display_float(number.as_f64().unwrap_or_default())
}

/// Shortest digits with a two-digit exponent: `8.08E+01`.
pub fn exponent_text(value: f64, letter: char) -> String {
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}{letter}{sign}{digits:0>2}")
}

fn write(value: &Value, out: &mut String, depth: usize) {
    if depth > 100 {
        return;
    }
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                write(item, out, depth + 1);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            out.push_str("map[");
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                let _ = write!(out, "{}{key}:", if index > 0 { " " } else { "" });
                write(item, out, depth + 1);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push_str(&sprint(value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prints_like_go() {
        let cases = [
            (json!({"b": [1, "x"], "a": null}), "map[a:<nil> b:[1 x]]"),
            (json!(1e21), "1e+21"),
            (json!(0.00001), "1e-05"),
            (json!(1.5), "1.5"),
            (json!(100_000_000), "100000000"),
        ];
        for (value, expected) in cases {
            assert_eq!(sprint(&value), expected);
        }
        assert_eq!(exponent_text(80.8, 'E'), "8.08E+01");
    }
}
