//! Revisions of many secrets by few calls: OpenBao lists a folder, or all folders below one, with the metadata of every entry
//! (<https://openbao.org/api-docs/secret/kv/kv-v2/>, `detailed-metadata`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use secret_sync::{FetchKey, FetchProblem, KvVersion};
use serde::Deserialize as _;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;
use vaultrs::api::kv2::responses::ReadSecretMetadataResponse;

use super::lists::Lists;
use super::read::{current_revision, is_nothing_there};
use super::{Call, VaultProvider, kv_path};

/// Keys with what the server says of each.
pub(crate) type Checked = Vec<(FetchKey, Result<Option<String>, FetchProblem>)>;

/// Calls of one look.
type Count = AtomicU32;

/// Keys of one folder, each with its name in it.
type Named = Vec<(String, FetchKey)>;

/// What a list gave.
enum Listed {
    /// Revisions by name.
    All(BTreeMap<String, Option<String>>),
    /// They cannot be had so: they are asked for one by one.
    Not,
    /// The server did not answer, and would not answer more questions either.
    Failed(FetchProblem),
}

impl VaultProvider {
    /// The revisions of `keys`: all of a mount by one call, else folder by folder, else one by one.
    pub(crate) async fn check_all(&self, keys: Vec<FetchKey>) -> Checked {
        self.rest().await;
        let started = Instant::now();
        let mut mounts: BTreeMap<String, BTreeMap<String, Named>> = BTreeMap::new();
        for key in keys {
            let (mount, path) = kv_path(&self.store, &key.path);
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let folders = mounts.entry(mount).or_default();
            folders.entry(folder.to_owned()).or_default().push((name.to_owned(), key));
        }
        let calls = Count::default();
        let checks = futures::stream::iter(mounts).map(|(mount, folders)| self.check_mount(mount, folders, &calls));
        let checked = checks.buffer_unordered(MOUNTS_AT_ONCE).concat().await;
        self.rest_after(started.elapsed(), calls.into_inner());
        checked
    }

