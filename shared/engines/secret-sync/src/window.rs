//! Sync windows: times at which secrets may, or may not, be fetched again.

use std::time::Duration;

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
                (Some(schedule), Some(duration)) => good.push((schedule, duration)),
                _ => bad.push(place),
            }
        }
        (Self { kind, windows: good }, bad)
    }

    /// Whether a secret may be fetched again at a time.
    #[must_use]
    pub fn allows(&self, at: Timestamp) -> bool {
        let is_active = || self.windows.iter().any(|(schedule, duration)| schedule.is_within(*duration, at));
        match self.kind {
            Kind::Allow => is_active(),
            Kind::Deny => !is_active(),
            Kind::Unknown => true,
        }
    }
}

/// A schedule as cron writes it: minute, hour, day of the month, month, day of the week, all in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both days are limited: then one of them is enough (crontab(5)).
    either_day: bool,
}

impl Schedule {
    /// Reads five fields, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`; `None` when a field is malformed or out of range.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            text => text,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else { return None };
        let is_any = |field: &str| field.starts_with(['*', '?']);
        // Sunday is 0 and 7.
        let week = field(weekdays, (0, 7), &WEEKDAYS)?;
        Some(Self {
            minutes: field(minutes, (0, 59), &[])?,
            hours: field(hours, (0, 23), &[])?,
            days: field(days, (1, 31), &[])?,
            months: field(months, (1, 12), &MONTHS)?,
            weekdays: week | week >> 7,
            either_day: !is_any(days) && !is_any(weekdays),
        })
    }

    /// Whether a time lies in a window of this length that began on schedule; both ends count.
    #[must_use]
    pub fn is_within(&self, duration: Duration, at: Timestamp) -> bool {
        let (at, length) = (at.as_millis().div_euclid(1_000), i64::try_from(duration.as_secs()).unwrap_or(i64::MAX));
        let last = at.div_euclid(60);
        let first = at.saturating_sub(length.min(LONGEST)).div_euclid(60);
        // A start counts when it is not before the time by more than the length.
        (first..=last).rev().any(|minute| minute * 60 + length.min(LONGEST) >= at && self.is_start(minute))
    }

    /// Whether a window begins in a minute, counted from the epoch.
    fn is_start(&self, minute: i64) -> bool {
        let (day, of_day) = (minute.div_euclid(1_440), minute.rem_euclid(1_440));
        let has = |set: u64, value: i64| u32::try_from(value).is_ok_and(|value| value < 64 && set >> value & 1 == 1);
        if !has(self.minutes, of_day % 60) || !has(self.hours, of_day / 60) {
            return false;
        }
        let (month, date) = civil(day);
        let (is_day, is_weekday) = (has(self.days, date), has(self.weekdays, (day + 4).rem_euclid(7)));
        has(self.months, month) && if self.either_day { is_day || is_weekday } else { is_day && is_weekday }
    }
}

/// Month and day of the month of a day, counted from the epoch (the algorithm of H. Hinnant).
fn civil(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    (if month < 10 { month + 3 } else { month - 9 }, of_year - (153 * month + 2) / 5 + 1)
}

/// One field as a set of bits: `*`, `5`, `1-5`, `*/15`, `10-40/10`, names, and lists of these.
fn field(text: &str, (low, high): (u32, u32), names: &[&str]) -> Option<u64> {
    let number = |text: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(place) => u32::try_from(place).ok()?.checked_add(low)?,
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            None => return None,
        };
        (low..=high).contains(&value).then_some(value)
    };
    let mut set = 0_u64;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (low, high),
            Some((from, to)) => (number(from)?, number(to)?),
            // `5/15` goes on to the end.
            None if step.is_some() => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return None;
        }
        for value in (from..=to).step_by(usize::try_from(step.unwrap_or(1)).ok()?) {
            set |= 1 << value;
        }
    }
    Some(set)
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The longest window, in seconds: 31 days.
const LONGEST: i64 = 31 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn schedules_know_calendars() {
        for (schedule, time, expected) in [
            ("0 22 * * *", "2026-06-01T22:00:00Z", true),
            ("0 22 * * *", "2026-06-01T22:01:00Z", false),
            ("*/15 8-17 * * mon-fri", "2026-11-23T08:45:00Z", true),
            ("*/15 8-17 * * mon-fri", "2026-11-22T08:45:00Z", false),
            ("0 0 29 2 *", "2024-02-29T00:00:00Z", true),
            ("0 0 13 * 5", "2026-11-13T00:00:00Z", true),
            ("0 0 13 * 5", "2026-11-20T00:00:00Z", true),
            ("0 0 13 * 5", "2026-11-21T00:00:00Z", false),
            ("0 0 * * 7", "2026-11-22T00:00:00Z", true),
            ("@yearly", "2027-01-01T00:00:00Z", true),
        ] {
            let schedule = Schedule::parse(schedule).unwrap();
            assert_eq!(schedule.is_within(Duration::ZERO, at(time)), expected, "{schedule:?} {time}");
        }
        for text in ["", "not-a-cron", "60 * * * *", "* * * *", "5-1 * * * *", "*/0 * * * *", "a * * * *", "* * 0 * *"]
        {
            assert_eq!(Schedule::parse(text), None, "{text}");
        }
    }
}
