//! Operators as a table.

use serde_json::json;

use super::{ConditionOperator, Conditions};
use crate::context::{Context, ExpressionCache};
use crate::limits::Limits;
use crate::request::Request;
use crate::snapshot::Snapshot;

#[test]
fn compares_across_types() {
    let cases = [
        (json!("a"), "Equals", json!("a"), true),
        (json!("abc"), "Equals", json!("a*"), true),
        (json!("1h"), "Equals", json!(3600), true),
        (json!("1Gi"), "Equals", json!("1024Mi"), true),
        (json!("1Gi"), "Equals", json!("x"), false),
        (json!(1), "Equals", json!("1"), true),
        (json!(1), "Equals", json!(1.0), true),
        (json!(true), "Equals", json!("true"), false),
        (json!(null), "Equals", json!(null), false),
        (json!(null), "NotEquals", json!("a"), false),
        (json!("a"), "NotEquals", json!("b"), true),
        (json!("1Gi"), "NotEquals", json!("2Gi"), true),
        (json!("1Gi"), "NotEquals", json!("latest"), false),
        (json!("1Gi"), "NotEquals", json!(""), true),
        (json!("a"), "NotEquals", json!(["a"]), true),
        (json!(["a"]), "NotEquals", json!("a"), true),
        (json!({"a": 1}), "NotEquals", json!("a"), true),
        (json!(1), "NotEquals", json!("one"), true),
        (json!(1), "NotEquals", json!(1.5), false),
        (json!(1), "NotEquals", json!(2.0), true),
        (json!(1), "NotEquals", json!(1.0), false),
        (json!({"a": 1}), "Equals", json!({"a": 1.0}), true),
        (json!("b"), "AnyIn", json!(["a", "b"]), true),
        (json!("b"), "AnyIn", json!("[\"a\", \"b\"]"), true),
        (json!(["x", "b"]), "AnyIn", json!(["a", "b"]), true),
        (json!(["x", "b"]), "AllIn", json!(["a", "b"]), false),
        (json!(["x", "b"]), "AnyNotIn", json!(["a", "b"]), true),
        (json!(["x", "b"]), "AllNotIn", json!(["a", "b"]), false),
        (json!(["x", "y"]), "AllNotIn", json!(["a", "b"]), true),
        (json!([]), "AnyNotIn", json!(["a"]), false),
        (json!([]), "AllIn", json!(["a"]), true),
        (json!("nginx*"), "AnyIn", json!(["nginx:1"]), true),
        (json!(5), "AnyIn", json!("1-10"), true),
        (json!(5), "AnyNotIn", json!("1-10"), false),
        (json!([5, 50]), "AnyNotIn", json!("1-10"), true),
        (json!("5"), "In", json!([5]), true),
        (json!("100Mi"), "GreaterThan", json!("1Gi"), false),
        (json!("2h"), "GreaterThan", json!("30m"), true),
        (json!("1.10.0"), "GreaterThan", json!("1.9.0"), true),
        (json!(5), "LessThanOrEquals", json!("5"), true),
        (json!("x"), "LessThan", json!(5), false),
        (json!("1h"), "DurationGreaterThan", json!(60), true),
        (json!(30), "durationlessthan", json!("1m"), true),
    ];
    for (key, word, value, expected) in cases {
        let operator = ConditionOperator::parse(word).unwrap();
        assert_eq!(operator.holds(&key, &value), expected, "{key} {word} {value}");
    }
    assert!(ConditionOperator::parse("Like").is_none());
}

#[test]
fn collects_the_messages_that_decided() {
    let one = |value: &str, message: &str| json!({"key": "{{ request.object.n }}", "operator": "Equals", "value": value, "message": message});
    let cases = [
        (json!({"any": [one("x", "a"), one("y", "b")], "all": [one("1", "c"), one("z", "d")]}), (false, "a; b; d")),
        (json!({"any": [one("x", "a"), one("1", "b")], "all": [one("1", "c")]}), (true, "b; c")),
        (json!({"any": [one("x", "a"), one("1", "b")], "all": [one("z", "d"), one("y", "e")]}), (false, "d")),
        (json!([one("1", "a"), one("2", "b")]), (false, "b")),
        (json!([{"all": [one("1", "a")]}, {"any": [one("2", "b")]}]), (false, "b")),
        (json!({}), (true, "")),
    ];
    let request = Request::create(json!({"n": "1"}));
    let (snapshot, cache) = (Snapshot::default(), ExpressionCache::default());
    for (raw, (holds, message)) in cases {
        let mut context = Context::new(&request, &snapshot, (&cache, Limits::default()));
        let got = Conditions::compile(&raw, &mut ExpressionCache::default()).unwrap().evaluate(&mut context).unwrap();
        assert_eq!(got, (holds, message.to_owned()), "{raw}");
    }
}