    /// A server that takes long to answer, or has to be asked many times, is asked more rarely: it has other things to do.
    async fn rest(&self) {
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            tokio::time::sleep_until(until.into()).await;
        }
    }

    fn rest_after(&self, took: Duration, calls: u32) {
        let slow = if took > UNNOTICED { took.saturating_mul(REST) } else { Duration::ZERO };
        let many = self.look.saturating_mul(calls.saturating_sub(1)).min(LONGEST_REST);
        let rest = slow.max(many);
        let until = Instant::now().checked_add(rest).filter(|_| !rest.is_zero());
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    async fn check_mount(&self, mount: String, folders: BTreeMap<String, Named>, calls: &Count) -> Checked {
        if folders.len() > 1 && self.store.version == KvVersion::V2 {
            let above = common(&folders);
            let place = format!("{mount}/detailed-metadata/{above}");
            let wanted = folders.values().map(Vec::len).sum();
            let below = |folder: &str, name: &str| {
                let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                path.strip_prefix(&above).unwrap_or(&path).trim_start_matches('/').to_owned()
            };
            let named = |(folder, keys): (&String, &Named)| {
                keys.iter().map(|(name, key)| (below(folder, name), key.clone())).collect::<Named>()
            };
            match self.list("SCAN", &place, (wanted, calls)).await {
                Listed::All(revisions) => return told(folders.iter().flat_map(named).collect(), &revisions),
                Listed::Failed(problem) => return failed(folders.into_values().flatten().collect(), &problem),
                Listed::Not => {}
            }
        }
        let checks =
            futures::stream::iter(folders).map(|(folder, keys)| self.check_folder(&mount, (folder, keys), calls));
        checks.buffer_unordered(FOLDERS_AT_ONCE).concat().await
    }

    async fn check_folder(&self, mount: &str, (folder, keys): (String, Named), calls: &Count) -> Checked {
        let place = format!("{mount}/detailed-metadata/{folder}");
        if keys.len() > 1 && self.store.version == KvVersion::V2 {
            match self.list("LIST", &place, (keys.len(), calls)).await {
                Listed::All(revisions) => return told(keys, &revisions),
                Listed::Failed(problem) => return failed(keys, &problem),
                Listed::Not => {}
            }
        }
        self.check_singly(keys, calls).await
    }

    /// One by one. A server that answers none of many is not asked the rest.
    async fn check_singly(&self, keys: Named, calls: &Count) -> Checked {
        let single = |(_, key): (String, FetchKey)| async move {
            calls.fetch_add(1, Ordering::Relaxed);
            let outcome = self.check_revision(&key).with_subscriber(NoSubscriber::new()).await;
            (key, outcome)
        };
        let (mut keys, mut checked) = (keys.into_iter(), Checked::new());
        loop {
            let some: Named = keys.by_ref().take(CHECKS_AT_ONCE).collect();
            let asked = some.len();
            let answers: Checked =
                futures::stream::iter(some).map(single).buffer_unordered(CHECKS_AT_ONCE).collect().await;
            let down =
                answers.iter().map(|(_, outcome)| outcome.as_ref().err().filter(|problem| !problem.is_check_refused));
            let down =
                down.collect::<Option<Vec<_>>>().and_then(|problems| problems.last().map(|last| (*last).clone()));
            checked.extend(answers);
            match down {
                Some(problem) if asked == CHECKS_AT_ONCE => checked.extend(failed(keys.by_ref().collect(), &problem)),
                _ if asked < CHECKS_AT_ONCE => return checked,
                _ => {}
            }
        }
    }

    async fn list(&self, method: &'static str, place: &str, (wanted, calls): (usize, &Count)) -> Listed {
        let known = format!("{method} {place}");
        if self.lists().is_refused(&known, Instant::now()) {
            return Listed::Not;
        }
        calls.fetch_add(1, Ordering::Relaxed);
        let call = Call::new(method, place.trim_end_matches('/').to_owned());
        let (status, answer) = match self.raw_status(&call).with_subscriber(NoSubscriber::new()).await {
            Ok(answered) => answered,
            Err(unanswered) => return Listed::Failed(self.unanswered(unanswered, place)),
        };
        match status {
            200 => {}
            404 if is_nothing_there(answer.as_ref()) => return Listed::All(BTreeMap::new()),
            // An audit device that takes no entry as long as a list lets the server fail with 500.
            400 | 403 | 404 | 405 | 500 => {
                self.lists().refuse(&known, Instant::now());
                return Listed::Not;
            }
            status => return Listed::Failed(self.refusal(status, place, false)),
        }
        let entries = answer.as_ref().and_then(|answer| answer.expose().pointer("/data/key_info")?.as_object());
        let Some(entries) = entries else {
            self.lists().refuse(&known, Instant::now());
            return Listed::Not;
        };
        self.lists().weigh(&known, entries.len(), wanted, Instant::now());
        let revision = |entry: &serde_json::Value| {
            ReadSecretMetadataResponse::deserialize(entry).ok().as_ref().and_then(current_revision)
        };
        Listed::All(entries.iter().map(|(name, entry)| (name.clone(), revision(entry))).collect())
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(keys: Named, revisions: &BTreeMap<String, Option<String>>) -> Checked {
    let answer = |(name, key): (String, FetchKey)| (key, Ok(revisions.get(&name).cloned().flatten()));
    keys.into_iter().map(answer).collect()
}

fn failed(keys: Named, problem: &FetchProblem) -> Checked {
    keys.into_iter().map(|(_, key)| (key, Err(problem.clone()))).collect()
}

/// The folder above all folders; empty when that is the mount itself.
fn common(folders: &BTreeMap<String, Named>) -> String {
    let (Some((first, _)), Some((last, _))) = (folders.first_key_value(), folders.last_key_value()) else {
        return String::new();
    };
    // Between the first and the last in order there is nothing that shares less.
    let shared = first.split('/').zip(last.split('/')).take_while(|(a, b)| a == b);
    shared.map(|(part, _)| part).collect::<Vec<_>>().join("/")
}

const MOUNTS_AT_ONCE: usize = 4;
const FOLDERS_AT_ONCE: usize = 8;
const CHECKS_AT_ONCE: usize = 16;
/// How long a server rests, for the time that it took to answer.
const REST: u32 = 3;
/// Where a look takes many calls, as at servers that do not list versions, they come to one in each interval, but a minute is the most
/// that a change may go unnoticed for that.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// Answers that are faster leave a server time enough.
const UNNOTICED: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_folders_share_is_scanned() {
        let cases: [(&[&str], &str); 4] =
            [(&["a/b", "a/c"], "a"), (&["a/b", "a/b/c", "a/b/d"], "a/b"), (&["", "a"], ""), (&["a-b", "a/c"], "")];
        for (folders, expected) in cases {
            let folders = folders.iter().map(|folder| ((*folder).to_owned(), Vec::new())).collect();
            assert_eq!(common(&folders), expected);
        }
    }
}
