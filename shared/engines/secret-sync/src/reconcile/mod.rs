//! What an object of a cluster becomes: given an ExternalSecret or PushSecret, what the cluster holds and what the stores answer, the
//! object to write, the status to set and the events to tell, in upstream's words and by its labels.
//!
//! ```text
//! ExternalSecret + target that exists + stores -> Outcome { write, status, events, again }
//! PushSecret     + source that exists + stores -> PushOutcome { status, events, again }
//! ```
//!
//! Nothing here waits: a store that was not asked yet ends the call with [`Unanswered`], and it is made again with the answer.

pub mod cluster;
pub mod external;
mod fetch;
pub mod generic;
pub mod push;
mod push_data;
mod selector;
mod status;
mod template;

use std::collections::{BTreeMap, BTreeSet};

use jmespath::go_regex;
use serde_json::Value;

use crate::api::GeneratorReference;
use crate::keys::ConversionStrategy;
use crate::manifest::{StoreKind, StoreRef};
use crate::provider::{Keys, LocalSecret, ProviderError, Push, Reference, Search};
use crate::rewrite::Transformer;
use crate::value::SecretBytes;

pub use fetch::{FetchError, provider_data};
pub use selector::matches as selects;
pub use status::{Again, Condition, Note, Status};
pub use template::{TemplateError, apply_to_manifest, apply_to_secret};

/// Texts by name: labels, annotations.
pub type Texts = BTreeMap<String, String>;

/// The head of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Unique id, which owner references carry.
    pub uid: String,
    /// Counts the changes of the specification.
    pub generation: i64,
    /// Labels.
    pub labels: Texts,
    /// Annotations.
    pub annotations: Texts,
    /// Whether it is being deleted.
    pub is_deleting: bool,
}

/// Who an object belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerReference {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Unique id.
    pub uid: String,
    /// Whether it is the one that keeps the object as it should be.
    pub is_controller: bool,
}

/// A Secret of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetSecret {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Its type; empty means `Opaque`.
    pub kind: String,
    /// Its content.
    pub data: Keys,
    /// Labels.
    pub labels: Texts,
    /// Annotations.
    pub annotations: Texts,
    /// Finalizers.
    pub finalizers: Vec<String>,
    /// Owners.
    pub owners: Vec<OwnerReference>,
    /// Whether the cluster refuses to change its content.
    pub is_immutable: bool,
    /// Who set which field, as the cluster tells it: manager and `fieldsV1`.
    pub managed_fields: Vec<(String, Value)>,
}

impl TargetSecret {
    /// The names under a field (`["f:data"]`, `["f:metadata", "f:labels"]`) that `manager` set.
    #[must_use]
    pub fn names_of(&self, manager: &str, path: &[&str]) -> BTreeSet<String> {
        let own = self.managed_fields.iter().filter(|(name, _)| name == manager);
        let fields = own.filter_map(|(_, fields)| path.iter().try_fold(fields, |at, name| at.get(name))?.as_object());
        fields.flat_map(|fields| fields.keys()).filter_map(|name| name.strip_prefix("f:").map(str::to_owned)).collect()
    }

    fn controller(&self) -> Option<&OwnerReference> {
        self.owners.iter().find(|owner| owner.is_controller)
    }
}

/// What is known of a store before it is asked for secrets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreView {
    /// Its specification.
    pub spec: crate::api::SecretStoreSpec,
    /// Its labels.
    pub labels: Texts,
    /// Whether its last validation succeeded; `None` before the first.
    pub is_ready: Option<bool>,
    /// Whether it is being deleted.
    pub is_deleting: bool,
}

/// What the cluster holds.
pub trait Objects {
    /// A store; `None` when there is none of that name.
    fn store(&self, store: &StoreRef) -> Option<StoreView>;
    /// All stores of a kind, in a namespace for the kind that has one.
    fn stores(&self, kind: StoreKind, namespace: &str) -> Vec<(StoreRef, StoreView)>;
    /// The texts of a ConfigMap.
    fn config_map(&self, namespace: &str, name: &str) -> Option<Texts>;
    /// A Secret.
    fn secret(&self, namespace: &str, name: &str) -> Option<TargetSecret>;
    /// All Secrets of a namespace.
    fn secrets(&self, namespace: &str) -> Vec<TargetSecret>;
    /// Labels of a namespace.
    fn namespace_labels(&self, namespace: &str) -> Texts;
    /// The controller class that a generator asks for; `None` when there is no such generator.
    fn generator_class(&self, namespace: &str, generator: &GeneratorReference) -> Option<String>;
}

/// What stores answer. An implementation that has an answer not yet returns [`ProviderError::Unanswered`].
pub trait Stores {
    /// One value.
    ///
    /// # Errors
    /// As the provider tells.
    fn get(&mut self, store: &StoreRef, reference: &Reference) -> Result<SecretBytes, ProviderError>;
    /// All keys of one entry.
    ///
    /// # Errors
    /// As the provider tells.
    fn get_map(&mut self, store: &StoreRef, reference: &Reference) -> Result<Keys, ProviderError>;
    /// All entries that a search finds.
    ///
    /// # Errors
    /// As the provider tells.
    fn find(&mut self, store: &StoreRef, what: (&Search, ConversionStrategy)) -> Result<Keys, ProviderError>;
    /// What a generator makes up.
    ///
    /// # Errors
    /// As the generator tells.
    fn generate(&mut self, namespace: &str, generator: &GeneratorReference) -> Result<Keys, ProviderError>;
    /// Writes to a store.
    ///
    /// # Errors
    /// As the provider tells.
    fn push(&mut self, store: &StoreRef, push: &Push, secret: &LocalSecret) -> Result<(), ProviderError>;
    /// Whether a store has an entry already.
    ///
    /// # Errors
    /// As the provider tells.
    fn exists(&mut self, store: &StoreRef, push: &Push) -> Result<bool, ProviderError>;
    /// Removes what was pushed.
    ///
    /// # Errors
    /// As the provider tells.
    fn delete(&mut self, store: &StoreRef, push: &Push) -> Result<(), ProviderError>;
    /// Whether a client for the store can be made.
    ///
    /// # Errors
    /// As the provider tells.
    fn open(&mut self, store: &StoreRef) -> Result<(), ProviderError>;
}

