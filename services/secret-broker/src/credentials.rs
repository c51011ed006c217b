//! Credentials for stores, and the broker's own key.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use ring::rand::{SecureRandom as _, SystemRandom};
use secret_sync::{Credentials, SecretBytes, SecretKeySelector};
use zeroize::Zeroizing;

use crate::config::CredentialSource;

/// Credentials as they are now. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    from_manifests: Arc<RwLock<Credentials>>,
    /// What was read for logins that no store of the manifests in force has.
    noted: Arc<RwLock<Credentials>>,
    from_config: Arc<Vec<CredentialSource>>,
}

impl Vault {
    pub(crate) fn new(sources: Vec<CredentialSource>) -> Self {
        Self { from_manifests: Arc::default(), noted: Arc::default(), from_config: Arc::new(sources) }
    }

    /// Takes those of the manifests in force; `true` when they are others than before.
    pub(crate) fn replace(&self, credentials: Credentials) -> bool {
        let mut before = self.from_manifests.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = *before != credentials;
        *before = credentials;
        is_other
    }

    /// The keys that the manifests' Secret has which `selector` names; `None` when there is no such Secret.
    pub(crate) fn keys(&self, selector: &SecretKeySelector) -> Option<Vec<String>> {
        let credentials = self.from_manifests.read().unwrap_or_else(PoisonError::into_inner);
        Some(credentials.keys(selector)?.map(str::to_owned).collect())
    }

    /// Adds what was read for one login.
    pub(crate) fn note(&self, credentials: Vec<(SecretKeySelector, SecretBytes)>) {
        let mut noted = self.noted.write().unwrap_or_else(PoisonError::into_inner);
        credentials.into_iter().for_each(|(selector, value)| noted.insert(selector, value));
    }

    /// The value that `selector` names: from the configuration, else from the manifests, else what was noted. White space around it is
    /// not part of it.
    pub(crate) fn find(&self, selector: &SecretKeySelector) -> Option<SecretBytes> {
        let is_it = |source: &&CredentialSource| {
            source.namespace == selector.namespace && source.name == selector.name && source.key == selector.key
        };
        let configured = self.from_config.iter().find(is_it).and_then(configured);
        let known = |credentials: &RwLock<Credentials>| {
            credentials.read().unwrap_or_else(PoisonError::into_inner).find(selector).cloned()
        };
        let value = configured.or_else(|| known(&self.from_manifests)).or_else(|| known(&self.noted))?;
        Some(SecretBytes::new(value.expose().trim_ascii().to_vec()))
    }
}

fn configured(source: &CredentialSource) -> Option<SecretBytes> {
    if let Some(file) = &source.file {
        return std::fs::read(file).ok().map(SecretBytes::new);
    }
    let variable = source.variable.as_deref()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the configuration names the variable, and its value must not enter there"
    )]
    let value = std::env::var(variable).ok().map(Zeroizing::new)?;
    Some(SecretBytes::from(value.as_str()))
}

/// The key of hashes: made at the first start, so that hashes of one installation can be compared.
pub(crate) fn hash_key(state: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    std::fs::create_dir_all(state)?;
    std::fs::set_permissions(state, std::fs::Permissions::from_mode(0o700))?;
    let path = state.join("hash.key");
    match std::fs::read(&path) {
        Ok(key) if key.len() == KEY_BYTES => return Ok(Zeroizing::new(key)),
        Ok(_) => tracing::warn!(path = %path.display(), "key of hashes has the wrong size, a new one is made"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut key = Zeroizing::new(vec![0; KEY_BYTES]);
    SystemRandom::new().fill(&mut key).map_err(|_| std::io::Error::other("no randomness"))?;
    let temporary = state.join(format!("hash.key.{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&key)?;
    file.sync_all()?;
    std::fs::rename(temporary, path)?;
    Ok(key)
}

const KEY_BYTES: usize = 32;
