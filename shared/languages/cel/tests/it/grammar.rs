//! Operators, literals, macros, optionals; and what is refused.

use cel::{Declarations, EvalError, Limits, Program, Val, Variables};
use serde_json::{Value, json};

/// The JSON form of what `text` gives on a small object.
pub(crate) fn run(text: &str) -> Result<Value, EvalError> {
    let object = json!({
        "kind": "Pod", "n": null, "f": 1.5, "i": 3,
        "metadata": {"name": "web", "labels": {"app": "x", "a/b": "y"}},
        "spec": {"containers": [{"name": "a", "image": "nginx:1"}, {"name": "b", "image": "redis", "args": ["--x"]}], "empty": []}
    });
    let program = Program::compile(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let host = Variables::new().with("object", Val::from_json(&object));
    program.evaluate(&host, Limits::default()).and_then(|value| value.to_json())
}

pub(crate) fn check(cases: &[(&str, Value)]) {
    for (text, expected) in cases {
        assert_eq!(run(text), Ok(expected.clone()), "{text}");
    }
}

#[test]
fn evaluates_operators_and_literals() {
    check(&[
        ("1 + 2 * 3 - 4 / 2 % 3", json!(5)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("0x1F + 1", json!(32)),
        ("3u + 4u == 7u", json!(true)),
        ("1 == 1.0 && 1u == 1 && 2.5 > 2", json!(true)),
        ("1 < 2u && -1 < 0u && 9007199254740993 > 9007199254740992.0", json!(true)),
        ("'a' + \"b\" + r'\\n' + '\\n\\x41\\u00e9\\101'", json!("ab\\n\nA\u{e9}A")),
        ("'''multi\n'line'''", json!("multi\n'line")),
        ("b'\\xff' == b'\\377'", json!(true)),
        ("[1, 2] + [3]", json!([1, 2, 3])),
        ("{'a': 1, 'b': [2]}.b[0]", json!(2)),
        ("{1: 'x'}[1u]", json!("x")),
        ("1 in [1, 2] && !('c' in {'a': 1}) && 'a' in {'a': 1}", json!(true)),
        ("1 != '1'", json!(true)),
        ("true ? 'y' : 1 / 0", json!("y")),
        ("false && 1 / 0 == 1 || true", json!(true)),
        ("1 / 0 == 1 || true", json!(true)),
        ("!!true && -(-1) == 1 && - 1 == -1", json!(true)),
        ("type(1) == int && type('') == string && type(type(1)) == type", json!(true)),
        ("type(timestamp('2024-01-01T00:00:00Z')) == google.protobuf.Timestamp", json!(true)),
        ("// comment\n 1 // more", json!(1)),
        ("object.metadata.`name`", json!("web")),
        (".object.kind", json!("Pod")),
        ("1e3 + .5", json!(1000.5)),
        ("object.i + 1", json!(4)),
        ("object.f * 2.0", json!(3)),
    ]);
}

#[test]
fn evaluates_macros() {
    check(&[
        ("has(object.spec) && !has(object.status) && !has(object.n.x)", json!(true)),
        ("object.spec.containers.all(c, c.image.contains('i'))", json!(true)),
        ("object.spec.containers.exists(c, c.args.size() == 1)", json!(true)),
        ("object.spec.containers.exists_one(c, has(c.args))", json!(true)),
        ("object.spec.containers.map(c, c.name)", json!(["a", "b"])),
        ("object.spec.containers.map(c, has(c.args), c.name)", json!(["b"])),
        ("object.spec.containers.filter(c, c.name == 'a')[0].image", json!("nginx:1")),
        ("object.metadata.labels.all(k, k.size() > 0)", json!(true)),
        ("object.metadata.labels.exists(k, v, v == 'y' && k == 'a/b')", json!(true)),
        ("[1, 2].all(i, v, v == i + 1)", json!(true)),
        ("[1, 2, 3].transformList(i, v, i > 0, v * 10)", json!([20, 30])),
        ("{'a': 1}.transformMap(k, v, v + 1)", json!({"a": 2})),
        ("{'a': 'b'}.transformMapEntry(k, v, {v: k})", json!({"b": "a"})),
        ("[3, 1, 2].sortBy(x, -x)", json!([3, 2, 1])),
        ("cel.bind(x, 2, x * x)", json!(4)),
        ("[1].map(x, [2].map(x, x + 1))", json!([[3]])),
        ("[1, 'a'].exists(x, x == 'a')", json!(true)),
    ]);
}

#[test]
fn evaluates_optionals() {
    check(&[
        ("object.?spec.containers[0].name.orValue('none')", json!("a")),
        ("object.?status.phase.orValue('none')", json!("none")),
        ("object.spec.?containers.orValue([]).size()", json!(2)),
        ("object.metadata.labels[?'a/b'].orValue('')", json!("y")),
        ("object.spec.containers[?9].hasValue()", json!(false)),
        ("object.?n.x.orValue('null')", json!("null")),
        ("object.kind.?x.orValue('text')", json!("text")),
        ("object.kind.orValue('plain')", json!("Pod")),
        ("optional.of(1).optMap(x, x + 1).value()", json!(2)),
        ("optional.none().optMap(x, x + 1).orValue(0)", json!(0)),
        ("optional.of(1).optFlatMap(x, optional.none()).hasValue()", json!(false)),
        ("optional.ofNonZeroValue('').or(optional.of('b')).value()", json!("b")),
        ("{?'a': optional.none(), ?'b': optional.of(1)}", json!({"b": 1})),
        ("[?optional.none(), 2, ?object.?kind]", json!([2, "Pod"])),
        ("Object{?spec: object.?zzz, kind: 'x'}", json!({"kind": "x"})),
        ("has(object.?spec.containers)", json!(true)),
    ]);
}

#[test]
fn builds_types() {
    check(&[
        (
            "JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b/c~'), value: {'x': 1}}",
            json!({"op": "add", "path": "/a/b~1c~0", "value": {"x": 1}}),
        ),
        ("Object{spec: Object.spec{template: Object.spec.template{x: [1]}}}.spec.template.x[0]", json!(1)),
    ]);
    assert!(run("Unknown{a: 1}").is_err());
}

#[test]
fn fails_as_values_meet() {
    for (text, part) in [
        ("object.status", "no such key: status"),
        ("object.status.phase", "no such key: status"),
        ("nothing", "no such attribute"),
        ("nothing.at.all", "no such attribute"),
        ("1 + 1.0", "no such overload"),
        ("1 + 'a'", "no such overload"),
        ("'a'.foo()", "no such overload: foo(string)"),
        ("size(1)", "no such overload: size"),
        ("[1][2]", "index out of bounds"),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("0u - 1u", "overflow"),
        ("'a' ? 1 : 2", "no such overload"),
        ("true && 'a'", "no such overload"),
        ("[1, 2].all(x, x / 0 == 1)", "by zero"),
        ("{'a': 1, 'a': 2}", "duplicate key"),
        ("optional.none().value()", "dereference"),
        ("int('x')", "strconv.ParseInt"),
        ("'a' < 1", "no such overload"),
        ("object.kind.x", "no such key: x"),
        ("[1].x", "unsupported index type 'string' in list"),
        ("[1].?x", "unsupported index type 'string' in list"),
        ("has([1].x)", "unsupported index type 'string' in list"),
        ("[1]['a']", "unsupported index type 'string' in list"),
        ("'ab'[0]", "no such key: 0"),
        ("{} + [1]", "no such overload: _+_"),
        ("null < 1", "no such overload: _<_"),
        ("null >= 1", "no such overload: _>=_"),
        ("-'a'", "no such overload: -_"),
        ("1 in 'a'", "no such overload"),
        ("dyn(1).startsWith('a')", "no such overload"),
        ("'abc'.all(c, c == 'a')", "got 'types.String', expected iterable type"),
        ("[1].all(x, x)", "no such overload"),
    ] {
        let error = run(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn refuses_what_is_no_expression() {
    for (text, line, column) in [
        ("", 1, 1),
        ("1 +", 1, 4),
        ("a\n  b", 2, 3),
        ("has(a)", 1, 1),
        ("[1].all(1, true)", 1, 9),
        ("'open", 1, 1),
        ("a ? b", 1, 6),
        ("for + 1", 1, 1),
        ("9223372036854775808", 1, 1),
        ("'\\q'", 1, 1),
        ("a.b{c: 1", 1, 9),
        ("#", 1, 1),
        ("a = b", 1, 3),
    ] {
        let error = Program::compile(text).unwrap_err();
        assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
    }
    for text in [
        "(".repeat(9000),
        "!".repeat(9000),
        "a".to_owned() + &".a".repeat(9000),
        "1".to_owned() + &"+1".repeat(9000),
        "[".repeat(9000),
    ] {
        assert!(Program::compile(&text).is_err());
    }
    let stacked = (0..100).fold("a".to_owned(), |inner, _| format!("({inner}){}", ".a".repeat(60)));
    assert!(Program::compile(&stacked).is_err());
    assert!(Program::compile(&("true".to_owned() + &" && true".repeat(5000))).is_ok());
}

#[test]
fn finds_undeclared_names() {
    let declarations = Declarations { variables: vec!["object"], functions: vec!["generator.apply", "image"] };
    for (text, undeclared) in [
        ("object.a.all(x, x > 0) && cel.bind(y, 1, y == 1)", None),
        ("generator.apply(object.ns, [image('x').tag()])", Some("tag")),
        ("generator.apply(object.ns, [image('x')])", None),
        ("objct.spec", Some("objct")),
        ("object.spec.foo()", Some("foo")),
        ("[1].all(x, z)", Some("z")),
        ("x", Some("x")),
    ] {
        let outcome = Program::compile(text).unwrap().check(&declarations);
        let what = outcome.err().map(|error| error.what);
        assert_eq!(
            what,
            undeclared.map(|name| format!("undeclared reference to '{name}' (in container '')")),
            "{text}"
        );
    }
}

#[test]
fn stays_within_its_budget() {
    let ten = "[0,1,2,3,4,5,6,7,8,9]";
    let mut nested = "true".to_owned();
    for level in 0..8 {
        nested = format!("{ten}.all(v{level}, {nested})");
    }
    let doubling = (0..60)
        .fold("'0123456789'".to_owned(), |inner, level| format!("cel.bind(s{level}, {inner}, s{level} + s{level})"));
    let replace = (0..20).fold("'abab'".to_owned(), |inner, _| format!("{inner}.replace('', 'abababab')"));
    for text in [nested.as_str(), doubling.as_str(), replace.as_str(), "lists.range(2000000).size() > 0"] {
        assert_eq!(run(text), Err(EvalError::CostExceeded), "{text}");
    }
}

#[test]
fn the_deepest_expressions_evaluate_on_a_small_stack() {
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    for (open, inner, close) in [
        ("[", "1", "]"),
        ("[1].map(x, ", "x", ")"),
        ("!(", "true", ")"),
        ("size([", "1", "])"),
        ("true ? ", "1", " : 2"),
    ] {
        let deepest = (1..200).rev().find_map(|depth| Program::compile(&nested(open, inner, close, depth)).ok());
        let program = deepest.expect("some depth compiles");
        assert!(program.evaluate(&Variables::new(), Limits::default()).is_ok(), "{open}");
    }
}
