//! Laws that hold for every input.

use cel::{Limits, Program, Val, Variables};
use proptest::prelude::*;
use serde_json::{Value, json};

fn expressions() -> impl Strategy<Value = String> {
    let pieces = vec![
        "o",
        "x",
        ".a",
        ".?b",
        "[0]",
        "[?1]",
        " + ",
        " - ",
        " * ",
        " / ",
        " % ",
        " == ",
        " < ",
        " in ",
        " && ",
        " || ",
        "!",
        "-",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ": ",
        ", ",
        "'s'",
        "1",
        "2.5",
        "3u",
        "null",
        "true",
        " ? ",
        ".all(x, ",
        ".map(x, ",
        ".exists(x, ",
        "size(",
        ".orValue(",
        "has(",
        ".split('')",
        ".matches(",
        "type(",
        ".flatten()",
        ".sort()",
        "dyn(",
        ".join()",
        "\"",
        "b'",
        "Object{",
    ];
    let piece = prop_oneof![12 => prop::sample::select(pieces).prop_map(str::to_owned), 1 => "[ -~]{0,3}"];
    proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(|value| jmespath::number(value.trunc() + 0.5)),
        "[a-z]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_compiles_or_is_refused_and_evaluates_alike_twice(text in expressions()) {
        if let Ok(program) = Program::compile(&text) {
            let object = json!({"a": [1, {"b": "x"}], "b": {"a": null}});
            let run = || {
                let host = Variables::new().with("o", Val::from_json(&object)).with("x", Val::Int(7));
                program.evaluate(&host, Limits { max_cost: 10_000 }).and_then(|value| value.to_json())
            };
            prop_assert_eq!(run(), run());
        }
    }

    #[test]
    fn json_comes_back_as_it_went_in(value in values()) {
        let back = Val::from_json(&value).to_json().unwrap();
        prop_assert!(jmespath::equal(&back, &value));
        let owned = Val::from_owned_json(value.clone());
        prop_assert!(owned.equals(&Val::from_json(&value)));
    }

    #[test]
    fn equality_is_symmetric_and_order_is_antisymmetric(left in values(), right in values()) {
        let (left, right) = (Val::from_json(&left), Val::from_json(&right));
        prop_assert_eq!(left.equals(&right), right.equals(&left));
        prop_assert_eq!(left.compare(&right), right.compare(&left).map(std::cmp::Ordering::reverse));
    }
}
