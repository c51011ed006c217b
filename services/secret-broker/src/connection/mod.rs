//! Connections to stores for everything that the machine does not do itself: searches, pushes, generators, and providers without versions.
//!
//! ```text
//! Question (get, find, push, ...) -> Connector: which store is it? -> provider's function of the engine, its calls made here -> Answer
//! ```

mod asked;
mod aws;
mod generator;
pub(crate) mod http;
pub(crate) mod kubernetes;
mod referent;
mod vault;
mod webhook;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secret_sync::api::GeneratorReference;
use secret_sync::provider::aws::{parameter_store::Parameters, secrets_manager::Manager};
use secret_sync::provider::fake::FakeStore;
use secret_sync::provider::{Keys, LocalSecret, ProviderError, Push, Reference, Search};
use secret_sync::{ConversionStrategy, Documents, Provider, SecretBytes, SecretJson, StoreKind, StoreRef, parse};
use serde_json::Value;

use crate::provider::{Pool, VaultProvider};
use crate::reconciler::Rights;

/// What is asked of a store or a generator.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    Get(StoreRef, Reference),
    GetMap(StoreRef, Reference),
    Find(StoreRef, Search, ConversionStrategy),
    Generate(String, GeneratorReference),
    Push(StoreRef, Push, LocalSecret),
    Exists(StoreRef, Push),
    Delete(StoreRef, Push),
    Open(StoreRef),
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Value(Result<SecretBytes, ProviderError>),
    Keys(Result<Keys, ProviderError>),
    Holds(Result<bool, ProviderError>),
    Done(Result<(), ProviderError>),
}

/// One connection.
#[derive(Debug)]
enum Connection {
    Vault(vault::Vault),
    Kubernetes(Box<kubernetes::Remote>),
    Webhook(Box<webhook::Webhook>),
    Fake(Arc<Mutex<FakeStore>>),
    Manager(Box<aws::Service>, Manager),
    Parameters(Box<aws::Service>, Parameters),
}

/// A store in memory, with the settings that it was made of.
type Fake = (Value, Arc<Mutex<FakeStore>>);

/// Makes connections, and keeps what was pushed into stores in memory.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) rights: Rights,
    pub(crate) timeout: Duration,
    pub(crate) aws_endpoint: Option<String>,
    pool: Pool,
    fakes: Mutex<BTreeMap<StoreRef, Fake>>,
}

fn failed<T>(what: impl Into<String>) -> Result<T, ProviderError> {
    Err(ProviderError::Failed(what.into()))
}

impl Connector {
    pub(crate) fn new(rights: Rights, config: &crate::config::Config, pool: Pool) -> Self {
        Self {
            rights,
            timeout: Duration::from_secs(config.store_timeout_s),
            aws_endpoint: config.aws_endpoint.clone(),
            pool,
            fakes: Mutex::default(),
        }
    }

    /// Answers a question, asked from `namespace`; `spec` gives the specification of a store, `generator` the object of a generator.
    pub(crate) async fn ask(
        &self,
        question: Question,
        namespace: &str,
        store: impl Fn(&StoreRef) -> Option<Value>,
    ) -> Answer {
        let opened = |reference: &StoreRef| {
            let spec = store(reference);
            let reference = reference.clone();
            async move {
                let spec = spec.ok_or_else(|| ProviderError::Failed(format!("{reference} is not there")))?;
                self.open(&reference, &spec, namespace).await
            }
        };
        match question {
            Question::Open(reference) => Answer::Done(opened(&reference).await.map(drop)),
            Question::Get(reference, what) => Answer::Value(match opened(&reference).await {
                Ok(connection) => connection.get(&what).await,
                Err(error) => Err(error),
            }),
            Question::GetMap(reference, what) => Answer::Keys(match opened(&reference).await {
                Ok(connection) => connection.get_map(&what).await,
                Err(error) => Err(error),
            }),
            Question::Find(reference, search, strategy) => Answer::Keys(match opened(&reference).await {
                Ok(connection) => connection.find(&search, strategy).await,
                Err(error) => Err(error),
            }),
            Question::Push(reference, push, secret) => Answer::Done(match opened(&reference).await {
                Ok(connection) => connection.push(&push, &secret).await,
                Err(error) => Err(error),
            }),
            Question::Exists(reference, push) => Answer::Holds(match opened(&reference).await {
                Ok(connection) => connection.exists(&push).await,
                Err(error) => Err(error),
            }),
            Question::Delete(reference, push) => Answer::Done(match opened(&reference).await {
                Ok(connection) => connection.delete(&push).await,
                Err(error) => Err(error),
            }),
            Question::Generate(namespace, reference) => Answer::Keys(self.generate(&namespace, &reference).await),
        }
    }

