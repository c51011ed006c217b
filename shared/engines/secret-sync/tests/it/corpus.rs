//! Judgement by External Secrets' own cases.

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
