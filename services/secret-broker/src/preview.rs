//! What manifests would make of given values, without a store: for `biotope secrets render`.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Fault, FaultKind};
use secret_sync::{
    Assembled, Documents, ExternalSecret, FetchKey, Reading, SecretBytes, SecretJson, TargetContent, assemble, parse,
};
use serde_json::{Map, Value, json};

use crate::template;

/// What came of a preview.
#[derive(Debug, Default)]
pub struct Preview {
    /// Secrets as they would be, with their values in plain text.
    pub secrets: Vec<Value>,
    /// What is wrong, one line each.
    pub faults: Vec<String>,
}

/// Renders every ExternalSecret of `manifest` (YAML, named `file` in messages) with `values` (YAML): `path: { property: value }`,
/// or `path: text`. Stores need not exist.
#[must_use]
pub fn preview(file: &str, manifest: &str, values: &str) -> Preview {
    let mut made = Preview::default();
    let values: Map<String, Value> = match serde_saphyr::from_str(values) {
        Ok(values) => values,
        Err(_) => {
            made.faults.push("the values are no map: write `path: { property: value }`".to_owned());
            return made;
        }
    };
    let mut documents = Documents::default();
    parse(file, manifest, &mut documents);
    made.faults.extend(documents.faults.into_iter().map(|fault| explained(fault).to_string()));
    for external in &documents.external_secrets {
        match one(external, &values) {
            Ok(secret) => made.secrets.push(secret),
            Err(what) => made.faults.push(format!("{}: {what}", external.subject())),
        }
    }
    made
}

/// What is not rendered here is no fault of the manifest: the broker itself serves it.
fn explained(mut fault: Fault) -> Fault {
    if fault.kind == FaultKind::Unsupported && fault.subject.starts_with("ExternalSecret ") {
        fault.remedy =
            "`render` has values for `data` and `extract` alone; the broker asks stores and generators".to_owned();
    }
    fault
}

fn one(external: &ExternalSecret, values: &Map<String, Value>) -> Result<Value, String> {
    let remotes = external.data.iter().map(|item| (&item.store, &item.remote));
    let remotes = remotes.chain(external.extracts.iter().map(|extract| (&extract.store, &extract.remote)));
    let mut readings = BTreeMap::new();
    for (store, remote) in remotes {
        let reading = values.get(&remote.path).map(|content| {
            let content = SecretJson::new(content.clone());
            Arc::new(Reading { content, version: String::new(), revision: String::new() })
        });
        readings.insert(FetchKey::new(store, remote), reading);
    }
    let assembled = assemble(external, &readings, template::transform).map_err(|error| error.to_string())?;
    let Assembled::Content(data) = assembled else {
        return Err("the Secret would be deleted: no value of it is there".to_owned());
    };
    let content = match &external.target.template {
        Some(wanted) => {
            template::render(wanted, &data).map_err(|problem| format!("{}; {}", problem.what, problem.remedy))?
        }
        None => TargetContent { data, ..TargetContent::default() },
    };
    let texts = |part: &BTreeMap<String, SecretBytes>| -> Map<String, Value> {
        part.iter().map(|(key, value)| (key.clone(), shown(value))).collect()
    };
    let mut metadata = json!({ "name": external.target.name, "namespace": external.namespace });
    for (name, part) in [("labels", &content.labels), ("annotations", &content.annotations)] {
        if let Some(fields) = metadata.as_object_mut().filter(|_| !part.is_empty()) {
            fields.insert(name.to_owned(), Value::Object(texts(part)));
        }
    }
    let kind = match external.target.secret_type.as_str() {
        "" => "Opaque",
        kind => kind,
    };
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": metadata, "type": kind, "stringData": texts(&content.data),
    }))
}

fn shown(value: &SecretBytes) -> Value {
    value.expose_str().map_or_else(|| json!(String::from_utf8_lossy(value.expose())), |text| json!(text))
}

/// A Secret as YAML.
#[must_use]
pub fn as_yaml(secret: &Value) -> String {
    serde_saphyr::to_string(secret).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: { name: db, namespace: shop }
spec:
  secretStoreRef: { name: v }
  target: { name: login, template: { data: { url: 'db://{{ .user }}@{{ .host }}' } } }
  dataFrom: [{ extract: { key: team/db } }]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: { name: lost }
spec: { secretStoreRef: { name: v }, data: [{ secretKey: a, remoteRef: { key: nowhere } }] }
";

    #[test]
    fn what_can_be_made_is_made_and_the_rest_is_named() {
        let made = preview("m.yaml", MANIFEST, "team/db: { user: app, host: h }");
        assert_eq!(made.secrets.len(), 1);
        assert_eq!(made.secrets[0]["stringData"], json!({ "url": "db://app@h" }));
        assert_eq!(made.faults, ["ExternalSecret default/lost: `nowhere` does not exist in its store"]);
        assert_eq!(preview("m.yaml", MANIFEST, "- no map").faults.len(), 1);
        assert!(as_yaml(&made.secrets[0]).contains("name: login"));
    }
}
