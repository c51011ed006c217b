//! Streams and buckets as data: whoever starts first creates them.

use std::time::Duration;

/// A JetStream stream of the platform.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Name.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Subjects that it stores.
    pub subjects: &'static [&'static str],
    /// How long a message is kept.
    pub max_age: Duration,
    /// Most bytes that it holds.
    pub max_bytes: i64,
    /// Most messages per subject; -1 for no limit.
    pub max_messages_per_subject: i64,
    /// What happens when it is full.
    pub discard: Discard,
    /// Window in which a repeated `Nats-Msg-Id` is dropped.
    pub duplicate_window: Duration,
    /// Mapping from published to stored subject.
    pub transform: Option<SubjectTransform>,
}

/// What a full stream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// Drops its oldest messages.
    Old,
    /// Refuses new messages, so that loss is an error at the publisher.
    New,
}

/// A subject mapping of the server.
#[derive(Clone, Copy, Debug)]
pub struct SubjectTransform {
    /// Pattern of published subjects.
    pub source: &'static str,
    /// Pattern of stored subjects.
    pub destination: &'static str,
}

/// A key-value bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Name.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// How long a value is kept; `None` for ever.
    pub max_age: Option<Duration>,
}

/// Every stream.
pub const STREAMS: &[Stream] = &[
    Stream {
        name: "BIOTOPE_BUILD",
        description: "scan results, the last 3 of each image",
        subjects: &["biotope.v1.*.build.*.*.*"],
        max_age: days(90),
        max_bytes: GIB,
        max_messages_per_subject: 3,
        discard: Discard::Old,
        duplicate_window: Duration::from_secs(120),
        transform: None,
    },
    Stream {
        name: "BIOTOPE_EVENTS",
        description: "deploy, start and run events, partitioned by join key",
        subjects: &["biotope.v1.*.deploy.*.*.*", "biotope.v1.*.start.*.*.*", "biotope.v1.*.run.*.*.*"],
        max_age: days(3),
        max_bytes: 4 * GIB,
        max_messages_per_subject: -1,
        discard: Discard::Old,
        // Longer than the 3 minutes for which publishers keep their spool after an ack.
        duplicate_window: Duration::from_secs(300),
        transform: Some(SubjectTransform {
            source: "biotope.v1.*.*.*.*.*",
            destination: "biotope.v1.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}.{{wildcard(4)}}.{{partition(16,5)}}.{{wildcard(5)}}",
        }),
    },
    Stream {
        name: "BIOTOPE_INCIDENTS",
        description: "incidents and responses",
        subjects: &["biotope.v1.*.incident.*.*.*"],
        max_age: days(400),
        max_bytes: GIB,
        max_messages_per_subject: -1,
        discard: Discard::New,
        duplicate_window: Duration::from_secs(300),
        transform: None,
    },
    Stream {
        name: "BIOTOPE_DEAD_LETTERS",
        description: "messages that could not be handled, with the reason",
        subjects: &["biotope.v1.*.dead-letter.*.*"],
        max_age: days(14),
        max_bytes: GIB,
        max_messages_per_subject: -1,
        discard: Discard::New,
        duplicate_window: Duration::from_secs(120),
        transform: None,
    },
];

/// Every bucket.
pub const BUCKETS: &[Bucket] = &[
    Bucket {
        name: "biotope_leases",
        description: "who owns a partition or a singleton; the revision is the fencing token",
        max_age: Some(Duration::from_secs(15)),
    },
    Bucket { name: "biotope_image_facts", description: "scan summary by image digest", max_age: None },
    Bucket { name: "biotope_incidents", description: "open incidents by id", max_age: None },
];

const GIB: i64 = 1 << 30;

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}
