//! Vault and OpenBao: in which namespace a login happens, and whether a token is worth keeping.

use serde_json::Value;

/// The namespace while logging in, and the one for everything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespaces {
    /// Of the login.
    pub login: String,
    /// Of reads and writes.
    pub calls: String,
}

/// Reads the namespaces of a provider's settings: `auth.namespace` counts for the login, else `namespace` does.
#[must_use]
pub fn namespaces(vault: &Value) -> Namespaces {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let calls = text(vault.get("namespace")).unwrap_or_default();
    let login = text(vault.get("auth").and_then(|auth| auth.get("namespace"))).unwrap_or_else(|| calls.clone());
    Namespaces { login, calls }
}

/// Whether a token whose `lookup-self` answered with `data` may be used again: it never expires, or not within the next minute.
#[must_use]
pub fn is_token_good(data: &Value) -> bool {
    let Some(kind) = data.get("type").and_then(Value::as_str) else { return false };
    if kind == "batch" {
        return false;
    }
    let seconds = data.get("ttl").and_then(Value::as_i64);
    match (data.get("expire_time"), seconds) {
        (_, None) => false,
        (None | Some(Value::Null), Some(0)) => true,
        (_, Some(seconds)) => seconds >= TOKEN_MARGIN,
    }
}

/// Where a login method is mounted, when the settings do not say.
#[must_use]
pub fn mount<'p>(path: &'p str, method: &'p str) -> &'p str {
    if path.is_empty() { method } else { path }
}

/// A token is given up this many seconds before its end.
const TOKEN_MARGIN: i64 = 60;
