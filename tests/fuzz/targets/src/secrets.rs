//! Manifests and templates of secrets.

use secret_sync::Documents;
use secret_templating::{Limits, Template, Value};
use serde_json::json;

/// A file of manifests.
pub(crate) fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut documents = Documents::default();
    secret_sync::parse("fuzz.yaml", text, &mut documents);
}

/// A template, rendered within bounds.
pub(crate) fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(template) = Template::parse("fuzz", text) else { return };
    let limits = Limits { steps: 20_000, bytes: 1 << 16, depth: 20 };
    let data = Value::from_json(&json!({ "user": "ada", "list": [1, 2.5, "x", null], "map": { "b": true, "a": {} } }));
    if let Ok(text) = template.render(&data, limits) {
        assert!(text.expose().len() <= limits.bytes, "output went over its bound");
    }
}
