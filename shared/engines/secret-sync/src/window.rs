//! Sync windows: times at which secrets may, or may not, be fetched again.

use std::time::Duration;

use go_time::Schedule;
use model::Timestamp;

use crate::schedule;

/// The windows of an ExternalSecret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncWindows {
    kind: Kind,
    /// Windows that can be read; the others are never active.
    windows: Vec<(Schedule, Duration)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    Allow,
    Deny,
    /// A word that this version does not know forbids nothing.
    #[default]
    Unknown,
}

impl SyncWindows {
    /// Windows by kind (`allow` or `deny`) and pairs of schedule and duration. A pair that cannot be read is never active; the second
    /// part of the result has its place in the list.
    #[must_use]
    pub fn new<'a>(kind: &str, windows: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Self, Vec<usize>) {
        let kind = match kind {
            "allow" => Kind::Allow,
            "deny" => Kind::Deny,
            _ => Kind::Unknown,
        };
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (place, (schedule, duration)) in windows.into_iter().enumerate() {
            match (Schedule::parse(schedule), schedule::parse_duration(duration)) {
                (Ok(schedule), Some(duration)) => good.push((schedule, duration)),
                _ => bad.push(place),
            }
        }
        (Self { kind, windows: good }, bad)
    }

    /// Whether a secret may be fetched again at a time.
    #[must_use]
    pub fn allows(&self, at: Timestamp) -> bool {
        let is_active = || self.windows.iter().any(|(schedule, duration)| is_within(schedule, *duration, at));
        match self.kind {
            Kind::Allow => is_active(),
            Kind::Deny => !is_active(),
            Kind::Unknown => true,
        }
    }
}

/// Whether a time lies in a window of this length that began on schedule; both ends count, to the second.
#[must_use]
pub fn is_within(schedule: &Schedule, length: Duration, at: Timestamp) -> bool {
    let at = Timestamp::from_millis(at.as_millis().div_euclid(1_000) * 1_000);
    let before = at.minus(length.min(LONGEST)).minus(Duration::from_secs(1));
    schedule.next_after(before).is_some_and(|start| start <= at)
}

/// The longest window: 31 days.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_window_count() {
        let schedule = Schedule::parse("0 22 * * *").unwrap();
        for (minutes, time, expected) in [
            (0, "2026-06-01T22:00:00.5Z", true),
            (0, "2026-06-01T22:00:01Z", false),
            (0, "2026-06-01T21:59:59Z", false),
            (120, "2026-06-02T00:00:00Z", true),
            (120, "2026-06-02T00:00:01Z", false),
            (24 * 60, "2026-06-02T21:59:59Z", true),
        ] {
            let length = Duration::from_secs(minutes * 60);
            assert_eq!(is_within(&schedule, length, time.parse().unwrap()), expected, "{minutes} {time}");
        }
    }
}
