//! When cleanup and deleting policies run: cron's five fields in UTC, or a word such as `@daily` (the standard form of
//! <https://pkg.go.dev/github.com/robfig/cron/v3>, which policies are written for).

use model::Timestamp;

use crate::value::Duration;

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Calendar(Box<Calendar>),
    /// Every so many seconds.
    Every(i64),
}

/// Bits of the values at which it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Calendar {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Days of the month and of the week both hold; else one of them is enough.
    both: bool,
}

/// A field: what it is called, its lowest and highest value, and names of values.
struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day", low: 1, high: 31, names: &[] },
    Field {
        name: "month",
        low: 1,
        high: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field { name: "weekday", low: 0, high: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut text = text.trim();
        if let Some(rest) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
            let (zone, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            if !matches!(zone, "UTC" | "Etc/UTC" | "") {
                return Err(format!("schedules run in UTC, not in `{zone}`"));
            }
            text = rest.trim();
        }
        if let Some(word) = text.strip_prefix('@') {
            return Self::of_word(word);
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else {
            return Err(format!("`{text}` is not a cron schedule: minute, hour, day, month and weekday are wanted"));
        };
        let [of_minute, of_hour, of_day, of_month, of_weekday] = &FIELDS;
        // Every second day is no longer any day.
        let is_any = |part: &str| part.split(',').any(|one| matches!(one, "*" | "?" | "*/1" | "?/1"));
        let calendar = Calendar {
            minutes: bits(minute, of_minute)?,
            hours: bits(hour, of_hour)?,
            days: bits(day, of_day)?,
            months: bits(month, of_month)?,
            weekdays: bits(weekday, of_weekday)?,
            both: is_any(day) || is_any(weekday),
        };
        Ok(Self { kind: Kind::Calendar(Box::new(calendar)) })
    }

    fn of_word(word: &str) -> Result<Self, String> {
        if let Some(rest) = word.strip_prefix("every ") {
            let every = Duration::parse(rest.trim()).map_err(|_| format!("`{rest}` is not a duration"))?;
            let seconds = every.as_nanos() / 1_000_000_000;
            return Ok(Self { kind: Kind::Every(seconds.max(1)) });
        }
        Self::parse(match word {
            "yearly" | "annually" => "0 0 1 1 *",
            "monthly" => "0 0 1 * *",
            "weekly" => "0 0 * * 0",
            "daily" | "midnight" => "0 0 * * *",
            "hourly" => "0 * * * *",
            other => return Err(format!("`@{other}` is not a schedule")),
        })
    }

    /// The next time after `time` at which it runs; `None` when it never does (30th of February).
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        const SECONDS_OF_DAY: i64 = 86_400;
        // Longer than any day and weekday are apart.
        const MOST_DAYS: i64 = 366 * 12;
        let now = time.as_millis().div_euclid(1_000);
        let calendar = match &self.kind {
            Kind::Every(seconds) => {
                return Some(Timestamp::from_millis(now.saturating_add(*seconds).saturating_mul(1_000)));
            }
            Kind::Calendar(calendar) => calendar,
        };
        let start = (now.div_euclid(60) + 1) * 60;
        let first = start.div_euclid(SECONDS_OF_DAY);
        (first..first + MOST_DAYS).filter(|day| calendar.includes_day(*day)).find_map(|day| {
            let from = if day == first { start.rem_euclid(SECONDS_OF_DAY) / 60 } else { 0 };
            let minute = (from..SECONDS_OF_DAY / 60).find(|minute| calendar.includes_minute(*minute))?;
            Some(Timestamp::from_millis((day * SECONDS_OF_DAY + minute * 60) * 1_000))
        })
    }
}

impl Calendar {
    /// `day` in days since 1970-01-01, a Thursday.
    fn includes_day(&self, day: i64) -> bool {
        let (month, of_month) = month_and_day(day);
        let has = |bits: u64, value: i64| u32::try_from(value).is_ok_and(|value| bits >> value & 1 == 1);
        let (by_day, by_weekday) = (has(self.days, of_month), has(self.weekdays, (day + 4).rem_euclid(7)));
        let fits = if self.both { by_day && by_weekday } else { by_day || by_weekday };
        fits && has(self.months, month)
    }

    /// `minute` since midnight.
    fn includes_minute(&self, minute: i64) -> bool {
        self.hours >> (minute / 60) & 1 == 1 && self.minutes >> (minute % 60) & 1 == 1
    }
}

/// Month and day of the month in the Gregorian calendar.
fn month_and_day(day: i64) -> (i64, i64) {
    // Years begin in March here, so that the leap day is their last; 719468 days lie between 0000-03-01 and 1970-01-01.
    let day = day + 719_468;
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    (if month < 10 { month + 3 } else { month - 9 }, of_year - (153 * month + 2) / 5 + 1)
}

fn bits(text: &str, field: &Field) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a {} of a schedule ({} to {})", field.name, field.low, field.high);
    let value = |text: &str| {
        let named = field.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let named = named.and_then(|at| u32::try_from(at).ok()).map(|at| at + field.low);
        named.or_else(|| text.parse().ok()).filter(|value| (field.low..=field.high).contains(value)).ok_or_else(wrong)
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (low, high) = match range.split_once('-') {
            Some((low, high)) => (value(low)?, value(high)?),
            None if matches!(range, "*" | "?") => (field.low, field.high),
            // A start with a step goes on to the end.
            None if step.is_some() => (value(range)?, field.high),
            None => (value(range)?, value(range)?),
        };
        let step =
            step.map_or(Some(1), |step| step.parse::<usize>().ok().filter(|step| *step > 0)).ok_or_else(wrong)?;
        if low > high {
            return Err(wrong());
        }
        (low..=high).step_by(step).for_each(|value| bits |= 1_u64 << value);
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::Schedule;

    #[test]
    fn the_next_time_is_found() {
        for (schedule, after, expected) in [
            ("*/5 * * * *", "2026-01-01T10:03:20Z", "2026-01-01T10:05:00Z"),
            ("*/5 * * * *", "2026-01-01T10:05:00Z", "2026-01-01T10:10:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("30 4 1,15 * 5", "2026-01-01T05:00:00Z", "2026-01-02T04:30:00Z"),
            ("0 22 * * 1-5", "2026-01-02T22:00:00Z", "2026-01-05T22:00:00Z"),
            ("0 9-17/4 * jan MON", "2026-01-05T13:00:00Z", "2026-01-05T17:00:00Z"),
            ("59 23 31 12 *", "2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"),
            ("@hourly", "2026-02-28T23:10:00Z", "2026-03-01T00:00:00Z"),
            ("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("CRON_TZ=UTC @monthly", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("@every 90s", "2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"),
        ] {
            let next = Schedule::parse(schedule).unwrap().next_after(after.parse().unwrap());
            assert_eq!(next, Some(expected.parse::<Timestamp>().unwrap()), "{schedule} after {after}");
        }
        assert_eq!(Schedule::parse("0 0 30 2 *").unwrap().next_after(Timestamp::from_millis(0)), None);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "@never",
            "TZ=Asia/Tokyo @daily",
            "a * * * *",
        ] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
