//! Dates. What needs the present moment asks the engine's environment for it.

use std::sync::Arc;

use go_time::{GoDuration, days_from_civil};

use super::{Call, Entry, Returned, text};
use crate::time::Moment;
use crate::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("now", "", |call| now(call).map(|now| Value::Time(Arc::new(now)))),
    ("date", "sa", |call| in_zone(call, (&call.text(0), 1, "Local"))),
    ("dateInZone", "sas", |call| in_zone(call, (&call.text(0), 1, &call.text(2)))),
    ("date_in_zone", "sas", |call| in_zone(call, (&call.text(0), 1, &call.text(2)))),
    ("htmlDate", "a", |call| in_zone(call, ("2006-01-02", 0, "Local"))),
    ("htmlDateInZone", "as", |call| in_zone(call, ("2006-01-02", 0, &call.text(1)))),
    ("dateModify", "st", |call| Ok(modified(call).unwrap_or_else(|| call.value(1)))),
    ("date_modify", "st", |call| Ok(modified(call).unwrap_or_else(|| call.value(1)))),
    ("mustDateModify", "st", |call| modified(call).ok_or_else(|| "invalid duration".to_owned())),
    ("must_date_modify", "st", |call| modified(call).ok_or_else(|| "invalid duration".to_owned())),
    ("ago", "a", |call| {
        let passed = since(&now(call)?, &moment(call, 0)?);
        let second = 1_000_000_000;
        let rounded = passed.saturating_add(if passed < 0 { -second / 2 } else { second / 2 }) / second * second;
        text(GoDuration::from_nanos(rounded).to_string())
    }),
    ("duration", "a", |call| {
        let seconds = match call.value(0) {
            Value::Text(text) => text.expose_str().parse().unwrap_or(0),
            Value::Int(crate::value::IntKind::Int64, number) => i64::try_from(number).unwrap_or(0),
            _ => 0_i64,
        };
        text(GoDuration::from_nanos(seconds.wrapping_mul(1_000_000_000)).to_string())
    }),
    ("durationRound", "a", |call| {
        let nanoseconds = match call.value(0) {
            Value::Text(text) => GoDuration::parse(&text.expose_str()).map_or(0, GoDuration::as_nanos),
            Value::Int(crate::value::IntKind::Int64, number) => i64::try_from(number).unwrap_or(0),
            Value::Time(time) => since(&now(call)?, &time),
            _ => 0,
        };
        text(rounded(nanoseconds.unsigned_abs()))
    }),
    ("toDate", "ss", |call| {
        let moment = Moment::parse(&call.text(0), &call.text(1)).unwrap_or_else(Moment::zero);
        Ok(Value::Time(Arc::new(moment)))
    }),
    ("mustToDate", "ss", |call| {
        let moment = Moment::parse(&call.text(0), &call.text(1)).ok_or("invalid date")?;
        Ok(Value::Time(Arc::new(moment)))
    }),
    ("unixEpoch", "t", |call| match call.value(0) {
        Value::Time(time) => text(time.at.as_unix().to_string()),
        _ => Err("invalid date".to_owned()),
    }),
];

fn now(call: &Call<'_>) -> Result<Moment, String> {
    let nanoseconds = call.environment.now_unix_ns.ok_or("the present moment is not known here")?;
    Ok(Moment::utc(go_time::Moment::from_nanos(nanoseconds.into())))
}

/// Argument `index` as a moment; what is none is the present.
fn moment(call: &Call<'_>, index: usize) -> Result<Moment, String> {
    match call.value(index) {
        Value::Time(time) => Ok((*time).clone()),
        Value::Int(_, seconds) => Ok(Moment::utc(go_time::Moment::from_unix(i64::try_from(seconds).unwrap_or(0)))),
        _ => now(call),
    }
}

/// Nanoseconds between two moments.
fn since(now: &Moment, then: &Moment) -> i64 {
    now.at.since(then.at).as_nanos()
}

fn in_zone(call: &Call<'_>, (layout, argument, zone): (&str, usize, &str)) -> Returned {
    let moment = moment(call, argument)?;
    let there = moment.within(zone).unwrap_or_else(|| Moment::utc(moment.at));
    text(there.format(layout))
}

