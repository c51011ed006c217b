//! Judgement of what all providers share by External Secrets' own cases.

use secret_sync::provider::{Keys, vault_validate};
use secret_sync::{
    ConversionStrategy, Merge, Rewrite, SecretBytes, convert_keys, data_hash, provider, reverse_key, rewrite,
    secret_hash,
};
use secret_templating::{Limits, Template, Text, Value as Dot};
use serde_json::{Value, json};

use crate::corpus::each;
use crate::providers::{bytes, shown, shown_map};

fn keys(value: &Value) -> Keys {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), bytes(value))).collect()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn transform(template: &str, key: &str) -> Result<String, String> {
    let template = Template::parse("transform", template).map_err(|error| error.to_string())?;
    let dot = Dot::strings([("value".to_owned(), Text::new(key.as_bytes().to_vec()))]);
    let rendered = template.render(&dot, Limits::default()).map_err(|error| error.to_string())?;
    Ok(rendered.expose_str().into_owned())
}

fn merge(step: &Value) -> Merge {
    let priority = step["priority"].as_array().into_iter().flatten();
    Merge {
        into: (text(step, "strategy") == "JSON").then(|| text(step, "into").to_owned()),
        priority: priority.filter_map(|key| key.as_str().map(str::to_owned)).collect(),
        may_miss: text(step, "priorityPolicy") == "IgnoreNotFound",
        may_conflict: text(step, "conflictPolicy") == "Ignore",
    }
}

fn step(step: &Value) -> Option<Rewrite> {
    if step["regexp"].is_object() {
        let source = regex::Regex::new(text(&step["regexp"], "source")).ok()?;
        return Some(Rewrite::Regexp { source, target: text(&step["regexp"], "target").to_owned() });
    }
    if step["transform"].is_object() {
        return Some(Rewrite::Transform { template: text(&step["transform"], "template").to_owned() });
    }
    // Without the key that gets it, a merged object has nowhere to go: a manifest is refused before it comes here.
    let merge = merge(&step["merge"]);
    (merge.into.as_deref() != Some("")).then_some(Rewrite::Merge(merge))
}

fn outcome<E: ToString>(case: &Value, got: Result<Value, E>) -> (Value, Value) {
    if case["wantErr"] == true {
        return (json!("error"), if got.is_err() { json!("error") } else { got.unwrap_or_default() });
    }
    (case["want"].clone(), got.unwrap_or_else(|error| json!(error.to_string())))
}

fn selector(case: &Value, test: &str) -> (Value, Value) {
    let (store, reference) = (&case["store"], &case["ref"]);
    let is_referent = test.contains("Referent");
    let got = vault_validate::check_reference(
        text(store, "kind"),
        text(&store["metadata"], "namespace"),
        reference,
        is_referent,
    );
    let got = got.map_or_else(|error| json!({ "$error": error.to_string() }), |()| Value::Null);
    (case["expected"].clone(), got)
}

#[test]
fn corpus_eso_esutils() {
    each("esutils", include_str!("../corpus/eso-esutils.exceptions"), |case, test| {
        let args = &case["args"];
        match test {
            "TestConvertKeys" => {
                let strategy = ConversionStrategy::parse(text(args, "strategy")).unwrap_or(ConversionStrategy::None);
                outcome(case, convert_keys(strategy, keys(&args["in"])).map(|keys| shown_map(&keys)))
            }
            "TestReverseKeys" => {
                let mut reversed = Keys::new();
                for (key, value) in keys(&args["in"]) {
                    let collides = reversed.insert(reverse_key(text(args, "strategy"), &key), value).is_some();
                    if collides {
                        return outcome(case, Err("collision"));
                    }
                }
                outcome(case, Ok::<_, String>(shown_map(&reversed)))
            }
            "TestReverse" => {
                outcome(case, Ok::<_, String>(json!(reverse_key(text(args, "strategy"), text(args, "in")))))
            }
            "TestRewrite" | "TestRewriteRegexp" | "TestRewriteMerge" | "TestRewriteTransform" => {
                let operations = args["operations"].as_array().cloned().unwrap_or_else(|| {
                    let name = test.trim_start_matches("TestRewrite").to_lowercase();
                    vec![json!({ name: args["operation"] })]
                });
                let steps: Option<Vec<Rewrite>> = operations.iter().map(step).collect();
                let got = match steps {
                    Some(steps) => {
                        rewrite(&steps, keys(&args["in"]), transform).map_err(|(_, error)| error.to_string())
                    }
                    None => Err("a step is refused".to_owned()),
                };
                outcome(case, got.map(|keys| shown_map(&keys)))
            }
            "TestGetByteValue" => outcome(case, Ok::<_, String>(shown(&provider::value_bytes(&args["data"])))),
            "TestJSONToSecretDataMap" => {
                let given = if args["data"].is_null() { &case["data"] } else { &args["data"] };
                outcome(case, provider::keys_of_json(bytes(given).expose()).map(|keys| shown_map(&keys)))
            }
            "TestCompareStringAndByteSlices" => {
                // The table calls its expectation an error.
                let is_same = SecretBytes::from(text(args, "stringValue")) == bytes(&args["byteValueSlice"]);
                (json!(case["wantErr"] == true), json!(is_same))
            }
            // A whole Secret is an object with `data`; everything else is a map.
            "TestObjectHash" if case["input"]["data"].is_object() => {
                (case["want"].clone(), json!(secret_hash(&keys(&case["input"]["data"]))))
            }
            "TestObjectHash" => (case["want"].clone(), json!(data_hash(&keys(&case["input"])))),
            "TestFetchValueFromMetadata" => {
                let got = provider::metadata::value(args.get("data"), text(args, "key"))
                    .map(|found| found.unwrap_or(args["def"].clone()));
                let is_kind = |value: &Value| std::mem::discriminant(value) == std::mem::discriminant(&args["def"]);
                let got = got
                    .map_err(|error| error.to_string())
                    .and_then(|value| if is_kind(&value) { Ok(value) } else { Err("another type".to_owned()) });
                if case["wantErr"] == true {
                    (json!(true), json!(got.is_err()))
                } else {
                    (case["wantT"].clone(), got.unwrap_or_default())
                }
            }
            name if name.ends_with("Selector") => selector(case, name),
            _ => (json!("judged"), json!("not built: a helper of the peer's own code")),
        }
    });
}

#[test]
fn corpus_eso_esutils_validators() {
    use secret_sync::provider::{Presence, check_value_or_reference};
    each("esutils_validators", include_str!("../corpus/eso-esutils_validators.exceptions"), |case, _| {
        let (value, reference) = (text(case, "value"), &case["ref"]);
        let policy = &case["policy"];
        let presence = match policy["Presence"]["$go"].as_str().unwrap_or_default() {
            "AllowValueOrRef" => Presence::AtMostOne,
            "RequireRefOnly" => Presence::ReferenceOnly,
            "RequireValueOnly" => Presence::ValueOnly,
            // Nothing is the first of Go's constants.
            "" | "RequireValueOrRef" => Presence::One,
            // A table that lost its policy cannot be judged.
            other => return (json!("judged"), json!(format!("the policy {other:?} is unknown"))),
        };
        let got = check_value_or_reference(!value.is_empty(), !reference.is_null(), presence);
        let is_wanted = [&case["wantErr"], &case["err"], &case["expectedErr"]]
            .iter()
            .any(|error| !error.is_null() && **error != json!(false));
        (json!(is_wanted), json!(got.is_err()))
    });
}
