//! Objects of the API as manifests: each is read when it is new or changed, and kept as it was read.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubernetes::Objects;
use secret_sync::{Documents, SecretJson, parse};
use serde_json::Value;
use zeroize::Zeroizing;

/// What was read, by kind and place.
#[derive(Debug, Default)]
pub(super) struct Read(BTreeMap<(String, String), Object>);

#[derive(Debug)]
struct Object {
    version: String,
    object: Arc<SecretJson>,
    /// What it says as a manifest; `None` for kinds that are only handed on.
    documents: Option<Documents>,
}

impl Read {
    /// Everything that `parsed` says, reading what is new; `plain` is kept as it is.
    pub(super) fn all(&mut self, parsed: &[Arc<Objects>], plain: &[Arc<Objects>]) -> Documents {
        let mut before = std::mem::take(&mut self.0);
        let mut documents = Documents::default();
        let parsed = parsed.iter().flat_map(|objects| objects.iter()).map(|object| (object, true));
        let plain = plain.iter().flat_map(|objects| objects.iter()).map(|object| (object, false));
        for ((place, value), is_parsed) in parsed.chain(plain) {
            let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let (kind, version) = (text("/kind"), text("/metadata/resourceVersion"));
            let key = (kind.to_owned(), place.clone());
            let known = before.remove(&key).filter(|known| !version.is_empty() && known.version == version);
            let known = known.unwrap_or_else(|| Object {
                version: version.to_owned(),
                object: Arc::new(SecretJson::new(value.clone())),
                documents: is_parsed.then(|| read(kind, place, value)),
            });
            if let Some(said) = &known.documents {
                documents.stores.extend(said.stores.iter().cloned());
                documents.external_secrets.extend(said.external_secrets.iter().cloned());
                documents.broken_stores.extend(said.broken_stores.iter().cloned());
                documents.faults.extend(said.faults.iter().cloned());
            }
            self.0.insert(key, known);
        }
        documents
    }

    /// The objects themselves.
    pub(super) fn objects(&self) -> impl Iterator<Item = &Arc<SecretJson>> {
        self.0.values().map(|known| &known.object)
    }
}

fn read(kind: &str, place: &str, value: &Value) -> Documents {
    let mut documents = Documents::default();
    let text = Zeroizing::new(value.to_string());
    parse(&format!("cluster:{kind}/{}", place.trim_start_matches('/')), &text, &mut documents);
    documents
}
