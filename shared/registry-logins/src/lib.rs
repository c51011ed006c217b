//! Logins for registries: from a docker configuration (`auths`, `credHelpers`, `credsStore`), from Kubernetes pull secrets, and from
//! the credential helpers that a configuration names. What is secret of them cannot be printed.
//!
//! ```
//! use registry_logins::{DockerConfig, Login, best_fit};
//!
//! let secret = DockerConfig::parse(br#"{"auths": {"*.example": {"username": "robot", "password": "x"}}}"#)?;
//! let login = best_fit([&secret], &"r.example/app:1".parse().unwrap());
//! assert!(matches!(login, Some(Login::Basic { user, .. }) if user == "robot"));
//! # Ok::<(), registry_logins::Malformed>(())
//! ```

#![warn(missing_docs)]

mod files;
mod fit;
mod helper;

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::ImageReference;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

pub use files::{mounted, read};

/// Who to be for a registry.
#[derive(Clone, Debug)]
pub enum Login {
    /// A user with a password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// A token for the registry's authority, which gives another for it.
    Identity(SecretString),
    /// A token for the registry itself.
    Bearer(SecretString),
}

/// Text that is no docker configuration. What stands in it is never told.
#[derive(Debug, thiserror::Error)]
#[error("line {line} is malformed")]
pub struct Malformed {
    /// The line, from 1.
    pub line: usize,
}

/// A docker configuration, as far as it is about logins.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DockerConfig {
    auths: HashMap<String, Entry>,
    cred_helpers: HashMap<String, String>,
    creds_store: String,
}

impl std::fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DockerConfig").field("entries", &self.auths.len()).finish_non_exhaustive()
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: SecretString,
    username: String,
    password: SecretString,
    identitytoken: SecretString,
    registrytoken: SecretString,
}

impl DockerConfig {
    /// Reads `config.json`, or what is in a Secret as `.dockerconfigjson`.
    ///
    /// # Errors
    /// For text that is none.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        serde_json::from_slice(text).map_err(|error| Malformed { line: error.line() })
    }

    /// Reads the old form, `.dockercfg`: the map of entries alone.
    ///
    /// # Errors
    /// For text that is none.
    pub fn parse_old(text: &[u8]) -> Result<Self, Malformed> {
        let auths = serde_json::from_slice(text).map_err(|error| Malformed { line: error.line() })?;
        Ok(Self { auths, ..Self::default() })
    }

    /// The login for a registry as docker looks for it: of the helper for it, of its entry, of the store. Helpers are programs that may
    /// take their time.
    #[must_use]
    pub fn find(&self, registry: &str) -> Option<Login> {
        let names = names(registry);
        if let Some(helper) = names.iter().find_map(|name| self.cred_helpers.get(name)) {
            return helper::ask(helper, names.first()?);
        }
        let entry = names.iter().find_map(|name| self.auths.get(name));
        if let Some(login) = entry.and_then(Entry::login) {
            return Some(login);
        }
        let store = Some(self.creds_store.as_str()).filter(|store| !store.is_empty())?;
        names.iter().find_map(|name| helper::ask(store, name))
    }
}

/// The login of the entry that fits an image best, as the kubelet judges pull secrets.
pub fn best_fit<'c>(secrets: impl IntoIterator<Item = &'c DockerConfig>, image: &ImageReference) -> Option<Login> {
    let entries = secrets.into_iter().flat_map(|secret| &secret.auths);
    let mut fitting: Vec<(usize, &Entry)> =
        entries.filter_map(|(name, entry)| Some((fit::fit(name, image)?, entry))).collect();
    fitting.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    fitting.iter().find_map(|(_, entry)| entry.login())
}

impl Entry {
    fn login(&self) -> Option<Login> {
        let set = |text: &SecretString| Some(text.clone()).filter(|text| !text.expose_secret().is_empty());
        if let Some(token) = set(&self.registrytoken) {
            return Some(Login::Bearer(token));
        }
        if let Some(token) = set(&self.identitytoken) {
            return Some(Login::Identity(token));
        }
        if !self.username.is_empty() {
            return Some(Login::Basic { user: self.username.clone(), password: self.password.clone() });
        }
        let decoded = STANDARD.decode(self.auth.expose_secret().trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Login::Basic { user: user.to_owned(), password: password.trim_end_matches('\0').into() })
    }
}

/// Keys under which tools file a registry; Docker Hub has several.
fn names(registry: &str) -> Vec<String> {
    let mut names = vec![
        registry.to_owned(),
        format!("https://{registry}"),
        format!("https://{registry}/v2/"),
        format!("http://{registry}"),
    ];
    if matches!(registry, "docker.io" | "index.docker.io") {
        names.insert(0, "https://index.docker.io/v1/".to_owned());
        names.push("index.docker.io".to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{DockerConfig, Login};
    use secrecy::ExposeSecret as _;

    #[test]
    fn entries_are_found_by_registry() {
        let config = br#"{"auths":{"r.example:5000":{"auth":"dXNlcjpwYXNzOndvcmQ="},"https://index.docker.io/v1/":{"username":"a","password":"b"},"t.example":{"identitytoken":"i"}}}"#;
        let config = DockerConfig::parse(config).unwrap();
        let found = |registry: &str| match config.find(registry) {
            Some(Login::Basic { user, password }) => format!("{user} {}", password.expose_secret()),
            Some(Login::Identity(token)) => format!("token {}", token.expose_secret()),
            other => format!("{other:?}"),
        };
        assert_eq!(found("r.example:5000"), "user pass:word");
        assert_eq!(found("docker.io"), "a b");
        assert_eq!(found("t.example"), "token i");
        assert_eq!(found("other.example"), "None");
    }

    #[test]
    fn no_secret_is_printed() {
        let config =
            DockerConfig::parse(br#"{"auths":{"r.example":{"username":"robot","password":"hunter2"}}}"#).unwrap();
        let printed = format!("{config:?} {:?}", config.find("r.example"));
        assert!(printed.contains("robot") && !printed.contains("hunter2"), "{printed}");
        let wrong = DockerConfig::parse(b"{\n\"hunter2\"").unwrap_err();
        assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
    }
}
