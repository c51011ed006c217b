//! Judgement by External Secrets' own cases.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secret_templating::{
    Decoding, Environment, Limits, Scope, Target, Template, Text, Value, apply, function_names, parse_yaml_or_text,
};
use serde_json::{Map, Value as Json, json};
use testkit::corpus::Corpus;

const ENVIRONMENT: Environment = Environment { now_unix_ns: Some(1_790_000_000_000_000_000), entropy: Some([7; 32]) };

/// Bytes of a case's text, which may be in Base64.
fn bytes(value: &Json) -> Vec<u8> {
    match value["$b64"].as_str() {
        Some(encoded) => STANDARD.decode(encoded).unwrap(),
        None => value.as_str().unwrap_or_default().as_bytes().to_vec(),
    }
}

fn data(case: &Json) -> Value {
    let pairs = case["data"].as_object().cloned().unwrap_or_default();
    Value::strings(pairs.into_iter().map(|(key, value)| (key, Text::new(bytes(&value)))))
}

fn templates(case: &Json, field: &str) -> BTreeMap<String, String> {
    let templates = case[field].as_object().cloned().unwrap_or_default();
    templates.into_iter().map(|(key, text)| (key, text.as_str().unwrap_or_default().to_owned())).collect()
}

/// Applies the templates of a case to a manifest.
fn applied(case: &Json, (field, path): (&str, &str), scope: Scope, object: &mut Json) -> Result<(), String> {
    let text = |name: &str| case[name].as_str().unwrap_or_default().to_owned();
    let (left, right) = (text("leftDelimiter"), text("rightDelimiter"));
    let decoding = match case["decodingStrategy"].as_str() {
        Some("Base64") => Decoding::Base64,
        Some("Base64URL") => Decoding::Base64Url,
        Some("Auto") => Decoding::Auto,
        _ => Decoding::None,
    };
    let target = Target { path, scope, decoding, delimiters: (&left, &right) };
    apply(&templates(case, field), (&data(case), &ENVIRONMENT, Limits::default()), &target, object)
        .map_err(|error| error.to_string())
}

fn secret() -> Json {
    json!({ "apiVersion": "v1", "kind": "Secret" })
}

fn decoded_data(secret: &Json) -> Json {
    let pairs = secret["data"].as_object().cloned().unwrap_or_default();
    let decode = |text: &Json| {
        let bytes = STANDARD.decode(text.as_str().unwrap()).unwrap();
        String::from_utf8(bytes).map_or_else(|error| json!({ "$b64": STANDARD.encode(error.into_bytes()) }), Json::from)
    };
    Json::Object(pairs.into_iter().map(|(key, text)| (key, decode(&text))).collect())
}

/// The maps or the error that `TestExecute` and its like compare.
fn executed(case: &Json, scope: Scope) -> (Json, Json) {
    let (mut expected, mut got) = (Map::new(), Map::new());
    let string_data = case["target"].as_str().unwrap_or("data");
    let fields = [
        ("tpl", string_data, "expErr"),
        ("stringDataTpl", "data", "expErr"),
        ("annotationsTpl", "annotations", "expAnnoErr"),
        ("labelsTpl", "labels", "expLblErr"),
    ];
    let mut object = secret();
    for (field, path, error) in fields {
        let wanted = case[error].as_str().filter(|error| !error.is_empty());
        match (applied(case, (field, path), scope, &mut object), wanted) {
            (Err(said), Some(wanted)) if said.contains(wanted) => {}
            (Err(said), _) => drop(got.insert(format!("{field} error"), said.into())),
            (Ok(()), Some(wanted)) if !templates(case, field).is_empty() => {
                drop(expected.insert(format!("{field} error"), wanted.into()));
            }
            (Ok(()), _) => {}
        }
    }
    let is_data = string_data.eq_ignore_ascii_case("data");
    let place = |object: &Json, name: &str| match name {
        "expectedAnnotations" => object["metadata"]["annotations"].clone(),
        "expectedLabels" => object["metadata"]["labels"].clone(),
        "expectedStringData" if !is_data => object["metadata"][string_data.to_lowercase()].clone(),
        _ => decoded_data(object),
    };
    for name in ["expectedData", "expectedStringData", "expectedAnnotations", "expectedLabels"] {
        if !case[name].is_null() {
            expected.insert(name.to_owned(), case[name].clone());
            got.insert(name.to_owned(), place(&object, name));
        }
    }
    (Json::Object(expected), Json::Object(got))
}

