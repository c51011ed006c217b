//! Conditions, events, and when to come back.

use std::time::Duration;

use model::Timestamp;

/// What has come of an ExternalSecret.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// When it was last fetched.
    pub refreshed: Option<Timestamp>,
    /// Which text of the object was synced.
    pub synced_version: String,
    /// Conditions, one of each type.
    pub conditions: Vec<Condition>,
    /// The Secret, once it is there.
    pub binding: String,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Type: `Ready`, `Deleted`.
    pub kind: String,
    /// Whether it holds.
    pub holds: bool,
    /// Reason, one word.
    pub reason: String,
    /// Message.
    pub message: String,
    /// Since when it holds or does not.
    pub since: Timestamp,
}

/// Sets the condition `Ready`; the time stays while it holds or does not as before.
pub(super) fn set_ready(conditions: &mut Vec<Condition>, holds: bool, said: (&str, &str), now: Timestamp) {
    let before = conditions.iter().position(|condition| condition.kind == "Ready").map(|at| conditions.remove(at));
    let since = before.filter(|before| before.holds == holds).map_or(now, |before| before.since);
    let (reason, message) = (said.0.to_owned(), said.1.to_owned());
    conditions.push(Condition { kind: "Ready".to_owned(), holds, reason, message, since });
}

/// An event of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it is a warning.
    pub is_warning: bool,
    /// Reason, one word.
    pub reason: &'static str,
    /// Message. Never holds a value.
    pub message: String,
}

impl Note {
    pub(super) fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { is_warning: false, reason, message: message.into() }
    }

    pub(super) fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { is_warning: true, reason, message: message.into() }
    }
}

/// When to look at an object again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Again {
    /// When it, or what it depends on, changes.
    #[default]
    OnChange,
    /// After this time.
    After(Duration),
    /// After a time that grows with each failure.
    BackOff,
}
