//! Layouts: how Go's example date shows what stands where.

use crate::time::{Civil, Moment, days_of};

/// The elements of a layout; at each place the first that fits counts.
const CHUNKS: &[&str] = &[
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "2006",
    "__2",
    "_2",
    "15",
    "PM",
    "pm",
    "-07:00:00",
    "-070000",
    "-07:00",
    "-0700",
    "-07",
    "Z07:00:00",
    "Z070000",
    "Z07:00",
    "Z0700",
    "Z07",
    "1",
    "2",
    "3",
    "4",
    "5",
];

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

/// What stands before the next element, the element, and what follows.
pub(crate) fn next(layout: &str) -> Option<(&str, &str, &str)> {
    for (at, _) in layout.char_indices() {
        let rest = layout.get(at..)?;
        let length = fraction(rest).or_else(|| {
            CHUNKS.iter().find(|chunk| rest.starts_with(**chunk) && !is_word(rest, chunk)).map(|chunk| {
                // `_2006` is a year behind an underscore.
                if *chunk == "_2" && rest.starts_with("_2006") { 0 } else { chunk.len() }
            })
        });
        if let Some(length) = length.filter(|length| *length > 0) {
            return Some((layout.get(..at)?, rest.get(..length)?, rest.get(length..)?));
        }
    }
    None
}

/// `Jan` in `Janus` is no month.
fn is_word(rest: &str, chunk: &str) -> bool {
    let follower = rest.get(chunk.len()..).and_then(|after| after.chars().next());
    matches!(chunk, "Jan" | "Mon") && follower.is_some_and(|letter| letter.is_ascii_lowercase())
}

/// `.000` or `.999`, after which there is no other digit.
fn fraction(rest: &str) -> Option<usize> {
    let digits = rest.strip_prefix(['.', ','])?;
    let first = digits.chars().next().filter(|letter| matches!(letter, '0' | '9'))?;
    let count = digits.chars().take_while(|letter| *letter == first).count();
    let follower = digits.chars().nth(count);
    (!follower.is_some_and(|letter| letter.is_ascii_digit())).then_some(count.saturating_add(1))
}

/// Writes one element.
pub(crate) fn write(out: &mut String, chunk: &str, moment: &Moment, civil: &Civil) {
    let month = usize::try_from(civil.month).unwrap_or(1).saturating_sub(1);
    let month = MONTHS.get(month).copied().unwrap_or_default();
    let day = DAYS.get(civil.weekday).copied().unwrap_or_default();
    let twelve = civil.hour.saturating_add(11) % 12 + 1;
    let is_late = civil.hour >= 12;
    let text = match chunk {
        "January" => month.to_owned(),
        "Jan" => month.get(..3).unwrap_or_default().to_owned(),
        "Monday" => day.to_owned(),
        "Mon" => day.get(..3).unwrap_or_default().to_owned(),
        "1" => civil.month.to_string(),
        "01" => format!("{:02}", civil.month),
        "2" => civil.day.to_string(),
        "_2" => format!("{:2}", civil.day),
        "02" => format!("{:02}", civil.day),
        "__2" => format!("{:3}", civil.year_day),
        "002" => format!("{:03}", civil.year_day),
        "15" => format!("{:02}", civil.hour),
        "3" => twelve.to_string(),
        "03" => format!("{twelve:02}"),
        "4" => civil.minute.to_string(),
        "04" => format!("{:02}", civil.minute),
        "5" => civil.second.to_string(),
        "05" => format!("{:02}", civil.second),
        "2006" if civil.year < 0 => format!("-{:04}", civil.year.unsigned_abs()),
        "2006" => format!("{:04}", civil.year),
        "06" => format!("{:02}", civil.year.rem_euclid(100)),
        "PM" => if is_late { "PM" } else { "AM" }.to_owned(),
        "pm" => if is_late { "pm" } else { "am" }.to_owned(),
        "MST" if moment.zone.is_empty() => offset("-0700", moment.offset).trim_end_matches("00").to_owned(),
        "MST" => moment.zone.clone(),
        _ if chunk.starts_with('Z') && moment.offset == 0 => "Z".to_owned(),
        _ if chunk.starts_with(['-', 'Z']) => offset(chunk, moment.offset),
        _ => fraction_text(chunk, moment.nanoseconds),
    };
    out.push_str(&text);
}

