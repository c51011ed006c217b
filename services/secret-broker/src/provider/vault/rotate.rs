//! New versions with new values.
//!
//! The secret says itself which of its keys may be made anew, in the custom metadata that lies beside it at the server:
//! `rotate-keys` names them, `rotate-length` how long the values are. A secret with a single key needs to say nothing.

use std::sync::Arc;

use ring::rand::{SecureRandom as _, SystemRandom};
use secret_sync::{FetchKey, FetchProblem, KvVersion, SecretBytes, SecretJson};
use serde_json::Value;
use vaultrs::api::kv2::requests::{ReadSecretRequest, SetSecretRequestOptions};
use vaultrs::api::kv2::responses::{ReadSecretResponse, SecretVersionMetadata};
use vaultrs::error::ClientError;
use zeroize::Zeroizing;

use super::{Failure, VaultProvider, code, kv_path};
use crate::provider::Made;

impl VaultProvider {
    /// Reads the secret, puts new values in, and writes it if nobody else did meanwhile.
    pub(super) async fn rotate_path(&self, key: &FetchKey) -> Result<Made, FetchProblem> {
        if self.store.version == KvVersion::V1 {
            let remedy = "use version 2 of it, or write the new value yourself";
            return Err(self.problem("unsupported: the key-value store has no versions", remedy, false));
        }
        let (mount, path) = kv_path(&self.store, &key.path);
        let read = self.call("read", key, |session| {
            let mut request = ReadSecretRequest::builder();
            request.mount(mount.clone()).path(path.clone());
            Box::pin(async move {
                let request = request.build().map_err(|_| ClientError::ResponseEmptyError)?;
                vaultrs::api::exec_with_result::<ReadSecretRequest>(&session.client, request).await
            })
        });
        let Some(ReadSecretResponse { data, metadata }) = read.await? else {
            let what = format!("there is no secret at `{}`", key.path);
            return Err(self.problem(&what, "correct the path, or write the first version yourself", false));
        };
        let data = SecretJson::new(data);
        let (keys, length) = wanted(&data, &metadata)
            .map_err(|(what, remedy)| self.problem(&format!("`{}` {what}", key.path), remedy, false))?;
        let data = renewed(&data, &keys, length)
            .ok_or_else(|| self.problem("there is no randomness on this machine", "look into its kernel log", false))?;
        let written = self.write((mount, path), data, metadata.version).await;
        let version = written.map_err(|failure| self.not_written(failure, &key.path))?.version;
        Ok(Made { previous: metadata.version.to_string(), version: version.to_string(), keys })
    }

    async fn write(
        &self,
        (mount, path): (String, String),
        data: SecretJson,
        version: u64,
    ) -> Result<SecretVersionMetadata, Failure> {
        let cas = u32::try_from(version).map_err(|_| ClientError::ResponseEmptyError)?;
        let data = Arc::new(data);
        self.attempt("write", &|session: Arc<super::Session>| {
            let (mount, path, data) = (mount.clone(), path.clone(), Arc::clone(&data));
            Box::pin(async move {
                let options = SetSecretRequestOptions { cas };
                vaultrs::kv2::set_with_options(&session.client, &mount, &path, data.expose(), options).await
            })
        })
        .await
    }

    fn not_written(&self, failure: Failure, path: &str) -> FetchProblem {
        match failure {
            Failure::Problem(problem) => problem,
            Failure::Client(error) => match code(&error) {
                Some(403) => {
                    let remedy = "allow `create` and `update` on its data in the policy of the login";
                    self.problem(&format!("the login may not write `{path}`"), remedy, false)
                }
                Some(400) => {
                    let what =
                        format!("somebody else wrote `{path}` at the same time, or the server refuses the content");
                    self.problem(&what, "ask again", false)
                }
                _ => self.words(&error, path, false),
            },
        }
    }
}

