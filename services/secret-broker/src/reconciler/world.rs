//! The engine's view of the cluster and the stores: what is known already, and what has to be fetched first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use secret_sync::api::{GeneratorReference, SecretStoreSpec};
use secret_sync::provider::{Keys, LocalSecret, ProviderError, Push, Reference, Search};
use secret_sync::reconcile::{Objects, StoreView, Stores, TargetSecret, Templates, Texts};
use secret_sync::{ConversionStrategy, SecretBytes, StoreKind, StoreRef};
use serde_json::Value;

use crate::connection::{Answer, Question};
use crate::template;

/// Something of the cluster that the engine asked for and that was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wanted {
    Secret(String),
    ConfigMap(String),
    Secrets,
    Generator(String, String),
}

/// Stores by reference: specification and labels.
pub(crate) type StoreMap = BTreeMap<StoreRef, Value>;

/// What is known of one namespace.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) stores: StoreMap,
    pub(crate) namespace_labels: Texts,
    pub(crate) secrets: BTreeMap<String, Option<TargetSecret>>,
    pub(crate) all_secrets: Option<Vec<TargetSecret>>,
    pub(crate) config_maps: BTreeMap<String, Option<Texts>>,
    pub(crate) generators: BTreeMap<(String, String), Option<String>>,
    pub(super) wanted: Mutex<BTreeSet<Wanted>>,
}

impl View {
    fn want(&self, what: Wanted) {
        self.wanted.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(what);
    }

