//! Identities that are one checked text each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// The text of the identity.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError { kind: $kind, text: text.chars().take(80).collect() })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// A pod's uid: a lower-case UUID, or 32 hex digits for a static pod (the kubelet hashes the manifest).
    PodUid,
    "pod uid",
    |text| {
        let hex = text.bytes().filter(u8::is_ascii_hexdigit).count();
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        lower && hex == 32 && (text.len() == 32 || (text.len() == 36 && text.bytes().filter(|b| *b == b'-').count() == 4))
    }
);
text_id!(
    /// A container's id as the runtime gives it, without the `containerd://` prefix. At most 128 letters, digits, `-`, `_`, `.`.
    ContainerId,
    "container id",
    |text| is_token(text, 128)
);
text_id!(
    /// The uid of the AdmissionReview that let a pod in.
    AdmissionId,
    "admission id",
    |text| is_token(text, 64)
);
text_id!(
    /// A cluster's name: a DNS label (RFC 1123), for it is a subject token.
    ClusterName,
    "cluster name",
    |text| is_label(text, 63)
);
text_id!(
    /// A node's name: a DNS subdomain (RFC 1123).
    NodeName,
    "node name",
    |text| text.len() <= 253 && !text.is_empty() && text.split('.').all(|label| is_label(label, 63))
);
text_id!(
    /// An incident's id: 32 lower-case hex digits, a hash of rule, subject and window start, so that a replay yields the same.
    IncidentId,
    "incident id",
    |text| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
);

/// An event's id: a UUID of version 7 (RFC 9562), so that ids sort by time of creation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, schemars::JsonSchema)]
#[schemars(with = "String")]
pub struct EventId(uuid::Uuid);

impl EventId {
    /// Wraps a UUID made elsewhere.
    #[must_use]
    pub fn from_uuid(uuid: uuid::Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    #[must_use]
    pub fn as_uuid(&self) -> &uuid::Uuid {
        &self.0
    }
}

impl FromStr for EventId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        uuid::Uuid::parse_str(text)
            .map(Self)
            .map_err(|_| IdError { kind: "event id", text: text.chars().take(80).collect() })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

// A text in every format, also in MessagePack, where the uuid crate would write bytes: readers in other languages see a text.
impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = uuid::Uuid::encode_buffer();
        serializer.serialize_str(self.0.hyphenated().encode_lower(&mut buffer))
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = EventId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a UUID as text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EventId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A text is no identity of the wanted kind.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a {kind}")]
pub struct IdError {
    kind: &'static str,
    text: String,
}

fn is_token(text: &str, max: usize) -> bool {
    !text.is_empty()
        && text.len() <= max
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_label(text: &str, max: usize) -> bool {
    !text.is_empty()
        && text.len() <= max
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_rejects() {
        assert!("0b1f9c6e-2d8f-4a5e-9d27-0c7a3c1f2b3a".parse::<PodUid>().is_ok());
        assert!("0123456789abcdef0123456789abcdef".parse::<PodUid>().is_ok());
        assert!("not-a-uid".parse::<PodUid>().is_err());
        assert!("prod".parse::<ClusterName>().is_ok());
        assert!("Prod.eu".parse::<ClusterName>().is_err());
        assert!("a b".parse::<ContainerId>().is_err());
    }

    #[test]
    fn event_id_is_text_in_json() {
        let id = EventId::from_uuid(uuid::Uuid::nil());
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"00000000-0000-0000-0000-000000000000\"");
    }
}
