//! The subject grammar, built and parsed by types only.
//!
//! ```text
//! event       = biotope.v1.<cluster>.<phase>.<noun>.<participle>.<key>
//! stored      = biotope.v1.<cluster>.<phase>.<noun>.<participle>.<partition>.<key>   (deploy, start and run events in their stream)
//! command     = biotope.v1.<cluster>.ask.<service>.<verb>
//! dead letter = biotope.v1.<cluster>.dead-letter.<service>.<reason>
//! token       = 1*128 ( a-z / 0-9 / "-" / "_" )
//! ```

use std::fmt;
use std::str::FromStr;

use model::{ClusterName, Digest, PodUid, Severity};

use crate::event_type::EventType;

/// How many partitions the events stream has. Part of the contract: changing it moves keys.
pub const PARTITIONS: u32 = 16;

/// One subject token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(String);

impl Token {
    /// The text of the token.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes a token of any text: kept when it is one, else its characters that are not allowed become `-`, and it is cut at 128.
    /// Two texts may meet in one token, so this is for names that people read, not for identities.
    #[must_use]
    pub fn lossy(text: &str) -> Self {
        let map = |c: char| if is_token_char(c) { c } else { '-' };
        let token: String = text.chars().map(|c| map(c.to_ascii_lowercase())).take(MAX_TOKEN).collect();
        if token.is_empty() { Self("none".to_owned()) } else { Self(token) }
    }
}

impl FromStr for Token {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_token = !text.is_empty() && text.len() <= MAX_TOKEN && text.chars().all(is_token_char);
        if is_token {
            Ok(Self(text.to_owned()))
        } else {
            Err(SubjectError::Token { token: text.chars().take(80).collect() })
        }
    }
}

impl From<&Digest> for Token {
    fn from(digest: &Digest) -> Self {
        Self(digest.hex().to_owned())
    }
}

impl From<&PodUid> for Token {
    fn from(uid: &PodUid) -> Self {
        Self(uid.as_str().to_owned())
    }
}

impl From<Severity> for Token {
    fn from(severity: Severity) -> Self {
        Self(severity.as_token().to_owned())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The subject of an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventSubject {
    /// Cluster that it happened in.
    pub cluster: ClusterName,
    /// Its type.
    pub event_type: EventType,
    /// Its join key: image digest (hex), pod uid, namespace, node or severity.
    pub key: Token,
}

impl fmt::Display for EventSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "biotope.v1.{}.{}.{}", self.cluster, self.event_type.path(), self.key)
    }
}

/// Any subject of the platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An event as it is published.
    Event(EventSubject),
    /// An event as the events stream keeps it, with its partition.
    Stored(EventSubject, u32),
    /// A request to a service.
    Ask {
        /// Cluster.
        cluster: ClusterName,
        /// The service asked.
        service: Token,
        /// What it is asked to do.
        verb: Token,
    },
    /// A message that could not be handled.
    DeadLetter {
        /// Cluster.
        cluster: ClusterName,
        /// The service that gave it up.
        service: Token,
        /// Why, in one token.
        reason: Token,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => event.fmt(f),
            Self::Stored(event, partition) => {
                write!(f, "biotope.v1.{}.{}.{partition}.{}", event.cluster, event.event_type.path(), event.key)
            }
            Self::Ask { cluster, service, verb } => write!(f, "biotope.v1.{cluster}.ask.{service}.{verb}"),
            Self::DeadLetter { cluster, service, reason } => {
                write!(f, "biotope.v1.{cluster}.dead-letter.{service}.{reason}")
            }
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || SubjectError::Grammar { subject: text.chars().take(160).collect() };
        let tokens: Vec<&str> = text.split('.').take(9).collect();
        let (cluster, rest) = match tokens.as_slice() {
            ["biotope", "v1", cluster, rest @ ..] => (cluster.parse::<ClusterName>().map_err(|_| fault())?, rest),
            _ => return Err(fault()),
        };
        let event = |phase: &str, noun: &str, participle: &str, key: &str| {
            let event_type = EventType::from_tokens(phase, noun, participle).ok_or_else(fault)?;
            Ok::<_, SubjectError>(EventSubject { cluster: cluster.clone(), event_type, key: key.parse()? })
        };
        match rest {
            ["ask", service, verb] => Ok(Self::Ask { cluster, service: service.parse()?, verb: verb.parse()? }),
            ["dead-letter", service, reason] => {
                Ok(Self::DeadLetter { cluster, service: service.parse()?, reason: reason.parse()? })
            }
            [phase, noun, participle, key] => Ok(Self::Event(event(phase, noun, participle, key)?)),
            [phase, noun, participle, number, key] => {
                // As it is printed: `007` or `+7` would be a second name of one subject.
                let number = (0..PARTITIONS).find(|one| one.to_string() == *number).ok_or_else(fault)?;
                Ok(Self::Stored(event(phase, noun, participle, key)?, number))
            }
            _ => Err(fault()),
        }
    }
}

/// The partition of a key: FNV-1a (32 bit) modulo [`PARTITIONS`], as the server's `partition(n, token)` mapping computes it.
#[must_use]
pub fn partition(key: &Token) -> u32 {
    let hash =
        key.as_str().bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.checked_rem(PARTITIONS).unwrap_or(0)
}

/// A text is no subject or no token.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// The text does not follow the grammar.
    #[error("`{subject}` is not a biotope subject: see schemas/asyncapi.yaml for the grammar")]
    Grammar {
        /// The text.
        subject: String,
    },
    /// A token has a character that is not allowed, or is empty or too long.
    #[error("`{token}` is not a subject token: use 1 to 128 of a-z, 0-9, `-` and `_`")]
    Token {
        /// The text.
        token: String,
    },
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
}

const MAX_TOKEN: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_parses() {
        for text in [
            "biotope.v1.prod.build.image.scanned.0123abcd",
            "biotope.v1.prod.deploy.admission.reviewed.default",
            "biotope.v1.prod.run.rule.matched.7.0b1f9c6e-2d8f-4a5e-9d27-0c7a3c1f2b3a",
            "biotope.v1.prod.ask.registry-scanner.scan",
            "biotope.v1.prod.dead-letter.correlator.undecodable",
        ] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn rejects_what_is_not_in_the_grammar() {
        for text in [
            "",
            "biotope.v2.prod.build.image.scanned.a",
            "biotope.v1.Prod.build.image.scanned.a",
            "biotope.v1.prod.build.image.eaten.a",
            "biotope.v1.prod.build.image.scanned.*",
            "biotope.v1.prod.build.image.scanned.16.a",
            "biotope.v1.prod.build.image.scanned.1.a.b",
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
