//! Judgement by External Secrets' own cases.

use secret_sync::api::Object;
use secret_sync::{DecodingStrategy, SecretBytes, decode};
use serde_json::{Value, json};
use testkit::corpus::Corpus;

fn decode_text(strategy: &Value, text: &Value) -> Option<String> {
    let strategy = DecodingStrategy::parse(strategy.as_str().unwrap_or_default())?;
    let bytes = decode(strategy, SecretBytes::from(text.as_str().unwrap_or_default())).ok()?;
    Some(bytes.expose_str()?.to_owned())
}

fn decode_map(strategy: &Value, map: &Value) -> Option<Value> {
    let entries = map.as_object().cloned().unwrap_or_default();
    let decoded = entries.into_iter().map(|(key, text)| Some((key, Value::String(decode_text(strategy, &text)?))));
    decoded.collect::<Option<serde_json::Map<_, _>>>().map(Value::Object)
}

#[test]
fn corpus_eso_decoding() {
    let Some(mut corpus) = Corpus::open("eso-decoding", "eso/decoding.jsonl") else { return };
    for line in corpus.lines("") {
        let case = &line["case"];
        let expected = if case["wantErr"] == json!(true) { Value::Null } else { case["want"].clone() };
        let got = match case.get("args") {
            Some(args) => decode_map(&args["strategy"], &args["in"]).unwrap_or_default(),
            None => decode_text(&case["strategy"], &case["in"]).map(Value::String).unwrap_or_default(),
        };
        corpus.compare(line["id"].as_str().unwrap_or_default(), expected, got);
    }
    corpus.finish(include_str!("../corpus/eso-decoding.exceptions"));
}

/// To Kubernetes, a field that is null is a field that is not there.
fn without_null(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let there = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(there.map(|(key, value)| (key.clone(), without_null(value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(without_null).collect()),
        other => other.clone(),
    }
}

/// Every manifest is read and written again: no field may be lost.
fn manifests(name: &str, exceptions: &str) {
    let Some(mut corpus) = Corpus::open(&format!("eso-{name}"), &format!("eso/{name}.jsonl")) else { return };
    for line in corpus.lines("") {
        let got = match Object::parse(line["manifest"].clone()) {
            Ok(object) => object.to_value().unwrap(),
            Err(error) => json!(error.to_string()),
        };
        corpus.compare(line["id"].as_str().unwrap_or_default(), without_null(&line["manifest"]), without_null(&got));
    }
    corpus.finish(exceptions);
}

#[test]
fn corpus_eso_docs_manifests() {
    manifests("docs_manifests", include_str!("../corpus/eso-docs_manifests.exceptions"));
}

#[test]
fn corpus_eso_crd_snapshots() {
    manifests("crd_snapshots", include_str!("../corpus/eso-crd_snapshots.exceptions"));
}
