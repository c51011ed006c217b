//! A PushSecret: what is written to which stores, what is removed from them, what its status says.

use std::collections::BTreeMap;

use model::Timestamp;

use super::push_data::{Planned, planned, push, secret_key, status_key, wrong_stores};
use super::status::{Again, Condition, Note, set_ready};
use super::{
    Head, Policy, StoreView, TargetSecret, Unanswered, World, external, kind_name, named_store, not_found, refusal,
    selector, template,
};
use crate::api::{PushEntry, PushSecretSpec, PushStoreReference};
use crate::keys::reverse_key;
use crate::manifest::{StoreKind, StoreRef};
use crate::provider::{Keys, LocalSecret, ProviderError};
use crate::schedule::parse_duration;

/// What stands in the stores: by `Kind/name` of the store, then by remote key and property.
pub type Synced = BTreeMap<String, BTreeMap<String, PushEntry>>;

/// What has come of a PushSecret.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PushStatus {
    /// When it was last pushed.
    pub refreshed: Option<Timestamp>,
    /// Which text of the object was pushed.
    pub synced_version: String,
    /// Conditions, one of each type.
    pub conditions: Vec<Condition>,
    /// What stands in the stores.
    pub synced: Synced,
}

/// What came of one look at a PushSecret; the stores were written to on the way.
#[derive(Clone, Debug, Default)]
pub struct PushOutcome {
    /// The status.
    pub status: PushStatus,
    /// Events.
    pub notes: Vec<Note>,
    /// When to look again.
    pub again: Again,
}

/// Why it is not pushed.
enum Stop {
    Unanswered,
    Failed(String),
    /// With what stands in the stores now.
    Partly(String, Synced),
}

impl Stop {
    fn of(error: ProviderError, said: impl FnOnce(String) -> String) -> Self {
        match error {
            ProviderError::Unanswered => Self::Unanswered,
            error => Self::Failed(said(error.to_string())),
        }
    }
}

type Found = Vec<(StoreRef, StoreView)>;

struct Pushing<'a, 'w> {
    head: &'a Head,
    spec: &'a PushSecretSpec,
    status: &'a PushStatus,
    world: &'a mut World<'w>,
    policy: &'a Policy,
}

/// Looks at a PushSecret at `now`, and writes to the stores what is due.
///
/// # Errors
/// When a store has to be asked first; what was written already is written again then, which changes nothing.
pub fn reconcile(
    (head, spec, status): (&Head, &PushSecretSpec, &PushStatus),
    world: &mut World<'_>,
    policy: &Policy,
    now: Timestamp,
) -> Result<PushOutcome, Unanswered> {
    let mut outcome = PushOutcome { status: status.clone(), ..PushOutcome::default() };
    let interval = parse_duration(spec.refresh_interval.as_deref().unwrap_or("1h")).unwrap_or(HOUR);
    let is_due = head.is_deleting || is_due((head, status), interval, now);
    if !is_due {
        let next = status.refreshed.map(|refreshed| refreshed.plus(interval).since(now));
        outcome.again = next.filter(|_| !interval.is_zero()).map_or(Again::OnChange, Again::After);
        return Ok(outcome);
    }
    let mut pushing = Pushing { head, spec, status, world, policy };
    match pushing.run() {
        Ok(None) => {}
        Ok(Some((synced, reason))) => {
            let mut said = "PushSecret synced successfully".to_owned();
            if spec.update_policy.as_deref() == Some("IfNotExists") {
                said.push_str(". Existing secrets in providers unchanged.");
            }
            if reason == "SourceDeleted" {
                "source secret deleted, its values were removed from the stores".clone_into(&mut said);
            }
            set_ready(&mut outcome.status.conditions, reason == "Synced", (reason, &said), now);
            outcome.notes.push(Note::normal(reason, said));
            outcome.status.synced = synced;
            outcome.status.refreshed = Some(now);
            outcome.status.synced_version = external::version(head);
            outcome.again = if interval.is_zero() { Again::OnChange } else { Again::After(interval) };
        }
        Err(Stop::Unanswered) => return Err(Unanswered),
        Err(Stop::Failed(what)) => outcome.fail(&what, now),
        Err(Stop::Partly(what, synced)) => {
            outcome.status.synced = synced;
            outcome.fail(&what, now);
        }
    }
    Ok(outcome)
}

impl PushOutcome {
    fn fail(&mut self, what: &str, now: Timestamp) {
        set_ready(&mut self.status.conditions, false, ("Errored", what), now);
        self.notes.push(Note::warning("Errored", what));
        self.again = Again::BackOff;
    }
}

const HOUR: std::time::Duration = std::time::Duration::from_secs(3_600);

fn is_due((head, status): (&Head, &PushStatus), interval: std::time::Duration, now: Timestamp) -> bool {
    if status.synced_version != external::version(head) {
        return true;
    }
    let is_past = |refreshed: Timestamp| refreshed > now || refreshed.plus(interval) <= now;
    !interval.is_zero() && status.refreshed.is_none_or(is_past)
}

