//! The names of all events.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The four phases of a workload's life, and incidents, which join them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Images are scanned.
    Build,
    /// Objects are admitted.
    Deploy,
    /// Secrets are delivered.
    Start,
    /// Processes run.
    Run,
    /// The correlator's findings.
    Incident,
}

impl Phase {
    /// The phase as a subject token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Deploy => "deploy",
            Self::Start => "start",
            Self::Run => "run",
            Self::Incident => "incident",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $phase:ident $noun:literal $participle:literal,)*) => {
        /// Every event type of version 1.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventType { $($(#[$doc])* $name,)* }

        impl EventType {
            /// All event types, in the order of the phases.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The phase that it belongs to.
            #[must_use]
            pub const fn phase(self) -> Phase {
                match self { $(Self::$name => Phase::$phase,)* }
            }

            /// What it is about: the noun token of its subject.
            #[must_use]
            pub const fn noun(self) -> &'static str {
                match self { $(Self::$name => $noun,)* }
            }

            /// What happened: the participle token of its subject.
            #[must_use]
            pub const fn participle(self) -> &'static str {
                match self { $(Self::$name => $participle,)* }
            }
        }
    };
}

event_types! {
    /// An image was scanned.
    ImageScanned = Build "image" "scanned",
    /// A stored inventory was matched again and its findings differ.
    FindingsChanged = Build "image" "findings-changed",
    /// A scan failed.
    ScanFailed = Build "image" "scan-failed",
    /// An admission review was answered.
    AdmissionReviewed = Deploy "admission" "reviewed",
    /// The set of policies in force changed.
    PolicyChanged = Deploy "policy" "changed",
    /// A pod exists: joins admission, pod, workload, images and secrets.
    PodCreated = Deploy "pod" "created",
    /// A secret was written to its target for the first time or after its target was lost.
    SecretSynced = Start "secret" "synced",
    /// A secret's target now holds another version.
    SecretRotated = Start "secret" "rotated",
    /// A secret could not be synced; its last good value stays.
    SecretSyncFailed = Start "secret" "sync-failed",
    /// A secret has not been confirmed at its store for longer than allowed.
    SecretStale = Start "secret" "stale",
    /// A pod was handed a version of a secret.
    SecretDelivered = Start "secret" "delivered",
    /// A container's first process runs.
    ContainerStarted = Run "container" "started",
    /// A container's last process ended.
    ContainerExited = Run "container" "exited",
    /// A runtime rule matched.
    RuleMatched = Run "rule" "matched",
    /// A file of a scanned package was executed or mapped.
    PackageLoaded = Run "package" "loaded",
    /// Events were lost, with exact counts.
    EventsLost = Run "events" "lost",
    /// An incident opened.
    CaseOpened = Incident "case" "opened",
    /// An incident has new evidence.
    CaseUpdated = Incident "case" "updated",
    /// An incident ended.
    CaseResolved = Incident "case" "resolved",
    /// A response is asked of the service that owns the means.
    ResponseRequested = Incident "response" "requested",
    /// A response was carried out, or failed.
    ResponseDone = Incident "response" "done",
}

impl EventType {
    /// Finds the type by the tokens of its subject.
    #[must_use]
    pub fn from_tokens(phase: &str, noun: &str, participle: &str) -> Option<Self> {
        let is_it = |t: &&Self| t.phase().as_str() == phase && t.noun() == noun && t.participle() == participle;
        Self::ALL.iter().find(is_it).copied()
    }

    /// The CloudEvents type: `dev.biotope.build.image.scanned.v1`.
    #[must_use]
    pub fn cloud_event_type(self) -> String {
        format!("dev.biotope.{}.v1", self.path())
    }

    /// Finds the type by its CloudEvents name.
    #[must_use]
    pub fn from_cloud_event_type(text: &str) -> Option<Self> {
        let path = text.strip_prefix("dev.biotope.")?.strip_suffix(".v1")?;
        let mut tokens = path.splitn(3, '.');
        Self::from_tokens(tokens.next()?, tokens.next()?, tokens.next()?)
    }

    /// Phase, noun and participle: `build.image.scanned`.
    #[must_use]
    pub fn path(self) -> String {
        format!("{}.{}.{}", self.phase().as_str(), self.noun(), self.participle())
    }

    /// The id of the JSON Schema of its data: `https://biotope.dev/schemas/build.image.scanned.v1.json`.
    #[must_use]
    pub fn data_schema(self) -> String {
        format!("https://biotope.dev/schemas/{}.v1.json", self.path())
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_both_names() {
        for event_type in EventType::ALL {
            assert_eq!(EventType::from_cloud_event_type(&event_type.cloud_event_type()), Some(*event_type));
        }
        assert_eq!(EventType::from_cloud_event_type("dev.biotope.build.image.scanned.v2"), None);
    }
}
