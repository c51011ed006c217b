//! A cluster and stores in memory, for controllers under judgement.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Timestamp;
use secret_sync::api::{ExternalSecretSpec, GeneratorReference};
use secret_sync::provider::{Keys, LocalSecret, ProviderError, Push, Reference, Search, keys_of_json};
use secret_sync::reconcile::external::{External, Outcome, Write, reconcile};
use secret_sync::reconcile::{
    Again, Head, Objects, Policy, Status, StoreView, Stores, TargetSecret, Templates, Texts, World, field_manager,
};
use secret_sync::{ConversionStrategy, SecretBytes, StoreKind, StoreRef, find_property};
use secret_templating::{Limits, Template, Text, Value as Dot};
use serde_json::{Map, Value, json};

pub(crate) const NAMESPACE: &str = "test-ns";

pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

pub(crate) fn texts(value: &Value) -> Texts {
    let text = |(key, value): (&String, &Value)| (key.clone(), value.as_str().unwrap_or_default().to_owned());
    value.as_object().into_iter().flatten().map(text).collect()
}

pub(crate) fn keys(value: &Value) -> Keys {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), crate::providers::bytes(value))).collect()
}

pub(crate) struct Engine;

impl Templates for Engine {
    fn render(&self, name: &str, text: &str, data: &Keys) -> Result<SecretBytes, String> {
        let template = Template::parse(name, text).map_err(|error| error.to_string())?;
        let dot = Dot::strings(data.iter().map(|(key, value)| (key.clone(), Text::new(value.expose().to_vec()))));
        let rendered = template.render(&dot, Limits::default()).map_err(|error| error.to_string())?;
        Ok(SecretBytes::new(rendered.expose().to_vec()))
    }
}

pub(crate) fn transform(template: &str, key: &str) -> Result<String, String> {
    let data = Keys::from([("value".to_owned(), SecretBytes::from(key))]);
    Engine.render("transform", template, &data).map(|text| text.expose_str().unwrap_or_default().to_owned())
}

/// What the cluster holds.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) stores: BTreeMap<StoreRef, StoreView>,
    pub(crate) config_maps: BTreeMap<String, Texts>,
    pub(crate) secrets: BTreeMap<String, TargetSecret>,
    pub(crate) labels: Texts,
}

impl Cluster {
    pub(crate) fn add_store(&mut self, object: &Value) {
        if object.is_null() {
            return;
        }
        let is_cluster = text(object, "kind") == "ClusterSecretStore";
        let store = store(
            if is_cluster { StoreKind::ClusterSecretStore } else { StoreKind::SecretStore },
            text(&object["metadata"], "name"),
        );
        let spec = serde_json::from_value(object["spec"].clone()).unwrap();
        let view = StoreView { spec, labels: texts(&object["metadata"]["labels"]), ..StoreView::default() };
        self.stores.insert(store, view);
    }

    /// A Secret that somebody made.
    pub(crate) fn add_secret(&mut self, object: &Value, manager: &str) {
        let metadata = &object["metadata"];
        let mut secret = TargetSecret {
            namespace: NAMESPACE.to_owned(),
            name: text(metadata, "name").to_owned(),
            kind: text(object, "type").to_owned(),
            data: keys(&object["data"]),
            labels: texts(&metadata["labels"]),
            annotations: texts(&metadata["annotations"]),
            is_immutable: object["immutable"] == true,
            ..TargetSecret::default()
        };
        took(&mut secret, &TargetSecret::default(), manager, true);
        self.secrets.insert(secret.name.clone(), secret);
    }
}

pub(crate) fn store(kind: StoreKind, name: &str) -> StoreRef {
    let namespace = if kind == StoreKind::SecretStore { NAMESPACE } else { "" };
    StoreRef { kind, namespace: namespace.to_owned(), name: name.to_owned() }
}

