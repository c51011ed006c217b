//! Judgement of the generators by External Secrets' own cases.

use secret_sync::SecretJson;
use secret_sync::generator::{self, GeneratorError, mfa, password, ssh_key, vault_dynamic};
use secret_sync::provider::Keys;
use serde_json::{Map, Value, json};

use crate::corpus::each;
use crate::providers::shown_map;

/// The object of a case; `None` where it has none.
fn object(case: &Value) -> Option<Vec<u8>> {
    let given = if case["args"].is_object() { &case["args"]["jsonSpec"] } else { &case["jsonSpec"] };
    given["raw"].as_str().map(|text| text.as_bytes().to_vec())
}

fn spec(case: &Value) -> Result<Map<String, Value>, GeneratorError> {
    generator::spec(object(case).as_deref())
}

fn outcome(case: &Value, got: Result<Keys, GeneratorError>) -> (Value, Value) {
    match (case["wantErr"] == true, got) {
        (is_error, Err(_)) => (json!(is_error), json!(true)),
        (true, Ok(_)) => (json!("error"), json!("made")),
        (false, Ok(keys)) => (case["want"].clone(), shown_map(&keys)),
    }
}

/// The number that stands for chance where only the form is judged.
fn count() -> impl FnMut(&mut [u8]) -> bool {
    let mut state = 1_u8;
    move |bytes| {
        for byte in bytes {
            state = state.wrapping_mul(141).wrapping_add(3);
            *byte = state;
        }
        true
    }
}

/// The settings that upstream hands to what makes the password.
fn handed(settings: &password::Settings, name: &str) -> Value {
    match name {
        "len" => json!(settings.length),
        "symbols" => json!(settings.symbols),
        "symbolCharacters" => json!(settings.symbol_characters),
        "digits" => json!(settings.digits),
        "noUpper" => json!(settings.no_upper),
        "allowRepeat" => json!(settings.allow_repeat),
        _ => Value::Null,
    }
}

#[test]
fn corpus_eso_gen_password() {
    each("gen_password", include_str!("../corpus/eso-gen_password.exceptions"), |case, _| {
        let settings = match spec(case).and_then(|spec| password::Settings::read(&spec)) {
            Ok(settings) => settings,
            Err(_) => return (json!(case["wantErr"] == true), json!(true)),
        };
        let asserted = case["args"]["passGen"]["$asserts"].as_array().into_iter().flatten();
        let wrong: Vec<Value> = asserted
            .filter_map(|assertion| {
                let (wanted, name) = (&assertion["Equal"][0], assertion["Equal"][1]["subject"].as_str()?);
                (handed(&settings, name) != *wanted).then(|| json!([name, wanted]))
            })
            .collect();
        let made = settings.generate(&mut count());
        // Upstream's double makes the same text for every key: what is judged are the keys.
        let names = |map: &Value| map.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
        let got = made.map(|keys| json!([keys.keys().collect::<Vec<_>>(), wrong]));
        if case["wantErr"] == true {
            return (json!(true), json!(got.is_err()));
        }
        (json!([names(&case["want"]), []]), got.unwrap_or_else(|error| json!(error.to_string())))
    });
}

#[test]
fn corpus_eso_gen_uuid() {
    each("gen_uuid", include_str!("../corpus/eso-gen_uuid.exceptions"), |case, _| {
        let got = spec(case).and_then(|_| generator::uuid(&mut count()));
        let form = regex::Regex::new("^[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}$").unwrap();
        let is_good = got.is_ok_and(|keys| keys["uuid"].expose_str().is_some_and(|text| form.is_match(text)));
        (json!(case["wantErr"] != true), json!(is_good))
    });
}

#[test]
fn corpus_eso_gen_fake() {
    each("gen_fake", include_str!("../corpus/eso-gen_fake.exceptions"), |case, _| {
        outcome(case, spec(case).and_then(|spec| generator::fake(&spec)))
    });
}

#[test]
fn corpus_eso_gen_mfa() {
    each("gen_mfa", include_str!("../corpus/eso-gen_mfa.exceptions"), |case, _| {
        let seed = secret_sync::SecretBytes::from("ONUWM5DJN5XA====");
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        outcome(case, spec(case).and_then(|spec| mfa::Settings::read(&spec)?.generate(&seed, now)))
    });
}

/// A server that has nothing at any path, as upstream's double; what it answers stands in a case where it is something else.
#[test]
fn corpus_eso_gen_vault() {
    each("gen_vault", include_str!("../corpus/eso-gen_vault.exceptions"), |case, _| {
        let answer = case["args"]["vaultClientFn"]["args"][0].as_object();
        let answer = answer.map(|answer| SecretJson::new(Value::Object(answer.clone())));
        let settings = vault_dynamic::Settings::of_object(object(case).as_deref());
        let got = settings.and_then(|settings| settings.keys(answer.as_ref()));
        let want = &case["want"];
        match (want["err"]["$error"].as_str(), got) {
            (Some(words), got) => (json!(words), got.map_or_else(|error| json!(error.to_string()), |_| json!("made"))),
            (None, Ok(keys)) => {
                let wanted = if want["partialVal"].is_object() { &want["partialVal"] } else { &want["val"] };
                let pairs = wanted.as_object().into_iter().flatten();
                let shown = shown_map(&keys);
                let got = pairs.map(|(key, _)| (key.clone(), shown[key].clone()));
                (wanted.as_object().cloned().unwrap_or_default().into(), Value::Object(got.collect()))
            }
            (None, Err(error)) => (want["val"].clone(), json!(error.to_string())),
        }
    });
}

/// What an assertion of the table is about: a key of the result, its length, or whether its text begins with something.
fn holds(name: &str, args: &Value, keys: &Keys) -> bool {
    let subject = args[0]["subject"].as_str().unwrap_or_default();
    let key = subject.split('"').nth(1).unwrap_or_default();
    let value = keys.get(key).and_then(|value| value.expose_str()).unwrap_or_default();
    match (name, subject) {
        ("Contains", "result") => keys.contains_key(args[1].as_str().unwrap()),
        ("Contains", _) => value.contains(args[1].as_str().unwrap()),
        ("True", text) if text.starts_with("strings.HasPrefix(") => {
            value.starts_with(text.split('"').nth(3).unwrap_or("\0"))
        }
        ("True", text) if text.starts_with("len(") && text.ends_with("> 0") => !value.is_empty(),
        _ => false,
    }
}

#[test]
fn corpus_eso_gen_sshkey() {
    each("gen_sshkey", include_str!("../corpus/eso-gen_sshkey.exceptions"), |case, _| {
        let got = spec(case).and_then(|spec| ssh_key::Settings::read(&spec)?.generate(&mut count()));
        let keys = match got {
            Ok(keys) => keys,
            Err(error) => {
                let words = case["expectedErr"].as_str().unwrap_or_default();
                let said = error.to_string();
                return (
                    json!([case["wantErr"], words]),
                    json!([true, if said.contains(words) { words } else { &said }]),
                );
            }
        };
        let asserted = case["validate"]["$asserts"].as_array().into_iter().flatten();
        let unmet: Vec<&Value> = asserted
            .filter(|one| !one.as_object().into_iter().flatten().all(|(name, args)| holds(name, args, &keys)))
            .collect();
        (json!([case["wantErr"], []]), json!([false, unmet]))
    });
}
