//! Substitution, context entries and their order, as tables.

use serde_json::{Value, json};

use super::*;

fn with<T>(object: Value, entries: &Value, run: impl FnOnce(&mut Context<'_>) -> T) -> T {
    let request = Request::create(object);
    let snapshot = Snapshot { biotope: json!({"incidents": {}}), ..Snapshot::default() };
    let mut cache = ExpressionCache::default();
    let entries = compile_entries(entries.as_array().unwrap(), &mut cache).unwrap();
    let mut context = Context::new(&request, &snapshot, (&cache, Limits::default()));
    context.declare(&entries);
    run(&mut context)
}

#[test]
fn nested_queries_give_what_they_give_when_read_anew() {
    let texts = [
        "{{ to_upper('x{{ request.object.metadata.name }}') }}",
        "{{ request.object.list[?n == '{{ request.object.metadata.name }}'].v }}",
        "{{ regex_replace_all('e', '{{ request.object.metadata.name }}-{{ request.object.list[0].v }}', '$0$0') }}",
        "{{ regex_match('{{ request.object.metadata.name }}', 'web') }}",
        "{{ absent('{{ request.object.metadata.name }}') }}",
    ];
    for name in ["web", "a b", "[", "it's", "a\\b", "a\"b", "{{x}}", "standsForVariable1x", "\u{e4}", ""] {
        let object = json!({"metadata": {"name": name}, "list": [{"n": name, "v": 1}, {"n": "web", "v": 2}]});
        with(object, &json!([]), |context| {
            for text in texts.map(Value::from) {
                let template = ValueTemplate::new(&text, &mut ExpressionCache::default());
                assert!(matches!(template, ValueTemplate::Text(TextTemplate::Nested(..))), "{text}");
                assert_eq!(context.fill(&template), context.substitute(&text), "{text} for {name:?}");
            }
        });
    }
}

#[test]
fn substitutes() {
    let object = json!({"metadata": {"name": "web", "labels": {"n": 3}}, "list": [1, 2]});
    let cases = [
        (json!("{{request.object.metadata.name}}-x"), Ok(json!("web-x"))),
        (json!("{{ request.object.metadata.labels.n }}"), Ok(json!(3))),
        (json!("a{{request.object.list}}"), Ok(json!("a[1,2]"))),
        (json!("{{ request.object.{a: metadata.name} }}"), Ok(json!({"a": "web"}))),
        (json!("{{ request.object.metadata.labels.{{name}} }}"), Ok(json!(3))),
        (json!("\\{{kept}}"), Ok(json!("{{kept}}"))),
        (json!({"{{request.object.metadata.name}}": 1}), Ok(json!({"web": 1}))),
        (json!({"a": {"b": "5", "c": "$(./../b)"}}), Ok(json!({"a": {"b": "5", "c": "5"}}))),
        (json!({"a": {"=(b)": "5", "c": ">=$(./../b)"}}), Ok(json!({"a": {"=(b)": "5", "c": ">=5"}}))),
        (json!("{{ request.object.absent }}"), Err(())),
    ];
    for (template, expected) in cases {
        let entries = json!([{"name": "name", "variable": {"value": "n"}}]);
        let got = with(object.clone(), &entries, |context| context.substitute(&template).map_err(drop));
        assert_eq!(got, expected, "{template}");
    }
}

#[test]
fn loads_entries_when_asked_and_forgets_them() {
    let entries = json!([
        {"name": "base", "variable": {"jmesPath": "request.object.metadata.name"}},
        {"name": "derived", "variable": {"value": "{{ base }}!"}},
        {"name": "broken", "variable": {"jmesPath": "request.object.absent"}},
        {"name": "default", "variable": {"jmesPath": "request.object.absent", "default": 7}},
    ]);
    with(json!({"metadata": {"name": "web"}}), &entries, |context| {
        let mark = context.mark();
        assert_eq!(context.query("derived").unwrap(), json!("web!"));
        assert_eq!(context.query("default").unwrap(), json!(7));
        let error = context.query("broken").unwrap_err();
        assert!(error.message.contains("failed to apply jmespath request.object.absent"), "{error}");
        context.restore(mark);
        assert_eq!(context.query("derived").unwrap(), json!("web!"));
    });
}

#[test]
fn stops_variables_that_produce_each_other() {
    let entries = json!([
        {"name": "a", "variable": {"value": "\\{{ b }}"}},
        {"name": "b", "variable": {"value": "{{ a }}"}},
    ]);
    let got = with(json!({}), &entries, |context| context.substitute(&json!("x {{ b }}")));
    assert!(got.is_err(), "{got:?}");
}

#[test]
fn names_missing_facts() {
    let entries = json!([
        {"name": "map", "configMap": {"name": "m", "namespace": "ns"}},
        {"name": "count", "apiCall": {"urlPath": "/api/v1/pods", "jmesPath": "items | length(@)"}},
    ]);
    with(json!({}), &entries, |context| {
        assert!(context.query("map.data.x").is_err());
        assert!(context.query("count").is_err());
        let call = "GET /api/v1/pods".to_owned();
        let expected =
            vec![MissingFact::ConfigMap("ns/m".to_owned()), MissingFact::ApiCall { call, body: String::new() }];
        assert_eq!(context.take_missing(), expected);
    });
}