/// A value that a check names: the last part of its expression is looked for in the whole object.
fn subject(object: &Json, path: &str, expression: &str) -> Option<Json> {
    let keys: Vec<&str> = expression.split('"').skip(1).step_by(2).collect();
    let mut place = object;
    if expression.starts_with("obj.Data") {
        let text = object["data"][*keys.last()?].as_str()?;
        return String::from_utf8(STANDARD.decode(text).ok()?).ok().map(Json::from);
    }
    let steps: Vec<String> = path
        .replace('[', ".[")
        .split('.')
        .map(|step| step.trim_start_matches('[').trim_end_matches(']').to_owned())
        .collect();
    // A variable stands for the part of the target's path up to the place that has the first key, or an index.
    let index = expression.split('[').nth(1).and_then(|rest| rest.split(']').next()?.parse::<usize>().ok());
    if expression.starts_with("obj[") {
        return Some(keys.iter().fold(object, |place, key| &place[*key]).clone());
    }
    let mut found = None;
    for step in &steps {
        place = match step.parse::<usize>() {
            Ok(number) => &place[number],
            Err(_) => &place[step.as_str()],
        };
        let here = match (index, keys.first()) {
            (Some(index), _) if place.is_array() => Some(keys.iter().fold(&place[index], |place, key| &place[*key])),
            (None, Some(key)) if place.get(*key).is_some() => Some(&place[*key]),
            _ => None,
        };
        found = found.or(here);
    }
    found.cloned()
}

fn nested(case: &Json, name: &str, times: usize) -> (Json, Json) {
    let mut object = json!({ "apiVersion": "example.com/v1", "kind": "TestResource", "metadata": { "name": "test-resource", "namespace": "default" } });
    if name.contains("merge behavior") {
        object["spec"] = json!({ "slack": { "channel": "general", "other_field": "test-value" } });
    } else if name.contains("overwrite field") {
        object["spec"] = json!({ "slack": { "channel": "general", "api_url": "https://hooks.slack.com/existing", "other_field": "test-value" } });
    } else if name.contains("merges into existing array element") {
        object["spec"] = json!({ "rules": [{ "from": "existing" }] });
    } else if name.contains("grows existing non-empty array") {
        object["spec"] = json!({ "containers": [{ "image": "sidecar:v1" }] });
    }
    if !case["seed"].is_null() {
        object["spec"] = case["seed"].clone();
    }
    let path = case["target"].as_str().unwrap_or_default();
    let is_secret = path.eq_ignore_ascii_case("data");
    if is_secret {
        object = secret();
    }
    let scope = if case["scope"] == "Values" { Scope::Values } else { Scope::KeysAndValues };
    let mut outcome = Ok(());
    for _ in 0..times {
        outcome = outcome.and_then(|()| applied(case, ("tpl", path), scope, &mut object));
    }
    let wanted_error = case["errorMsg"].as_str();
    match (outcome, case["wantErr"] == true) {
        (Err(said), true) if wanted_error.is_none_or(|wanted| said.contains(wanted)) => {
            return (json!(true), json!(true));
        }
        (Err(said), _) => return (json!("no such error"), said.into()),
        (Ok(()), true) => return (json!("an error"), json!("none")),
        (Ok(()), false) => {}
    }
    let (mut expected, mut got) = (Vec::new(), Vec::new());
    for check in case["verify"]["$asserts"].as_array().into_iter().flatten() {
        let (kind, arguments) = check.as_object().unwrap().iter().next().unwrap();
        let subject_of = |value: &Json| subject(&object, path, value["subject"].as_str().unwrap_or_default());
        match kind.as_str() {
            "Equal" => {
                expected.push(arguments[0].clone());
                got.push(subject_of(&arguments[1]).unwrap_or_default());
            }
            "Len" => {
                expected.push(arguments[1].clone());
                got.push(json!(subject_of(&arguments[0]).and_then(|list| Some(list.as_array()?.len()))));
            }
            "Nil" => {
                expected.push(Json::Null);
                got.push(subject_of(&arguments[0]).unwrap_or_default());
            }
            // What follows shows that these hold: a key of another case, or the wrong type, would be missed there.
            "True" | "False" => {}
            other => panic!("unknown check {other}"),
        }
    }
    (Json::Array(expected), Json::Array(got))
}

/// A file that a case names, below the inputs of its corpus.
fn file(corpus: &Path, name: &Json) -> Vec<u8> {
    let inputs = corpus.with_file_name("inputs").join("runtime/template/v2");
    std::fs::read(inputs.join(name.as_str().unwrap())).unwrap()
}

fn files(corpus: &Path, names: &Json) -> Vec<u8> {
    names.as_array().into_iter().flatten().flat_map(|name| file(corpus, name)).collect()
}

/// Calls a function with texts.
fn called(function: &str, arguments: &[&[u8]]) -> Result<Text, String> {
    let names = ["a", "b", "c"];
    let pairs = names.iter().zip(arguments).map(|(name, text)| ((*name).to_owned(), Text::new(text.to_vec())));
    let text: Vec<String> = names.iter().take(arguments.len()).map(|name| format!(".{name}")).collect();
    let template = Template::parse("t", &format!("{{{{ {function} {} }}}}", text.join(" "))).unwrap();
    template.render_in(&Value::strings(pairs), &ENVIRONMENT, Limits::default()).map_err(|error| error.to_string())
}

fn outcome(case: &Json, result: Result<Text, String>, wanted: Json) -> (Json, Json) {
    match (result, case["wantErr"] == true) {
        (Err(_), true) => (json!(true), json!(true)),
        (Err(said), false) => (wanted, said.into()),
        (Ok(_), true) => (json!("an error"), json!("none")),
        (Ok(text), false) => (wanted, text.expose_str().into_owned().into()),
    }
}