/// Notes who set what, as an API server does for an update.
fn took(secret: &mut TargetSecret, before: &TargetSecret, manager: &str, is_new: bool) {
    fn part<V: PartialEq>(old: &BTreeMap<String, V>, new: &BTreeMap<String, V>) -> Map<String, Value> {
        let mut fields: Map<String, Value> = new
            .iter()
            .filter(|(key, value)| old.get(*key) != Some(value))
            .map(|(key, _)| (format!("f:{key}"), json!({})))
            .collect();
        if old.is_empty() && !new.is_empty() {
            fields.insert(".".to_owned(), json!({}));
        }
        fields
    }
    let parts = [
        ("/f:data", part(&before.data, &secret.data)),
        ("/f:metadata/f:labels", part(&before.labels, &secret.labels)),
        ("/f:metadata/f:annotations", part(&before.annotations, &secret.annotations)),
    ];
    // Others lose what they no longer set.
    for (_, fields) in secret.managed_fields.iter_mut().filter(|(name, _)| name != manager) {
        for (path, taken) in &parts {
            if let Some(Value::Object(own)) = fields.pointer_mut(path) {
                own.retain(|key, _| key == "." || !taken.contains_key(key));
            }
        }
    }
    let mut own = secret
        .managed_fields
        .iter()
        .position(|(name, _)| name == manager)
        .map_or_else(|| json!({}), |at| secret.managed_fields.remove(at).1);
    for (path, fields) in parts {
        if fields.is_empty() {
            continue;
        }
        let place = path.split('/').skip(1).fold(&mut own, |at, name| {
            if at.is_null() {
                *at = json!({});
            }
            at.as_object_mut().unwrap().entry(name).or_insert(Value::Null)
        });
        if place.is_null() {
            *place = json!({});
        }
        place.as_object_mut().unwrap().extend(fields);
    }
    if is_new {
        own["f:type"] = json!({});
    }
    // What is gone is nobody's.
    let gone = |path: &str, key: &str| match path {
        "/f:data" => !secret.data.contains_key(key),
        "/f:metadata/f:labels" => !secret.labels.contains_key(key),
        _ => !secret.annotations.contains_key(key),
    };
    for path in ["/f:data", "/f:metadata/f:labels", "/f:metadata/f:annotations"] {
        if let Some(Value::Object(fields)) = own.pointer_mut(path) {
            fields.retain(|key, _| key == "." || !gone(path, key.trim_start_matches("f:")));
        }
    }
    secret.managed_fields.push((manager.to_owned(), own));
}

impl Objects for Cluster {
    fn store(&self, store: &StoreRef) -> Option<StoreView> {
        self.stores.get(store).cloned()
    }
    fn stores(&self, kind: StoreKind, _: &str) -> Vec<(StoreRef, StoreView)> {
        self.stores
            .iter()
            .filter(|(store, _)| store.kind == kind)
            .map(|(store, view)| (store.clone(), view.clone()))
            .collect()
    }
    fn config_map(&self, _: &str, name: &str) -> Option<Texts> {
        self.config_maps.get(name).cloned()
    }
    fn secret(&self, _: &str, name: &str) -> Option<TargetSecret> {
        self.secrets.get(name).cloned()
    }
    fn secrets(&self, _: &str) -> Vec<TargetSecret> {
        self.secrets.values().cloned().collect()
    }
    fn namespace_labels(&self, _: &str) -> Texts {
        self.labels.clone()
    }
    fn generator_class(&self, _: &str, _: &GeneratorReference) -> Option<String> {
        Some(String::new())
    }
}

type Answer<T> = Result<T, ProviderError>;

/// What stores answer: something fixed, or by what they hold.
#[derive(Default)]
pub(crate) struct Provider {
    pub(crate) get: Option<Answer<SecretBytes>>,
    pub(crate) map: Option<Answer<Keys>>,
    pub(crate) find: Option<Answer<Keys>>,
    pub(crate) open: Option<ProviderError>,
    pub(crate) set: Option<ProviderError>,
    pub(crate) delete: Option<ProviderError>,
    pub(crate) deleted: usize,
    pub(crate) knows_existing: bool,
    /// Entries with their tags; when there are any, nothing is fixed.
    pub(crate) entries: BTreeMap<String, (SecretBytes, Texts)>,
    /// Stores of the fake provider, by name.
    pub(crate) fakes: BTreeMap<String, BTreeMap<String, SecretBytes>>,
    pub(crate) generators: BTreeMap<String, Keys>,
    pub(crate) pushed: BTreeMap<String, SecretBytes>,
    pub(crate) holds_entries: bool,
}

impl Provider {
    fn part(value: &SecretBytes, property: &str) -> Answer<SecretBytes> {
        if property.is_empty() {
            return Ok(value.clone());
        }
        let json: Value = serde_json::from_slice(value.expose()).map_err(|_| ProviderError::Missing)?;
        let found = find_property(&json, property).ok_or(ProviderError::Missing)?;
        Ok(secret_sync::provider::value_bytes(&found))
    }

    fn entry(&self, store: &StoreRef, reference: &Reference) -> Option<Answer<SecretBytes>> {
        let value = if let Some(fake) = self.fakes.get(&store.name) {
            fake.get(&reference.key)
        } else if self.holds_entries {
            self.entries.get(&reference.key).map(|(value, _)| value)
        } else {
            return None;
        };
        Some(value.ok_or(ProviderError::Missing).and_then(|value| Self::part(value, &reference.property)))
    }
}