fn offset(chunk: &str, offset: i32) -> String {
    let magnitude = offset.unsigned_abs();
    let sign = if offset < 0 { '-' } else { '+' };
    let colon = if chunk.contains(':') { ":" } else { "" };
    let mut text = format!("{sign}{:02}", magnitude / 3600);
    if chunk.len() > 3 {
        text.push_str(&format!("{colon}{:02}", magnitude / 60 % 60));
    }
    if chunk.len() > 6 {
        text.push_str(&format!("{colon}{:02}", magnitude % 60));
    }
    text
}

fn fraction_text(chunk: &str, nanoseconds: u32) -> String {
    let digits = format!("{nanoseconds:09}");
    let shown = digits.get(..chunk.len().saturating_sub(1).min(9)).unwrap_or(&digits);
    let shown = if chunk.contains('9') { shown.trim_end_matches('0') } else { shown };
    if shown.is_empty() { String::new() } else { format!("{}{shown}", chunk.get(..1).unwrap_or(".")) }
}

/// What has been read of a date.
#[derive(Default)]
struct Parts {
    year: i64,
    month: Option<u32>,
    day: Option<u32>,
    year_day: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanoseconds: u32,
    is_late: Option<bool>,
    offset: Option<i32>,
    zone: Option<String>,
}

/// Reads text by a layout; what has no zone is in UTC.
pub(crate) fn parse(layout: &str, text: &str) -> Option<Moment> {
    let mut parts = Parts::default();
    let (mut rest, mut value) = (layout, text);
    while let Some((before, chunk, after)) = next(rest) {
        value = skip(before, value)?;
        value = read(&mut parts, chunk, value)?;
        // Fractions of a second need no element of their own.
        if matches!(chunk, "5" | "05") && fraction(after).is_none() {
            value = read_fraction(&mut parts, value).unwrap_or(value);
        }
        rest = after;
    }
    value = skip(rest, value)?;
    if !value.is_empty() {
        return None;
    }
    assemble(parts)
}

fn skip<'a>(prefix: &str, mut value: &'a str) -> Option<&'a str> {
    let mut letters = prefix.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == ' ' {
            while letters.next_if_eq(&' ').is_some() {}
            if !value.is_empty() && !value.starts_with(' ') {
                return None;
            }
            value = value.trim_start_matches(' ');
        } else {
            value = value.strip_prefix(letter)?;
        }
    }
    Some(value)
}

fn digits(value: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let count = value.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if count < least {
        return None;
    }
    let (number, rest) = value.split_at_checked(count)?;
    Some((number.parse().ok()?, rest))
}

fn name<'a>(value: &'a str, names: &[&str], length: Option<usize>) -> Option<(usize, &'a str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = length.map_or(*name, |length| name.get(..length).unwrap_or(name));
        let start = value.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then(|| (index, value.get(name.len()..).unwrap_or_default()))
    })
}

fn read<'a>(parts: &mut Parts, chunk: &str, value: &'a str) -> Option<&'a str> {
    let mut set = |slot: fn(&mut Parts) -> &mut u32, least: usize, most: usize| {
        let (number, rest) = digits(value, least, most)?;
        *slot(parts) = number;
        Some(rest)
    };
    match chunk {
        "15" => return set(|parts| &mut parts.hour, 2, 2),
        "3" => return set(|parts| &mut parts.hour, 1, 2),
        "03" => return set(|parts| &mut parts.hour, 2, 2),
        "4" => return set(|parts| &mut parts.minute, 1, 2),
        "04" => return set(|parts| &mut parts.minute, 2, 2),
        "5" => return set(|parts| &mut parts.second, 1, 2),
        "05" => return set(|parts| &mut parts.second, 2, 2),
        _ => {}
    }
    let rest = match chunk {
        "2006" => {
            let (year, rest) = digits(value, 4, 4)?;
            parts.year = year.into();
            rest
        }
        "06" => {
            let (year, rest) = digits(value, 2, 2)?;
            parts.year = i64::from(year) + if year >= 69 { 1900 } else { 2000 };
            rest
        }
        "January" | "Jan" => {
            let (index, rest) = name(value, &MONTHS, (chunk == "Jan").then_some(3))?;
            parts.month = u32::try_from(index).ok()?.checked_add(1);
            rest
        }
        "Monday" | "Mon" => name(value, &DAYS, (chunk == "Mon").then_some(3))?.1,
        "1" | "01" => {
            let (month, rest) = digits(value, chunk.len(), 2)?;
            parts.month = Some(month);
            rest
        }
        "2" | "02" | "_2" => {
            let value = if chunk == "_2" { value.strip_prefix(' ').unwrap_or(value) } else { value };
            let (day, rest) = digits(value, if chunk == "02" { 2 } else { 1 }, 2)?;
            parts.day = Some(day);
            rest
        }
        "002" | "__2" => {
            let (day, rest) = digits(value.trim_start_matches(' '), if chunk == "002" { 3 } else { 1 }, 3)?;
            parts.year_day = Some(day);
            rest
        }
        "PM" | "pm" => {
            let (late, early) = if chunk == "PM" { ("PM", "AM") } else { ("pm", "am") };
            parts.is_late = Some(value.starts_with(late));
            value.strip_prefix(late).or_else(|| value.strip_prefix(early))?
        }
        "MST" => return read_zone(parts, value),
        _ if chunk.starts_with(['.', ',']) => {
            return if chunk.contains('9') {
                Some(read_fraction(parts, value).unwrap_or(value))
            } else {
                read_exact(parts, chunk, value)
            };
        }
        _ => return read_offset(parts, chunk, value),
    };
    Some(rest)
}