/// Renders templates.
pub trait Templates {
    /// Renders `text`, which the caller names, with the data as dot.
    ///
    /// # Errors
    /// Says what is wrong, never with a value of the data.
    fn render(&self, name: &str, text: &str, data: &Keys) -> Result<SecretBytes, String>;
}

/// Everything around an object.
#[allow(missing_debug_implementations, reason = "holds what others implement")]
pub struct World<'a> {
    /// The cluster.
    pub objects: &'a dyn Objects,
    /// The stores.
    pub stores: &'a mut dyn Stores,
    /// The template engine.
    pub templates: &'a dyn Templates,
    /// What renders a step of `rewrite`.
    pub transform: Transformer,
}

/// How objects are looked after.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The controller class that stores name; a store of another class is somebody else's.
    pub controller_class: String,
    /// Whether stores of the whole cluster are looked at.
    pub has_cluster_stores: bool,
    /// Whether an ExternalSecret may write another object than a Secret.
    pub allows_manifests: bool,
    /// Whether a store that failed its validation is left alone.
    pub waits_for_stores: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            controller_class: "default".to_owned(),
            has_cluster_stores: true,
            allows_manifests: false,
            waits_for_stores: true,
        }
    }
}

/// A store has to be asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a store was not asked yet")]
pub struct Unanswered;

/// Says that the operator keeps the object.
pub const LABEL_MANAGED: &str = "reconcile.external-secrets.io/managed";
/// Hash of the ExternalSecret that made the object.
pub const LABEL_OWNER: &str = "reconcile.external-secrets.io/created-by";
/// Hash of the content as it was written.
pub const ANNOTATION_HASH: &str = "reconcile.external-secrets.io/data-hash";

/// The field manager by which the fields of an ExternalSecret are known.
#[must_use]
pub fn field_manager(name: &str) -> String {
    format!("externalsecrets.external-secrets.io/{name}")
}

/// Why a store cannot be used from a namespace; `None` when it can.
fn refusal(world: &World<'_>, policy: &Policy, store: &StoreRef, namespace: &str) -> Option<String> {
    let Some(view) = world.objects.store(store) else { return Some(not_found(store)) };
    if store.kind == StoreKind::ClusterSecretStore && !is_allowed(world.objects, &view, namespace) {
        let name = &store.name;
        return Some(format!(
            "using ClusterSecretStore {name:?} is not allowed from namespace {namespace:?}: denied by spec.condition"
        ));
    }
    let is_unready = policy.waits_for_stores && view.is_ready == Some(false);
    is_unready.then(|| format!("the desired {} {} is not ready", kind_name(store.kind), store.name))
}

fn not_found(store: &StoreRef) -> String {
    let kind = kind_name(store.kind);
    let plural = format!("{}s", kind.to_lowercase());
    let name = &store.name;
    format!("could not get {kind} {name:?}, {plural}.external-secrets.io {name:?} not found")
}

fn kind_name(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::SecretStore => "SecretStore",
        StoreKind::ClusterSecretStore => "ClusterSecretStore",
    }
}

/// Whether one of a store's conditions lets the namespace in; a store without conditions lets all in.
fn is_allowed(objects: &dyn Objects, view: &StoreView, namespace: &str) -> bool {
    let Some(conditions) = view.spec.conditions.as_ref().filter(|conditions| !conditions.is_empty()) else {
        return true;
    };
    let labels = objects.namespace_labels(namespace);
    conditions.iter().any(|condition| {
        let by_label = condition.namespace_selector.as_ref().is_some_and(|rule| selector::matches(rule, &labels));
        let by_name = condition.namespaces.iter().flatten().any(|name| name == namespace);
        let is_match = |pattern: &String| go_regex::compile(pattern).is_ok_and(|rule| rule.is_match(namespace));
        by_label || by_name || condition.namespace_regexes.iter().flatten().any(is_match)
    })
}

/// The store that a reference names, seen from a namespace; `None` when it names none.
fn store_of(reference: Option<&crate::api::StoreReference>, namespace: &str) -> Option<StoreRef> {
    let reference = reference?;
    let name = reference.name.clone().filter(|name| !name.is_empty())?;
    Some(named_store(reference.kind.as_deref(), namespace, name))
}

fn named_store(kind: Option<&str>, namespace: &str, name: String) -> StoreRef {
    match kind {
        Some("ClusterSecretStore") => StoreRef { kind: StoreKind::ClusterSecretStore, namespace: String::new(), name },
        _ => StoreRef { kind: StoreKind::SecretStore, namespace: namespace.to_owned(), name },
    }
}