    async fn generate(&self, namespace: &str, reference: &GeneratorReference) -> Result<Keys, ProviderError> {
        let object = self.rights.generator(namespace, reference).await?;
        let kind = reference.kind.as_deref().unwrap_or_default();
        let name = reference.name.as_deref().unwrap_or_default();
        let Some(object) = object else {
            return failed(format!("could not get generator: {kind} {name:?} is not there"));
        };
        generator::generate(self, object.expose(), namespace).await
    }

    async fn open(&self, store: &StoreRef, spec: &Value, namespace: &str) -> Result<Connection, ProviderError> {
        let providers = spec.get("provider").and_then(Value::as_object);
        let mut named = providers.into_iter().flatten().filter(|(_, settings)| !settings.is_null());
        let Some((name, settings)) = named.next() else { return failed("the store names no provider") };
        let is_cluster = store.kind == StoreKind::ClusterSecretStore;
        let (scope, means) = ((namespace, is_cluster), (&self.rights, self.timeout));
        match name.as_str() {
            "vault" | "openBao" => {
                let document = document(store, spec, namespace);
                let provider = self.vault(&document).await?;
                Ok(Connection::Vault(vault::Vault::new(provider, settings)))
            }
            "kubernetes" => {
                Ok(Connection::Kubernetes(Box::new(kubernetes::Remote::open(settings, scope, means).await?)))
            }
            "webhook" => Ok(Connection::Webhook(Box::new(webhook::Webhook::open(settings, scope, means).await?))),
            "fake" => Ok(Connection::Fake(self.fake(store, settings))),
            "aws" => self.aws(settings, scope).await,
            other => failed(unknown(other)),
        }
    }

    async fn aws(&self, settings: &Value, scope: (&str, bool)) -> Result<Connection, ProviderError> {
        let prefix = settings.get("prefix").and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = match settings.get("service").and_then(Value::as_str) {
            Some("ParameterStore") => aws::Kind::ParameterStore,
            Some("SecretsManager") | None => aws::Kind::SecretsManager,
            Some(other) => return failed(format!("aws: unknown service {other}")),
        };
        let means = (&self.rights, self.timeout, self.aws_endpoint.as_deref());
        let service = Box::new(aws::Service::open((kind, settings), scope, means).await?);
        if kind == aws::Kind::ParameterStore {
            return Ok(Connection::Parameters(service, Parameters { prefix }));
        }
        let at = |name: &str| settings.pointer(&format!("/secretsManager/{name}"));
        let manager = Manager {
            prefix,
            deletes_at_once: at("forceDeleteWithoutRecovery") == Some(&Value::Bool(true)),
            recovery_days: at("recoveryWindowInDays").and_then(Value::as_i64).unwrap_or(0),
        };
        manager.check_deletion()?;
        Ok(Connection::Manager(service, manager))
    }

