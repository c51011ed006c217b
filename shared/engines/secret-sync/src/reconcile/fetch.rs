//! What an ExternalSecret fetches: `dataFrom` in order, then `data`; the later wins.

use jmespath::go_regex;

use super::{Note, Policy, Stores, Unanswered, World, refusal, store_of};
use crate::api::{self, DataEntry, DataFromEntry, ExternalSecretSpec, validate};
use crate::decode::{DecodingStrategy, decode};
use crate::keys::{ConversionStrategy, check_keys, convert_keys};
use crate::manifest::StoreRef;
use crate::provider::{Keys, ProviderError, Reference, Search};
use crate::rewrite::{Merge, Rewrite, rewrite};
use crate::value::SecretBytes;

/// Why the data of an ExternalSecret is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// A store has to be asked first.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// It cannot be had. Never holds a value.
    #[error("{0}")]
    Failed(String),
}

/// Why one entry has no data.
enum Lack {
    Missing,
    Other(FetchError),
}

impl From<ProviderError> for Lack {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Missing => Self::Missing,
            ProviderError::Unanswered => Self::Other(Unanswered.into()),
            ProviderError::Failed(what) => failed(what),
        }
    }
}

fn failed(what: impl Into<String>) -> Lack {
    Lack::Other(FetchError::Failed(what.into()))
}

struct Fetch<'a, 'w> {
    world: &'a mut World<'w>,
    policy: &'a Policy,
    namespace: &'a str,
    default: Option<StoreRef>,
}

/// Fetches everything that `spec` names, seen from `namespace`. What the stores do not have is an event where the deletion policy
/// allows it to be missing.
///
/// # Errors
/// When an entry cannot be fetched, converted, rewritten or decoded, or a store was not asked yet.
pub fn provider_data(
    (spec, namespace): (&ExternalSecretSpec, &str),
    world: &mut World<'_>,
    policy: &Policy,
    notes: &mut Vec<Note>,
) -> Result<Keys, FetchError> {
    let default = store_of(spec.secret_store_ref.as_ref(), namespace);
    let deletion = spec.target.as_ref().and_then(|target| target.deletion_policy.as_deref());
    let may_miss = !matches!(deletion, None | Some("" | "Retain"));
    let mut fetch = Fetch { world, policy, namespace, default };
    let mut all = Keys::new();
    for (at, entry) in spec.data_from.iter().flatten().enumerate() {
        match fetch.many(entry) {
            Ok(keys) => all.extend(keys),
            Err(Lack::Missing) if may_miss => {
                let place = entry.extract.as_ref().and_then(|extract| extract.key.as_deref());
                let place = place.map(|key| format!(" (key={key})")).unwrap_or_default();
                let what = format!("secret does not exist at provider using spec.dataFrom[{at}]{place}");
                notes.push(Note::normal("MissingProviderSecret", what));
            }
            Err(lack) => return Err(error(lack, format!("error processing spec.dataFrom[{at}]"))),
        }
    }
    for (at, entry) in spec.data.iter().flatten().enumerate() {
        let key = entry.secret_key.clone().unwrap_or_default();
        match fetch.one(entry) {
            Ok(value) => drop(all.insert(key, value)),
            Err(Lack::Missing) if may_miss => {
                let what =
                    format!("secret does not exist at provider using spec.data[{at}] (key={})", remote_key(entry));
                notes.push(Note::normal("MissingProviderSecret", what));
            }
            Err(lack) => {
                let place = format!("error retrieving secret at .data[{at}], key: {}", remote_key(entry));
                return Err(error(lack, place));
            }
        }
    }
    Ok(all)
}

fn remote_key(entry: &DataEntry) -> &str {
    entry.remote_ref.as_ref().and_then(|remote| remote.key.as_deref()).unwrap_or_default()
}

fn error(lack: Lack, place: String) -> FetchError {
    match lack {
        Lack::Missing => FetchError::Failed(format!("{place}, err: Secret does not exist")),
        Lack::Other(FetchError::Failed(what)) => FetchError::Failed(format!("{place}, err: {what}")),
        Lack::Other(unanswered) => unanswered,
    }
}

impl Fetch<'_, '_> {
    fn store(&mut self, own: Option<&api::StoreReference>) -> Result<StoreRef, Lack> {
        let store = store_of(own, self.namespace).or_else(|| self.default.clone());
        let store = store.ok_or_else(|| failed("no store is named"))?;
        if let Some(why) = refusal(self.world, self.policy, &store, self.namespace) {
            return Err(failed(why));
        }
        self.world.stores.open(&store)?;
        Ok(store)
    }

    fn one(&mut self, entry: &DataEntry) -> Result<SecretBytes, Lack> {
        let store = self.store(entry.source_ref.as_ref().and_then(|source| source.store_ref.as_ref()))?;
        let remote = entry.remote_ref.clone().unwrap_or_default();
        let value = self.stores().get(&store, &reference(&remote))?;
        let value = decoded(remote.decoding_strategy.as_deref(), value)?;
        not_nul(remote.null_byte_policy.as_deref(), [&value].into_iter())?;
        Ok(value)
    }

    fn stores(&mut self) -> &mut dyn Stores {
        self.world.stores
    }

