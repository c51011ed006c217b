//! The Secrets that are ours, as the watch tells of them: heads only, since their contents are nobody's here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secret_sync::ExternalSecret;
use serde_json::Value;

use super::object::OWNER;

/// What is kept of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its version, which grows with each change (`resourceVersion`).
    pub(crate) version: String,
    /// Which manifest made it, as a hash.
    pub(super) mark: String,
    /// The ExternalSecret that owns it by reference; empty where none does.
    owner: String,
}

/// What a write did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Applied {
    /// The version that the server had; `None` where there was none.
    pub(super) before: Option<String>,
    /// The version that it has now; `None` where nothing was written.
    pub(super) version: Option<String>,
}

/// What a write changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The target is new.
    Made,
    /// It is another than before.
    Updated,
    /// It was as it had to be.
    Nothing,
}

impl Applied {
    fn change(&self) -> Change {
        match (&self.before, &self.version) {
            (_, None) => Change::Nothing,
            (None, Some(_)) => Change::Made,
            (Some(before), Some(version)) if before == version => Change::Nothing,
            (Some(_), Some(_)) => Change::Updated,
        }
    }
}

/// How a target stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As it was written, as far as is known.
    AsWritten,
    /// Somebody else wrote it since.
    Touched,
    /// It is not there.
    Lost,
}

impl Target {
    pub(super) fn keep(secret: &Value) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let references = secret.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
        let mut owners = references.filter(|owner| owner.get("kind").and_then(Value::as_str) == Some("ExternalSecret"));
        Self {
            version: text(secret.pointer("/metadata/resourceVersion")),
            mark: text(secret.pointer("/metadata/labels").and_then(|labels| labels.get(OWNER))),
            owner: text(owners.next().and_then(|owner| owner.get("name"))),
        }
    }

    /// Namespace, name and manifest of the target at `place`; the manifest is known only where it owns the Secret.
    pub(super) fn owned(&self, place: &str) -> Option<(String, String, String)> {
        let (namespace, name) = place.split_once('/')?;
        let manifest = match self.owner.as_str() {
            "" => String::new(),
            owner => format!("ExternalSecret {namespace}/{owner}"),
        };
        Some((namespace.to_owned(), name.to_owned(), manifest))
    }
}

/// The targets as they were written last, by place. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<Mutex<BTreeMap<String, Mark>>>);

/// A target that was written.
#[derive(Clone, Copy, Debug)]
struct Mark {
    version: u64,
    at: Instant,
    /// Whether the watch told of it since.
    is_seen: bool,
    change: Change,
}

impl Written {
    fn marks(&self) -> MutexGuard<'_, BTreeMap<String, Mark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what came of a write; nothing is known of a target that was not written by it.
    pub(super) fn note(&self, external: &ExternalSecret, applied: &Applied) {
        self.note_at(format!("{}/{}", external.namespace, external.target.name), applied, Instant::now());
    }

    fn note_at(&self, place: String, applied: &Applied, at: Instant) {
        let (version, change) = (applied.version.as_ref().and_then(|version| version.parse().ok()), applied.change());
        match version {
            Some(version) => drop(self.marks().insert(place, Mark { version, at, is_seen: false, change })),
            None => drop(self.marks().remove(&place)),
        }
    }

    /// What the last write of a target changed.
    pub(super) fn change(&self, place: &str) -> Change {
        self.marks().get(place).map_or(Change::Nothing, |mark| mark.change)
    }

    /// How a target stands of which the watch tells `seen`. The watch is always somewhat behind: a target that it does not know, or
    /// knows in an older version, may be one that was just written.
    pub(super) fn standing(&self, place: &str, seen: Option<&Target>, now: Instant) -> Standing {
        let mut marks = self.marks();
        let Some(mark) = marks.get_mut(place) else {
            return if seen.is_some() { Standing::AsWritten } else { Standing::Lost };
        };
        let is_late = now.duration_since(mark.at) >= PATIENCE;
        match seen.map(|target| target.version.parse::<u64>()) {
            Some(Ok(version)) => {
                mark.is_seen |= version >= mark.version;
                if version > mark.version { Standing::Touched } else { Standing::AsWritten }
            }
            Some(Err(_)) => Standing::AsWritten,
            None if mark.is_seen || is_late => Standing::Lost,
            None => Standing::AsWritten,
        }
    }
}

/// How long a watch may take to tell of a target that was written.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_newer_than_what_was_written_was_touched() {
        let secret = |version: &str| {
            let owners = json!([{ "kind": "Service", "name": "no" }, { "kind": "ExternalSecret", "name": "db" }]);
            Target::keep(&json!({ "metadata": {
                "resourceVersion": version, "labels": { OWNER: "mark" }, "ownerReferences": owners,
            } }))
        };
        let (written, start) = (Written::default(), Instant::now());
        let standing = |seen: Option<&str>, seconds| {
            let at = start + Duration::from_secs(seconds);
            written.standing("shop/db", seen.map(&secret).as_ref(), at)
        };
        assert_eq!((standing(Some("9"), 0), standing(None, 0)), (Standing::AsWritten, Standing::Lost));
        let applied =
            |before: Option<&str>| Applied { before: before.map(str::to_owned), version: Some("10".to_owned()) };
        for (before, change) in [(Some("10"), Change::Nothing), (Some("9"), Change::Updated), (None, Change::Made)] {
            written.note_at("shop/db".to_owned(), &applied(before), start);
            assert_eq!(written.change("shop/db"), change);
        }
        // The watch is behind, and then not any more.
        assert_eq!((standing(None, 1), standing(Some("9"), 1)), (Standing::AsWritten, Standing::AsWritten));
        assert_eq!(standing(None, 10), Standing::Lost);
        assert_eq!((standing(Some("10"), 2), standing(None, 2)), (Standing::AsWritten, Standing::Lost));
        assert_eq!((standing(Some("11"), 3), standing(Some("100"), 3)), (Standing::Touched, Standing::Touched));
        let owned = secret("9").owned("shop/db").unwrap();
        assert_eq!(owned, ("shop".to_owned(), "db".to_owned(), "ExternalSecret shop/db".to_owned()));
    }
}
