//! All manifests together: references resolved, contradictions set aside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Fault, FaultKind};

use crate::manifest::{Documents, ExternalSecret, NamespaceRule, SecretKeySelector, Store, StoreRef};
use crate::value::SecretBytes;

/// Credentials for stores, by namespace and name of the Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials(BTreeMap<(String, String), BTreeMap<String, SecretBytes>>);

impl Credentials {
    /// Adds a value.
    pub fn insert(&mut self, selector: SecretKeySelector, value: SecretBytes) {
        self.0.entry((selector.namespace, selector.name)).or_default().insert(selector.key, value);
    }

    /// The value that `selector` names.
    #[must_use]
    pub fn find(&self, selector: &SecretKeySelector) -> Option<&SecretBytes> {
        self.0.get(&(selector.namespace.clone(), selector.name.clone()))?.get(&selector.key)
    }

    /// The keys of the Secret that `selector` names; `None` when there is no such Secret.
    pub fn keys(&self, selector: &SecretKeySelector) -> Option<impl Iterator<Item = &str>> {
        let values = self.0.get(&(selector.namespace.clone(), selector.name.clone()))?;
        Some(values.keys().map(String::as_str))
    }
}

/// The manifests in force.
#[derive(Clone, Debug, Default)]
pub struct ManifestSet {
    /// External secrets whose stores are all there, by subject.
    pub external_secrets: BTreeMap<String, Arc<ExternalSecret>>,
    /// Stores.
    pub stores: BTreeMap<StoreRef, Arc<Store>>,
}

/// What came of a set of documents.
#[derive(Debug)]
pub struct Resolved {
    /// What is in force.
    pub set: ManifestSet,
    /// Credentials of the stores.
    pub credentials: Credentials,
    /// What was set aside.
    pub faults: Vec<Fault>,
}

impl Documents {
    /// Puts the documents together.
    #[must_use]
    pub fn resolve(self) -> Resolved {
        let mut faults = self.faults;
        let broken: BTreeSet<StoreRef> = self.broken_stores.into_iter().collect();
        let mut set = ManifestSet::default();
        for store in self.stores {
            let subject = store.id.to_string();
            let place = store.place.clone();
            if set.stores.insert(store.id.clone(), Arc::new(store)).is_some() {
                let fault = Fault::new(FaultKind::Invalid, &place.file, "the store is defined more than once");
                faults.push(fault.at(place.line, 0).about(subject).cure("keep one; the last in file order is used"));
            }
        }
        let mut owners: BTreeMap<(String, String), String> = BTreeMap::new();
        for external in self.external_secrets {
            let subject = external.subject();
            let target = (external.namespace.clone(), external.target.name.clone());
            let problem = missing_store(&external, &set, &broken).or_else(|| taken(&target, &subject, &owners));
            if let Some((what, remedy)) = problem {
                let fault = Fault::new(FaultKind::Invalid, &external.place.file, what);
                faults.push(fault.at(external.place.line, 0).about(subject).cure(remedy));
                continue;
            }
            owners.insert(target, subject.clone());
            set.external_secrets.insert(subject, external);
        }
        Resolved { set, credentials: Credentials(self.secrets), faults }
    }
}

fn taken(
    target: &(String, String),
    subject: &str,
    owners: &BTreeMap<(String, String), String>,
) -> Option<(String, String)> {
    let owner = owners.get(target)?;
    let what = match owner == subject {
        true => "is defined more than once".to_owned(),
        false => format!("its target Secret {}/{} belongs to {owner} already", target.0, target.1),
    };
    Some((what, "keep one, or give each a `spec.target.name` of its own".to_owned()))
}

fn missing_store(
    external: &ExternalSecret,
    set: &ManifestSet,
    broken: &BTreeSet<StoreRef>,
) -> Option<(String, String)> {
    for reference in external.store_refs() {
        let Some(store) = set.stores.get(reference) else {
            return Some(if broken.contains(reference) {
                (format!("its store `{reference}` is set aside"), "mend the store first".to_owned())
            } else {
                let remedy = "add the store's manifest, or correct `secretStoreRef`";
                (format!("its store `{reference}` does not exist"), remedy.to_owned())
            });
        };
        let is_allowed = |rule: &NamespaceRule| match rule {
            NamespaceRule::Name(name) => *name == external.namespace,
            NamespaceRule::Pattern(pattern) => pattern.is_match(&external.namespace),
        };
        if !store.allowed.is_empty() && !store.allowed.iter().any(is_allowed) {
            let what = format!("using `{reference}` is not allowed from namespace {}", external.namespace);
            return Some((what, "add the namespace to the store's `conditions`".to_owned()));
        }
    }
    None
}
