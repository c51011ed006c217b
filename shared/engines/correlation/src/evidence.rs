//! Evidence, and how much of it is kept: the first and the last pieces of each phase.

use std::sync::Arc;

use model::{EventId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::Phase;

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The event.
    pub event: EventId,
    /// Its event time.
    pub time: Timestamp,
    /// Its phase.
    pub phase: Phase,
    /// Its type: `run.rule.matched`.
    pub event_type: Arc<str>,
    /// It in one line.
    pub summary: Arc<str>,
}

impl Evidence {
    pub(crate) fn key(&self) -> (Timestamp, EventId) {
        (self.time, self.event)
    }
}

/// The first and the last pieces of evidence of one phase, by time and id. What is kept depends on the set of pieces, not on the
/// order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Retained {
    first: Vec<Evidence>,
    last: Vec<Evidence>,
    pub(crate) omitted: u64,
}

impl Retained {
    /// Adds a piece; the caller knows that it is new.
    pub(crate) fn insert(&mut self, evidence: Evidence) {
        let (max_first, max_last) = quota(evidence.phase);
        let goes_first = self.first.len() < max_first && self.last.is_empty()
            || self.first.last().is_some_and(|last| evidence.key() < last.key());
        if !goes_first {
            return self.insert_last(evidence, max_last);
        }
        let at = self.first.partition_point(|other| other.key() < evidence.key());
        self.first.insert(at, evidence);
        if self.first.len() > max_first
            && let Some(pushed) = self.first.pop()
        {
            self.insert_last(pushed, max_last);
        }
    }

    fn insert_last(&mut self, evidence: Evidence, max_last: usize) {
        let at = self.last.partition_point(|other| other.key() < evidence.key());
        self.last.insert(at, evidence);
        if self.last.len() > max_last {
            self.last.remove(0);
            self.omitted = self.omitted.saturating_add(1);
        }
    }

    /// Forgets what is older than `from`.
    pub(crate) fn age(&mut self, from: Timestamp) {
        if self.first.first().is_none_or(|evidence| evidence.time >= from) {
            return;
        }
        self.first.retain(|evidence| evidence.time >= from);
        self.last.retain(|evidence| evidence.time >= from);
        if self.last.is_empty() {
            self.omitted = 0;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Evidence> {
        self.first.iter().chain(&self.last)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.last.is_empty()
    }
}

/// How many first and last pieces a phase keeps; with the facts they make a timeline of at most 64.
fn quota(phase: Phase) -> (usize, usize) {
    match phase {
        Phase::Build => (2, 4),
        Phase::Deploy | Phase::Start => (4, 6),
        Phase::Run => (8, 28),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_same_whatever_the_order() {
        let piece = |n: i64| Evidence {
            event: EventId::from_uuid(format!("00000000-0000-7000-8000-{n:012}").parse().unwrap()),
            time: Timestamp::from_millis(n),
            phase: Phase::Start,
            event_type: "start.secret.delivered".into(),
            summary: "".into(),
        };
        let collect = |order: Vec<i64>| {
            let mut retained = Retained::default();
            order.into_iter().for_each(|n| retained.insert(piece(n)));
            (retained.iter().map(|e| e.time.as_millis()).collect::<Vec<_>>(), retained.omitted)
        };
        let forward = collect((0..20).collect());
        assert_eq!(forward, (vec![0, 1, 2, 3, 14, 15, 16, 17, 18, 19], 10));
        assert_eq!(forward, collect((0..20).rev().collect()));
        assert_eq!(forward, collect((0..20).map(|n| n * 7 % 20).collect()));
    }
}
