//! Secrets and their revisions, one by one (<https://openbao.org/api-docs/secret/kv/kv-v2/>).

use secret_sync::{FetchKey, FetchProblem, KvVersion, Reading, SecretJson};
use serde::Deserialize as _;
use sha2::{Digest as _, Sha256};
use vaultrs::api::kv2::responses::{ReadSecretMetadataResponse, SecretVersionMetadata};

use super::{Call, VaultProvider, kv_path};

impl VaultProvider {
    /// The revision of a path; `None` when there is nothing that can be read.
    pub(super) async fn check_revision(&self, key: &FetchKey) -> Result<Option<String>, FetchProblem> {
        if self.store.version == KvVersion::V1 {
            return Err(self.problem("the key-value store has no versions", "use version 2 of it", true));
        }
        let (mount, path) = kv_path(&self.store, &key.path);
        let call = Call::new("GET", format!("{mount}/metadata/{path}"));
        let Some(answer) = self.ask(&call, &key.path, true).await? else { return Ok(None) };
        let data = answer.expose().get("data");
        let metadata = data.and_then(|data| ReadSecretMetadataResponse::deserialize(data).ok());
        Ok(current_revision(&metadata.ok_or_else(|| self.not_understood())?))
    }

    /// The content of a path; `None` when there is none.
    pub(super) async fn read_path(&self, key: &FetchKey) -> Result<Option<Reading>, FetchProblem> {
        let (mount, path) = kv_path(&self.store, &key.path);
        if self.store.version == KvVersion::V1 {
            let answer = self.ask(&Call::new("GET", format!("{mount}/{path}")), &key.path, false).await?;
            let data = |answer: SecretJson| answer.expose().get("data").filter(|data| data.is_object()).cloned();
            return answer.map(|answer| data(answer).map(unversioned).ok_or_else(|| self.not_understood())).transpose();
        }
        let version = match key.version.as_deref().map(str::parse::<u64>).transpose() {
            Ok(version) => version,
            Err(_) => {
                let what = format!("version of `{}` is no number", key.path);
                return Err(self.problem(&what, "correct `remoteRef.version`", false));
            }
        };
        let mut call = Call::new("GET", format!("{mount}/data/{path}"));
        call.query = version.map(|version| format!("version={version}")).unwrap_or_default();
        let Some(answer) = self.ask(&call, &key.path, false).await? else { return Ok(None) };
        versioned(&answer).ok_or_else(|| self.not_understood()).map(Some)
    }

    /// What the server says about a path; `None` where there is nothing.
    async fn ask(&self, call: &Call, path: &str, is_check: bool) -> Result<Option<SecretJson>, FetchProblem> {
        let (status, body) = self.raw_status(call).await.map_err(|unanswered| self.unanswered(unanswered, path))?;
        match status {
            200..=299 => body.ok_or_else(|| self.not_understood()).map(Some),
            404 if is_nothing_there(body.as_ref()) => Ok(None),
            status => Err(self.refusal(status, path, is_check)),
        }
    }
}

/// 404 without an error text is an empty path, or a version that was deleted; with one, it is an unknown mount.
pub(super) fn is_nothing_there(body: Option<&SecretJson>) -> bool {
    let errors = body.and_then(|body| body.expose().get("errors")?.as_array());
    body.is_some() && errors.is_none_or(Vec::is_empty)
}

fn versioned(answer: &SecretJson) -> Option<Reading> {
    let metadata = SecretVersionMetadata::deserialize(answer.expose().pointer("/data/metadata")?).ok()?;
    let content = answer.expose().pointer("/data/data").filter(|data| data.is_object())?;
    let revision = revision(metadata.version, &metadata.created_time, &metadata.deletion_time);
    Some(Reading { content: SecretJson::new(content.clone()), version: metadata.version.to_string(), revision })
}

/// A store without versions: what changes with the content is its hash, which stays in memory.
fn unversioned(content: serde_json::Value) -> Reading {
    let content = SecretJson::new(content);
    let text = zeroize::Zeroizing::new(content.expose().to_string());
    let revision = hex::encode(Sha256::digest(text.as_bytes()));
    Reading { content, version: String::new(), revision }
}

/// The revision in force, if the newest version is readable.
pub(super) fn current_revision(metadata: &ReadSecretMetadataResponse) -> Option<String> {
    let current = metadata.versions.get(&metadata.current_version.to_string())?;
    let is_deleted = current.deletion_time.parse::<model::Timestamp>().is_ok_and(|at| at <= service::now());
    let is_there = !current.destroyed && !is_deleted;
    is_there.then(|| revision(metadata.current_version, &current.created_time, &current.deletion_time))
}

/// Two revisions are equal only for the same write: a secret that was removed and made anew starts again at version 1.
fn revision(version: u64, created: &str, deletion: &str) -> String {
    format!("{version}@{created}@{deletion}")
}
