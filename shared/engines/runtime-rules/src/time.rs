//! Times as texts, in UTC. The engine has no clock and no time zone: it is given nanoseconds since 1970.

/// Nanoseconds of a second.
pub(crate) const NS: u64 = 1_000_000_000;

/// `13:53:31.726060287`
pub(crate) fn clock(ns: u64) -> String {
    format!("{}.{:09}", clock_seconds(ns), ns % NS)
}

/// `13:53:31`
pub(crate) fn clock_seconds(ns: u64) -> String {
    let seconds = ns / NS % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `2026-01-01T13:53:31.726060287+0000`
pub(crate) fn iso8601(ns: u64) -> String {
    format!("{}T{}+0000", date(ns), clock(ns))
}

/// `2026-01-01T13:53:31.726060287Z`
pub(crate) fn utc(ns: u64) -> String {
    format!("{}T{}Z", date(ns), clock(ns))
}

/// `2026-01-01 13:53:31.726060287`
pub(crate) fn date_time(ns: u64) -> String {
    format!("{} {}", date(ns), clock(ns))
}

/// `2026-01-01 13:53:31`
pub(crate) fn date_time_seconds(ns: u64) -> String {
    format!("{} {}", date(ns), clock_seconds(ns))
}

/// The Gregorian date, counted in eras of 400 years that begin on the first of March.
fn date(ns: u64) -> String {
    let days = ns / NS / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_gregorian() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000007Z"),
            (951_782_399, "2000-02-28T23:59:59.000000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000000007Z"),
            (1_767_275_611, "2026-01-01T13:53:31.000000007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000007Z"),
        ] {
            assert_eq!(utc(seconds * NS + 7), expected);
        }
    }
}