    /// A store in memory keeps what was pushed into it for as long as its manifest stays as it is.
    fn fake(&self, store: &StoreRef, settings: &Value) -> Arc<Mutex<FakeStore>> {
        let mut fakes = self.fakes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, fake)) = fakes.get(store)
            && known == settings
        {
            return fake.clone();
        }
        let mut fake = FakeStore::default();
        for entry in settings.get("data").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
            fake.insert(text("key"), text("version"), SecretBytes::from(text("value")));
        }
        let fake = Arc::new(Mutex::new(fake));
        fakes.insert(store.clone(), (settings.clone(), fake.clone()));
        fake
    }

    /// The server of a generator.
    pub(crate) async fn dynamic(&self, provider: &Value, namespace: &str) -> Result<Arc<VaultProvider>, ProviderError> {
        self.vault(&generator::as_store(provider, namespace)).await
    }

    /// One login for all who reach a server in the same way.
    async fn vault(&self, document: &SecretJson) -> Result<Arc<VaultProvider>, ProviderError> {
        let text = zeroize::Zeroizing::new(document.expose().to_string());
        let mut documents = Documents::default();
        parse("store", &text, &mut documents);
        let Some(store) = documents.stores.into_iter().next() else {
            let fault = documents.faults.first();
            let said = fault.map(|fault| format!("{}; {}", fault.what, fault.remedy)).unwrap_or_default();
            return failed(format!("unable to setup Vault client: {said}"));
        };
        let Provider::Vault(vault) = store.provider else { return failed("the store is no vault") };
        let provider = self.pool.of(&vault);
        if !provider.is_logged_in().await {
            self.pool.credentials().note(self.rights.of_login(&vault).await?);
        }
        Ok(provider)
    }

    /// Whether a store can be used; `false` where only who uses it can tell, since the login is of their namespace.
    pub(crate) async fn validate(&self, store: &StoreRef, spec: &Value) -> Result<bool, ProviderError> {
        let providers = spec.get("provider").and_then(Value::as_object).into_iter().flatten();
        let is_fake_wrong = |(name, settings): (&String, &Value)| {
            let result = settings.get("validationResult").and_then(Value::as_i64);
            name == "fake" && result.is_some_and(|result| result != 0)
        };
        if providers.clone().any(is_fake_wrong) {
            return failed("unable to validate");
        }
        let is_cluster = store.kind == StoreKind::ClusterSecretStore;
        if is_cluster && providers.clone().any(|(_, settings)| referent::is_open(settings)) {
            return Ok(false);
        }
        match self.open(store, spec, &store.namespace).await? {
            Connection::Vault(vault) => vault.check().await.map(|()| true),
            Connection::Kubernetes(_)
            | Connection::Webhook(_)
            | Connection::Fake(_)
            | Connection::Manager(..)
            | Connection::Parameters(..) => Ok(true),
        }
    }
}

/// Why a provider is refused.
fn unknown(name: &str) -> String {
    let known = "use vault, openBao, kubernetes, webhook, aws or fake";
    match name {
        // Their meaning is judged by upstream's own cases; there is no server of theirs that a test could ask.
        "gcpsm" | "azurekv" => format!("provider `{name}` cannot be reached by this build: {known}"),
        _ => format!("provider `{name}` is not supported: {known}"),
    }
}

/// A store as a manifest, for the reader of manifests.
///
/// What a store of the cluster leaves open of its login is of the namespace that uses it.
fn document(store: &StoreRef, spec: &Value, namespace: &str) -> SecretJson {
    let kind = match store.kind {
        StoreKind::SecretStore => "SecretStore",
        StoreKind::ClusterSecretStore => "ClusterSecretStore",
    };
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        // Who may use the store, and who looks after it, was decided before.
        fields.retain(|name, _| name == "provider");
    }
    let providers = spec.get_mut("provider").and_then(Value::as_object_mut).into_iter().flatten();
    if store.kind == StoreKind::ClusterSecretStore {
        providers.for_each(|(_, settings)| referent::fill(settings, namespace));
    }
    SecretJson::new(serde_json::json!({
        "apiVersion": "external-secrets.io/v1", "kind": kind,
        "metadata": { "name": store.name, "namespace": store.namespace }, "spec": spec,
    }))
}

