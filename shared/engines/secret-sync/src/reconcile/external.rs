//! An ExternalSecret: whether it is due, what is written, what its status says.

use model::Timestamp;
use serde_json::{Value, json};
use sha3::{Digest as _, Sha3_224};

use super::fetch::{FetchError, provider_data};
use super::status::{Again, Note, Status, set_ready};
use super::{
    ANNOTATION_HASH, Head, LABEL_MANAGED, LABEL_OWNER, OwnerReference, Policy, TargetSecret, Texts, Unanswered, World,
    field_manager, generic, store_of, template,
};
use crate::api::{ExternalSecretSpec, validate};
use crate::keys::data_hash;
use crate::manifest::{StoreKind, StoreRef};
use crate::provider::Keys;
use crate::schedule::parse_duration;
use crate::window::SyncWindows;

/// An ExternalSecret of a cluster.
#[derive(Clone, Debug)]
pub struct External<'a> {
    /// Its head.
    pub head: &'a Head,
    /// What it wants.
    pub spec: &'a ExternalSecretSpec,
    /// What has come of it so far.
    pub status: &'a Status,
    /// The Secret that it is about, if it exists.
    pub existing: Option<&'a TargetSecret>,
    /// The object that it is about where that is no Secret, if it exists.
    pub manifest: Option<&'a Value>,
}

/// What to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A Secret that is not there.
    Create(Box<TargetSecret>),
    /// A Secret that is there, in place of what it was.
    Update(Box<TargetSecret>),
    /// Another object, applied by the field manager.
    Apply(Box<Value>),
    /// Remove a Secret.
    Delete {
        /// Its name.
        name: String,
    },
}

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// In this order. When one fails, [`Outcome::write_failed`] says what that means.
    pub writes: Vec<Write>,
    /// The status, once all is written.
    pub status: Status,
    /// Events.
    pub notes: Vec<Note>,
    /// When to look again.
    pub again: Again,
    /// Whether it counts as a failure.
    pub is_error: bool,
}

impl Outcome {
    /// What is left of it when a write failed. A conflict is not told, since the next attempt sees what is there.
    #[must_use]
    pub fn write_failed(mut self, before: &Status, is_conflict: bool, now: Timestamp) -> Self {
        self.status = before.clone();
        self.again = Again::BackOff;
        if !is_conflict {
            self.fail("could not update secret", "the object could not be written", now);
        }
        self
    }

    fn fail(&mut self, message: &str, cause: &str, now: Timestamp) {
        self.is_error = true;
        self.notes.push(Note::warning("UpdateFailed", format!("{message}: {cause}")));
        set_ready(&mut self.status.conditions, false, ("SecretSyncedError", message), now);
    }
}

