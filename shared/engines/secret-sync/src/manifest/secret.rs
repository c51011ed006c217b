//! Secrets in the folder: credentials for stores.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Fault;
use serde_json::Value;

use super::document::Wiped;
use super::fields::{Fields, Source};
use crate::value::SecretBytes;

/// Reads `data` and `stringData`, of which the second wins.
pub(super) fn read(source: &Source<'_>, value: Value) -> Result<BTreeMap<String, SecretBytes>, Fault> {
    let mut keys = BTreeMap::new();
    let mut fields = Fields::of(source, "Secret", value)?;
    for (field, is_encoded) in [("data", true), ("stringData", false)] {
        let Some(Value::Object(entries)) = fields.take(field) else { continue };
        for (key, value) in entries {
            let path = format!("{field}.{key}");
            let Value::String(text) = value else {
                return Err(source
                    .invalid(&path, format!("`{path}` is no text"))
                    .cure("put quotation marks around it"));
            };
            let text = Wiped::new(text);
            let bytes = if is_encoded { STANDARD.decode(text.trim()).ok() } else { Some(text.as_bytes().to_vec()) };
            let Some(bytes) = bytes else {
                let remedy = "encode the value, or write it under `stringData`";
                return Err(source.invalid(&path, format!("`{path}` is not base64")).cure(remedy));
            };
            keys.insert(key, SecretBytes::new(bytes));
        }
    }
    Ok(keys)
}
