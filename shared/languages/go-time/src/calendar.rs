//! The Gregorian calendar in days since 1970-01-01 (the algorithms of H. Hinnant, "chrono-compatible low-level date algorithms").

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// Days from 1970-01-01 to a date: year, month from 1 to 12, and a day of the month that may run over.
#[must_use]
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    // Years begin in March here, so that the leap day is their last.
    let year = if month <= 2 { year.saturating_sub(1) } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month = i64::from(month);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    era.saturating_mul(146_097).saturating_add(of_era)
}

/// Year, month and day of the month of a day.
pub(crate) fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era.saturating_mul(400).saturating_add(year_of_era + i64::from(month <= 2));
    (year, small(month), small(day))
}

/// 0 is Sunday.
pub(crate) fn weekday(days: i64) -> u32 {
    small(days.saturating_add(4).rem_euclid(7))
}

pub(crate) const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(crate) const fn days_in(year: i64, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

pub(crate) fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}