#[test]
fn corpus_eso_template() {
    let Some(mut corpus) = Corpus::open("eso-template", "eso/template.jsonl") else { return };
    for line in corpus.lines("") {
        let case = &line["case"];
        let name = line["name"].as_str().unwrap_or_default();
        let (expected, got) = match line["test"].as_str().unwrap_or_default() {
            "TestExecute" | "TestScopeValuesWithSecretFieldsNil" => executed(case, Scope::Values),
            "TestScopeKeysAndValues" => executed(case, Scope::KeysAndValues),
            "TestTryParseYAML" => (case["expected"].clone(), parse_yaml_or_text(case["input"].as_str().unwrap())),
            "TestComplexYAMLFieldsWithSpec" | "TestNestedPathTargeting" => nested(case, name, 1),
            "TestNestedPathTargetingIsIdempotent" => nested(case, name, 3),
            "TestExecuteDecodesRenderedTemplateValues" => {
                let scope = if case["scope"] == "Values" { Scope::Values } else { Scope::KeysAndValues };
                let mut object = secret();
                let result = applied(case, ("tpl", "Data"), scope, &mut object);
                match (result, case["wantErr"].as_str()) {
                    (Err(_), Some(_)) => (json!(true), json!(true)),
                    (Err(said), None) => (case["wantData"].clone(), said.into()),
                    (Ok(()), _) => (case["wantData"].clone(), decoded_data(&object)),
                }
            }
            "TestPkcs12certPass" => {
                let arguments = &case["args"];
                let (pass, store) = (bytes(&arguments["pass"]), file(corpus.folder(), &arguments["filename"]));
                let wanted = String::from_utf8(files(corpus.folder(), &case["want"])).unwrap();
                outcome(case, called("pkcs12certPass", &[&pass, &store]), wanted.into())
            }
            other => (json!(format!("a runner for {other}")), json!("none")),
        };
        corpus.compare(line["id"].as_str().unwrap_or_default(), expected, got);
    }
    corpus.finish(include_str!("../corpus/eso-template.exceptions"));
}

#[test]
fn corpus_eso_template_pem() {
    let Some(mut corpus) = Corpus::open("eso-template_pem", "eso/template_pem.jsonl") else { return };
    for line in corpus.lines("") {
        let case = &line["case"];
        let arguments = &case["args"];
        let (expected, got) = match line["test"].as_str().unwrap_or_default() {
            "TestFilterPEM" => {
                let result = called("filterPEM", &[&bytes(&arguments["pemType"]), &bytes(&arguments["input"])]);
                outcome(case, result, case["want"].as_str().unwrap_or_default().into())
            }
            "TestFilterCertChain" => {
                let result = called(
                    "filterCertChain",
                    &[&bytes(&arguments["certType"]), &files(corpus.folder(), &arguments["input"])],
                );
                let wanted = case["want"].as_str().unwrap_or_default();
                let wanted = if wanted.is_empty() { Vec::new() } else { file(corpus.folder(), &case["want"]) };
                outcome(case, result, String::from_utf8(wanted).unwrap().into())
            }
            "TestCertSANs" => {
                let result = called("certSANs", &[&bytes(&case["input"])]);
                let names: Vec<&str> = case["want"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
                outcome(case, result, format!("[{}]", names.join(" ")).into())
            }
            other => (json!(format!("a runner for {other}")), json!("none")),
        };
        corpus.compare(line["id"].as_str().unwrap_or_default(), expected, got);
    }
    corpus.finish(include_str!("../corpus/eso-template_pem.exceptions"));
}

/// Only what templates of those cases can be judged by is looked at: what providers hold is given as data.
#[test]
fn corpus_eso_e2e_template() {
    let Some(mut corpus) = Corpus::open("eso-e2e_template", "eso/e2e_template.jsonl") else { return };
    for line in corpus.lines("") {
        let case = json!({
            "tpl": line["externalSecret"]["spec"]["target"]["template"]["data"],
            "data": { "singlefoo": "bar", "singlebaz": "bang", "singlejson": r#"{"foo":{"bar":"baz"}}"#, "foo": "barmap", "bar": "bangmap" },
        });
        let mut object = secret();
        let result = applied(&case, ("tpl", "data"), Scope::Values, &mut object);
        let got = result.map_or_else(Json::from, |()| decoded_data(&object));
        let wanted = line["expectedSecret"]["data"].as_object().cloned().unwrap_or_default();
        corpus.compare(line["id"].as_str().unwrap_or_default(), Json::Object(wanted), got);
    }
    corpus.finish("");
}

#[test]
fn corpus_eso_template_functions() {
    let Some(mut corpus) = Corpus::open("eso-template_functions", "eso/template_functions.jsonl") else { return };
    for line in corpus.lines("") {
        let is_word = matches!(line["name"].as_str(), Some("if" | "else" | "end" | "range"));
        let is_there = is_word || function_names().any(|name| line["name"] == name);
        corpus.compare(line["id"].as_str().unwrap_or_default(), json!(true), json!(is_there));
    }
    corpus.finish(include_str!("../corpus/eso-template_functions.exceptions"));
}
