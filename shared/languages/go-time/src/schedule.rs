//! Schedules of cron: five fields in UTC, or a word such as `@daily`.

use model::Timestamp;

use crate::calendar::{DAY, civil_from_days, weekday};
use crate::duration::GoDuration;

/// When something runs, in the standard form of robfig's cron.
///
/// ```
/// use go_time::Schedule;
///
/// let nightly = Schedule::parse("30 2 * * mon-fri")?;
/// let next = nightly.next_after("2026-11-27T12:00:00Z".parse()?);
/// assert_eq!(next, Some("2026-11-30T02:30:00Z".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Kind);

/// A text that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScheduleError(String);

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

/// Minutes of a day.
const MINUTES: i64 = DAY / 60;

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// What is wrong with it: a field is missing, malformed or out of its range, the word is unknown, the zone is not UTC.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let mut text = text.trim();
        if let Some(rest) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
            let (zone, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            if !matches!(zone, "UTC" | "Etc/UTC" | "") {
                return Err(ScheduleError(format!("schedules run in UTC, not in `{zone}`")));
            }
            text = rest.trim();
        }
        if let Some(word) = text.strip_prefix('@') {
            return Self::of_word(word);
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else {
            let wanted = "minute, hour, day, month and weekday are wanted";
            return Err(ScheduleError(format!("`{text}` is not a cron schedule: {wanted}")));
        };
        let [of_minute, of_hour, of_day, of_month, of_weekday] = &FIELDS;
        // Every second day is no longer any day.
        let is_any = |part: &str| part.split(',').any(|one| matches!(one, "*" | "?" | "*/1" | "?/1"));
        Ok(Self(Kind::Calendar(Box::new(Calendar {
            minutes: bits(minute, of_minute)?,
            hours: bits(hour, of_hour)?,
            days: bits(day, of_day)?,
            months: bits(month, of_month)?,
            weekdays: bits(weekday, of_weekday)?,
            both: is_any(day) || is_any(weekday),
        }))))
    }

    fn of_word(word: &str) -> Result<Self, ScheduleError> {
        if let Some(rest) = word.strip_prefix("every ") {
            let every = GoDuration::parse(rest.trim()).map_err(|error| ScheduleError(error.to_string()))?;
            return Ok(Self(Kind::Every((every.as_nanos() / 1_000_000_000).max(1))));
        }
        Self::parse(match word {
            "yearly" | "annually" => "0 0 1 1 *",
            "monthly" => "0 0 1 * *",
            "weekly" => "0 0 * * 0",
            "daily" | "midnight" => "0 0 * * *",
            "hourly" => "0 * * * *",
            other => return Err(ScheduleError(format!("`@{other}` is not a schedule"))),
        })
    }

    /// The next time after `time` at which it runs, on a whole second; `None` when it never does (30th of February).
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        // Longer than any day and weekday are apart.
        const MOST_DAYS: i64 = 366 * 12;
        let now = time.as_millis().div_euclid(1_000);
        let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1_000));
        let calendar = match &self.0 {
            Kind::Every(seconds) => return Some(at(now.saturating_add(*seconds))),
            Kind::Calendar(calendar) => calendar,
        };
        let start = now.div_euclid(60) + 1;
        let first = start.div_euclid(MINUTES);
        (first..first + MOST_DAYS).filter(|day| calendar.includes_day(*day)).find_map(|day| {
            let from = if day == first { start.rem_euclid(MINUTES) } else { 0 };
            let minute = (from..MINUTES).find(|minute| calendar.includes_minute(*minute))?;
            Some(at(day * DAY + minute * 60))
        })
    }
}

impl Calendar {
    /// `day` in days since 1970-01-01.
    fn includes_day(&self, day: i64) -> bool {
        let (_, month, of_month) = civil_from_days(day);
        let has = |bits: u64, value: u32| bits >> value & 1 == 1;
        let (by_day, by_weekday) = (has(self.days, of_month), has(self.weekdays, weekday(day)));
        let fits = if self.both { by_day && by_weekday } else { by_day || by_weekday };
        fits && has(self.months, month)
    }

    /// `minute` since midnight.
    fn includes_minute(&self, minute: i64) -> bool {
        self.hours >> (minute / 60) & 1 == 1 && self.minutes >> (minute % 60) & 1 == 1
    }
}

/// One field as a set of bits: `*`, `5`, `1-5`, `*/15`, `10-40/10`, names, and lists of these.
fn bits(text: &str, field: &Field) -> Result<u64, ScheduleError> {
    let wrong =
        || ScheduleError(format!("`{text}` is not a {} of a schedule ({} to {})", field.name, field.low, field.high));
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
