//! Every function, with what Kyverno answers.

use std::net::IpAddr;

use jmespath::{Context, Environment, EvalError, compile, function_names};
use model::Timestamp;
use serde_json::{Value, json};

use crate::grammar::search;

#[test]
fn answers_as_kyverno_does() {
    let input = json!({"s": "Hello", "n": null, "o": {"b": 1, "a": 2}, "l": ["b", "a"], "x": [{"k": "p"}, {"k": "q"}]});
    for (text, expected) in [
        ("length(s)", json!(5)),
        ("length(x[].k)", json!(2)),
        ("length(o)", json!(2)),
        ("contains(l, 'a')", json!(true)),
        ("contains(x[].k, 'z')", json!(false)),
        ("contains(s, 'ell')", json!(true)),
        ("contains(s, `1`)", json!(false)),
        ("to_string(o)", json!("{\"a\":2,\"b\":1}")),
        ("to_string('x')", json!("x")),
        ("to_string(`\"<&>\"`)", json!("<&>")),
        ("to_string(`[\"<\"]`)", json!("[\"\\u003c\"]")),
        ("to_number('1.50')", json!(1.5)),
        ("to_number('x')", json!(null)),
        ("starts_with(s, 'He')", json!(true)),
        ("ends_with(s, 'lo')", json!(true)),
        ("abs(`-3`)", json!(3)),
        ("ceil(`1.2`)", json!(2)),
        ("floor(`-1.2`)", json!(-2)),
        ("avg(`[1, 2]`)", json!(1.5)),
        ("merge(o, {b: `9`})", json!({"b": 9, "a": 2})),
        ("type(n)", json!("null")),
        ("type(missing)", json!("null")),
        ("type(l[])", json!("array")),
        ("sort(keys(o))", json!(["a", "b"])),
        ("sum(values(o))", json!(3)),
        ("join('-', l)", json!("b-a")),
        ("reverse('abc')", json!("cba")),
        ("reverse(l)", json!(["a", "b"])),
        ("to_array(s)", json!(["Hello"])),
        ("not_null(n, missing, s)", json!("Hello")),
        ("max(`[1, 3, 2]`)", json!(3)),
        ("min(l)", json!("a")),
        ("max(`[]`)", json!(null)),
        ("min_by(x, &k).k", json!("p")),
        ("compare('a', 'b')", json!(-1)),
        ("equal_fold('Straße', 'STRAßE')", json!(true)),
        ("replace('aaa', 'a', 'b', `2`)", json!("bba")),
        ("replace('aaa', 'a', 'b', `-1`)", json!("bbb")),
        ("replace_all('a.b.c', '.', '/')", json!("a/b/c")),
        ("to_upper(s)", json!("HELLO")),
        ("to_lower(s)", json!("hello")),
        ("trim('¡¡x!¡', '!¡')", json!("x")),
        ("trim_prefix('docker.io/a', 'docker.io/')", json!("a")),
        ("split('a,b', ',')", json!(["a", "b"])),
        ("split('ab', '')", json!(["a", "b"])),
        ("regex_match('^[1-7]$', '3')", json!(true)),
        ("regex_match('^[1-7]$', `3`)", json!(true)),
        ("regex_match('\\Qa.b\\E', 'axb')", json!(false)),
        ("regex_replace_all('([Hh]e|G)l', 'Hello', '${2}G')", json!("Glo")),
        ("regex_replace_all('(e)(l)', 'Hello', '$2$1')", json!("Hlelo")),
        ("regex_replace_all_literal('l', 'Hello', '$1')", json!("He$1$1o")),
        ("pattern_match('prefix-*', 'prefix-x')", json!(true)),
        ("pattern_match('1?3', `123`)", json!(true)),
        ("label_match(`{\"a\": \"1\"}`, `{\"a\": \"1\", \"b\": \"2\"}`)", json!(true)),
        ("label_match(`{\"a\": \"1\"}`, `{}`)", json!(false)),
        ("to_boolean('TruE')", json!(true)),
        ("add('12Mi', '5Gi')", json!("5132Mi")),
        ("add(`1`, `2.5`)", json!(3.5)),
        ("add('1h', '30m0s')", json!("1h30m0s")),
        ("sum(`[\"10Ki\", \"1Ki\"]`)", json!("11Ki")),
        ("subtract('1', '100m')", json!("900m")),
        ("multiply('10Ki', `2`)", json!("20Ki")),
        ("multiply(`2`, '1h')", json!("2h0m0s")),
        ("divide('25Gi', `2`)", json!("12800Mi")),
        ("divide('1Gi', '512Mi')", json!(2)),
        ("divide('10s', `4`)", json!("2.5s")),
        ("modulo(`25`, `2`)", json!(1)),
        ("modulo('12s', '7s')", json!("5s")),
        ("modulo('12Mi', '5Mi')", json!("2Mi")),
        ("round(`9.414675`, `2`)", json!(9.41)),
        ("base64_decode('SGVsbG8=')", json!("Hello")),
        ("base64_encode('Hello')", json!("SGVsbG8=")),
        ("time_since('', '2021-01-02T15:04:05-07:00', '2021-01-10T03:14:05-07:00')", json!("180h10m0s")),
        ("time_since('2006-01-02T15:04:05Z07:00', '2023-11-14T22:13:19Z', '')", json!("1s")),
        ("time_now()", json!("2023-11-14T22:13:20Z")),
        ("time_now_utc()", json!("2023-11-14T22:13:20Z")),
        ("time_to_cron('2023-02-02T15:04:05Z')", json!("4 15 2 2 4")),
        ("time_add('2021-01-02T15:04:05-07:00', '3h')", json!("2021-01-02T18:04:05-07:00")),
        ("time_parse('02 Jan 06 15:04 MST', '02 Jan 21 15:04 UTC')", json!("2021-01-02T15:04:00Z")),
        ("time_parse('1', '1702691171')", json!("2023-12-16T01:46:11Z")),
        ("time_utc('2021-01-02T15:04:05-07:00')", json!("2021-01-02T22:04:05Z")),
        ("time_diff('2021-01-02T15:04:05Z', '2021-01-02T15:04:04.5Z')", json!("-500ms")),
        ("time_before('2023-01-12T12:37:56-05:00', '2023-01-12T19:37:56-05:00')", json!(true)),
        ("time_after('2023-01-12T12:37:56-05:00', '2023-01-12T11:37:56-05:00')", json!(true)),
        ("time_between('2023-01-12T17:37:00Z', '2023-01-12T15:00:00Z', '2023-01-12T19:00:00Z')", json!(true)),
        ("time_truncate('2023-01-12T17:37:00Z', '1h')", json!("2023-01-12T17:00:00Z")),
        ("path_canonicalize('~//.//ssh/../x//')", json!("~/x")),
        ("path_canonicalize('/../a')", json!("/a")),
        ("truncate('Lorem', `3`)", json!("Lor")),
        ("truncate('Lorem', `-3`)", json!("")),
        ("semver_compare('4.1.3', '>=4.1.x')", json!(true)),
        ("semver_compare('4.1.3', '!4.1.3 || <1.0.0')", json!(false)),
        ("semver_compare('1.0.0-rc.1', '<1.0.0')", json!(true)),
        ("semver_compare('no', '<1.0.0')", json!(true)),
        ("parse_json('{\"a\": [1]}')", json!({"a": [1]})),
        ("lookup(o, 'a')", json!(2)),
        ("lookup(o, 'zz')", json!(null)),
        ("lookup(l, `1`)", json!("a")),
        ("lookup(l, `-1`)", json!(null)),
        ("items(o, 'key', 'value')", json!([{"key": "a", "value": 2}, {"key": "b", "value": 1}])),
        ("items(l, 'i', 'v')[1]", json!({"i": 1, "v": "a"})),
        ("object_from_lists(`[\"a\", 1]`, `[true]`)", json!({"a": true, "1": null})),
        ("image_normalize('nginx')", json!("docker.io/nginx:latest")),
        ("image_normalize('quay.io:5000/a/b:1')", json!("quay.io:5000/a/b:1")),
        ("sha256('a')", json!("ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb")),
        ("sha1('a')", json!("86f7e437faa5a7fce15d1ddcb9eaeaea377667b8")),
        ("md5('a')", json!("0cc175b9c0f1b6a831c399e269772661")),
        ("is_external_url('http://10.0.0.1:80/x')", json!(false)),
        ("is_external_url('https://8.8.8.8')", json!(true)),
        ("is_external_url('http://[::1]/')", json!(false)),
    ] {
        assert_eq!(search(text, &input), Ok(expected), "{text}");
    }
}

