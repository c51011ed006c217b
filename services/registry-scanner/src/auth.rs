//! Credentials from a docker configuration file: `auths`, `credHelpers`, `credsStore`.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DockerConfig {
    auths: HashMap<String, Entry>,
    cred_helpers: HashMap<String, String>,
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

/// Credentials for a registry; anonymous when the file has none. A file that cannot be read is said in the log, and the pull goes on.
pub(crate) fn credentials(config: Option<&Path>, registry: &str) -> RegistryAuth {
    let Some(path) = config else { return RegistryAuth::Anonymous };
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return RegistryAuth::Anonymous,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "docker configuration cannot be read: pulling anonymously");
            return RegistryAuth::Anonymous;
        }
    };
    match serde_json::from_slice::<DockerConfig>(&text) {
        Ok(config) => find(&config, registry).unwrap_or(RegistryAuth::Anonymous),
        Err(error) => {
            tracing::warn!(path = %path.display(), line = error.line(), "docker configuration is malformed: pulling anonymously");
            RegistryAuth::Anonymous
        }
    }
}

fn find(config: &DockerConfig, registry: &str) -> Option<RegistryAuth> {
    let names = names(registry);
    if let Some(helper) = names.iter().find_map(|name| config.cred_helpers.get(name)) {
        return ask_helper(helper, names.first()?);
    }
    if let Some(entry) = names.iter().find_map(|name| config.auths.get(name))
        && let Some(auth) = of_entry(entry)
    {
        return Some(auth);
    }
    let store = Some(config.creds_store.as_str()).filter(|store| !store.is_empty())?;
    names.iter().find_map(|name| ask_helper(store, name))
}

/// Keys under which tools file a registry; Docker Hub has several.
fn names(registry: &str) -> Vec<String> {
    let mut names = vec![registry.to_owned(), format!("https://{registry}"), format!("https://{registry}/v2/")];
    if matches!(registry, "docker.io" | "index.docker.io") {
        names.insert(0, "https://index.docker.io/v1/".to_owned());
        names.push("index.docker.io".to_owned());
    }
    names
}

fn of_entry(entry: &Entry) -> Option<RegistryAuth> {
    if !entry.registrytoken.is_empty() {
        return Some(RegistryAuth::Bearer(entry.registrytoken.clone()));
    }
    if !entry.identitytoken.is_empty() {
        return Some(RegistryAuth::Basic("<token>".to_owned(), entry.identitytoken.clone()));
    }
    if !entry.username.is_empty() {
        return Some(RegistryAuth::Basic(entry.username.clone(), entry.password.clone()));
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(entry.auth.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(RegistryAuth::Basic(user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// `docker-credential-<helper> get`, the registry on its input (docker credential helper protocol).
fn ask_helper(helper: &str, registry: &str) -> Option<RegistryAuth> {
    let is_name = helper.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !is_name {
        tracing::warn!(helper, "not a name of a credential helper");
        return None;
    }
    let program = format!("docker-credential-{helper}");
    let started =
        Command::new(&program).arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(program, %error, "credential helper cannot be started");
            return None;
        }
    };
    child.stdin.take()?.write_all(registry.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let helped: Helped = serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())?;
    Some(RegistryAuth::Basic(helped.username, helped.secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_registry() {
        let config: DockerConfig = serde_json::from_str(
            r#"{"auths":{"r.example:5000":{"auth":"dXNlcjpwYXNzOndvcmQ="},"https://index.docker.io/v1/":{"username":"a","password":"b"}}}"#,
        )
        .unwrap();
        let basic = |user: &str, password: &str| Some(RegistryAuth::Basic(user.to_owned(), password.to_owned()));
        assert_eq!(find(&config, "r.example:5000"), basic("user", "pass:word"));
        assert_eq!(find(&config, "docker.io"), basic("a", "b"));
        assert_eq!(find(&config, "other.example"), None);
    }
}