impl Pushing<'_, '_> {
    fn deletes(&self) -> bool {
        self.spec.deletion_policy.as_deref() == Some("Delete")
    }

    /// Pushes; `None` when nobody of ours is asked to.
    fn run(&mut self) -> Result<Option<(Synced, &'static str)>, Stop> {
        if self.head.is_deleting {
            let left = if self.deletes() { self.remove_missing(&Synced::new())? } else { Synced::new() };
            return Ok(Some((left, "Synced")));
        }
        if let Some(what) = wrong_stores(self.spec) {
            return Err(Stop::Failed(what));
        }
        let Some(secrets) = self.sources()? else {
            return if self.deletes() && !self.status.synced.is_empty() {
                Ok(Some((self.remove_missing(&Synced::new())?, "SourceDeleted")))
            } else {
                Err(Stop::Failed("could not get source secret".to_owned()))
            };
        };
        let stores = self.stores()?;
        if stores.is_empty() {
            return Ok(None);
        }
        let mut all = Synced::new();
        for secret in secrets {
            let secret = self.templated(secret)?;
            let mut synced = Synced::new();
            if let Err(stop) = self.push_to(&stores, &secret, &mut synced) {
                let Stop::Failed(what) = stop else { return Err(stop) };
                let known = merged(synced, &self.status.synced);
                return Err(Stop::Partly(format!("set secret failed: {what}"), known));
            }
            all = merged(all, &synced);
        }
        if self.deletes() {
            self.remove_missing(&all)?;
        }
        Ok(Some((all, "Synced")))
    }

    /// The Secrets to push; `None` when the one that is named is not there.
    fn sources(&mut self) -> Result<Option<Vec<TargetSecret>>, Stop> {
        let (namespace, selector) = (&self.head.namespace, self.spec.selector.as_ref());
        if let Some(generator) = selector.and_then(|selector| selector.generator_ref.as_ref()) {
            let data = self.world.stores.generate(namespace, generator);
            let data = data.map_err(|error| Stop::of(error, |_| "could not get source secret".to_owned()))?;
            let name = "___generated-secret".to_owned();
            return Ok(Some(vec![TargetSecret {
                namespace: namespace.clone(),
                name,
                data,
                ..TargetSecret::default()
            }]));
        }
        let chosen = selector.and_then(|selector| selector.secret.as_ref());
        let nothing = || Stop::Failed("could not get source secret".to_owned());
        let chosen = chosen.ok_or_else(nothing)?;
        if let Some(name) = chosen.name.as_ref().filter(|name| !name.is_empty()) {
            return Ok(self.world.objects.secret(namespace, name).map(|secret| vec![secret]));
        }
        let rule = chosen.selector.as_ref().ok_or_else(nothing)?;
        let all = self.world.objects.secrets(namespace).into_iter();
        Ok(Some(all.filter(|secret| selector::matches(rule, &secret.labels)).collect()))
    }

    /// The stores that are named or chosen by label, without those of others and those that go.
    fn stores(&self) -> Result<Found, Stop> {
        let mut found: BTreeMap<StoreRef, StoreView> = BTreeMap::new();
        for reference in self.spec.secret_store_refs.iter().flatten() {
            found.extend(self.stores_of(reference)?);
        }
        let is_ours = |view: &StoreView| {
            let class = view.spec.controller.as_deref().unwrap_or_default();
            !view.is_deleting && (class.is_empty() || class == self.policy.controller_class)
        };
        Ok(found.into_iter().filter(|(_, view)| is_ours(view)).collect())
    }

