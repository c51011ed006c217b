//! Every construct of the grammar, with Kyverno's missing keys.

use jmespath::{Context, EvalError, Limits, compile};
use model::Timestamp;
use serde_json::{Value, json};

pub(crate) fn search(text: &str, input: &Value) -> Result<Value, EvalError> {
    let context = Context::new(Timestamp::from_millis(1_700_000_000_000)).with_random_seed(7);
    compile(text).unwrap_or_else(|error| panic!("{text}: {error}")).search(input, &context)
}

#[test]
fn evaluates_every_construct() {
    let input = json!({
        "a": {"b": {"c": 1}, "d-e": "quoted", "n": null},
        "list": [{"k": "x", "v": 1}, {"k": "y", "v": 2, "w": [3, 4]}, {"v": null}],
        "numbers": [5, 1, 4.5], "texts": ["b", "a"], "nested": [[1, 2], [3, [4]], 5], "empty": []
    });
    for (text, expected) in [
        ("a.b.c", json!(1)),
        ("a.\"d-e\"", json!("quoted")),
        ("a.n", json!(null)),
        ("a.n.x", json!(null)),
        ("@.a.b", json!({"c": 1})),
        ("list[0].k", json!("x")),
        ("list[-1].v", json!(null)),
        ("list[9]", json!(null)),
        ("list[*].k", json!(["x", "y"])),
        ("list[].w", json!([[3, 4]])),
        ("list[].w[]", json!([3, 4])),
        ("nested[]", json!([1, 2, 3, [4], 5])),
        ("nested[][]", json!([1, 2, 3, 4, 5])),
        ("numbers[1:]", json!([1, 4.5])),
        ("numbers[::-1]", json!([4.5, 1, 5])),
        ("numbers[:2]", json!([5, 1])),
        ("numbers[-2:]", json!([1, 4.5])),
        ("list[?k == 'y'].v | [0]", json!(2)),
        ("list[?k != 'y'].v", json!([1])),
        ("list[?v > `1`].k", json!(["y"])),
        ("list[?!k].v", json!([])),
        ("list[?k == 'x' || k == 'y'] | length(@)", json!(2)),
        ("list[?k && v].k", json!(["x", "y"])),
        ("a.*.c", json!([1])),
        ("a.b.*", json!([1])),
        ("[a.b.c, numbers[0]]", json!([1, 5])),
        ("{one: a.b.c, \"t w\": texts[0]}", json!({"one": 1, "t w": "b"})),
        ("a.{c: b.c, missing: zzz}", json!({"c": 1, "missing": null})),
        ("list[].{k: k}", json!([{"k": "x"}, {"k": "y"}, {"k": null}])),
        ("list[*].[k, v]", json!([["x", 1], ["y", 2], [null, null]])),
        ("missing || 'fallback'", json!("fallback")),
        ("missing.deeper || 'fallback'", json!("fallback")),
        ("empty || `[1]`", json!([1])),
        ("a.b.c && 'yes'", json!("yes")),
        ("missing && 'yes'", json!(null)),
        ("!missing", json!(true)),
        ("missing == null", json!(true)),
        ("`1` == `1.0`", json!(true)),
        ("`{\"a\": 1}` == `{\"a\": 1.0}`", json!(true)),
        ("'1' == `1`", json!(false)),
        ("'a' < 'b'", json!(null)),
        ("`2` >= `2`", json!(true)),
        ("missing | @", json!(null)),
        ("missing[*].x", json!(null)),
        ("missing[]", json!(null)),
        ("missing[?x]", json!(null)),
        ("missing.*", json!(null)),
        ("'it\\'s'", json!("it's")),
        ("`\"\\`\"`", json!("`")),
        ("sort_by(list[?v], &v)[-1].k", json!("y")),
        ("max_by(list[?v], &v).k", json!("y")),
        ("map(&k, list)", json!(["x", "y", null])),
        ("(a.b).c", json!(1)),
        ("a.b.c == `1` && texts[0] == 'b' || missing", json!(true)),
        ("texts[] | sort(@) | join(',', @)", json!("a,b")),
        ("@ | a | b | c", json!(1)),
    ] {
        assert_eq!(search(text, &input), Ok(expected), "{text}");
    }
}

#[test]
fn missing_keys_are_errors_on_plain_paths() {
    let input = json!({"a": {"b": 1}, "list": [{"k": 1}]});
    for (text, key) in [("c", "c"), ("a.c", "c"), ("c.a", "c"), ("a && c", "c"), ("list[0].z", "z"), ("(a.x)", "x")] {
        assert_eq!(search(text, &input), Err(EvalError::NotFound { key: key.to_owned() }), "{text}");
    }
}

#[test]
fn refuses_what_is_no_expression() {
    for (text, position) in [
        ("", 0),
        ("a.", 2),
        ("a b", 2),
        ("a ? b : c", 2),
        ("[0", 2),
        ("'open", 0),
        ("`not json`", 0),
        ("{a}", 2),
        ("f(a", 3),
        ("a[?", 3),
        ("a..b", 2),
        ("#", 0),
        ("\"f\"(a)", 3),
        ("a[1:2:3:4]", 7),
    ] {
        let error = compile(text).unwrap_err();
        assert_eq!(error.position, position, "{text}: {error}");
    }
    assert!(compile(&"a.".repeat(40_000)).is_err());
    assert!(compile(&"(".repeat(5_000)).is_err());
    assert!(compile(&"!".repeat(5_000)).is_err());
    assert!(compile(&format!("a{}", ".a".repeat(5_000))).is_err());
}

#[test]
fn stays_within_its_limits() {
    let limits = Limits { max_steps: 10_000, max_text_bytes: 10_000 };
    let context = Context::new(Timestamp::from_millis(0)).with_limits(limits);
    let doubling = format!("@{}", " | [@, @]".repeat(60));
    let growing = format!("'ab'{}", " | replace_all(@, '', @)".repeat(12));
    for text in [doubling.as_str(), growing.as_str(), "missing[*] || range[].a | list[].list[].list[]"] {
        let outcome = compile(text).unwrap().search(&json!({"x": 1}), &context);
        assert!(matches!(outcome, Err(EvalError::Limit { .. }) | Ok(Value::Null)), "{text}: {outcome:?}");
    }
    // What is copied out of the input counts as well, wherever that happens.
    let input = json!({"x": vec![1; 400]});
    let many = |part: &str| vec![part; 30].join(", ");
    for text in [
        format!("[{}]", many("x")),
        format!("{{{}}}", (0..30).map(|at| format!("a{at}: x")).collect::<Vec<_>>().join(", ")),
        format!("to_string([{}])", many("x")),
        format!("items([{}], 'k', 'v')", many("x")),
        format!("contains([{}], x)", many("[x]")),
    ] {
        let outcome = compile(&text).unwrap().search(&input, &context);
        assert!(matches!(outcome, Err(EvalError::Limit { .. })), "{text}: {outcome:?}");
    }
}

#[test]
fn the_deepest_expressions_evaluate_on_a_small_stack() {
    for (open, inner, close) in
        [("[", "@", "]"), ("!", "@", ""), ("to_array(", "@", ")"), ("(", "@", " | [@])"), ("", "a", ".a")]
    {
        let nested = |depth: usize| format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
        let deepest = (1..400).rev().find_map(|depth| compile(&nested(depth)).ok()).expect("some depth compiles");
        let context = Context::new(Timestamp::from_millis(0));
        assert!(deepest.search(&json!({"a": null}), &context).is_ok(), "{open}");
    }
}
