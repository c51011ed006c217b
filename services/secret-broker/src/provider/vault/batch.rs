//! Revisions of many secrets by few calls: OpenBao lists a folder with the metadata of every entry
//! (<https://openbao.org/api-docs/secret/kv/kv-v2/>, `detailed-metadata`).

use std::collections::BTreeMap;
use std::sync::PoisonError;

use futures::StreamExt as _;
use secret_sync::{FetchKey, FetchProblem, KvVersion};
use serde::Deserialize as _;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;
use vaultrs::api::kv2::responses::ReadSecretMetadataResponse;

use super::{Call, VaultProvider, current_revision, kv_path};

/// Keys with what the server says of each.
pub(crate) type Checked = Vec<(FetchKey, Result<Option<String>, FetchProblem>)>;

impl VaultProvider {
    /// The revisions of `keys`: folder by folder where several lie in one, else one by one.
    pub(crate) async fn check_all(&self, keys: Vec<FetchKey>) -> Checked {
        let mut folders: BTreeMap<(String, String), Vec<(String, FetchKey)>> = BTreeMap::new();
        for key in keys {
            let (mount, path) = kv_path(&self.store, &key.path);
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            folders.entry((mount, folder.to_owned())).or_default().push((name.to_owned(), key));
        }
        let checks = futures::stream::iter(folders).map(|(place, keys)| self.check_folder(place, keys));
        checks.buffer_unordered(FOLDERS_AT_ONCE).concat().await
    }

    async fn check_folder(&self, (mount, folder): (String, String), keys: Vec<(String, FetchKey)>) -> Checked {
        let place = format!("{mount}/detailed-metadata/{folder}");
        let is_worth = keys.len() > 1 && self.store.version == KvVersion::V2 && !self.is_unlisted(&place);
        if is_worth && let Some(revisions) = self.list(&place, keys.len()).await {
            let answer = |(name, key): (String, FetchKey)| (key, Ok(revisions.get(&name).cloned().flatten()));
            return keys.into_iter().map(answer).collect();
        }
        let single = |(_, key): (String, FetchKey)| async move {
            let outcome = self.check_revision(&key).with_subscriber(NoSubscriber::new()).await;
            (key, outcome)
        };
        futures::stream::iter(keys).map(single).buffer_unordered(CHECKS_AT_ONCE).collect().await
    }

    fn is_unlisted(&self, place: &str) -> bool {
        let unlisted = self.unlisted.lock().unwrap_or_else(PoisonError::into_inner);
        unlisted.get(place).is_some_and(|since| since.elapsed() < LIST_AGAIN)
    }

    /// Revisions by name; `None` where they cannot be had so, and are asked for one by one.
    async fn list(&self, place: &str, wanted: usize) -> Option<BTreeMap<String, Option<String>>> {
        let (method, path) = ("LIST", place.trim_end_matches('/').to_owned());
        let call = Call { method, path, query: String::new(), body: None };
        let (status, answer) = self.raw_status(&call).with_subscriber(NoSubscriber::new()).await.ok()?;
        let answer = answer.as_ref().map(|answer| answer.expose());
        // An empty folder is nothing; anything else said about it is that it cannot be listed.
        let is_empty = |value: &serde_json::Value| {
            value.get("errors").and_then(|errors| errors.as_array()).is_some_and(Vec::is_empty)
        };
        match status {
            200 => {}
            404 if answer.is_some_and(is_empty) => return Some(BTreeMap::new()),
            400 | 403 | 404 | 405 => {
                self.forget_list(place);
                return None;
            }
            _ => return None,
        }
        let entries = answer?.pointer("/data/key_info")?.as_object()?;
        // A folder of which little is wanted costs the server more than single questions.
        if entries.len() > wanted.saturating_mul(MOST_UNWANTED).saturating_add(1_000) {
            self.forget_list(place);
        }
        let revision = |entry: &serde_json::Value| {
            ReadSecretMetadataResponse::deserialize(entry).ok().as_ref().and_then(current_revision)
        };
        Some(entries.iter().map(|(name, entry)| (name.clone(), revision(entry))).collect())
    }

    fn forget_list(&self, place: &str) {
        let mut unlisted = self.unlisted.lock().unwrap_or_else(PoisonError::into_inner);
        unlisted.insert(place.to_owned(), std::time::Instant::now());
    }
}

const FOLDERS_AT_ONCE: usize = 8;
const CHECKS_AT_ONCE: usize = 16;
/// Entries of a folder for each one that is wanted.
const MOST_UNWANTED: usize = 20;
/// After how long a folder that could not be listed is tried again: a policy may have changed.
const LIST_AGAIN: std::time::Duration = std::time::Duration::from_secs(600);
