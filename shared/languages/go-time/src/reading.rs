//! Reading of texts by a layout.

use crate::calendar::{DAY, days_from_civil, days_in, is_leap};
use crate::layout::{self, DAYS, MONTHS};
use crate::moment::Moment;

/// A text that does not fit its layout, as Go says it. At most 80 characters of each text are shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// A part of the text is not what the layout wants there.
    #[error("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {wanted:?}")]
    Mismatch {
        /// The whole text.
        text: String,
        /// The whole layout.
        layout: String,
        /// The text from where it does not fit.
        rest: String,
        /// The part of the layout that it does not fit.
        wanted: String,
    },
    /// A number is out of its field's range, or something follows the time.
    #[error("parsing time {text:?}: {what}")]
    Invalid {
        /// The whole text.
        text: String,
        /// What is wrong with it.
        what: String,
    },
}

/// Why an element cannot be read.
enum Fault {
    Mismatch,
    OutOfRange(&'static str),
}

type Step<'t> = Result<&'t str, Fault>;

pub(crate) fn read(layout: &str, text: &str) -> Result<(Moment, String), TimeError> {
    let invalid = |what: String| TimeError::Invalid { text: shown(text), what };
    let mismatch = |rest: &str, wanted: &str| TimeError::Mismatch {
        text: shown(text),
        layout: shown(layout),
        rest: shown(rest),
        wanted: shown(wanted),
    };
    let (mut layout_rest, mut rest) = (layout, text);
    let mut parts = Parts::default();
    while let Some((before, element, after)) = layout::next(layout_rest) {
        rest = skip(before, rest).map_err(|rest| mismatch(rest, before))?;
        rest = parts.element(element, after, rest).map_err(|fault| match fault {
            Fault::Mismatch => mismatch(rest, element),
            Fault::OutOfRange(what) => invalid(format!("{what} out of range")),
        })?;
        layout_rest = after;
    }
    rest = skip(layout_rest, rest).map_err(|rest| mismatch(rest, layout_rest))?;
    if !rest.is_empty() {
        return Err(invalid(format!("extra text: {:?}", shown(rest))));
    }
    parts.moment().map_err(|what| invalid(what.to_owned()))
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// What follows `prefix`, in which a blank stands for any number of them; else the text from where it does not fit.
fn skip<'t>(prefix: &str, mut text: &'t str) -> Result<&'t str, &'t str> {
    let mut letters = prefix.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == ' ' {
            while letters.next_if_eq(&' ').is_some() {}
            if !text.is_empty() && !text.starts_with(' ') {
                return Err(text);
            }
            text = text.trim_start_matches(' ');
        } else {
            text = text.strip_prefix(letter).ok_or(text)?;
        }
    }
    Ok(text)
}

/// A number of `least` to `most` digits, and what follows it.
fn digits(text: &str, least: usize, most: usize) -> Result<(u32, &str), Fault> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(count).filter(|_| count >= least.max(1)).ok_or(Fault::Mismatch)?;
    Ok((number.parse().map_err(|_| Fault::Mismatch)?, rest))
}

/// The number, from 1, of the name that comes next; names are compared by their first `length` letters.
fn name<'t>(text: &'t str, names: &[&str], length: usize) -> Result<(u32, &'t str), Fault> {
    let found = names.iter().enumerate().find_map(|(index, name)| {
        let name = name.get(..length).unwrap_or(name);
        let (start, rest) = text.split_at_checked(name.len())?;
        let number = u32::try_from(index).ok()?.checked_add(1)?;
        start.eq_ignore_ascii_case(name).then_some((number, rest))
    });
    found.ok_or(Fault::Mismatch)
}

/// What has been read of a time.
#[derive(Default)]
struct Parts {
    year: i64,
    month: Option<u32>,
    day: Option<u32>,
    year_day: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanosecond: u32,
    is_late: Option<bool>,
    offset: Option<i32>,
    zone: Option<String>,
}