#[test]
fn refuses_wrong_arguments() {
    type Expected = fn(&EvalError) -> bool;
    let refused: [(&str, Expected); 12] = [
        ("nothing_of_the_kind(@)", |error| matches!(error, EvalError::UnknownFunction { .. })),
        ("length()", |error| matches!(error, EvalError::Arity { .. })),
        ("length(`1`)", |error| matches!(error, EvalError::Type { argument: 1, .. })),
        ("join(',', `[1]`)", |error| matches!(error, EvalError::Type { argument: 2, .. })),
        ("add('1Gi', `1`)", |error| matches!(error, EvalError::Function { .. })),
        ("divide(`1`, `0`)", |error| matches!(error, EvalError::Function { .. })),
        ("modulo('1Gi', '0')", |error| matches!(error, EvalError::Function { .. })),
        ("regex_match('(', 'a')", |error| matches!(error, EvalError::Function { .. })),
        ("to_boolean('yes')", |error| matches!(error, EvalError::Function { .. })),
        ("base64_decode('*')", |error| matches!(error, EvalError::Function { .. })),
        ("is_external_url('http://example.test')", |error| matches!(error, EvalError::Unavailable { .. })),
        ("to_array(@)[::0]", |error| matches!(error, EvalError::SliceStep)),
    ];
    for (text, is_expected) in refused {
        let error = search(text, &json!({})).unwrap_err();
        assert!(is_expected(&error), "{text}: {error:?}");
    }
}