    fn many(&mut self, entry: &DataFromEntry) -> Result<Keys, Lack> {
        let source = entry.source_ref.as_ref();
        let own = source.and_then(|source| source.store_ref.as_ref());
        let generator = source.and_then(|source| source.generator_ref.as_ref());
        let (keys, ways) = match (&entry.find, &entry.extract, generator) {
            (Some(find), _, _) => {
                let store = self.store(own)?;
                let conversion = conversion(find.conversion_strategy.as_deref())?;
                let keys = self.stores().find(&store, (&search(find), conversion))?;
                (keys, (conversion, find.decoding_strategy.as_deref(), find.null_byte_policy.as_deref()))
            }
            (None, Some(remote), _) => {
                let store = self.store(own)?;
                let conversion = conversion(remote.conversion_strategy.as_deref())?;
                let keys = self.stores().get_map(&store, &reference(remote))?;
                (keys, (conversion, remote.decoding_strategy.as_deref(), remote.null_byte_policy.as_deref()))
            }
            (None, None, Some(generator)) => {
                let namespace = self.namespace;
                let keys = self.stores().generate(namespace, generator)?;
                (keys, (ConversionStrategy::None, None, None))
            }
            (None, None, None) => return Ok(Keys::new()),
        };
        self.made_of(entry, keys, ways)
    }

    /// Renames the keys, checks them, decodes the values.
    fn made_of(
        &self,
        entry: &DataFromEntry,
        keys: Keys,
        (conversion, decoding, nul): (ConversionStrategy, Option<&str>, Option<&str>),
    ) -> Result<Keys, Lack> {
        let steps = steps(entry.rewrite.as_deref().unwrap_or_default()).map_err(failed)?;
        let mut keys = if steps.is_empty() {
            convert_keys(conversion, keys)
                .map_err(|error| failed(format!("error applying conversion strategy: {error}")))?
        } else {
            let said =
                |(at, error): (usize, _)| failed(format!("error applying rewrite to keys: operation[{at}]: {error}"));
            rewrite(&steps, keys, self.world.transform).map_err(said)?
        };
        // What has no name upstream leaves out.
        keys.remove("");
        let tip = "invalid secret keys (TIP: use rewrite or conversionStrategy to change keys)";
        check_keys(&keys).map_err(|error| failed(format!("{tip}: {error}")))?;
        let decoded: Result<Keys, Lack> =
            keys.into_iter().map(|(key, value)| Ok((key, decoded(decoding, value)?))).collect();
        let keys = decoded?;
        not_nul(nul, keys.values())?;
        Ok(keys)
    }
}

fn not_nul<'v>(policy: Option<&str>, mut values: impl Iterator<Item = &'v SecretBytes>) -> Result<(), Lack> {
    let is_refused = values.any(|value| validate::is_refused_for_nul(policy.unwrap_or_default(), value.expose()));
    if is_refused { Err(failed("secret data contains null bytes, and nullBytePolicy is Fail")) } else { Ok(()) }
}

fn decoded(strategy: Option<&str>, value: SecretBytes) -> Result<SecretBytes, Lack> {
    let name = strategy.unwrap_or_default();
    let strategy =
        DecodingStrategy::parse(name).ok_or_else(|| failed(format!("decoding strategy {name} is not supported")))?;
    decode(strategy, value).map_err(|error| failed(format!("error applying decoding strategy {name} to data: {error}")))
}

fn conversion(strategy: Option<&str>) -> Result<ConversionStrategy, Lack> {
    let name = strategy.unwrap_or_default();
    ConversionStrategy::parse(name).ok_or_else(|| failed(format!("conversion strategy {name} is not supported")))
}

fn reference(remote: &api::RemoteReference) -> Reference {
    Reference {
        key: remote.key.clone().unwrap_or_default(),
        property: remote.property.clone().unwrap_or_default(),
        version: remote.version.clone().unwrap_or_default(),
        wants_metadata: remote.metadata_policy.as_deref() == Some("Fetch"),
    }
}

fn search(find: &api::Find) -> Search {
    let text =
        |(name, value): (&String, &serde_json::Value)| (name.clone(), value.as_str().unwrap_or_default().to_owned());
    Search {
        path: find.path.clone(),
        name: find.name.as_ref().map(|name| name.regexp.clone().unwrap_or_default()),
        tags: find.tags.as_ref().map(|tags| tags.iter().map(text).collect()),
    }
}

/// The steps of a `rewrite` as they are done.
///
/// # Errors
/// Names what is wrong with a step.
pub(super) fn steps(steps: &[api::Rewrite]) -> Result<Vec<Rewrite>, String> {
    steps.iter().map(step).collect()
}

fn step(step: &api::Rewrite) -> Result<Rewrite, String> {
    if let Some(regexp) = &step.regexp {
        let source = go_regex::compile(regexp.source.as_deref().unwrap_or_default());
        let source = source.map_err(|error| format!("failed to compile regex: {error}"))?;
        return Ok(Rewrite::Regexp { source, target: regexp.target.clone().unwrap_or_default() });
    }
    if let Some(transform) = &step.transform {
        return Ok(Rewrite::Transform { template: transform.template.clone().unwrap_or_default() });
    }
    let Some(merge) = &step.merge else { return Err("a rewrite has no regexp, transform or merge".to_owned()) };
    let is_json = merge.strategy.as_deref() == Some("JSON");
    let into = merge.into.clone().filter(|into| is_json && !into.is_empty());
    if is_json && into.is_none() {
        return Err("merge failed with missing 'into' field".to_owned());
    }
    Ok(Rewrite::Merge(Merge {
        into,
        priority: merge.priority.clone().unwrap_or_default(),
        may_miss: merge.priority_policy.as_deref() == Some("IgnoreNotFound"),
        may_conflict: merge.conflict_policy.as_deref() == Some("Ignore"),
    }))
}