fn read_fraction<'a>(parts: &mut Parts, value: &'a str) -> Option<&'a str> {
    let after = value.strip_prefix(['.', ','])?;
    let count = after.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = after.split_at_checked(count).filter(|(digits, _)| !digits.is_empty())?;
    parts.nanoseconds = format!("{:0<9}", digits.get(..count.min(9))?).parse().ok()?;
    Some(rest)
}

fn read_exact<'a>(parts: &mut Parts, chunk: &str, value: &'a str) -> Option<&'a str> {
    let (own, rest) = value.split_at_checked(chunk.len())?;
    read_fraction(parts, own).filter(|left| left.is_empty())?;
    Some(rest)
}

fn read_zone<'a>(parts: &mut Parts, value: &'a str) -> Option<&'a str> {
    let count = value.bytes().take_while(u8::is_ascii_uppercase).count();
    let (zone, rest) = value.split_at_checked(count).filter(|(zone, _)| (3..=5).contains(&zone.len()))?;
    parts.zone = Some(zone.to_owned());
    Some(rest)
}

fn read_offset<'a>(parts: &mut Parts, chunk: &str, value: &'a str) -> Option<&'a str> {
    if let Some(rest) = value.strip_prefix('Z').filter(|_| chunk.starts_with('Z')) {
        parts.offset = Some(0);
        return Some(rest);
    }
    let sign = match value.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, mut rest) = digits(value.get(1..)?, 2, 2)?;
    let mut seconds = hours.checked_mul(3600)?;
    let steps: &[u32] = match chunk.len() {
        0..=3 => &[],
        4..=6 => &[60],
        _ => &[60, 1],
    };
    for scale in steps {
        if chunk.contains(':') {
            rest = rest.strip_prefix(':')?;
        }
        let (number, after) = digits(rest, 2, 2)?;
        seconds = seconds.checked_add(number.checked_mul(*scale)?)?;
        rest = after;
    }
    parts.offset = i32::try_from(seconds).ok().map(|seconds| seconds * sign);
    Some(rest)
}

fn assemble(parts: Parts) -> Option<Moment> {
    let hour = match parts.is_late {
        Some(true) if parts.hour < 12 => parts.hour.saturating_add(12),
        Some(false) if parts.hour == 12 => 0,
        _ => parts.hour,
    };
    if hour > 23 || parts.minute > 59 || parts.second > 59 {
        return None;
    }
    let year = parts.year;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match parts.year_day {
        Some(day) if day >= 1 && day <= if is_leap { 366 } else { 365 } => {
            days_of(year, 1, 1).saturating_add(i64::from(day)).saturating_sub(1)
        }
        Some(_) => return None,
        None => {
            let (month, day) = (parts.month.unwrap_or(1), parts.day.unwrap_or(1));
            let length = match month {
                2 if is_leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                1..=12 => 31,
                _ => return None,
            };
            if day < 1 || day > length {
                return None;
            }
            days_of(year, month, day)
        }
    };
    let local = days.checked_mul(86_400)?.checked_add(i64::from(hour * 3600 + parts.minute * 60 + parts.second))?;
    let offset = parts.offset.unwrap_or(0);
    let zone = match (parts.zone, parts.offset) {
        (Some(zone), _) => zone,
        (None, None | Some(0)) => "UTC".to_owned(),
        (None, Some(_)) => String::new(),
    };
    Some(Moment { seconds: local.checked_sub(offset.into())?, nanoseconds: parts.nanoseconds, offset, zone })
}