#[test]
fn random_texts_match_their_pattern() {
    for pattern in ["[a-z0-9]{8}", "(foo|bar)-\\d{3}", "[^a-z]{4}x?", "\\w+"] {
        let text = search(&format!("random('{pattern}')"), &Value::Null).unwrap();
        let regex = jmespath::go_regex::compile(&format!("^(?:{pattern})$")).unwrap();
        assert!(regex.is_match(text.as_str().unwrap()), "{pattern}: {text}");
    }
    let without = Context::new(Timestamp::from_millis(0));
    let outcome = compile("random('a')").unwrap().search(&Value::Null, &without);
    assert!(matches!(outcome, Err(EvalError::Unavailable { .. })));
}

#[test]
fn callers_lend_functions_and_facts() {
    #[derive(Debug)]
    struct Facts;
    impl Environment for Facts {
        fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, EvalError>> {
            (name == "biotope_image").then(|| Ok(json!({"image": arguments[0], "critical": 2})))
        }

        fn addresses_of(&self, _: &str) -> Option<Vec<IpAddr>> {
            Some(vec!["192.168.0.1".parse().unwrap()])
        }
    }
    let context = Context::new(Timestamp::from_millis(0)).with_environment(&Facts);
    let run = |text: &str| compile(text).unwrap().search(&json!({"i": "nginx"}), &context).unwrap();
    assert_eq!(run("biotope_image(i).critical"), json!(2));
    assert_eq!(run("is_external_url('http://inside.test/')"), json!(false));
}

#[test]
fn has_all_functions_of_kyverno() {
    assert_eq!(function_names().count(), 26 + 51 - 1, "26 of the language, 51 of Kyverno, `sum` in both");
}
