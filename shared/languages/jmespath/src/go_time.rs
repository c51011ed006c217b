//! Points in time as Go's `time` package reads and writes them.

use std::fmt;

use model::Timestamp;

use crate::duration::GoDuration;

/// A point in time with the offset it is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    nanos: i128,
    /// Seconds east of UTC.
    offset: i32,
}

/// A text that does not fit its layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parsing time \"{text}\" as \"{layout}\": {what}")]
pub struct TimeError {
    text: String,
    layout: String,
    what: &'static str,
}

/// Go's layout of RFC 3339.
pub const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
const NANOS: i128 = 1_000_000_000;
const DAY: i64 = 86_400;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The calendar fields of a [`Moment`] at its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    /// The year, of four digits in texts.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
    /// 0 is Sunday.
    pub weekday: u32,
}

impl Moment {
    /// A time in UTC.
    #[must_use]
    pub fn from_timestamp(time: Timestamp) -> Self {
        Self { nanos: i128::from(time.as_nanos()), offset: 0 }
    }

    /// Seconds since the epoch, in UTC.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        Self { nanos: i128::from(seconds) * NANOS, offset: 0 }
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i128 {
        self.nanos
    }

    /// Seconds east of UTC.
    #[must_use]
    pub const fn offset(self) -> i32 {
        self.offset
    }

    /// The same point in UTC.
    #[must_use]
    pub const fn utc(self) -> Self {
        Self { nanos: self.nanos, offset: 0 }
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
        let seconds = i64::try_from(self.nanos.div_euclid(NANOS)).unwrap_or(0).saturating_add(i64::from(self.offset));
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let (year, month, day) = civil_from_days(days);
        let part = |value: i64| u32::try_from(value).unwrap_or(0);
        Fields {
            year,
            month,
            day,
            hour: part(rest / 3600),
            minute: part(rest / 60 % 60),
            second: part(rest % 60),
            weekday: part((days + 4).rem_euclid(7)),
        }
    }

    /// Reads an RFC 3339 time; a fraction of a second is allowed.
    ///
    /// # Errors
    /// When the text is none.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        Self::parse(RFC3339, text)
    }

    /// Reads `text` by a Go layout, such as `Mon Jan _2 15:04:05 2006`.
    ///
    /// # Errors
    /// When the text does not fit the layout, or a field is out of range.
    pub fn parse(layout: &str, text: &str) -> Result<Self, TimeError> {
        let mut reader = Reader { rest: text, parts: Parts::default() };
        reader.read(layout).and_then(|()| reader.parts.moment()).map_err(|what| TimeError {
            text: text.chars().take(80).collect(),
            layout: layout.chars().take(80).collect(),
            what,
        })
    }
}

impl fmt::Display for Moment {
    /// RFC 3339 without a fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.fields();
        write!(f, "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", at.year, at.month, at.day, at.hour, at.minute, at.second)?;
        if self.offset == 0 {
            return f.write_str("Z");
        }
        let minutes = self.offset.unsigned_abs() / 60;
        write!(f, "{}{:02}:{:02}", if self.offset < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
    }
}

/// What a layout can ask for, longest first where one begins with another.
const ELEMENTS: [(&str, Element); 30] = [
    ("January", Element::MonthName),
    ("Jan", Element::MonthShort),
    ("Monday", Element::DayName),
    ("Mon", Element::DayShort),
    ("MST", Element::ZoneName),
    ("2006", Element::Year),
    ("002", Element::DayOfYear),
    ("01", Element::Month),
    ("02", Element::Day),
    ("03", Element::Hour12),
    ("04", Element::Minute),
    ("05", Element::Second),
    ("06", Element::ShortYear),
    ("15", Element::Hour),
    ("PM", Element::HalfDay),
    ("pm", Element::HalfDay),
    ("Z07:00:00", Element::Zone),
    ("Z070000", Element::Zone),
    ("Z07:00", Element::Zone),
    ("Z0700", Element::Zone),
    ("Z07", Element::Zone),
    ("-07:00:00", Element::Zone),
    ("-070000", Element::Zone),
    ("-07:00", Element::Zone),
    ("-0700", Element::Zone),
    ("-07", Element::Zone),
    ("_2", Element::Day),
    ("2", Element::Day),
    ("1", Element::Month),
    ("3", Element::Hour12),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Year,
    ShortYear,
    MonthName,
    MonthShort,
    Month,
    Day,
    DayOfYear,
    DayName,
    DayShort,
    Hour,
    Hour12,
    Minute,
    Second,
    HalfDay,
    Zone,
    ZoneName,
}

