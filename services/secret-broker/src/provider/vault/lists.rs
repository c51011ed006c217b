//! Which places of a vault are worth listing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What was learned of lists: where none are given, and where they are mostly of what nobody wants.
#[derive(Debug, Default)]
pub(super) struct Lists {
    refused: BTreeMap<String, Instant>,
    /// Since when every list of the place was wasteful.
    wasteful: BTreeMap<String, Instant>,
}

impl Lists {
    /// Whether this place is asked about one by one for now.
    pub(super) fn is_refused(&self, place: &str, now: Instant) -> bool {
        self.refused.get(place).is_some_and(|since| now.duration_since(*since) < AGAIN)
    }

    /// The place cannot be listed.
    pub(super) fn refuse(&mut self, place: &str, now: Instant) {
        self.refused.insert(place.to_owned(), now);
    }

    /// A list of `entries` came, `wanted` of which were asked about. A list of which little is wanted costs the server more than single
    /// questions; but a few that are asked about apart from the others, as after a start or a change, say nothing of the place.
    pub(super) fn weigh(&mut self, place: &str, entries: usize, wanted: usize, now: Instant) {
        if entries <= wanted.saturating_mul(MOST_UNWANTED).saturating_add(SMALL) {
            self.wasteful.remove(place);
            return;
        }
        let since = *self.wasteful.entry(place.to_owned()).or_insert(now);
        if now.duration_since(since) >= PATIENCE {
            self.wasteful.remove(place);
            self.refuse(place, now);
        }
    }
}

/// Entries of a list for each one that is wanted.
const MOST_UNWANTED: usize = 20;
/// Entries that never matter.
const SMALL: usize = 1_000;
/// How long only few are asked about until that is taken for all that is wanted: longer than a first sync.
const PATIENCE: Duration = Duration::from_secs(300);
/// After how long a place that could not be listed is tried again: a policy may have changed.
const AGAIN: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_stragglers_do_not_end_the_lists_of_many() {
        let (mut lists, start) = (Lists::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..2_000 {
            // Thirty are asked about apart from the others, every second time.
            lists.weigh("SCAN secret", 2_000, if second % 2 == 0 { 30 } else { 1_970 }, at(second));
            assert!(!lists.is_refused("SCAN secret", at(second)));
        }
    }

    #[test]
    fn a_place_of_which_little_is_wanted_is_asked_about_one_by_one() {
        let (mut lists, start) = (Lists::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let is_refused_at = |lists: &mut Lists, second| {
            lists.weigh("SCAN secret", 5_000, 3, at(second));
            lists.is_refused("SCAN secret", at(second))
        };
        assert!(!is_refused_at(&mut lists, 0) && !is_refused_at(&mut lists, 299));
        assert!(is_refused_at(&mut lists, 300));
        assert!(!lists.is_refused("SCAN secret", at(900)), "tried again");
        lists.refuse("LIST secret", at(0));
        assert!(lists.is_refused("LIST secret", at(599)) && !lists.is_refused("LIST secret", at(600)));
    }
}
