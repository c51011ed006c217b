//! Objects of the API as manifests: each is read when it is new or changed, and what was read of it is shared from then on.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubernetes::Objects;
use secret_sync::{Documents, ManifestSet, SecretJson, parse};

use super::manifest::Manifest;

/// Objects of one kind.
pub(super) struct Kind {
    /// Its name.
    pub(super) name: &'static str,
    /// Whether its objects are read as manifests; else they are only handed on.
    pub(super) is_parsed: bool,
    /// The objects.
    pub(super) objects: Arc<Objects<Manifest>>,
}

/// What was read, by kind and place.
#[derive(Debug, Default)]
pub(super) struct Read(BTreeMap<(&'static str, String), Object>);

#[derive(Debug)]
struct Object {
    manifest: Arc<Manifest>,
    /// What it says as a manifest; `None` for kinds that are only handed on.
    documents: Option<Documents>,
    /// The object itself, where somebody needs it.
    object: Option<Arc<SecretJson>>,
}

impl Read {
    /// Everything that objects say, reading what is new.
    pub(super) fn all(&mut self, kinds: &[Kind]) -> Documents {
        let mut before = std::mem::take(&mut self.0);
        let mut documents = Documents::default();
        let objects = kinds.iter().flat_map(|kind| kind.objects.iter().map(move |object| (kind, object)));
        for (kind, (place, manifest)) in objects {
            let key = (kind.name, place.clone());
            let known = before.remove(&key).filter(|known| Arc::ptr_eq(&known.manifest, manifest));
            let known = known.unwrap_or_else(|| Object {
                manifest: Arc::clone(manifest),
                documents: kind.is_parsed.then(|| read(kind.name, place, manifest)),
                object: None,
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

    /// The objects that are not in `set`: who serves the others needs no more of them than was read.
    pub(super) fn others(&mut self, set: &ManifestSet) -> Vec<Arc<SecretJson>> {
        let mut others = Vec::new();
        for ((kind, place), known) in &mut self.0 {
            if *kind == EXTERNAL && set.external_secrets.contains_key(&format!("{EXTERNAL} {place}")) {
                known.object = None;
            } else {
                let object = known.object.get_or_insert_with(|| Arc::new(known.manifest.object()));
                others.push(Arc::clone(object));
            }
        }
        others
    }
}

fn read(kind: &str, place: &str, manifest: &Manifest) -> Documents {
    let mut documents = Documents::default();
    parse(&format!("cluster:{kind}/{}", place.trim_start_matches('/')), manifest.text(), &mut documents);
    documents
}

/// The kind that there are many of.
pub(super) const EXTERNAL: &str = "ExternalSecret";