fn locked(fake: &Mutex<FakeStore>) -> std::sync::MutexGuard<'_, FakeStore> {
    fake.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    async fn get(&self, what: &Reference) -> Result<SecretBytes, ProviderError> {
        match self {
            Self::Vault(vault) => vault.get(what).await,
            Self::Kubernetes(remote) => remote.get(what).await,
            Self::Webhook(webhook) => webhook.get(what).await,
            Self::Fake(fake) => locked(fake).get(what),
            Self::Manager(service, manager) => service.run(|calls| manager.get(calls, what)).await,
            Self::Parameters(service, parameters) => service.run(|calls| parameters.get(calls, what)).await,
        }
    }

    async fn get_map(&self, what: &Reference) -> Result<Keys, ProviderError> {
        match self {
            Self::Vault(vault) => vault.get_map(what).await,
            Self::Kubernetes(remote) => remote.get_map(what).await,
            Self::Webhook(webhook) => webhook.get_map(Some(what)).await,
            Self::Fake(fake) => locked(fake).get_map(what),
            Self::Manager(service, manager) => service.run(|calls| manager.get_map(calls, what)).await,
            Self::Parameters(service, parameters) => service.run(|calls| parameters.get_map(calls, what)).await,
        }
    }

    async fn find(&self, search: &Search, strategy: ConversionStrategy) -> Result<Keys, ProviderError> {
        match self {
            Self::Vault(vault) => vault.find(search).await,
            Self::Kubernetes(remote) => remote.find(search, strategy).await,
            Self::Webhook(_) => webhook::Webhook::find(strategy),
            Self::Fake(fake) => locked(fake).find(search, strategy),
            Self::Manager(service, manager) => service.run(|calls| manager.find(calls, search)).await,
            Self::Parameters(service, parameters) => service.run(|calls| parameters.find(calls, search)).await,
        }
    }

    async fn push(&self, push: &Push, secret: &LocalSecret) -> Result<(), ProviderError> {
        match self {
            Self::Vault(vault) => vault.push(push, secret).await,
            Self::Kubernetes(remote) => remote.push(push, secret).await,
            Self::Webhook(webhook) => webhook.push(push, secret).await,
            Self::Fake(fake) => locked(fake).push(push, secret),
            Self::Manager(service, manager) => {
                // A new version has a name of its own, the same for every repetition of this push.
                let version = version_name();
                service.run(|calls| manager.push(calls, (push, secret), (&version, &no_policy))).await
            }
            Self::Parameters(service, parameters) => service.run(|calls| parameters.push(calls, push, secret)).await,
        }
    }

    async fn exists(&self, push: &Push) -> Result<bool, ProviderError> {
        match self {
            Self::Vault(vault) => vault.exists(push).await,
            Self::Kubernetes(remote) => remote.exists(push).await,
            Self::Webhook(webhook) => webhook.exists(push).await,
            Self::Fake(fake) => Ok(locked(fake).exists(&push.remote_key)),
            Self::Manager(service, manager) => service.run(|calls| manager.exists(calls, &push.remote_key)).await,
            Self::Parameters(service, parameters) => {
                service.run(|calls| parameters.exists(calls, &push.remote_key)).await
            }
        }
    }

    async fn delete(&self, push: &Push) -> Result<(), ProviderError> {
        match self {
            Self::Vault(vault) => vault.delete(push).await,
            Self::Kubernetes(remote) => remote.delete(push).await,
            Self::Webhook(webhook) => webhook.delete(push).await,
            // Upstream's fake keeps what was pushed.
            Self::Fake(_) => Ok(()),
            Self::Manager(service, manager) => service.run(|calls| manager.delete(calls, &push.remote_key)).await,
            Self::Parameters(service, parameters) => {
                service.run(|calls| parameters.delete(calls, &push.remote_key)).await
            }
        }
    }
}

fn version_name() -> String {
    let mut chance = |bytes: &mut [u8]| {
        use ring::rand::SecureRandom as _;
        ring::rand::SystemRandom::new().fill(bytes).is_ok()
    };
    let made = secret_sync::generator::uuid(&mut chance).ok();
    made.and_then(|keys| Some(keys.get("uuid")?.expose_str()?.to_owned())).unwrap_or_default()
}

fn no_policy(_: &str, name: &str, _: &str) -> Result<String, ProviderError> {
    failed(format!("the resource policy in {name} is not read by this broker: set it at the service itself"))
}