    fn stores_of(&self, reference: &PushStoreReference) -> Result<Found, Stop> {
        let namespace = &self.head.namespace;
        if let Some(rule) = &reference.label_selector {
            let kind = named_store(reference.kind.as_deref(), namespace, String::new()).kind;
            let all = self.world.objects.stores(kind, namespace).into_iter();
            return Ok(all.filter(|(_, view)| selector::matches(rule, &view.labels)).collect());
        }
        let name = reference.name.clone().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Stop::Failed("refStore Name must be provided".to_owned()))?;
        let store = named_store(reference.kind.as_deref(), namespace, name);
        match self.world.objects.store(&store) {
            Some(view) => Ok(vec![(store, view)]),
            None => Err(Stop::Failed(not_found(&store))),
        }
    }

    fn templated(&self, mut secret: TargetSecret) -> Result<TargetSecret, Stop> {
        let Some(wanted) = &self.spec.template else { return Ok(secret) };
        let data = secret.data.clone();
        let metadata = wanted.metadata.as_ref();
        secret.labels.extend(template::texts(metadata.and_then(|metadata| metadata.labels.as_ref())));
        secret.annotations.extend(template::texts(metadata.and_then(|metadata| metadata.annotations.as_ref())));
        template::apply_to_secret(wanted, &data, &mut secret, self.world)
            .map_err(|error| Stop::Failed(format!("could not apply template: {error}")))?;
        Ok(secret)
    }

    fn push_to(&mut self, stores: &Found, secret: &TargetSecret, synced: &mut Synced) -> Result<(), Stop> {
        for (store, view) in stores {
            let known = synced.entry(format!("{}/{}", kind_name(store.kind), store.name)).or_default();
            self.open(store, |name| name.to_owned())?;
            let planned =
                planned(self.spec, (store, view), &secret.data, self.world.transform).map_err(Stop::Failed)?;
            for planned in planned {
                self.push_one(store, secret, &planned)?;
                known.insert(status_key(&planned.entry), planned.entry);
            }
        }
        Ok(())
    }

    fn open(&mut self, store: &StoreRef, shown: impl FnOnce(&str) -> String) -> Result<(), Stop> {
        let name = shown(&store.name);
        let said = |what| format!("could not get secrets client for store {name}: {what}");
        if let Some(why) = refusal(self.world, self.policy, store, &self.head.namespace) {
            return Err(Stop::Failed(said(why)));
        }
        self.world.stores.open(store).map_err(|error| Stop::of(error, said))
    }

    fn push_one(&mut self, store: &StoreRef, secret: &TargetSecret, planned: &Planned) -> Result<(), Stop> {
        let key = secret_key(&planned.entry);
        let data = reversed(planned, &secret.data)?;
        if !key.is_empty() && !data.contains_key(key) {
            return Err(Stop::Failed(format!("secret key {key} does not exist")));
        }
        let what = push(&planned.entry);
        if self.spec.update_policy.as_deref() == Some("IfNotExists") {
            let said = |what| format!("could not verify if secret exists in store: {what}");
            if self.world.stores.exists(store, &what).map_err(|error| Stop::of(error, said))? {
                return Ok(());
            }
        }
        let local = LocalSecret {
            data,
            kind: secret.kind.clone(),
            labels: secret.labels.clone(),
            annotations: secret.annotations.clone(),
        };
        let name = &store.name;
        let said = |what| format!("could not write remote ref {key} to target secretstore {name}: {what}");
        self.world.stores.push(store, &what, &local).map_err(|error| Stop::of(error, said))
    }

    /// Removes from the stores what was pushed before and is not in `kept`; what cannot be removed stays known.
    fn remove_missing(&mut self, kept: &Synced) -> Result<Synced, Stop> {
        let mut left = merged(kept.clone(), &self.status.synced);
        for (place, entries) in &self.status.synced {
            let (kind, name) = place.split_once('/').unwrap_or(("SecretStore", place));
            let store = named_store(Some(kind), &self.head.namespace, name.to_owned());
            let is_gone = |name: &String| kept.get(place).is_none_or(|known| !known.contains_key(name));
            for (name, entry) in entries.iter().filter(|(name, _)| is_gone(name)) {
                let removed = self.open(&store, |_| place.clone()).and_then(|()| {
                    self.world.stores.delete(&store, &push(entry)).map_err(|error| Stop::of(error, |what| what))
                });
                if let Err(Stop::Failed(what)) = removed {
                    return Err(Stop::Partly(format!("failed to Delete Secrets from Provider: {what}"), left));
                }
                removed?;
                if let Some(known) = left.get_mut(place) {
                    known.remove(name);
                }
            }
            if !kept.contains_key(place) {
                left.remove(place);
            }
        }
        Ok(left)
    }
}

/// The keys of the Secret under the names that the store gets.
fn reversed(planned: &Planned, data: &Keys) -> Result<Keys, Stop> {
    let strategy = planned.entry.conversion_strategy.as_deref().unwrap_or_default();
    let mut reversed = Keys::new();
    for (key, value) in data {
        if planned.bundle.as_ref().is_some_and(|names| !names.contains(key)) {
            continue;
        }
        if reversed.insert(reverse_key(strategy, key), value.clone()).is_some() {
            let what = "could not convert secret keys: secret name collision during conversion";
            return Err(Stop::Failed(format!("{what}: {key}")));
        }
    }
    Ok(reversed)
}

fn merged(mut all: Synced, more: &Synced) -> Synced {
    for (store, entries) in more {
        let known = all.entry(store.clone()).or_default();
        for (name, entry) in entries {
            known.entry(name.clone()).or_insert_with(|| entry.clone());
        }
    }
    all
}

/// Whether a store must not go yet, since something stands in it that a PushSecret is to remove.
#[must_use]
pub fn holds_store(spec: &PushSecretSpec, status: &PushStatus, store: &StoreRef) -> bool {
    let kind = if store.kind == StoreKind::SecretStore { "SecretStore" } else { "ClusterSecretStore" };
    spec.deletion_policy.as_deref() == Some("Delete") && status.synced.contains_key(&format!("{kind}/{}", store.name))
}