impl Stores for Provider {
    fn get(&mut self, store: &StoreRef, reference: &Reference) -> Answer<SecretBytes> {
        let fixed = || self.get.clone().unwrap_or_else(|| Ok(SecretBytes::new(Vec::new())));
        self.entry(store, reference).unwrap_or_else(fixed)
    }
    fn get_map(&mut self, store: &StoreRef, reference: &Reference) -> Answer<Keys> {
        match self.entry(store, reference) {
            Some(value) => value.and_then(|value| keys_of_json(value.expose())),
            None => self.map.clone().unwrap_or_else(|| Ok(Keys::new())),
        }
    }
    fn find(&mut self, _: &StoreRef, (search, _): (&Search, ConversionStrategy)) -> Answer<Keys> {
        if !self.holds_entries {
            return self.find.clone().unwrap_or_else(|| Ok(Keys::new()));
        }
        let pattern = search.name.as_deref().map(|name| regex::Regex::new(name).unwrap());
        let is_found = |(key, (_, tags)): &(&String, &(SecretBytes, Texts))| {
            pattern.as_ref().is_none_or(|pattern| pattern.is_match(key))
                && search.path.as_ref().is_none_or(|path| key.starts_with(path))
                && search.tags.iter().flatten().all(|(name, value)| tags.get(name) == Some(value))
        };
        Ok(self.entries.iter().filter(is_found).map(|(key, (value, _))| (key.clone(), value.clone())).collect())
    }
    fn generate(&mut self, _: &str, generator: &GeneratorReference) -> Answer<Keys> {
        let name = generator.name.clone().unwrap_or_default();
        self.generators.get(&name).cloned().ok_or_else(|| ProviderError::Failed("no such generator".to_owned()))
    }
    fn push(&mut self, _: &StoreRef, push: &Push, secret: &LocalSecret) -> Answer<()> {
        if let Some(error) = &self.set {
            return Err(error.clone());
        }
        self.pushed.insert(push.remote_key.clone(), push.value(secret)?);
        Ok(())
    }
    fn exists(&mut self, _: &StoreRef, push: &Push) -> Answer<bool> {
        Ok(self.knows_existing && self.pushed.contains_key(&push.remote_key))
    }
    fn delete(&mut self, _: &StoreRef, push: &Push) -> Answer<()> {
        if let Some(error) = &self.delete {
            return Err(error.clone());
        }
        self.deleted += 1;
        self.pushed.remove(&push.remote_key);
        Ok(())
    }
    fn open(&mut self, _: &StoreRef) -> Answer<()> {
        self.open.clone().map_or(Ok(()), Err)
    }
}

/// An ExternalSecret in its cluster.
pub(crate) struct Run {
    pub(crate) cluster: Cluster,
    pub(crate) provider: Provider,
    pub(crate) policy: Policy,
    pub(crate) head: Head,
    pub(crate) spec: ExternalSecretSpec,
    pub(crate) status: Status,
    pub(crate) now: Timestamp,
    pub(crate) looks: usize,
    pub(crate) last: Outcome,
}

impl Run {
    pub(crate) fn new(object: &Value) -> Self {
        let metadata = &object["metadata"];
        let mut spec = object["spec"].clone();
        if spec["refreshInterval"] == "100000000ns" {
            spec["refreshInterval"] = json!("100ms");
        }
        Self {
            cluster: Cluster::default(),
            provider: Provider::default(),
            policy: Policy::default(),
            head: Head {
                namespace: NAMESPACE.to_owned(),
                name: text(metadata, "name").to_owned(),
                uid: "u-1".to_owned(),
                generation: 1,
                labels: texts(&metadata["labels"]),
                annotations: texts(&metadata["annotations"]),
                is_deleting: false,
            },
            spec: serde_json::from_value(spec).unwrap(),
            status: Status::default(),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            looks: 0,
            last: Outcome::default(),
        }
    }

    pub(crate) fn target(&self) -> Option<&TargetSecret> {
        let name = secret_sync::reconcile::generic::name(self.spec.target.as_ref(), &self.head.name);
        self.cluster.secrets.get(name)
    }

    /// Looks once, and does what is said.
    pub(crate) fn look(&mut self) {
        self.looks += 1;
        let existing = self.target().cloned();
        let external = External {
            head: &self.head,
            spec: &self.spec,
            status: &self.status,
            existing: existing.as_ref(),
            manifest: None,
        };
        let mut world = World { objects: &self.cluster, stores: &mut self.provider, templates: &Engine, transform };
        let outcome = reconcile(&external, &mut world, &self.policy, self.now).unwrap();
        let manager = field_manager(&self.head.name);
        for write in &outcome.writes {
            match write {
                Write::Create(secret) => self.put((**secret).clone(), &TargetSecret::default(), &manager),
                Write::Update(secret) => self.put((**secret).clone(), existing.as_ref().unwrap(), &manager),
                Write::Delete { name } => drop(self.cluster.secrets.remove(name)),
                Write::Apply(_) => {}
            }
        }
        self.status = outcome.status.clone();
        self.last = outcome;
    }

    fn put(&mut self, mut secret: TargetSecret, before: &TargetSecret, manager: &str) {
        took(&mut secret, before, manager, before.name.is_empty());
        self.cluster.secrets.insert(secret.name.clone(), secret);
    }

    /// Looks whenever it is due, for so long; at least three times, as a cluster tells of each change.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.plus(time);
        for _ in 0..3 {
            self.look();
        }
        for _ in 0..1_000 {
            let wait = match self.last.again {
                Again::OnChange => return,
                Again::After(wait) => wait,
                Again::BackOff => Duration::from_secs(1),
            };
            if self.now.plus(wait) > end {
                return;
            }
            self.now = self.now.plus(wait.max(Duration::from_millis(10)));
            self.look();
        }
    }
}