#[derive(Default)]
struct Parts {
    year: i64,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: i128,
    afternoon: Option<bool>,
    offset: i32,
}

impl Parts {
    fn moment(&self) -> Result<Moment, &'static str> {
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        if !(1..=12).contains(&month) {
            return Err("month out of range");
        }
        if day < 1 || day > days_in(self.year, month) {
            return Err("day out of range");
        }
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        if hour > 23 || self.minute > 59 || self.second > 59 {
            return Err("hour, minute or second out of range");
        }
        let first = days_from_civil(self.year, month, day);
        let days = self.day_of_year.map_or(first, |nth| days_from_civil(self.year, 1, 1) + i64::from(nth) - 1);
        let seconds = days * DAY + i64::from(hour * 3600 + self.minute * 60 + self.second) - i64::from(self.offset);
        Ok(Moment { nanos: i128::from(seconds) * NANOS + self.nanos, offset: self.offset })
    }
}

struct Reader<'t> {
    rest: &'t str,
    parts: Parts,
}

impl Reader<'_> {
    fn read(&mut self, layout: &str) -> Result<(), &'static str> {
        let mut layout = layout;
        while let Some(first) = layout.chars().next() {
            if let Some((text, element)) = ELEMENTS.iter().find(|(text, _)| layout.starts_with(text)) {
                layout = layout.get(text.len()..).unwrap_or_default();
                self.element(*element, text)?;
                continue;
            }
            if let Some(single) =
                [("4", Element::Minute), ("5", Element::Second)].iter().find(|(text, _)| layout.starts_with(text))
            {
                layout = layout.get(1..).unwrap_or_default();
                self.element(single.1, single.0)?;
                continue;
            }
            if let Some(behind) = fraction_layout(layout) {
                layout = behind;
                self.fraction();
                continue;
            }
            layout = layout.get(first.len_utf8()..).unwrap_or_default();
            self.rest = self.rest.strip_prefix(first).ok_or("text does not match the layout")?;
        }
        if self.rest.is_empty() { Ok(()) } else { Err("extra text") }
    }

    fn element(&mut self, element: Element, text: &str) -> Result<(), &'static str> {
        let fixed = text.len() == 2 && text.starts_with(['0', '1']);
        match element {
            Element::Year => self.parts.year = i64::from(self.digits(4, 4)?),
            Element::ShortYear => {
                let year = i64::from(self.digits(2, 2)?);
                self.parts.year = year + if year >= 69 { 1900 } else { 2000 };
            }
            Element::MonthName => self.parts.month = Some(self.name(&MONTHS, usize::MAX)?),
            Element::MonthShort => self.parts.month = Some(self.name(&MONTHS, 3)?),
            Element::DayName => drop(self.name(&DAYS, usize::MAX)?),
            Element::DayShort => drop(self.name(&DAYS, 3)?),
            Element::Month => self.parts.month = Some(self.digits(if fixed { 2 } else { 1 }, 2)?),
            Element::Day => {
                if text == "_2" {
                    self.rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
                }
                self.parts.day = Some(self.digits(if fixed { 2 } else { 1 }, 2)?);
            }
            Element::DayOfYear => self.parts.day_of_year = Some(self.digits(3, 3)?),
            Element::Hour => self.parts.hour = self.digits(1, 2)?,
            Element::Hour12 => self.parts.hour = self.digits(if fixed { 2 } else { 1 }, 2)?,
            Element::Minute => self.parts.minute = self.digits(if fixed { 2 } else { 1 }, 2)?,
            Element::Second => {
                self.parts.second = self.digits(if fixed { 2 } else { 1 }, 2)?;
                self.fraction();
            }
            Element::HalfDay => self.half_day()?,
            Element::Zone => self.zone(text)?,
            Element::ZoneName => self.zone_name()?,
        }
        Ok(())
    }

    fn digits(&mut self, least: usize, most: usize) -> Result<u32, &'static str> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if count < least {
            return Err("a number is missing");
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        digits.parse().map_err(|_| "a number is missing")
    }

    /// The number, from 1, of the name that comes next; names are compared by their first `length` letters.
    fn name(&mut self, names: &[&str], length: usize) -> Result<u32, &'static str> {
        for (index, name) in names.iter().enumerate() {
            let name = name.get(..length.min(name.len())).unwrap_or(name);
            let found = self.rest.get(..name.len()).filter(|found| found.eq_ignore_ascii_case(name));
            if found.is_some() {
                self.rest = self.rest.get(name.len()..).unwrap_or_default();
                return u32::try_from(index + 1).map_err(|_| "a name is missing");
            }
        }
        Err("a name is missing")
    }

    /// A fraction of a second, if one comes next.
    fn fraction(&mut self) {
        let Some(rest) = self.rest.strip_prefix(['.', ',']) else { return };
        let count = rest.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return;
        }
        let (digits, behind) = rest.split_at(count);
        let nine = format!("{digits:0<9}");
        self.parts.nanos = nine.get(..9).and_then(|nine| nine.parse().ok()).unwrap_or(0);
        self.rest = behind;
    }

    fn half_day(&mut self) -> Result<(), &'static str> {
        let half = self.rest.get(..2).map(str::to_ascii_uppercase);
        self.parts.afternoon = match half.as_deref() {
            Some("AM") => Some(false),
            Some("PM") => Some(true),
            _ => return Err("AM or PM is missing"),
        };
        self.rest = self.rest.get(2..).unwrap_or_default();
        Ok(())
    }

    fn zone(&mut self, text: &str) -> Result<(), &'static str> {
        if let Some(rest) = self.rest.strip_prefix('Z').filter(|_| text.starts_with('Z')) {
            self.rest = rest;
            return Ok(());
        }
        let sign = match self.rest.chars().next() {
            Some('+') => 1,
            Some('-') => -1,
            _ => return Err("the zone is missing"),
        };
        self.rest = self.rest.get(1..).unwrap_or_default();
        let colon = text.contains(':');
        let parts = text.bytes().filter(u8::is_ascii_digit).count() / 2;
        let mut seconds = 0;
        for (index, unit) in [3600, 60, 1].into_iter().take(parts).enumerate() {
            if index > 0 && colon {
                self.rest = self.rest.strip_prefix(':').ok_or("the zone is malformed")?;
            }
            let value = self.digits(2, 2)?;
            if value > if index == 0 { 24 } else { 59 } {
                return Err("the zone is out of range");
            }
            seconds += i32::try_from(value).unwrap_or(0) * unit;
        }
        self.parts.offset = sign * seconds;
        Ok(())
    }

    /// A zone by name: only UTC has a known offset, others count as UTC, as in Go without a zone database.
    fn zone_name(&mut self) -> Result<(), &'static str> {
        let count = self.rest.bytes().take_while(u8::is_ascii_uppercase).count();
        if !(3..=5).contains(&count) {
            return Err("the zone name is missing");
        }
        self.rest = self.rest.get(count..).unwrap_or_default();
        Ok(())
    }
}

/// What follows a fraction such as `.000` or `,999` at the start of a layout.
fn fraction_layout(layout: &str) -> Option<&str> {
    let rest = layout.strip_prefix(['.', ','])?;
    let digit = rest.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let behind = rest.trim_start_matches(digit);
    (!behind.starts_with(|c: char| c.is_ascii_digit())).then_some(behind)
}

fn days_in(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar (Hinnant's algorithm).
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let month = i64::from(month);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date that lies `days` behind 1970-01-01.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}
