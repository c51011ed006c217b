//! What the tables of upstream say about calls: answers, errors and assertions on inputs.

use serde_json::Value;

/// Whether the assertions of a case hold for the input of a call; the first that does not.
pub(crate) fn unmet(asserts: &Value, input: &Value) -> Option<String> {
    for assertion in asserts["$asserts"].as_array().into_iter().flatten() {
        for (name, args) in assertion.as_object().into_iter().flatten() {
            let values: Vec<Value> = args.as_array().into_iter().flatten().map(|arg| subject(arg, input)).collect();
            let (first, second) =
                (values.first().cloned().unwrap_or_default(), values.get(1).cloned().unwrap_or_default());
            let is_in = || match (&first, &second) {
                (Value::Array(items), wanted) => items.contains(wanted),
                (Value::String(text), Value::String(part)) => text.contains(part),
                (Value::Object(fields), Value::String(key)) => fields.contains_key(key),
                _ => false,
            };
            let holds = match name.as_str() {
                "Len" => {
                    first.as_array().map(Vec::len) == second.as_u64().and_then(|length| usize::try_from(length).ok())
                }
                "Equal" => first == second,
                "Contains" => is_in(),
                "NotContains" => !is_in(),
                "Nil" | "Empty" => first.is_null() || first == Value::Array(Vec::new()),
                "NotNil" => !first.is_null(),
                // `Fail`: the call is not to be made at all.
                _ => false,
            };
            if !holds {
                return Some(format!("{name} {args} does not hold for {input}"));
            }
        }
    }
    None
}

/// A path into the input such as `input.Filters[0].Key`, or a literal.
fn subject(arg: &Value, input: &Value) -> Value {
    let Some(path) = arg["subject"].as_str() else { return arg.clone() };
    let path = path.trim_start_matches('*').trim_start_matches("input").trim_start_matches('.');
    let pointer: String = path
        .split(['.', '['])
        .filter(|part| !part.is_empty())
        .map(|part| format!("/{}", part.trim_end_matches(']')))
        .collect();
    input.pointer(&pointer).cloned().unwrap_or_default()
}