fn modified(call: &Call<'_>) -> Option<Value> {
    let by = GoDuration::parse(&call.text(0)).ok()?;
    match call.value(1) {
        Value::Time(time) => Some(Value::Time(Arc::new(time.plus(by)))),
        _ => None,
    }
}

fn rounded(nanoseconds: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3600 * SECOND;
    const UNITS: [(u64, &str); 6] = [
        (HOUR * 24 * 365, "y"),
        (HOUR * 24 * 30, "mo"),
        (HOUR * 24, "d"),
        (HOUR, "h"),
        (60 * SECOND, "m"),
        (SECOND, "s"),
    ];
    let unit = UNITS.iter().find(|(length, _)| nanoseconds > *length);
    unit.map_or_else(
        || "0s".to_owned(),
        |(length, name)| format!("{}{name}", nanoseconds.checked_div(*length).unwrap_or(0)),
    )
}

pub(super) const METHODS: &[&str] = &[
    "Format",
    "Unix",
    "UnixMilli",
    "UnixMicro",
    "UnixNano",
    "Year",
    "Day",
    "Hour",
    "Minute",
    "Second",
    "Nanosecond",
    "YearDay",
    "UTC",
    "String",
    "IsZero",
    "Before",
    "After",
    "Equal",
    "AddDate",
];

pub(super) fn method(time: &Arc<Moment>, name: &str, arguments: &[Value]) -> Returned {
    let fields = time.fields();
    let scaled = |nanoseconds: i128| {
        let number = time.at.as_nanos().div_euclid(nanoseconds);
        Ok(Value::int64(i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })))
    };
    let order = |other: &Moment| time.at.as_nanos().cmp(&other.at.as_nanos());
    match (name, arguments) {
        ("Format", [Value::Text(layout)]) => text(time.format(&layout.expose_str())),
        ("Unix", []) => scaled(1_000_000_000),
        ("UnixMilli", []) => scaled(1_000_000),
        ("UnixMicro", []) => scaled(1_000),
        ("UnixNano", []) => scaled(1),
        ("Year", []) => Ok(Value::int(fields.year)),
        ("Day", []) => Ok(Value::int(fields.day.into())),
        ("Hour", []) => Ok(Value::int(fields.hour.into())),
        ("Minute", []) => Ok(Value::int(fields.minute.into())),
        ("Second", []) => Ok(Value::int(fields.second.into())),
        ("Nanosecond", []) => Ok(Value::int(fields.nanosecond.into())),
        ("YearDay", []) => Ok(Value::int(fields.year_day.into())),
        ("UTC", []) => Ok(Value::Time(Arc::new(Moment::utc(time.at)))),
        ("String", []) => text(time.to_string()),
        ("IsZero", []) => Ok(Value::Bool(order(&Moment::zero()).is_eq())),
        ("Before", [Value::Time(other)]) => Ok(Value::Bool(order(other).is_lt())),
        ("After", [Value::Time(other)]) => Ok(Value::Bool(order(other).is_gt())),
        ("Equal", [Value::Time(other)]) => Ok(Value::Bool(order(other).is_eq())),
        ("AddDate", [Value::Int(_, years), Value::Int(_, months), Value::Int(_, days)]) => {
            add_date(time, (*years, *months, *days))
        }
        _ => Err(format!("wrong arguments for {name}")),
    }
}

/// Years, months and days later; a day that a month lacks runs over into the next.
fn add_date(time: &Moment, (years, months, days): (i128, i128, i128)) -> Returned {
    let fields = time.fields();
    let fault = || "the date is out of range".to_owned();
    let small = |number: i128| i64::try_from(number).ok().filter(|number| number.abs() < 1_000_000).ok_or_else(fault);
    let month = i64::from(fields.month).saturating_sub(1).saturating_add(small(months)?);
    let year = fields.year.saturating_add(small(years)?).saturating_add(month.div_euclid(12));
    let month = u32::try_from(month.rem_euclid(12)).map_err(|_| fault())?.saturating_add(1);
    let before = days_from_civil(fields.year, fields.month, fields.day);
    let day = days_from_civil(year, month, fields.day).saturating_add(small(days)?);
    let passed = i128::from(day.saturating_sub(before)) * 86_400_000_000_000;
    let at = go_time::Moment::from_nanos(time.at.as_nanos().saturating_add(passed)).at_offset(time.at.offset());
    Ok(Value::Time(Arc::new(Moment { at, zone: time.zone.clone() })))
}
