//! Logins at Vault and OpenBao: one request, whatever the method (<https://openbao.org/api-docs/auth/>).

use secret_sync::{SecretBytes, SecretJson};
use serde_json::Value;

use super::vault::{Failure, VaultProvider};

/// What a login gives.
pub(super) struct Login {
    pub(super) token: SecretBytes,
    /// Seconds until it ends; 0 when it does not.
    pub(super) life_s: u64,
    pub(super) is_renewable: bool,
}

/// Posts a login to `auth/<path>`.
pub(super) async fn post(provider: &VaultProvider, path: &str, body: SecretJson) -> Result<Login, Failure> {
    let store = &provider.store;
    let fail = |what: &str, remedy: &str| Failure::Problem(provider.problem(what, remedy, false));
    let url = format!("{}/v1/auth/{path}", store.server);
    let mut request = provider.http()?.post(&url).json(body.expose());
    if let Some(namespace) = store.login_namespace.as_ref().or(store.namespace.as_ref()) {
        request = request.header("X-Vault-Namespace", namespace);
    }
    let answer = request.send().await.map_err(|error| Failure::Problem(provider.line_is_down(&error)))?;
    let status = answer.status().as_u16();
    provider.pause(status, answer.headers());
    match status {
        200 => {}
        400 | 401 | 403 => {
            let remedy = "check the login method's role, and what the store gives it, against the server";
            return Err(fail("the server refused the login", remedy));
        }
        404 => {
            return Err(fail("nothing is mounted for the login", "correct the path of the login method in the store"));
        }
        429 => return Err(fail("the server asks for fewer calls (429)", "raise its rate limit")),
        503 => {
            let remedy = "unseal it: `bao operator unseal`; secrets stay as they are until then";
            return Err(fail("the server is sealed or not active (503)", remedy));
        }
        other => {
            return Err(fail(&format!("the server failed ({other})"), "look into its log; the broker tries again"));
        }
    }
    let answer = answer.bytes().await.ok().and_then(|bytes| SecretJson::parse(&bytes));
    let login = answer.as_ref().and_then(|answer| read(answer.expose()));
    login.ok_or_else(|| fail("the server's answer is not understood", "check that `server` is a Vault or OpenBao"))
}

fn read(answer: &Value) -> Option<Login> {
    let auth = answer.get("auth")?;
    Some(Login {
        token: SecretBytes::from(auth.get("client_token")?.as_str()?),
        life_s: auth.get("lease_duration").and_then(Value::as_u64).unwrap_or(0),
        is_renewable: auth.get("renewable").and_then(Value::as_bool).unwrap_or(false),
    })
}
