//! From text to documents, each judged on its own.

use std::sync::Arc;

use model::{Fault, FaultKind};
use serde_json::Value;
use zeroize::Zeroizing;

use super::fields::Source;
use super::{CONFIG_MAP, Documents, StoreKind, StoreRef, external_secret, secret, store};
use crate::value::SecretBytes;

/// Reads the manifests in `text`; one that cannot be used is set aside with its place while the rest goes on.
///
/// Texts of faults never quote the document, since it may be a Secret.
pub fn parse(file: &str, text: &str, documents: &mut Documents) {
    for (first_line, text) in split(text) {
        document(file, (first_line, text), documents);
    }
}

/// Cuts at the lines `---`, which YAML lets stand only between documents.
fn split(text: &str) -> Vec<(u32, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut at, mut first, mut line) = (0, 0, 1_u32, 1_u32);
    let mut cut = |from: usize, to: usize, first: u32| {
        let part = text.get(from..to).unwrap_or_default();
        let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        if let Some(offset) = part.lines().position(|line| is_content(&line)) {
            let skipped: usize = part.split_inclusive('\n').take(offset).map(str::len).sum();
            let offset = u32::try_from(offset).unwrap_or(0);
            parts.push((first.saturating_add(offset), part.get(skipped..).unwrap_or_default()));
        }
    };
    for whole in text.split_inclusive('\n') {
        let next = at + whole.len();
        if whole.trim_end() == "---" || whole.starts_with("--- ") {
            cut(start, at, first);
            (start, first) = (next, line.saturating_add(1));
        }
        (at, line) = (next, line.saturating_add(1));
    }
    cut(start, at, first);
    parts
}

fn document(file: &str, (first_line, text): (u32, &str), documents: &mut Documents) {
    let value = match serde_saphyr::from_str::<Value>(text) {
        Ok(value) => value,
        Err(error) => {
            let (line, column) = error.location().map_or((1, 0), |at| (at.line(), at.column()));
            let line = first_line.saturating_add(u32::try_from(line).unwrap_or(1)).saturating_sub(1);
            let fault = Fault::new(FaultKind::Invalid, file, "not YAML")
                .at(line, u32::try_from(column).unwrap_or(0))
                .cure("mend the syntax at this place");
            return documents.faults.push(fault);
        }
    };
    if value.get("kind").and_then(Value::as_str) == Some("List") {
        let items = value.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        return items.into_iter().for_each(|item| object(file, (first_line, text), item, documents));
    }
    object(file, (first_line, text), value, documents);
}

fn object(file: &str, (first_line, text): (u32, &str), value: Value, documents: &mut Documents) {
    let at = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind, name) = (at("/apiVersion"), at("/kind"), at("/metadata/name"));
    let namespace =
        Some(at("/metadata/namespace")).filter(|text| !text.is_empty()).unwrap_or_else(|| "default".to_owned());
    let place = if kind == "ClusterSecretStore" { name.clone() } else { format!("{namespace}/{name}") };
    let source = Source { file, text, first_line, subject: format!("{kind} {place}") };
    let outcome = match (version.as_str(), kind.as_str()) {
        _ if name.is_empty() => Err(source.invalid("metadata.name", "`metadata.name` is missing").cure("add it")),
        (EXTERNAL_V1 | EXTERNAL_BETA, "SecretStore" | "ClusterSecretStore") => {
            let kind = if kind == "SecretStore" { StoreKind::SecretStore } else { StoreKind::ClusterSecretStore };
            let namespace = if kind == StoreKind::SecretStore { namespace } else { String::new() };
            let id = StoreRef { kind, namespace, name };
            store::read(&source, id.clone(), value, &mut documents.faults)
                .map(|store| documents.stores.push(store))
                .inspect_err(|_| {
                    documents.broken_stores.push(id);
                })
        }
        (EXTERNAL_V1 | EXTERNAL_BETA, "ExternalSecret") => {
            let read = external_secret::read(&source, (namespace, name), value, &mut documents.faults);
            read.map(|read| documents.external_secrets.push(Arc::new(read)))
        }
        ("v1", "Secret") => secret::read(&source, value).map(|keys| {
            documents.secrets.insert((namespace, name), keys);
        }),
        // Certificates of authorities may stand in one.
        ("v1", "ConfigMap") => {
            let entries = value.get("data").and_then(Value::as_object).into_iter().flatten();
            let texts = entries.filter_map(|(key, text)| Some((key.clone(), SecretBytes::from(text.as_str()?))));
            documents.secrets.insert((namespace, format!("{CONFIG_MAP}{name}")), texts.collect());
            Ok(())
        }
        (version, kind) => Err(unknown(&source, version, kind)),
    };
    documents.faults.extend(outcome.err());
}

fn unknown(source: &Source<'_>, version: &str, kind: &str) -> Fault {
    if version.is_empty() || kind.is_empty() {
        return source.invalid("kind", "no Kubernetes object: `apiVersion` or `kind` is missing").cure("add them");
    }
    let what = format!("`{version}` `{kind}`");
    source.fault(FaultKind::Unsupported, "kind", what).cure(
        "use SecretStore, ClusterSecretStore and ExternalSecret of external-secrets.io/v1 or v1beta1, and Secret of v1",
    )
}

const EXTERNAL_V1: &str = "external-secrets.io/v1";
const EXTERNAL_BETA: &str = "external-secrets.io/v1beta1";

/// Text that is wiped when dropped.
pub(super) type Wiped = Zeroizing<String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_know_their_first_line() {
        let text = "# only a comment\n---\n\nkind: A\n--- # next\n# comment\nkind: B\ntext: |\n  --- not here\n---\n";
        let parts = split(text);
        let lines: Vec<u32> = parts.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [4, 7]);
        assert!(parts[1].1.contains("not here"));
    }
}