/// Why a target cannot be made. The message of the condition, the cause, and whether trying again could help.
struct Trouble(&'static str, String, bool);

/// Looks at an ExternalSecret at `now`.
///
/// # Errors
/// When a store has to be asked first.
pub fn reconcile(
    external: &External<'_>,
    world: &mut World<'_>,
    policy: &Policy,
    now: Timestamp,
) -> Result<Outcome, Unanswered> {
    let mut outcome = Outcome { status: external.status.clone(), ..Outcome::default() };
    if external.head.is_deleting {
        outcome.writes.extend(removal(external));
        return Ok(outcome);
    }
    if is_skipped(external, world, policy) {
        return Ok(outcome);
    }
    if let Some(refused) = generic::refused(external.spec, policy) {
        outcome.fail("could not update secret", &refused, now);
        return Ok(outcome);
    }
    let wrong = validate::external_secret(external.spec);
    if !wrong.is_empty() {
        outcome.fail("could not get secret data from provider", &wrong.join("; "), now);
        return Ok(outcome);
    }
    let is_valid = generic::is_generic(external.spec) || is_valid(external);
    if (!is_due(external, now) || !is_window_open(external, now)) && is_valid {
        outcome.again = again(external, now);
        return Ok(outcome);
    }
    match fetched(external, world, policy, &mut outcome) {
        Ok(data) => settle(external, (data, now), world, &mut outcome),
        Err(FetchError::Unanswered(unanswered)) => return Err(unanswered),
        Err(FetchError::Failed(cause)) => {
            outcome.fail("could not get secret data from provider", &cause, now);
            outcome.again = Again::BackOff;
        }
    }
    Ok(outcome)
}

fn fetched(
    external: &External<'_>,
    world: &mut World<'_>,
    policy: &Policy,
    outcome: &mut Outcome,
) -> Result<Keys, FetchError> {
    provider_data((external.spec, &external.head.namespace), world, policy, &mut outcome.notes)
}

/// What is left to do with an ExternalSecret that goes: a Secret of its own goes with it where it says so; what it owns is collected by
/// the cluster.
fn removal(external: &External<'_>) -> Option<Write> {
    let is_delete = deletion(external.spec) == "Delete" && creation(external.spec) == "Owner";
    external.existing.filter(|_| is_delete).map(|secret| Write::Delete { name: secret.name.clone() })
}

fn creation(spec: &ExternalSecretSpec) -> &str {
    let policy = spec.target.as_ref().and_then(|target| target.creation_policy.as_deref());
    policy.filter(|policy| !policy.is_empty()).unwrap_or("Owner")
}

fn deletion(spec: &ExternalSecretSpec) -> &str {
    let policy = spec.target.as_ref().and_then(|target| target.deletion_policy.as_deref());
    policy.filter(|policy| !policy.is_empty()).unwrap_or("Retain")
}

/// Whether somebody else looks after it: a store of another class, or a store of the cluster where these are not looked at.
fn is_skipped(external: &External<'_>, world: &World<'_>, policy: &Policy) -> bool {
    let (spec, namespace) = (external.spec, external.head.namespace.as_str());
    let main = store_of(spec.secret_store_ref.as_ref(), namespace);
    let is_cluster = |store: &StoreRef| store.kind == StoreKind::ClusterSecretStore;
    if !policy.has_cluster_stores && main.as_ref().is_some_and(is_cluster) {
        return true;
    }
    let of_data = spec.data.iter().flatten().filter_map(|entry| entry.source_ref.as_ref());
    let sources = of_data.chain(spec.data_from.iter().flatten().filter_map(|entry| entry.source_ref.as_ref()));
    let is_ours = |class: &str| class.is_empty() || class == policy.controller_class;
    let mut others = sources.clone().filter_map(|source| store_of(source.store_ref.as_ref(), namespace)).chain(main);
    let is_foreign = others.any(|store| {
        let class = world.objects.store(&store).and_then(|view| view.spec.controller);
        !is_ours(class.as_deref().unwrap_or_default())
    });
    let generators = sources.filter_map(|source| source.generator_ref.as_ref());
    let mut classes = generators.filter_map(|generator| world.objects.generator_class(namespace, generator));
    is_foreign || classes.any(|class| !is_ours(&class))
}

/// Which text of an ExternalSecret this is: its generation, and a hash of labels and annotations as Go prints them.
#[must_use]
pub fn version(head: &Head) -> String {
    let text = format!("{{annotations:{} labels:{}}}", go_map(&head.annotations), go_map(&head.labels));
    format!("{}-{}", head.generation, hex::encode(Sha3_224::digest(text.as_bytes())))
}

fn go_map(texts: &Texts) -> String {
    let pairs: Vec<String> = texts.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("map[{}]", pairs.join(" "))
}

fn is_due(external: &External<'_>, now: Timestamp) -> bool {
    let status = external.status;
    let is_new = status.synced_version.is_empty() || status.refreshed.is_none();
    let is_changed = || status.synced_version != version(external.head);
    match external.spec.refresh_policy.as_deref() {
        Some("CreatedOnce") => is_new,
        Some("OnChange") => is_new || is_changed(),
        _ => {
            let interval = interval(external.spec);
            if interval.is_zero() && !status.synced_version.is_empty() {
                return false;
            }
            let is_past = |refreshed: Timestamp| refreshed > now || refreshed.plus(interval) <= now;
            is_changed() || status.refreshed.is_none_or(is_past)
        }
    }
}

fn interval(spec: &ExternalSecretSpec) -> std::time::Duration {
    let text = spec.refresh_interval.as_deref().unwrap_or("1h");
    parse_duration(text).unwrap_or(std::time::Duration::from_secs(3_600))
}

fn is_window_open(external: &External<'_>, now: Timestamp) -> bool {
    let Some(windows) = &external.spec.sync_windows else { return true };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let pairs = windows.windows.iter().flatten().map(|window| (text(&window.schedule), text(&window.duration)));
    let pairs: Vec<(String, String)> = pairs.collect();
    let pairs = pairs.iter().map(|(schedule, duration)| (schedule.as_str(), duration.as_str()));
    SyncWindows::new(windows.kind.as_deref().unwrap_or_default(), pairs).0.allows(now)
        || external.status.synced_version.is_empty()
        || external.status.synced_version != version(external.head)
}

/// Whether the Secret is as it was written.
fn is_valid(external: &External<'_>) -> bool {
    match (creation(external.spec), external.existing) {
        ("Orphan", _) => true,
        (_, None) => false,
        (_, Some(secret)) => {
            secret.labels.get(LABEL_MANAGED).is_some_and(|label| label == "true")
                && secret.annotations.get(ANNOTATION_HASH) == Some(&data_hash(&secret.data))
        }
    }
}

fn again(external: &External<'_>, now: Timestamp) -> Again {
    let interval = interval(external.spec);
    let is_once = matches!(external.spec.refresh_policy.as_deref(), Some("CreatedOnce" | "OnChange"));
    if interval.is_zero() || is_once {
        return Again::OnChange;
    }
    let due = external.status.refreshed.map_or(now, |refreshed| refreshed.plus(interval));
    Again::After(due.since(now))
}

/// The data is there: writes the target.
fn settle(external: &External<'_>, (data, now): (Keys, Timestamp), world: &World<'_>, outcome: &mut Outcome) {
    let spec = external.spec;
    let mut done = ("SecretSynced", "secret synced");
    let made = match (data.is_empty(), deletion(spec)) {
        (true, "Delete") => {
            done = ("SecretDeleted", "secret deleted due to DeletionPolicy=Delete");
            deleted(external, outcome)
        }
        (true, "Retain") => {
            done.1 = "secret retained due to DeletionPolicy=Retain";
            Ok(())
        }
        _ if creation(spec) == "None" => Ok(()),
        _ if creation(spec) == "Merge" && external.existing.is_none() && !generic::is_generic(spec) => {
            done = ("SecretMissing", "secret will not be created due to CreationPolicy=Merge");
            Ok(())
        }
        _ if generic::is_generic(spec) => applied(external, &data, world, outcome),
        _ => written(external, &data, world, outcome),
    };
    match made {
        Ok(()) => {
            outcome.status.refreshed = Some(now);
            outcome.status.synced_version = version(external.head);
            set_ready(&mut outcome.status.conditions, true, done, now);
            let fresh = External { status: &outcome.status.clone(), ..external.clone() };
            outcome.again = again(&fresh, now);
        }
        Err(Trouble(message, cause, may_help)) => {
            outcome.fail(message, &cause, now);
            outcome.again = if may_help { Again::BackOff } else { Again::OnChange };
        }
    }
}

fn deleted(external: &External<'_>, outcome: &mut Outcome) -> Result<(), Trouble> {
    let (spec, name) = (external.spec, generic::name(external.spec.target.as_ref(), &external.head.name));
    let policy = creation(spec);
    if policy != "Owner" {
        let cause = format!("unable to delete secret {name}: creationPolicy={policy} is not Owner");
        return Err(Trouble("could not delete secret", cause, false));
    }
    if let Some(secret) = external.existing {
        outcome.writes.push(Write::Delete { name: secret.name.clone() });
        outcome.notes.push(Note::normal("Deleted", "secret deleted due to DeletionPolicy=Delete"));
    }
    outcome.status.binding.clear();
    Ok(())
}

fn written(external: &External<'_>, data: &Keys, world: &World<'_>, outcome: &mut Outcome) -> Result<(), Trouble> {
    let name = generic::name(external.spec.target.as_ref(), &external.head.name).to_owned();
    let empty = TargetSecret { namespace: external.head.namespace.clone(), name, ..TargetSecret::default() };
    let before = external.existing.cloned().unwrap_or(empty);
    let mut secret = before.clone();
    own(external, &mut secret)?;
    fill(external, data, &mut secret, world)
        .map_err(|error| Trouble("could not update secret", format!("could not apply template: {error}"), true))?;
    outcome.status.binding.clone_from(&secret.name);
    if external.existing.is_none() {
        outcome.writes.push(Write::Create(Box::new(secret)));
        outcome.notes.push(Note::normal("Created", "secret created"));
    } else if before.is_immutable {
        return update_head(before, secret, outcome);
    } else if secret != before {
        outcome.writes.push(Write::Update(Box::new(secret)));
        outcome.notes.push(Note::normal("Updated", "secret updated"));
    }
    if creation(external.spec) == "Owner" {
        orphans(external, world, outcome);
    }
    Ok(())
}

/// Of an immutable Secret only the head can be written.
fn update_head(before: TargetSecret, mut wanted: TargetSecret, outcome: &mut Outcome) -> Result<(), Trouble> {
    let is_changed = wanted.data != before.data || wanted.kind != before.kind;
    (wanted.data, wanted.kind, wanted.is_immutable) = (before.data.clone(), before.kind.clone(), true);
    if wanted != before {
        outcome.writes.push(Write::Update(Box::new(wanted)));
    }
    if !is_changed {
        return Ok(());
    }
    let message = "could not update secret, target is immutable";
    Err(Trouble(message, "the content differs from what the store has".to_owned(), false))
}

/// Takes the Secret, or lets it go.
fn own(external: &External<'_>, secret: &mut TargetSecret) -> Result<(), Trouble> {
    let is_kind = |owner: &OwnerReference| {
        owner.kind == "ExternalSecret" && owner.api_version.starts_with("external-secrets.io/")
    };
    let is_me = |owner: &OwnerReference| is_kind(owner) && owner.name == external.head.name;
    let wants = creation(external.spec) == "Owner";
    match secret.controller() {
        Some(owner) if is_kind(owner) && !is_me(owner) => {
            let cause = format!("target is owned by another ExternalSecret: {}", owner.name);
            return Err(Trouble("target is owned by another ExternalSecret", cause, false));
        }
        Some(owner) if wants && !is_me(owner) => {
            let cause = format!("the target belongs to {} {}", owner.kind, owner.name);
            return Err(Trouble("failed to take ownership of target secret", cause, false));
        }
        _ => {}
    }
    secret.owners.retain(|owner| !is_me(owner));
    if wants {
        secret.owners.push(OwnerReference {
            api_version: "external-secrets.io/v1".to_owned(),
            kind: "ExternalSecret".to_owned(),
            name: external.head.name.clone(),
            uid: external.head.uid.clone(),
            is_controller: true,
        });
    }
    Ok(())
}

/// The content and head of the Secret: what this ExternalSecret wrote before goes, what it wants comes.
fn fill(
    external: &External<'_>,
    data: &Keys,
    secret: &mut TargetSecret,
    world: &World<'_>,
) -> Result<(), template::TemplateError> {
    let manager = field_manager(&external.head.name);
    let before = std::mem::take(&mut secret.data);
    for key in secret.names_of(&manager, &["f:metadata", "f:labels"]) {
        secret.labels.remove(&key);
    }
    for key in secret.names_of(&manager, &["f:metadata", "f:annotations"]) {
        secret.annotations.remove(&key);
    }
    if matches!(creation(external.spec), "Merge" | "CreateOrMerge") {
        let own = secret.names_of(&manager, &["f:data"]);
        secret.data = before.into_iter().filter(|(key, _)| !own.contains(key)).collect();
    }
    let target = external.spec.target.as_ref();
    match target.and_then(|target| target.template.as_ref()) {
        None => {
            secret.data.extend(data.clone());
            secret.labels.extend(external.head.labels.clone());
            secret.annotations.extend(external.head.annotations.clone());
        }
        Some(wanted) => {
            let metadata = wanted.metadata.as_ref();
            let finalizers = metadata.and_then(|metadata| metadata.finalizers.clone()).unwrap_or_default();
            for finalizer in finalizers {
                if !secret.finalizers.contains(&finalizer) {
                    secret.finalizers.push(finalizer);
                }
            }
            template::apply_to_secret(wanted, data, secret, world)?;
        }
    }
    secret.is_immutable |= target.is_some_and(|target| target.immutable == Some(true));
    match creation(external.spec) {
        "Owner" => drop(secret.labels.insert(LABEL_OWNER.to_owned(), owner_label(external.head))),
        _ => drop(secret.labels.remove(LABEL_OWNER)),
    }
    secret.labels.insert(LABEL_MANAGED.to_owned(), "true".to_owned());
    let hash = data_hash(&secret.data);
    secret.annotations.insert(ANNOTATION_HASH.to_owned(), hash);
    Ok(())
}

/// The label of the Secrets that an ExternalSecret made: a hash of its namespace and name.
#[must_use]
pub fn owner_label(head: &Head) -> String {
    hex::encode(Sha3_224::digest(format!("{}/{}", head.namespace, head.name).as_bytes()))
}

/// Secrets that it made under another name go.
fn orphans(external: &External<'_>, world: &World<'_>, outcome: &mut Outcome) {
    let (label, kept) = (owner_label(external.head), generic::name(external.spec.target.as_ref(), &external.head.name));
    for secret in world.objects.secrets(&external.head.namespace) {
        if secret.labels.get(LABEL_OWNER) == Some(&label) && secret.name != kept {
            outcome.writes.push(Write::Delete { name: secret.name });
            outcome.notes.push(Note::normal("Deleted", "secret deleted because it was orphaned"));
        }
    }
}

/// Another object: what is there, with what the templates make of it.
fn applied(external: &External<'_>, data: &Keys, world: &World<'_>, outcome: &mut Outcome) -> Result<(), Trouble> {
    let (spec, head) = (external.spec, external.head);
    let target = spec.target.as_ref();
    let name = generic::name(target, &head.name);
    let wanted = target.and_then(|target| target.manifest.clone()).unwrap_or_default();
    let keeps = matches!(creation(spec), "Merge" | "CreateOrMerge");
    let before = external.manifest.filter(|_| keeps).cloned().unwrap_or_else(|| json!({}));
    let mut object = before;
    let trouble = |what: String| Trouble("could not update secret", what, true);
    for (path, value) in [
        ("apiVersion", json!(wanted.api_version)),
        ("kind", json!(wanted.kind)),
        ("metadata.name", json!(name)),
        ("metadata.namespace", json!(head.namespace)),
    ] {
        generic::set(&mut object, path, value).map_err(trouble)?;
    }
    let template = target.and_then(|target| target.template.as_ref());
    template::apply_to_manifest(template, (&head.namespace, data), &mut object, world)
        .map_err(|error| trouble(error.to_string()))?;
    let hash = generic::content_hash(&object).unwrap_or_default();
    let (labels, annotations) = match template {
        None => (head.labels.clone(), head.annotations.clone()),
        Some(_) => (Texts::new(), Texts::new()),
    };
    generic::set(&mut object, "metadata.labels", json!(labels)).map_err(trouble)?;
    generic::set(&mut object, "metadata.annotations", json!(annotations)).map_err(trouble)?;
    generic::set(&mut object, "metadata.labels", json!({ LABEL_MANAGED: "true" })).map_err(trouble)?;
    generic::set(&mut object, "metadata.annotations", json!({ ANNOTATION_HASH: hash })).map_err(trouble)?;
    name.clone_into(&mut outcome.status.binding);
    if external.manifest != Some(&object) {
        outcome.writes.push(Write::Apply(Box::new(object)));
        outcome.notes.push(Note::normal("Updated", "secret updated"));
    }
    Ok(())
}

/// Keys that differ between two contents: added, updated, removed, emptied.
#[must_use]
pub fn changed_keys(old: &Keys, new: &Keys) -> [Vec<String>; 4] {
    let names = |is: &dyn Fn(&str) -> bool, keys: &Keys| keys.keys().filter(|key| is(key)).cloned().collect();
    let is_empty = |key: &str| new.get(key).is_some_and(|value| value.expose().is_empty());
    [
        names(&|key| !old.contains_key(key), new),
        names(&|key| old.get(key).is_some_and(|value| new.get(key) != Some(value)), new),
        names(&|key| !new.contains_key(key), old),
        names(&|key| is_empty(key) && old.get(key).is_none_or(|value| !value.expose().is_empty()), new),
    ]
}