impl Parts {
    /// Reads what `element` asks for; `after` is the layout behind it.
    fn element<'t>(&mut self, element: &str, after: &str, text: &'t str) -> Step<'t> {
        match element {
            "2006" | "06" => self.year(element, text),
            "January" | "Jan" => {
                let (month, rest) = name(text, &MONTHS, if element == "Jan" { 3 } else { usize::MAX })?;
                self.month = Some(month);
                Ok(rest)
            }
            "Monday" | "Mon" => Ok(name(text, &DAYS, if element == "Mon" { 3 } else { usize::MAX })?.1),
            "1" | "01" => {
                let (month, rest) = digits(text, element.len(), 2)?;
                self.month = Some(month);
                if (1..=12).contains(&month) { Ok(rest) } else { Err(Fault::OutOfRange("month")) }
            }
            "2" | "02" | "_2" => {
                let text = if element == "_2" { text.strip_prefix(' ').unwrap_or(text) } else { text };
                let (day, rest) = digits(text, if element == "02" { 2 } else { 1 }, 2)?;
                self.day = Some(day);
                Ok(rest)
            }
            "002" | "__2" => {
                let is_padded = element == "__2";
                let blanks = text.bytes().take(2).take_while(|byte| is_padded && *byte == b' ').count();
                let (day, rest) = digits(text.get(blanks..).unwrap_or_default(), if is_padded { 1 } else { 3 }, 3)?;
                self.year_day = Some(day);
                Ok(rest)
            }
            "15" | "3" | "03" | "4" | "04" | "5" | "05" => self.clock(element, after, text),
            "PM" | "pm" => {
                let (late, early) = if element == "PM" { ("PM", "AM") } else { ("pm", "am") };
                self.is_late = Some(text.starts_with(late));
                text.strip_prefix(late).or_else(|| text.strip_prefix(early)).ok_or(Fault::Mismatch)
            }
            "MST" => self.zone(text),
            _ if layout::is_fraction(element) && element.contains('9') => Ok(self.fraction(text).unwrap_or(text)),
            _ if layout::is_fraction(element) => {
                let (own, rest) = text.split_at_checked(element.len()).ok_or(Fault::Mismatch)?;
                self.fraction(own).filter(|left| left.is_empty()).ok_or(Fault::Mismatch)?;
                Ok(rest)
            }
            _ => self.offset(element, text),
        }
    }

    fn year<'t>(&mut self, element: &str, text: &'t str) -> Step<'t> {
        let (year, rest) = digits(text, element.len(), element.len())?;
        let short = if year >= 69 { 1900 } else { 2000 };
        self.year = i64::from(year) + if element == "06" { short } else { 0 };
        Ok(rest)
    }

    fn clock<'t>(&mut self, element: &str, after: &str, text: &'t str) -> Step<'t> {
        let (slot, most, what) = match element {
            "15" => (&mut self.hour, 23, "hour"),
            "3" | "03" => (&mut self.hour, 12, "hour"),
            "4" | "04" => (&mut self.minute, 59, "minute"),
            _ => (&mut self.second, 59, "second"),
        };
        let (number, rest) = digits(text, if element.starts_with('0') { 2 } else { 1 }, 2)?;
        if number > most {
            return Err(Fault::OutOfRange(what));
        }
        *slot = number;
        // A fraction of a second needs no element of its own.
        let is_own = layout::next(after).is_some_and(|(_, next, _)| layout::is_fraction(next));
        if what == "second" && !is_own { Ok(self.fraction(rest).unwrap_or(rest)) } else { Ok(rest) }
    }

    /// What follows a fraction of a second; `None` where none comes next. Digits beyond the ninth do not count.
    fn fraction<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let after = text.strip_prefix(['.', ','])?;
        let count = after.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = after.split_at_checked(count).filter(|(digits, _)| !digits.is_empty())?;
        self.nanosecond = format!("{:0<9}", digits.get(..count.min(9))?).parse().ok()?;
        Some(rest)
    }

    /// A zone by name. Only UTC and `GMT+3` have a known offset; others count as UTC, as in Go where they are not local.
    fn zone<'t>(&mut self, text: &'t str) -> Step<'t> {
        let length = if text.starts_with("UTC") { 3 } else { zone_length(text).ok_or(Fault::Mismatch)? };
        let (zone, rest) = text.split_at_checked(length).ok_or(Fault::Mismatch)?;
        self.zone = Some(zone.to_owned());
        Ok(rest)
    }

    fn offset<'t>(&mut self, element: &str, text: &'t str) -> Step<'t> {
        let is_zulu = matches!(element, "Z07" | "Z0700" | "Z07:00");
        if let Some(rest) = text.strip_prefix('Z').filter(|_| is_zulu) {
            (self.offset, self.zone) = (Some(0), Some("UTC".to_owned()));
            return Ok(rest);
        }
        let sign = match text.chars().next() {
            Some('+') => 1,
            Some('-') => -1,
            _ => return Err(Fault::Mismatch),
        };
        let mut rest = text.get(1..).unwrap_or_default();
        let wanted = element.bytes().filter(u8::is_ascii_digit).count() / 2;
        let mut seconds = 0;
        // Some write offsets of 24 hours or 60 minutes, and Go lets them.
        let units = [
            (3_600, 24, "time zone offset hour"),
            (60, 60, "time zone offset minute"),
            (1, 60, "time zone offset second"),
        ];
        for (index, (unit, most, what)) in units.into_iter().take(wanted).enumerate() {
            if index > 0 && element.contains(':') {
                rest = rest.strip_prefix(':').ok_or(Fault::Mismatch)?;
            }
            let (number, after) = digits(rest, 2, 2)?;
            if number > most {
                return Err(Fault::OutOfRange(what));
            }
            seconds += number * unit;
            rest = after;
        }
        self.offset = i32::try_from(seconds).ok().map(|seconds| seconds * sign);
        Ok(rest)
    }

    fn moment(self) -> Result<(Moment, String), &'static str> {
        let hour = match self.is_late {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let of_day = i64::from(hour * 3600 + self.minute * 60 + self.second);
        let local = self.days()?.saturating_mul(DAY).saturating_add(of_day);
        let (zone, offset) = match (self.zone, self.offset) {
            (Some(zone), Some(offset)) => (zone, offset),
            (Some(zone), None) => {
                let hours = zone.strip_prefix("GMT").and_then(|hours| hours.parse::<i32>().ok()).unwrap_or(0);
                (zone, hours.saturating_mul(3_600))
            }
            (None, Some(0) | None) => ("UTC".to_owned(), 0),
            (None, Some(offset)) => (String::new(), offset),
        };
        let nanos = i128::from(local.saturating_sub(offset.into())) * 1_000_000_000 + i128::from(self.nanosecond);
        Ok((Moment::from_nanos(nanos).at_offset(offset), zone))
    }

    /// Days since 1970-01-01.
    fn days(&self) -> Result<i64, &'static str> {
        let year = self.year;
        let date = |month, day| {
            if day < 1 || day > days_in(year, month) {
                Err("day out of range")
            } else {
                Ok(days_from_civil(year, month, day))
            }
        };
        let Some(nth) = self.year_day else {
            return date(self.month.unwrap_or(1), self.day.unwrap_or(1));
        };
        if nth < 1 || nth > if is_leap(year) { 366 } else { 365 } {
            return Err("day-of-year out of range");
        }
        let days = days_from_civil(year, 1, 1).saturating_add(i64::from(nth)).saturating_sub(1);
        let (_, month, day) = crate::calendar::civil_from_days(days);
        if self.month.is_some_and(|own| own != month) {
            return Err("day-of-year does not match month");
        }
        if self.day.is_some_and(|own| own != day) {
            return Err("day-of-year does not match day");
        }
        Ok(days)
    }
}