    /// What was asked for and is not known.
    pub(crate) fn take_wanted(&self) -> BTreeSet<Wanted> {
        std::mem::take(&mut *self.wanted.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

fn view(object: &Value) -> StoreView {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    StoreView {
        spec: object
            .get("spec")
            .and_then(|spec| serde_json::from_value::<SecretStoreSpec>(spec.clone()).ok())
            .unwrap_or_default(),
        labels: labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
        is_ready: None,
        is_deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
    }
}

impl Objects for View {
    fn store(&self, store: &StoreRef) -> Option<StoreView> {
        self.stores.get(store).map(view)
    }

    fn stores(&self, kind: StoreKind, namespace: &str) -> Vec<(StoreRef, StoreView)> {
        let is_here =
            |store: &StoreRef| store.kind == kind && (store.namespace.is_empty() || store.namespace == namespace);
        let here = self.stores.iter().filter(|(store, _)| is_here(store));
        here.map(|(store, object)| (store.clone(), view(object))).collect()
    }

    fn config_map(&self, _: &str, name: &str) -> Option<Texts> {
        match self.config_maps.get(name) {
            Some(known) => known.clone(),
            None => {
                self.want(Wanted::ConfigMap(name.to_owned()));
                None
            }
        }
    }

    fn secret(&self, _: &str, name: &str) -> Option<TargetSecret> {
        match self.secrets.get(name) {
            Some(known) => known.clone(),
            None => {
                self.want(Wanted::Secret(name.to_owned()));
                None
            }
        }
    }

    fn secrets(&self, _: &str) -> Vec<TargetSecret> {
        match &self.all_secrets {
            Some(all) => all.clone(),
            None => {
                self.want(Wanted::Secrets);
                Vec::new()
            }
        }
    }

    fn namespace_labels(&self, _: &str) -> Texts {
        self.namespace_labels.clone()
    }

    fn generator_class(&self, _: &str, generator: &GeneratorReference) -> Option<String> {
        let place = (generator.kind.clone().unwrap_or_default(), generator.name.clone().unwrap_or_default());
        match self.generators.get(&place) {
            Some(class) => class.clone(),
            None => {
                self.want(Wanted::Generator(place.0, place.1));
                None
            }
        }
    }
}

/// Answers of stores in one pass over an object.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    known: Vec<(String, Answer)>,
    pending: Option<(String, Question)>,
    /// What was read, with a digest of it, for who holds what.
    pub(crate) read: BTreeMap<(String, String), Vec<u8>>,
}

impl Answers {
    fn ask(&mut self, name: String, question: Question) -> Option<Answer> {
        if let Some((_, answer)) = self.known.iter().find(|(known, _)| *known == name) {
            return Some(answer.clone());
        }
        self.pending.get_or_insert((name, question));
        None
    }

    pub(crate) fn take(&mut self) -> Option<(String, Question)> {
        self.pending.take()
    }

    pub(crate) fn keep(&mut self, name: String, answer: Answer) {
        self.known.push((name, answer));
    }

    fn note(&mut self, store: &StoreRef, key: &str, content: &[u8]) {
        self.read.entry((store.to_string(), key.to_owned())).or_default().extend_from_slice(content);
    }
}

fn keys(answer: Option<Answer>) -> Result<Keys, ProviderError> {
    match answer {
        Some(Answer::Keys(keys)) => keys,
        _ => Err(ProviderError::Unanswered),
    }
}

fn done(answer: Option<Answer>) -> Result<(), ProviderError> {
    match answer {
        Some(Answer::Done(done)) => done,
        _ => Err(ProviderError::Unanswered),
    }
}

impl Stores for Answers {
    fn get(&mut self, store: &StoreRef, reference: &Reference) -> Result<SecretBytes, ProviderError> {
        let question = Question::Get(store.clone(), reference.clone());
        let value = match self.ask(format!("get {store} {reference:?}"), question) {
            Some(Answer::Value(value)) => value?,
            _ => return Err(ProviderError::Unanswered),
        };
        self.note(store, &reference.key, value.expose());
        Ok(value)
    }

    fn get_map(&mut self, store: &StoreRef, reference: &Reference) -> Result<Keys, ProviderError> {
        let question = Question::GetMap(store.clone(), reference.clone());
        let found = keys(self.ask(format!("map {store} {reference:?}"), question))?;
        found.values().for_each(|value| self.note(store, &reference.key, value.expose()));
        Ok(found)
    }

    fn find(
        &mut self,
        store: &StoreRef,
        (search, strategy): (&Search, ConversionStrategy),
    ) -> Result<Keys, ProviderError> {
        let question = Question::Find(store.clone(), search.clone(), strategy);
        let found = keys(self.ask(format!("find {store} {search:?}"), question))?;
        found.iter().for_each(|(key, value)| self.note(store, key, value.expose()));
        Ok(found)
    }

    fn generate(&mut self, namespace: &str, generator: &GeneratorReference) -> Result<Keys, ProviderError> {
        let question = Question::Generate(namespace.to_owned(), generator.clone());
        keys(self.ask(format!("generate {generator:?}"), question))
    }

    fn push(&mut self, store: &StoreRef, push: &Push, secret: &LocalSecret) -> Result<(), ProviderError> {
        let question = Question::Push(store.clone(), push.clone(), secret.clone());
        let place = (&push.remote_key, &push.property, &push.secret_key);
        done(self.ask(format!("push {store} {place:?}"), question))
    }

    fn exists(&mut self, store: &StoreRef, push: &Push) -> Result<bool, ProviderError> {
        let place = (&push.remote_key, &push.property);
        match self.ask(format!("exists {store} {place:?}"), Question::Exists(store.clone(), push.clone())) {
            Some(Answer::Holds(holds)) => holds,
            _ => Err(ProviderError::Unanswered),
        }
    }

    fn delete(&mut self, store: &StoreRef, push: &Push) -> Result<(), ProviderError> {
        let place = (&push.remote_key, &push.property);
        done(self.ask(format!("delete {store} {place:?}"), Question::Delete(store.clone(), push.clone())))
    }

    fn open(&mut self, store: &StoreRef) -> Result<(), ProviderError> {
        done(self.ask(format!("open {store}"), Question::Open(store.clone())))
    }
}

/// The template engine.
#[derive(Debug)]
pub(crate) struct Engine;

impl Templates for Engine {
    fn render(&self, name: &str, text: &str, data: &Keys) -> Result<SecretBytes, String> {
        template::single(name, text, data)
    }
}
