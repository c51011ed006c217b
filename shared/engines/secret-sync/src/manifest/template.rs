//! What a target looks like.

use std::collections::BTreeMap;

use model::{Fault, FaultKind};
use serde_json::Value;

use super::TargetTemplate;
use super::fields::Fields;

/// Reads `target.template`. Parts that nothing here can serve are refused; labels and annotations have no place in a folder, so that they
/// are warned of.
pub(super) fn read(fields: &mut Fields<'_>, warnings: &mut Vec<Fault>) -> Result<Option<TargetTemplate>, Fault> {
    let Some(mut template) = fields.object("template")? else { return Ok(None) };
    match template.text("engineVersion")?.as_deref() {
        None | Some("" | "v2") => {}
        Some(_) => return Err(template.unsupported("engineVersion", "use v2")),
    }
    let merge = template.choice("mergePolicy", &[("Replace", false), ("Merge", true)])?.unwrap_or(false);
    let secret_type = template.text("type")?.filter(|text| !text.is_empty());
    let mut data = BTreeMap::new();
    if let Some(entries) = template.take("data") {
        let Value::Object(entries) = entries else {
            return Err(template.invalid("data", "is no map").cure("write a template below each key"));
        };
        for (key, text) in entries {
            let Value::String(text) = text else {
                return Err(template
                    .invalid("data", "has a value that is no text")
                    .cure("put quotation marks around it"));
            };
            data.insert(key, text);
        }
    }
    let mut literals = Vec::new();
    for from in template.list("templateFrom")? {
        literals.extend(literal(&template, from)?);
    }
    if template.take("metadata").is_some() {
        let mut fault =
            template.invalid("metadata", "is not written into a folder: labels and annotations have no place there");
        fault.kind = FaultKind::Warning;
        warnings.push(fault.cure("they matter where targets are objects of Kubernetes"));
    }
    template.finish(warnings);
    Ok(Some(TargetTemplate { data, literals, merge, secret_type }))
}

/// A template in the manifest itself whose result is a map of keys and values.
fn literal(template: &Fields<'_>, from: Value) -> Result<Option<String>, Fault> {
    let Value::Object(from) = from else {
        return Err(template.invalid("templateFrom", "has an entry that is no object").cure("write `literal: ...`"));
    };
    if from.contains_key("configMap") || from.contains_key("secret") {
        return Err(template.unsupported("templateFrom.configMap", "write the template itself under `literal`"));
    }
    match from.get("target").and_then(Value::as_str) {
        None | Some("" | "Data") => {}
        Some("Labels" | "Annotations") => return Ok(None),
        Some(_) => return Err(template.unsupported("templateFrom.target", "use Data")),
    }
    match from.get("valuesDecodingStrategy").and_then(Value::as_str) {
        None | Some("" | "None") => {}
        Some(_) => return Err(template.unsupported("templateFrom.valuesDecodingStrategy", "use None")),
    }
    Ok(from.get("literal").and_then(Value::as_str).map(str::to_owned))
}