/// How many bytes the name of a zone has at the start of a text: `CEST`, `GMT+3`, `+03`.
fn zone_length(text: &str) -> Option<usize> {
    if text.starts_with("ChST") || text.starts_with("MeST") {
        return Some(4);
    }
    if let Some(rest) = text.strip_prefix("GMT") {
        return Some(3 + signed_hours(rest));
    }
    if text.starts_with(['+', '-']) {
        return Some(signed_hours(text)).filter(|length| text.len() >= 3 && *length > 0);
    }
    let capitals = text.bytes().take(6).take_while(u8::is_ascii_uppercase).count();
    let ends_in_t = text.as_bytes().get(capitals.saturating_sub(1)) == Some(&b'T');
    match capitals {
        3 => Some(3),
        4 if ends_in_t || text.starts_with("WITA") => Some(4),
        5 if ends_in_t => Some(5),
        _ => None,
    }
}

/// The length of a sign with hours below 24 behind it; 0 where none stand.
fn signed_hours(text: &str) -> usize {
    let Some(rest) = text.strip_prefix(['+', '-']) else { return 0 };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    let hours = rest.get(..count).and_then(|digits| digits.parse::<u32>().ok());
    if hours.is_some_and(|hours| hours < 24) { count + 1 } else { 0 }
}
