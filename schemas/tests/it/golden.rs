//! Bytes of version 1 decode forever. A new sample is added by `UPDATE_GOLDEN=1`; existing bytes never change.

use schemas::AnyEvent;

use crate::{documents, samples};

#[test]
fn frozen_bytes_are_decoded_by_the_current_reader() {
    let folder = documents::root().join("golden/v1");
    if documents::updates() {
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in samples::all() {
            let path = folder.join(format!("{name}.msgpack"));
            if !path.exists() {
                let event: AnyEvent = rmp_serde::from_slice(&bytes).unwrap();
                std::fs::write(&path, &bytes).unwrap();
                std::fs::write(
                    folder.join(format!("{name}.json")),
                    serde_json::to_string_pretty(&event).unwrap() + "\n",
                )
                .unwrap();
            }
        }
    }
    let names: Vec<String> = samples::all().into_iter().map(|(name, _)| name).collect();
    for name in names {
        let bytes =
            std::fs::read(folder.join(format!("{name}.msgpack"))).expect("run `make golden` to add a new sample");
        schemas::wire::check(&bytes).unwrap();
        let event: AnyEvent = rmp_serde::from_slice(&bytes).unwrap();
        let expected: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
        assert_eq!(serde_json::to_value(&event).unwrap(), expected, "{name}");
        assert_eq!(event.known_type().unwrap().path(), name);
    }
}

#[test]
fn what_is_written_today_equals_the_frozen_bytes() {
    for (name, bytes) in samples::all() {
        let frozen = std::fs::read(documents::root().join(format!("golden/v1/{name}.msgpack"))).unwrap();
        assert!(
            bytes == frozen,
            "{name}: the encoding of version 1 changed; within v1 only optional fields may be added"
        );
    }
}

#[test]
fn unknown_keys_and_enum_values_are_read() {
    let event = samples::event("shop", samples::scanned());
    let mut value = serde_json::to_value(&event).unwrap();
    value["from-the-future"] = serde_json::json!({ "a": [1, 2] });
    value["data"]["findings"][0]["severity"] = "CATASTROPHIC".into();
    value["data"]["new-field"] = 5.into();
    value["identity"]["new-identity"] = "x".into();
    let bytes = rmp_serde::to_vec_named(&value).unwrap();
    let read: schemas::Event<schemas::build::v1::ImageScanned> = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(read.data.findings[0].severity, model::Severity::Unknown);
    assert_eq!(read.data.packages, event.data.packages);
}
