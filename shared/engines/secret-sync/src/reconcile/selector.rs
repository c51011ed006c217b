//! Label selectors as Kubernetes has them.

use serde_json::Value;

use super::Texts;

/// Whether a selector (`matchLabels`, `matchExpressions`) takes these labels. An empty one takes all; an operator that does not exist
/// takes none.
#[must_use]
pub fn matches(selector: &Value, labels: &Texts) -> bool {
    let exact = selector.get("matchLabels").and_then(Value::as_object);
    let is_exact =
        exact.into_iter().flatten().all(|(name, value)| labels.get(name).map(String::as_str) == value.as_str());
    let rules = selector.get("matchExpressions").and_then(Value::as_array);
    is_exact && rules.into_iter().flatten().all(|rule| holds(rule, labels))
}

fn holds(rule: &Value, labels: &Texts) -> bool {
    let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
    let found = labels.get(text("key"));
    let values = rule.get("values").and_then(Value::as_array);
    let is_listed =
        |label: &String| values.is_some_and(|values| values.iter().any(|value| value.as_str() == Some(label)));
    match text("operator") {
        "In" => found.is_some_and(is_listed),
        "NotIn" => !found.is_some_and(is_listed),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors() {
        let labels = Texts::from([("env".to_owned(), "test".to_owned())]);
        let rule = |operator: &str, values: &[&str]| json!({ "matchExpressions": [{ "key": "env", "operator": operator, "values": values }] });
        let cases = [
            (json!({}), true),
            (json!({ "matchLabels": { "env": "test" } }), true),
            (json!({ "matchLabels": { "env": "live" } }), false),
            (rule("In", &["live", "test"]), true),
            (rule("NotIn", &["live"]), true),
            (rule("NotIn", &["test"]), false),
            (rule("Exists", &[]), true),
            (rule("DoesNotExist", &[]), false),
            (rule("Like", &[]), false),
        ];
        for (selector, expected) in cases {
            assert_eq!(matches(&selector, &labels), expected, "{selector}");
        }
    }
}
