//! Events of containers that the runtime has not told of yet. They wait in their order, for a moment, within bounds.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use model::ContainerId;

/// Events that wait, by container.
#[derive(Debug, Default)]
pub(crate) struct Held {
    containers: HashMap<ContainerId, Waiting>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    /// Of one container, with its cgroups and those below.
    events: Vec<Box<[u8]>>,
}

impl Held {
    /// Keeps an event.
    pub(crate) fn keep(&mut self, id: &ContainerId, event: &[u8], now: Instant) {
        self.bytes = self.bytes.saturating_add(event.len());
        let waiting = self.containers.entry(id.clone()).or_insert_with(|| Waiting { since: now, events: Vec::new() });
        waiting.events.push(event.into());
    }

    /// Whether there is no room for more.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes > MAX_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.containers.is_empty()
    }

    /// Whether events of a container wait.
    pub(crate) fn has(&self, id: &ContainerId) -> bool {
        self.containers.contains_key(id)
    }

    /// The containers that wait, and whether each did so for long enough.
    pub(crate) fn waiting(&self, most: Duration, now: Instant) -> Vec<(ContainerId, bool)> {
        let is_over = |waiting: &Waiting| now.saturating_duration_since(waiting.since) >= most;
        self.containers.iter().map(|(id, waiting)| (id.clone(), is_over(waiting))).collect()
    }

    /// The events of a container, which wait no longer.
    pub(crate) fn release(&mut self, id: &ContainerId) -> Vec<Box<[u8]>> {
        let events = self.containers.remove(id).map(|waiting| waiting.events).unwrap_or_default();
        self.bytes = events.iter().fold(self.bytes, |bytes, event| bytes.saturating_sub(event.len()));
        events
    }
}

/// What may wait in all: some ten thousand events.
const MAX_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_wait_in_order_and_within_bounds() {
        let (mut held, now) = (Held::default(), Instant::now());
        let [one, other] = ["a", "b"].map(|digit| digit.repeat(64).parse::<ContainerId>().unwrap());
        held.keep(&one, b"1", now);
        held.keep(&other, b"x", now + Duration::from_millis(300));
        held.keep(&one, b"2", now + Duration::from_millis(400));
        let mut waiting = held.waiting(Duration::from_millis(500), now + Duration::from_millis(500));
        waiting.sort();
        assert_eq!(waiting, [(one.clone(), true), (other.clone(), false)]);
        assert_eq!(held.release(&one), [b"1".as_slice().into(), b"2".as_slice().into()]);
        assert!(!held.has(&one) && held.has(&other) && !held.is_full());
        held.keep(&one, &vec![0; MAX_BYTES], now);
        assert!(held.is_full());
        held.release(&one);
        held.release(&other);
        assert!(held.is_empty() && !held.is_full() && held.bytes == 0);
    }
}
