//! JSON Schemas and asyncapi.yaml are generated; `UPDATE_GOLDEN=1` (make golden) rewrites them.

use std::path::{Path, PathBuf};

#[test]
fn json_schemas_are_current() {
    for (name, schema) in schemas::document::json_schemas() {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        is_current(&Path::new("json").join(name), text.as_bytes());
    }
}

#[test]
fn async_api_is_current() {
    let yaml = serde_saphyr::to_string(&schemas::document::async_api()).unwrap();
    is_current(Path::new("asyncapi.yaml"), yaml.as_bytes());
    let read: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(read, schemas::document::async_api(), "the YAML says what the document says");
}

pub(crate) fn is_current(path: &Path, content: &[u8]) {
    let path = root().join(path);
    if updates() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
    }
    let stored = std::fs::read(&path).unwrap_or_default();
    assert!(stored == content, "{} is stale: run `make golden` and review the change", path.display());
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[allow(clippy::disallowed_methods, reason = "a switch of the tests, no configuration of the product")]
pub(crate) fn updates() -> bool {
    std::env::var("UPDATE_GOLDEN").is_ok()
}

#[test]
fn the_charts_permissions_are_current() {
    is_current(Path::new("../helm/biotope/files/permissions.conf"), schemas::access::permissions_conf().as_bytes());
}

#[test]
fn the_charts_kinds_are_those_of_the_broker() {
    for name in ["external-secrets.io.yaml", "generators.external-secrets.io.yaml"] {
        let path = root().join("../services/secret-broker/crds").join(name);
        is_current(&Path::new("../helm/biotope/crds").join(name), &std::fs::read(path).unwrap());
    }
}
