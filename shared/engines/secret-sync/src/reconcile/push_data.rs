//! What a PushSecret writes to a store: its `data`, and what `dataTo` makes of the keys of the Secret.

use std::collections::{BTreeMap, BTreeSet};

use jmespath::go_regex;

use super::fetch::steps;
use super::{StoreView, named_store, selector};
use crate::api::{PushEntry, PushMatch, PushRemoteReference, PushSecretSpec, PushStoreReference, PushToEntry};
use crate::keys::reverse_key;
use crate::manifest::{StoreKind, StoreRef};
use crate::provider::{Keys, Push};
use crate::rewrite::{Transformer, rewrite};

/// One thing to push; a bundle is made of the named keys alone.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) entry: PushEntry,
    pub(super) bundle: Option<BTreeSet<String>>,
}

impl Planned {
    fn plain(entry: PushEntry) -> Self {
        Self { entry, bundle: None }
    }
}

/// The name under which the status knows what was pushed.
pub(super) fn status_key(entry: &PushEntry) -> String {
    let (key, property) = remote(entry);
    if property.is_empty() { key.to_owned() } else { format!("{key}/{property}") }
}

pub(super) fn secret_key(entry: &PushEntry) -> &str {
    entry.matched.as_ref().and_then(|matched| matched.secret_key.as_deref()).unwrap_or_default()
}

fn remote(entry: &PushEntry) -> (&str, &str) {
    let remote = entry.matched.as_ref().and_then(|matched| matched.remote_ref.as_ref());
    let key = remote.and_then(|remote| remote.remote_key.as_deref()).unwrap_or_default();
    (key, remote.and_then(|remote| remote.property.as_deref()).unwrap_or_default())
}

pub(super) fn push(entry: &PushEntry) -> Push {
    let (key, property) = remote(entry);
    Push {
        secret_key: secret_key(entry).to_owned(),
        remote_key: key.to_owned(),
        property: property.to_owned(),
        metadata: entry.metadata.clone(),
    }
}

/// Why a `dataTo` names no store of the PushSecret; `None` when all do.
pub(super) fn wrong_stores(spec: &PushSecretSpec) -> Option<String> {
    let refs = spec.secret_store_refs.as_deref().unwrap_or_default();
    spec.data_to.iter().flatten().enumerate().find_map(|(at, entry)| {
        let Some(own) = &entry.store_ref else { return Some(format!("dataTo[{at}]: storeRef is required")) };
        let name = own.name.as_deref().unwrap_or_default();
        let is_named = |listed: &PushStoreReference| {
            listed.label_selector.is_some()
                || listed.name.as_deref() == Some(name) && kind(listed.kind.as_deref()) == kind(own.kind.as_deref())
        };
        match (name.is_empty(), &own.label_selector) {
            (true, None) => Some(format!("dataTo[{at}]: storeRef must have a name or a labelSelector")),
            (false, Some(_)) => Some(format!("dataTo[{at}]: storeRef has both a name and a labelSelector")),
            (false, None) if !refs.iter().any(is_named) => {
                Some(format!("dataTo[{at}]: storeRef {name:?} not found in secretStoreRefs"))
            }
            _ => None,
        }
    })
}

fn kind(name: Option<&str>) -> StoreKind {
    named_store(name, "", String::new()).kind
}

/// Everything to push to a store. An entry of `data` stands in place of what `dataTo` makes of the same key.
///
/// # Errors
/// When a pattern is none, a step of `rewrite` fails, or two entries write to the same place.
pub(super) fn planned(
    spec: &PushSecretSpec,
    (store, view): (&StoreRef, &StoreView),
    keys: &Keys,
    transform: Transformer,
) -> Result<Vec<Planned>, String> {
    let explicit: Vec<Planned> = spec.data.iter().flatten().cloned().map(Planned::plain).collect();
    let taken: BTreeSet<&str> = explicit.iter().map(|planned| secret_key(&planned.entry)).collect();
    let mut all = Vec::new();
    for (at, entry) in spec.data_to.iter().flatten().enumerate() {
        if !is_for(entry, store, view) {
            continue;
        }
        let made = made(entry, keys, transform).map_err(|what| format!("failed to expand dataTo[{at}]: {what}"))?;
        all.extend(
            made.into_iter().filter(|planned| planned.bundle.is_some() || !taken.contains(secret_key(&planned.entry))),
        );
    }
    all.extend(explicit);
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for planned in &all {
        let place = status_key(&planned.entry);
        let is_made = spec.data_to.as_ref().is_some_and(|entries| !entries.is_empty());
        if let Some(other) = seen.insert(place.clone(), secret_key(&planned.entry).to_owned()).filter(|_| is_made) {
            let key = secret_key(&planned.entry);
            return Err(format!(
                "duplicate remote key {place:?}: source keys {other:?} and {key:?} map to the same destination"
            ));
        }
    }
    Ok(all)
}

fn is_for(entry: &PushToEntry, store: &StoreRef, view: &StoreView) -> bool {
    let Some(own) = &entry.store_ref else { return false };
    if kind(own.kind.as_deref()) != store.kind {
        return false;
    }
    match &own.label_selector {
        Some(rule) => selector::matches(rule, &view.labels),
        None => own.name.as_deref() == Some(&store.name),
    }
}

/// What one `dataTo` makes of the keys: one entry for each, or all of them together under one remote key.
fn made(entry: &PushToEntry, keys: &Keys, transform: Transformer) -> Result<Vec<Planned>, String> {
    let pattern = entry.matched.as_ref().and_then(|matched| matched.regexp.as_deref()).unwrap_or_default();
    let pattern = go_regex::compile(pattern);
    let pattern = pattern.map_err(|_| "match.regexp is no regular expression".to_owned())?;
    let strategy = entry.conversion_strategy.as_deref().unwrap_or_default();
    let matched: Vec<&String> = keys.keys().filter(|key| pattern.is_match(key)).collect();
    let planned = |secret_key: String, remote_key: String, bundle: Option<BTreeSet<String>>| Planned {
        entry: PushEntry {
            matched: Some(PushMatch {
                secret_key: Some(secret_key),
                remote_ref: Some(PushRemoteReference { remote_key: Some(remote_key), ..Default::default() }),
                ..Default::default()
            }),
            metadata: entry.metadata.clone(),
            conversion_strategy: entry.conversion_strategy.clone(),
            ..Default::default()
        },
        bundle,
    };
    if let Some(remote_key) = entry.remote_key.clone().filter(|key| !key.is_empty()) {
        let names: BTreeSet<String> = matched.into_iter().cloned().collect();
        let all = planned(String::new(), remote_key, Some(names.clone()));
        return Ok(if names.is_empty() { Vec::new() } else { vec![all] });
    }
    let steps = steps(entry.rewrite.as_deref().unwrap_or_default())?;
    let one = |key: &String| {
        let source = reverse_key(strategy, key);
        let alone = Keys::from([(source.clone(), crate::SecretBytes::new(Vec::new()))]);
        let renamed = rewrite(&steps, alone, transform).map_err(|(at, error)| format!("rewrite[{at}]: {error}"))?;
        let remote_key = renamed.into_keys().next().filter(|key| !key.is_empty());
        let remote_key = remote_key.ok_or_else(|| format!("key {key:?} has no name after the rewrite"))?;
        Ok(planned(source, remote_key, None))
    };
    matched.into_iter().map(one).collect()
}
