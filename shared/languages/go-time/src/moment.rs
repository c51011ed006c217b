//! Points in time.

use std::fmt;

use model::Timestamp;

use crate::calendar::{DAY, civil_from_days, days_from_civil, small, weekday};
use crate::duration::GoDuration;
use crate::layout;
use crate::reading::{self, TimeError};

/// A point in time with the offset it is written in. Its zone's name, which only layouts with `MST` show, is kept by whoever needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    nanos: i128,
    /// Seconds east of UTC.
    offset: i32,
}

/// Go's layout of RFC 3339.
pub const RFC3339: &str = "2006-01-02T15:04:05Z07:00";

const NANOS: i128 = 1_000_000_000;

/// The calendar fields of a [`Moment`] at its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    /// The year, of four digits in texts.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 1 to 366.
    pub year_day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
    /// Below one second.
    pub nanosecond: u32,
    /// 0 is Sunday.
    pub weekday: u32,
}

impl Moment {
    /// A time in UTC.
    #[must_use]
    pub fn from_timestamp(time: Timestamp) -> Self {
        Self::from_nanos(i128::from(time.as_nanos()))
    }

    /// Seconds since the epoch, in UTC.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        Self::from_nanos(i128::from(seconds) * NANOS)
    }

    /// Nanoseconds since the epoch, in UTC.
    #[must_use]
    pub const fn from_nanos(nanos: i128) -> Self {
        Self { nanos, offset: 0 }
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i128 {
        self.nanos
    }

    /// Whole seconds since the epoch, rounded down; saturates.
    #[must_use]
    pub fn as_unix(self) -> i64 {
        let seconds = self.nanos.div_euclid(NANOS);
        i64::try_from(seconds).unwrap_or(if seconds < 0 { i64::MIN } else { i64::MAX })
    }

    /// Seconds east of UTC.
    #[must_use]
    pub const fn offset(self) -> i32 {
        self.offset
    }

    /// The same point in UTC.
    #[must_use]
    pub const fn utc(self) -> Self {
        self.at_offset(0)
    }

    /// The same point `seconds` east of UTC.
    #[must_use]
    pub const fn at_offset(self, seconds: i32) -> Self {
        Self { nanos: self.nanos, offset: seconds }
    }

    /// This time plus `duration`.
    #[must_use]
    pub fn plus(self, duration: GoDuration) -> Self {
        Self { nanos: self.nanos.saturating_add(i128::from(duration.as_nanos())), offset: self.offset }
    }

    /// From `earlier` to this; saturates.
    #[must_use]
    pub fn since(self, earlier: Self) -> GoDuration {
        let difference = self.nanos.saturating_sub(earlier.nanos);
        let bound = if difference < 0 { i64::MIN } else { i64::MAX };
        GoDuration::from_nanos(i64::try_from(difference).unwrap_or(bound))
    }

    /// Down to a multiple of `duration` since the year 1, as Go truncates.
    #[must_use]
    pub fn truncate(self, duration: GoDuration) -> Self {
        if duration.as_nanos() <= 0 {
            return self;
        }
        let since_year_one = self.nanos + i128::from(-days_from_civil(1, 1, 1) * DAY) * NANOS;
        Self { nanos: self.nanos - since_year_one.rem_euclid(i128::from(duration.as_nanos())), offset: self.offset }
    }

    /// The calendar fields.
    #[must_use]
    pub fn fields(self) -> Fields {
        let seconds = self.as_unix().saturating_add(i64::from(self.offset));
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let (year, month, day) = civil_from_days(days);
        Fields {
            year,
            month,
            day,
            year_day: small(days.saturating_sub(days_from_civil(year, 1, 1)).saturating_add(1)),
            hour: small(rest / 3600),
            minute: small(rest / 60 % 60),
            second: small(rest % 60),
            nanosecond: u32::try_from(self.nanos.rem_euclid(NANOS)).unwrap_or(0),
            weekday: weekday(days),
        }
    }

    /// Writes by a layout of Go. `zone` is what `MST` in it shows; where it is empty, the offset is.
    #[must_use]
    pub fn format(self, layout: &str, zone: &str) -> String {
        layout::format(self, layout, zone)
    }

    /// Reads an RFC 3339 time; a fraction of a second is allowed.
    ///
    /// # Errors
    /// When the text is none.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        Self::parse(RFC3339, text)
    }

    /// Reads `text` by a Go layout, such as `Mon Jan _2 15:04:05 2006`. What has no zone is in UTC.
    ///
    /// # Errors
    /// When the text does not fit the layout, or a field is out of range, in Go's words.
    pub fn parse(layout: &str, text: &str) -> Result<Self, TimeError> {
        Self::parse_in_zone(layout, text).map(|(moment, _)| moment)
    }

    /// As [`parse`](Self::parse), with the name of the zone: empty where only an offset is known.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_in_zone(layout: &str, text: &str) -> Result<(Self, String), TimeError> {
        reading::read(layout, text)
    }
}

impl fmt::Display for Moment {
    /// RFC 3339 without a fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(RFC3339, ""))
    }
}
