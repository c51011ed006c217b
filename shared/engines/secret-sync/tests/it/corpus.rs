//! Judgement by External Secrets' own cases.

use std::time::Duration;

use go_time::Schedule;
use model::Timestamp;
use secret_sync::api::{Object, validate};
use secret_sync::{DecodingStrategy, SecretBytes, SyncWindows, decode, is_within};
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

/// Judges each line of a file by `judge`, which gives what was expected and what came.
pub(crate) fn each(name: &str, exceptions: &str, judge: impl Fn(&Value, &str) -> (Value, Value)) {
    let Some(mut corpus) = Corpus::open(&format!("eso-{name}"), &format!("eso/{name}.jsonl")) else { return };
    for line in corpus.lines("") {
        let (expected, got) = judge(&line["case"], line["test"].as_str().unwrap_or_default());
        corpus.compare(line["id"].as_str().unwrap_or_default(), expected, got);
    }
    corpus.finish(exceptions);
}

#[test]
fn corpus_eso_es_validator() {
    each("es_validator", include_str!("../corpus/eso-es_validator.exceptions"), |case, _| {
        let spec = serde_json::from_value(case["obj"]["spec"].clone()).unwrap();
        (json!(case["expectedErr"].as_str().unwrap_or_default()), json!(validate::external_secret(&spec).join("\n")))
    });
}

#[test]
fn corpus_eso_store_validator() {
    each("store_validator", include_str!("../corpus/eso-store_validator.exceptions"), |case, _| {
        let spec = serde_json::from_value(case["obj"]["spec"].clone()).unwrap();
        let said = validate::secret_store("", &spec).join("\n");
        let wanted = case["assertErr"]["$asserts"].as_array().into_iter().flatten();
        let holds = |assertion: &Value| match assertion.as_object().and_then(|one| one.iter().next()) {
            Some((name, list)) if name == "ErrorContains" => said.contains(list[1].as_str().unwrap()),
            Some((name, list)) if name == "EqualError" => said == list[1].as_str().unwrap(),
            Some((name, _)) if name == "NoError" => said.is_empty(),
            Some((name, _)) if name == "Error" => !said.is_empty(),
            _ => false,
        };
        let missed: Vec<&Value> = wanted.filter(|assertion| !holds(assertion)).collect();
        (json!([]), if missed.is_empty() { json!([]) } else { json!([missed, said]) })
    });
}

#[test]
fn corpus_eso_store_refresh() {
    each("store_refresh", include_str!("../corpus/eso-store_refresh.exceptions"), |case, _| {
        let got = match validate::refresh_interval(&case["in"]) {
            Ok(interval) => json!(u64::try_from(interval.as_nanos()).unwrap()),
            Err(_) => json!("error"),
        };
        (if case["wantErr"] == json!(true) { json!("error") } else { case["want"].clone() }, got)
    });
}

#[test]
fn corpus_eso_es_values() {
    each("es_values", include_str!("../corpus/eso-es_values.exceptions"), |case, _| {
        let (policy, value) = (case["policy"].as_str().unwrap_or_default(), case["value"].as_str().unwrap_or_default());
        let expected = !case["wantErr"].is_null() && case["wantErr"] != json!(false);
        (json!(expected), json!(validate::is_refused_for_nul(policy, value.as_bytes())))
    });
}

#[test]
fn corpus_eso_syncwindow() {
    each("syncwindow", include_str!("../corpus/eso-syncwindow.exceptions"), |case, test| {
        let at: Timestamp = case["at"]["$time"].as_str().unwrap().parse().unwrap();
        let text = |window: &Value, key: &str| window[key].as_str().unwrap_or_default().to_owned();
        let got = if test == "TestIsWithinSyncWindow" {
            // The table's own schedule stands outside of it: two hours from ten in the evening on.
            is_within(&Schedule::parse("0 22 * * *").unwrap(), Duration::from_secs(7_200), at)
        } else {
            let windows = case["sw"]["windows"].as_array().into_iter().flatten();
            let pairs: Vec<_> = windows.map(|window| (text(window, "schedule"), text(window, "duration"))).collect();
            let pairs = pairs.iter().map(|(schedule, duration)| (schedule.as_str(), duration.as_str()));
            SyncWindows::new(&text(&case["sw"], "kind"), pairs).0.allows(at)
        };
        (json!(case["want"].as_bool().unwrap_or(false)), json!(got))
    });
}
