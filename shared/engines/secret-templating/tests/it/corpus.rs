//! Judgement by External Secrets' own cases.

use secret_templating::{Limits, Template, Text, Value, function_names};
use serde_json::{Map, Value as Json, json};
use testkit::corpus::Corpus;

fn data(case: &Json) -> Value {
    let pairs = case["data"].as_object().cloned().unwrap_or_default();
    Value::strings(pairs.into_iter().map(|(key, value)| (key, Text::from(value.as_str().unwrap_or_default()))))
}

/// Renders every template of a map, or says why not in External Secrets' words.
fn rendered(case: &Json, field: &str) -> Result<Map<String, Json>, String> {
    let text = |name: &str| case[name].as_str().unwrap_or_default().to_owned();
    let (left, right) = (text("leftDelimiter"), text("rightDelimiter"));
    let templates = case[field].as_object().cloned().unwrap_or_default();
    let render = |(key, template): (String, Json)| {
        let template = Template::parse_with(&key, template.as_str().unwrap_or_default(), (&left, &right))
            .map_err(|error| format!("unable to parse template at key {key}: {error}"))?;
        let text = template
            .render(&data(case), Limits::default())
            .map_err(|error| format!("unable to execute template at key {key}: {error}"))?;
        Ok((key, Json::String(text.expose_str().into_owned())))
    };
    templates.into_iter().map(render).collect()
}

#[test]
fn corpus_eso_template() {
    let Some(mut corpus) = Corpus::open("eso-template", "eso/template.jsonl") else { return };
    for line in corpus.lines("") {
        let case = &line["case"];
        let is_execute = line["test"] == "TestExecute";
        let mut got = Map::new();
        let mut expected = Map::new();
        for (field, want, error) in [
            ("tpl", "expectedData", "expErr"),
            ("annotationsTpl", "expectedAnnotations", "expAnnoErr"),
            ("stringDataTpl", "expectedStringData", ""),
        ] {
            let wanted_error = case[error].as_str().filter(|error| !error.is_empty());
            match (rendered(case, field), wanted_error) {
                (Err(said), Some(wanted)) if said.contains(wanted) => {}
                (Err(said), _) => drop(got.insert(format!("{field} error"), said.into())),
                (Ok(_), Some(wanted)) => drop(expected.insert(format!("{field} error"), wanted.into())),
                (Ok(text), None) => {
                    if !case[want].is_null() {
                        expected.insert(want.to_owned(), case[want].clone());
                        got.insert(want.to_owned(), Json::Object(text));
                    }
                }
            }
        }
        if is_execute {
            corpus.compare(line["id"].as_str().unwrap_or_default(), Json::Object(expected), Json::Object(got));
        } else {
            let got = json!("scopes, targets and key stores are not built");
            corpus.compare(line["id"].as_str().unwrap_or_default(), case.clone(), got);
        }
    }
    corpus.finish(include_str!("../corpus/eso-template.exceptions"));
}

#[test]
fn corpus_eso_template_functions() {
    let Some(mut corpus) = Corpus::open("eso-template_functions", "eso/template_functions.jsonl") else { return };
    for line in corpus.lines("") {
        let is_there = function_names().any(|name| line["name"] == name);
        corpus.compare(line["id"].as_str().unwrap_or_default(), json!(true), json!(is_there));
    }
    corpus.finish(include_str!("../corpus/eso-template_functions.exceptions"));
}
