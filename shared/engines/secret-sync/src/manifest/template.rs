//! What a target looks like.

use std::collections::BTreeMap;

use model::Fault;
use serde_json::Value;

use super::fields::Fields;
use super::{Literal, SecretPart, TargetTemplate};

/// Reads `target.template`. Parts that the machine does not serve are refused.
pub(super) fn read(fields: &mut Fields<'_>, warnings: &mut Vec<Fault>) -> Result<Option<TargetTemplate>, Fault> {
    let Some(mut template) = fields.object("template")? else { return Ok(None) };
    match template.text("engineVersion")?.as_deref() {
        None | Some("" | "v2") => {}
        Some(_) => return Err(template.unsupported("engineVersion", "use v2")),
    }
    let merge = template.choice("mergePolicy", &[("Replace", false), ("Merge", true)])?.unwrap_or(false);
    let secret_type = template.text("type")?.filter(|text| !text.is_empty());
    let data = texts(&mut template, "data")?;
    let mut literals = Vec::new();
    for from in template.list("templateFrom")? {
        literals.extend(literal(&template, from)?);
    }
    let (mut labels, mut annotations) = (BTreeMap::new(), BTreeMap::new());
    if let Some(mut metadata) = template.object("metadata")? {
        metadata.refuse(&["finalizers"], "remove them: a Secret goes when its manifest goes")?;
        (labels, annotations) = (texts(&mut metadata, "labels")?, texts(&mut metadata, "annotations")?);
        metadata.finish(warnings);
    }
    template.finish(warnings);
    Ok(Some(TargetTemplate { data, literals, labels, annotations, merge, secret_type }))
}

/// A map of templates.
fn texts(fields: &mut Fields<'_>, name: &str) -> Result<BTreeMap<String, String>, Fault> {
    let mut texts = BTreeMap::new();
    let Some(entries) = fields.take(name) else { return Ok(texts) };
    let Value::Object(entries) = entries else {
        return Err(fields.invalid(name, "is no map").cure("write a template below each key"));
    };
    for (key, text) in entries {
        let Value::String(text) = text else {
            let fault = fields.invalid(name, "has a value that is no text");
            return Err(fault.cure("put quotation marks around it"));
        };
        texts.insert(key, text);
    }
    Ok(texts)
}

/// A template in the manifest itself whose result is a map of keys and values.
fn literal(template: &Fields<'_>, from: Value) -> Result<Option<Literal>, Fault> {
    let Value::Object(from) = from else {
        return Err(template.invalid("templateFrom", "has an entry that is no object").cure("write `literal: ...`"));
    };
    if from.contains_key("configMap") || from.contains_key("secret") {
        return Err(template.unsupported("templateFrom.configMap", "write the template itself under `literal`"));
    }
    let text = |name: &str| from.get(name).and_then(Value::as_str);
    let Some(part) = SecretPart::parse(text("target").unwrap_or_default()) else {
        return Err(template.unsupported("templateFrom.target", "use Data, Labels or Annotations"));
    };
    if !matches!(text("valuesDecodingStrategy"), None | Some("" | "None")) {
        return Err(template.unsupported("templateFrom.valuesDecodingStrategy", "use None"));
    }
    Ok(text("literal").map(|text| Literal { part, text: text.to_owned() }))
}
