//! Layouts: Go's example date shows what stands where (`2006-01-02 15:04:05`).

use crate::moment::{Fields, Moment};

/// The elements of a layout; at each place the first that fits counts.
const ELEMENTS: &[&str] = &[
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

pub(crate) const MONTHS: [&str; 12] = [
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
pub(crate) const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// What stands before the next element, the element, and what follows.
pub(crate) fn next(layout: &str) -> Option<(&str, &str, &str)> {
    for (at, _) in layout.char_indices() {
        let rest = layout.get(at..)?;
        let length = fraction(rest).or_else(|| {
            ELEMENTS.iter().find(|element| rest.starts_with(**element) && !is_word(rest, element)).map(|element| {
                // `_2006` is a year behind an underscore.
                if *element == "_2" && rest.starts_with("_2006") { 0 } else { element.len() }
            })
        });
        if let Some(length) = length.filter(|length| *length > 0) {
            return Some((layout.get(..at)?, rest.get(..length)?, rest.get(length..)?));
        }
    }
    None
}

/// `Jan` in `Janus` is no month.
fn is_word(rest: &str, element: &str) -> bool {
    let follower = rest.get(element.len()..).and_then(|after| after.chars().next());
    matches!(element, "Jan" | "Mon") && follower.is_some_and(|letter| letter.is_ascii_lowercase())
}

/// The length of `.000` or `.999`, after which there is no other digit.
fn fraction(rest: &str) -> Option<usize> {
    let digits = rest.strip_prefix(['.', ','])?;
    let first = digits.chars().next().filter(|letter| matches!(letter, '0' | '9'))?;
    let behind = digits.trim_start_matches(first);
    (!behind.starts_with(|letter: char| letter.is_ascii_digit())).then_some(rest.len().saturating_sub(behind.len()))
}

/// Whether an element is a fraction of a second.
pub(crate) fn is_fraction(element: &str) -> bool {
    element.starts_with(['.', ','])
}

pub(crate) fn format(moment: Moment, layout: &str, zone: &str) -> String {
    let fields = moment.fields();
    let (mut out, mut rest) = (String::new(), layout);
    while let Some((before, element, after)) = next(rest) {
        out.push_str(before);
        out.push_str(&written(element, &fields, moment.offset(), zone));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn written(element: &str, at: &Fields, offset: i32, zone: &str) -> String {
    let name = |names: &'static [&str], index: u32| {
        usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or_default()
    };
    let (month, day) = (name(&MONTHS, at.month.saturating_sub(1)), name(&DAYS, at.weekday));
    let short = |name: &'static str| name.get(..3).unwrap_or_default();
    let twelve = at.hour.saturating_add(11) % 12 + 1;
    let is_late = at.hour >= 12;
    match element {
        "January" => month.to_owned(),
        "Jan" => short(month).to_owned(),
        "Monday" => day.to_owned(),
        "Mon" => short(day).to_owned(),
        "1" => at.month.to_string(),
        "01" => format!("{:02}", at.month),
        "2" => at.day.to_string(),
        "_2" => format!("{:2}", at.day),
        "02" => format!("{:02}", at.day),
        "__2" => format!("{:3}", at.year_day),
        "002" => format!("{:03}", at.year_day),
        "15" => format!("{:02}", at.hour),
        "3" => twelve.to_string(),
        "03" => format!("{twelve:02}"),
        "4" => at.minute.to_string(),
        "04" => format!("{:02}", at.minute),
        "5" => at.second.to_string(),
        "05" => format!("{:02}", at.second),
        "2006" if at.year < 0 => format!("-{:04}", at.year.unsigned_abs()),
        "2006" => format!("{:04}", at.year),
        "06" => format!("{:02}", at.year.rem_euclid(100)),
        "PM" => if is_late { "PM" } else { "AM" }.to_owned(),
        "pm" => if is_late { "pm" } else { "am" }.to_owned(),
        "MST" if zone.is_empty() => written_offset("-0700", offset),
        "MST" => zone.to_owned(),
        _ if element.starts_with('Z') && offset == 0 => "Z".to_owned(),
        _ if element.starts_with(['-', 'Z']) => written_offset(element, offset),
        _ => written_fraction(element, at.nanosecond),
    }
}

fn written_offset(element: &str, offset: i32) -> String {
    let magnitude = offset.unsigned_abs();
    let sign = if offset < 0 { '-' } else { '+' };
    let colon = if element.contains(':') { ":" } else { "" };
    let mut text = format!("{sign}{:02}", magnitude / 3600);
    if element.len() > 3 {
        text.push_str(&format!("{colon}{:02}", magnitude / 60 % 60));
    }
    if element.len() > 6 {
        text.push_str(&format!("{colon}{:02}", magnitude % 60));
    }
    text
}

fn written_fraction(element: &str, nanosecond: u32) -> String {
    let digits = format!("{nanosecond:09}");
    let shown = digits.get(..element.len().saturating_sub(1).min(9)).unwrap_or(&digits);
    let shown = if element.contains('9') { shown.trim_end_matches('0') } else { shown };
    if shown.is_empty() { String::new() } else { format!("{}{shown}", element.get(..1).unwrap_or(".")) }
}
