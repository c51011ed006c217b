//! Credentials from a docker configuration file (`auths`, `credHelpers`, `credsStore`) and from Kubernetes pull secrets.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use model::ImageReference;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;
use vulnerability_matching::glob;

use crate::config::Pull;

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

/// Credentials for an image: of the pull secret whose entry fits best, else of the docker configuration, else anonymous. A file that
/// cannot be read is said in the log, and the pull goes on.
pub(crate) fn credentials(pull: &Pull, image: &ImageReference) -> RegistryAuth {
    let of_secrets = || {
        let files = secret_files(pull.pull_secrets.as_deref()?);
        let entries = files.iter().filter_map(|path| Some(read(path)?.auths)).flatten();
        let fitting = entries.filter_map(|(name, entry)| Some((fit(&name, image)?, entry)));
        let mut fitting: Vec<(usize, Entry)> = fitting.collect();
        fitting.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        fitting.iter().find_map(|(_, entry)| of_entry(entry))
    };
    let of_config = || find(&read(pull.docker_config.as_deref()?)?, image.registry());
    of_secrets().or_else(of_config).unwrap_or(RegistryAuth::Anonymous)
}

fn read(path: &Path) -> Option<DockerConfig> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "credentials cannot be read, passed over");
            return None;
        }
    };
    // The old form, `.dockercfg`, is the map of entries alone.
    let parsed = if path.file_name().is_some_and(|name| name == ".dockercfg") {
        serde_json::from_slice(&text).map(|auths| DockerConfig { auths, ..DockerConfig::default() })
    } else {
        serde_json::from_slice(&text)
    };
    parsed
        .map_err(|error| {
            tracing::warn!(path = %path.display(), line = error.line(), "credentials are malformed, passed over");
        })
        .ok()
}

/// Mounted secrets: in the folder itself, or each in a folder of it.
fn secret_files(folder: &Path) -> Vec<PathBuf> {
    let below = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = below.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.push(folder.to_owned());
    let files = folders.iter().flat_map(|folder| [".dockerconfigjson", ".dockercfg"].map(|name| folder.join(name)));
    files.filter(|path| path.is_file()).collect()
}

/// How well an entry of a pull secret fits an image, as the kubelet judges: the host with `*` within its parts, the port as it is, then
/// the front of the path. `None` when it does not.
fn fit(name: &str, image: &ImageReference) -> Option<usize> {
    let name = name.split_once("://").map_or(name, |(_, rest)| rest).trim_end_matches('/');
    let name = name.strip_suffix("/v1").or(name.strip_suffix("/v2")).unwrap_or(name);
    let (host, path) = name.split_once('/').unwrap_or((name, ""));
    let registry = if image.registry() == "docker.io" { "index.docker.io" } else { image.registry() };
    let host = if host == "docker.io" { "index.docker.io" } else { host };
    let split = |host: &str| {
        host.rsplit_once(':').map_or((host.to_owned(), String::new()), |(a, b)| (a.to_owned(), b.to_owned()))
    };
    let ((host, port), (own, own_port)) = (split(host), split(registry));
    let (parts, own): (Vec<&str>, Vec<&str>) = (host.split('.').collect(), own.split('.').collect());
    let is_host = parts.len() == own.len() && parts.iter().zip(&own).all(|(part, own)| glob::matches(part, own));
    let is_path = image.repository().starts_with(path);
    (is_host && port == own_port && is_path).then_some(name.len())
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
    fn pull_secrets_fit_by_host_and_path() {
        for (name, image, expected) in [
            ("r.example", "r.example/a/b:1", Some(9)),
            ("https://r.example/v2/", "r.example/a", Some(9)),
            ("*.example", "r.example/a", Some(9)),
            ("*.example", "a.b.example/a", None),
            ("r.example/a", "r.example/a/b", Some(11)),
            ("r.example/b", "r.example/a/b", None),
            ("r.example:5000", "r.example/a", None),
            ("https://index.docker.io/v1/", "debian:12", Some(15)),
        ] {
            assert_eq!(fit(name, &image.parse().unwrap()), expected, "{name} {image}");
        }
    }

    #[test]
    fn mounted_secrets_come_before_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secrets/team");
        std::fs::create_dir_all(&secret).unwrap();
        let write = |path: PathBuf, user: &str| {
            let entry = format!(r#"{{"r.example":{{"username":"{user}","password":"p"}}}}"#);
            let old = path.file_name().is_some_and(|name| name == ".dockercfg");
            std::fs::write(path, if old { entry } else { format!(r#"{{"auths":{entry}}}"#) }).unwrap();
        };
        write(folder.path().join("config.json"), "config");
        let pull = Pull {
            docker_config: Some(folder.path().join("config.json")),
            pull_secrets: Some(folder.path().join("secrets")),
            ..Pull::default()
        };
        let user = || match credentials(&pull, &"r.example/a".parse().unwrap()) {
            RegistryAuth::Basic(user, _) => user,
            _ => String::new(),
        };
        assert_eq!(user(), "config");
        std::fs::write(secret.join(".dockerconfigjson"), "{broken").unwrap();
        assert_eq!(user(), "config");
        write(secret.join(".dockercfg"), "old");
        assert_eq!(user(), "old");
        write(secret.join(".dockerconfigjson"), "new");
        assert_eq!(user(), "new");
    }

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