/// Which keys get new values, and how long these are; or what is wrong, with its remedy.
fn wanted(data: &SecretJson, metadata: &SecretVersionMetadata) -> Result<(Vec<String>, usize), (String, &'static str)> {
    let said = |name: &str| metadata.custom_metadata.as_ref().and_then(|said| said.get(name)).map(String::as_str);
    let empty = serde_json::Map::new();
    let fields = data.expose().as_object().unwrap_or(&empty);
    let keys: Vec<String> = match said("rotate-keys") {
        Some(names) => names.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
        None if fields.len() == 1 => fields.keys().cloned().collect(),
        None => Vec::new(),
    };
    if keys.is_empty() {
        let what = "has more than one key, and does not say which may be made anew".to_owned();
        return Err((what, "name them: `bao kv metadata patch -custom-metadata=rotate-keys=password PATH`"));
    }
    // A key that is no text would become one.
    if let Some(key) = keys.iter().find(|key| !fields.get(*key).is_some_and(Value::is_string)) {
        return Err((format!("has no text under the key `{key}`"), "correct `rotate-keys` of its custom metadata"));
    }
    let length = said("rotate-length").map_or(Some(DEFAULT_LENGTH), |text| text.parse::<usize>().ok());
    let length = length.filter(|length| LENGTHS.contains(length));
    let remedy = "give a number from 12 to 256 as `rotate-length` of its custom metadata";
    Ok((keys, length.ok_or_else(|| ("has a `rotate-length` that cannot be used".to_owned(), remedy))?))
}

const DEFAULT_LENGTH: usize = 32;
const LENGTHS: std::ops::RangeInclusive<usize> = 12..=256;

/// The content with new values under `keys`; `None` without randomness.
fn renewed(data: &SecretJson, keys: &[String], length: usize) -> Option<SecretJson> {
    let mut fields = serde_json::Map::new();
    for (key, value) in data.expose().as_object()? {
        let value = if keys.contains(key) {
            let made = password(length)?;
            Value::String(made.expose_str()?.to_owned())
        } else {
            value.clone()
        };
        fields.insert(key.clone(), value);
    }
    Some(SecretJson::new(Value::Object(fields)))
}

/// Letters and digits, each as likely as any other.
fn password(length: usize) -> Option<SecretBytes> {
    let random = SystemRandom::new();
    let mut made = Vec::with_capacity(length);
    while made.len() < length {
        let mut bytes = Zeroizing::new([0_u8; 64]);
        random.fill(bytes.as_mut()).ok()?;
        // Bytes beyond the last whole multiple of the alphabet would favour its beginning.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 256 / LETTERS.len() * LETTERS.len());
        let letters = fair.filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()).copied());
        made.extend(letters.take(length.saturating_sub(made.len())));
    }
    Some(SecretBytes::new(made))
}

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(said: &[(&str, &str)]) -> SecretVersionMetadata {
        let said = said.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        serde_json::from_value(json!({
            "created_time": "", "deletion_time": "", "destroyed": false, "version": 3,
            "custom_metadata": std::collections::BTreeMap::<String, String>::from_iter::<Vec<_>>(said)
        }))
        .unwrap()
    }

    #[test]
    fn a_secret_says_which_keys_are_made_anew() {
        let (one, two) = (json!({ "a": "x" }), json!({ "a": "x", "b": "y", "n": 1 }));
        let cases = [
            (&one, vec![], Ok((vec!["a"], 32))),
            (&two, vec![], Err("has more than one key")),
            (&two, vec![("rotate-keys", "b, a"), ("rotate-length", "20")], Ok((vec!["b", "a"], 20))),
            (&two, vec![("rotate-keys", "n")], Err("has no text under the key `n`")),
            (&two, vec![("rotate-keys", "c")], Err("has no text under the key `c`")),
            (&one, vec![("rotate-length", "3")], Err("has a `rotate-length`")),
            (&one, vec![("rotate-length", "x")], Err("has a `rotate-length`")),
        ];
        for (data, said, expected) in cases {
            let got = wanted(&SecretJson::new(data.clone()), &metadata(&said));
            match (&got, expected) {
                (Ok((keys, length)), Ok((names, wanted))) => {
                    assert_eq!((keys, *length), (&names.iter().map(|name| (*name).to_owned()).collect(), wanted))
                }
                (Err((what, _)), Err(start)) => assert!(what.starts_with(start), "{what}"),
                _ => panic!("{said:?}: {got:?}"),
            }
        }
    }

    #[test]
    fn only_the_named_keys_change() {
        let before = SecretJson::new(json!({ "a": "x", "b": "y", "n": 1 }));
        let after = renewed(&before, &["b".to_owned()], 40).unwrap();
        let after = after.expose();
        assert_eq!((&after["a"], &after["n"]), (&json!("x"), &json!(1)));
        let made = after["b"].as_str().unwrap();
        assert!(made.len() == 40 && made.bytes().all(|byte| LETTERS.contains(&byte)), "{} letters", made.len());
        assert_ne!(renewed(&before, &["b".to_owned()], 40).unwrap().expose()["b"], after["b"]);
    }
}
