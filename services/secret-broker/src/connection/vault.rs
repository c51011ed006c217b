//! Vault and OpenBao by the engine's functions.

use std::sync::Arc;

use secret_sync::generator::vault_dynamic;
use secret_sync::provider::vault::{self, Engine};
use secret_sync::provider::{Keys, LocalSecret, ProviderError, Push, Reference, Search, vault_push};
use secret_sync::{KvVersion, SecretBytes, SecretJson};
use serde_json::Value;

use super::asked::{Asked, Recorded, drive};
use crate::provider::{Call, VaultProvider};

/// A key-value engine of a server.
#[derive(Debug)]
pub(crate) struct Vault {
    provider: Arc<VaultProvider>,
    engine: Engine,
}

#[derive(Debug, Default)]
struct Calls(Asked<Call, Result<Option<SecretJson>, ProviderError>>);

impl Recorded for Calls {
    type Question = Call;
    type Answer = Result<Option<SecretJson>, ProviderError>;

    fn asked(&mut self) -> &mut Asked<Self::Question, Self::Answer> {
        &mut self.0
    }
}

impl Calls {
    fn call(&mut self, call: Call) -> Result<Option<SecretJson>, ProviderError> {
        let name = format!("{} {} {}", call.method, call.path, call.query);
        self.0.answer(name, call).unwrap_or(Err(ProviderError::Unanswered))
    }

    fn data(&mut self, call: Call) -> Result<Option<SecretJson>, ProviderError> {
        let answer = self.call(call)?;
        Ok(answer.and_then(|answer| {
            answer.expose().get("data").filter(|data| !data.is_null()).cloned().map(SecretJson::new)
        }))
    }
}

impl vault::Calls for Calls {
    fn read(&mut self, path: &str, version: Option<&str>) -> Result<Option<SecretJson>, ProviderError> {
        let query = version.map(|version| format!("version={version}")).unwrap_or_default();
        self.data(Call { method: "GET", path: path.to_owned(), query, body: None })
    }

    fn list(&mut self, path: &str) -> Result<Option<SecretJson>, ProviderError> {
        self.data(Call { method: "LIST", path: path.to_owned(), query: String::new(), body: None })
    }

    fn write(&mut self, path: &str, body: &SecretJson) -> Result<(), ProviderError> {
        let body = Some(body.clone());
        self.call(Call { method: "POST", path: path.to_owned(), query: String::new(), body }).map(drop)
    }

    fn delete(&mut self, path: &str) -> Result<(), ProviderError> {
        self.call(Call { method: "DELETE", path: path.to_owned(), query: String::new(), body: None }).map(drop)
    }
}

impl Vault {
    pub(crate) fn new(provider: Arc<VaultProvider>, settings: &Value) -> Self {
        let store = provider.store();
        let mount = store.mount.as_ref().map(|mount| mount.trim_matches('/').to_owned());
        let check_and_set = settings.pointer("/checkAndSet/required") == Some(&Value::Bool(true));
        let version = if store.version == KvVersion::V1 { KvVersion::V1 } else { KvVersion::V2 };
        Self { engine: Engine { mount, version, check_and_set }, provider }
    }

    async fn run<T: Send>(
        &self,
        function: impl FnMut(&mut Calls) -> Result<T, ProviderError> + Send,
    ) -> Result<T, ProviderError> {
        let ask = |call: Call| async move { self.provider.raw(&call).await };
        drive(&mut Calls::default(), function, ask).await
    }

    /// Asks the server about the login.
    pub(crate) async fn check(&self) -> Result<(), ProviderError> {
        let checked = self.provider.check_login().await;
        checked.map_err(|problem| ProviderError::Failed(format!("{}; {}", problem.what, problem.remedy)))
    }

    pub(crate) async fn get(&self, reference: &Reference) -> Result<SecretBytes, ProviderError> {
        self.run(|calls| vault::get(&self.engine, calls, reference)).await
    }

    pub(crate) async fn get_map(&self, reference: &Reference) -> Result<Keys, ProviderError> {
        self.run(|calls| vault::get_map(&self.engine, calls, reference)).await
    }

    /// Names stay as they are: whether they are converted or rewritten is the manifest's choice.
    pub(crate) async fn find(&self, search: &Search) -> Result<Keys, ProviderError> {
        self.run(|calls| vault::find(&self.engine, calls, search)).await
    }

    pub(crate) async fn push(&self, push: &Push, secret: &LocalSecret) -> Result<(), ProviderError> {
        self.run(|calls| vault_push::push(&self.engine, calls, push, secret)).await
    }

    pub(crate) async fn exists(&self, push: &Push) -> Result<bool, ProviderError> {
        self.run(|calls| vault::exists(&self.engine, calls, &push.remote_key, &push.property)).await
    }

    pub(crate) async fn delete(&self, push: &Push) -> Result<(), ProviderError> {
        self.run(|calls| vault_push::delete(&self.engine, calls, &push.remote_key, &push.property)).await
    }
}

/// What a dynamic path makes up.
pub(crate) async fn generate(
    provider: &VaultProvider,
    settings: &vault_dynamic::Settings,
) -> Result<Keys, ProviderError> {
    let is_read = settings.method == "GET";
    let query = if is_read { query(settings.parameters.as_ref()) } else { String::new() };
    let body = match settings.method.as_str() {
        "POST" | "PUT" => Some(SecretJson::new(settings.parameters.clone().unwrap_or_else(|| serde_json::json!({})))),
        _ => None,
    };
    let method = ["GET", "LIST", "POST", "PUT", "DELETE"].into_iter().find(|name| *name == settings.method);
    let call = Call { method: method.unwrap_or("GET"), path: settings.path.clone(), query, body };
    let words = |what: String| ProviderError::Failed(format!("unable to get dynamic secret: {what}"));
    let answer = provider.raw(&call).await.map_err(|error| words(error.to_string()))?;
    settings.keys(answer.as_ref()).map_err(|error| ProviderError::Failed(error.to_string()))
}

/// Parameters of a read: each value of each name.
fn query(parameters: Option<&Value>) -> String {
    let escape = |text: &str| -> String {
        let one = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        text.bytes().map(one).collect()
    };
    let mut parts = Vec::new();
    for (name, values) in parameters.and_then(Value::as_object).into_iter().flatten() {
        let values = values.as_array().cloned().unwrap_or_else(|| vec![values.clone()]);
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        parts.extend(values.iter().map(|value| format!("{}={}", escape(name), escape(&text(value)))));
    }
    parts.join("&")
}
