//! Kyverno's functions on times. The clock is the context's; `time_now` is in UTC, too.

use super::{Arguments, Function, Outcome, TEXT, boolean, function};
use crate::error::EvalError;
use go_time::GoDuration;
use go_time::{Moment, RFC3339};

pub(super) const FUNCTIONS: &[Function] = &[
    function("time_now", &[], now),
    function("time_now_utc", &[], now),
    function("time_since", &[TEXT, TEXT, TEXT], since),
    function("time_to_cron", &[TEXT], to_cron),
    function("time_add", &[TEXT, TEXT], |arguments| {
        let sum = moment(&arguments, 0)?.plus(duration(&arguments, 1)?);
        arguments.produce(sum.to_string())
    }),
    function("time_parse", &[TEXT, TEXT], parse),
    function("time_utc", &[TEXT], |arguments| arguments.produce(moment(&arguments, 0)?.utc().to_string())),
    function("time_diff", &[TEXT, TEXT], |arguments| {
        let difference = moment(&arguments, 1)?.since(moment(&arguments, 0)?);
        arguments.produce(difference.to_string())
    }),
    function("time_before", &[TEXT, TEXT], |arguments| {
        boolean(moment(&arguments, 0)?.as_nanos() < moment(&arguments, 1)?.as_nanos())
    }),
    function("time_after", &[TEXT, TEXT], |arguments| {
        boolean(moment(&arguments, 0)?.as_nanos() > moment(&arguments, 1)?.as_nanos())
    }),
    function("time_between", &[TEXT, TEXT, TEXT], |arguments| {
        let at = |index| moment(&arguments, index).map(Moment::as_nanos);
        let (time, start, end) = (at(0)?, at(1)?, at(2)?);
        boolean(start < time && time < end)
    }),
    function("time_truncate", &[TEXT, TEXT], |arguments| {
        let truncated = moment(&arguments, 0)?.truncate(duration(&arguments, 1)?);
        arguments.produce(truncated.to_string())
    }),
];

fn moment(arguments: &Arguments<'_, '_>, index: usize) -> Result<Moment, EvalError> {
    Moment::parse_rfc3339(arguments.text(index)).map_err(|error| arguments.fail(error.to_string()))
}

fn duration(arguments: &Arguments<'_, '_>, index: usize) -> Result<GoDuration, EvalError> {
    GoDuration::parse(arguments.text(index)).map_err(|error| arguments.fail(error.to_string()))
}

fn now<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let now = Moment::from_timestamp(arguments.evaluation.context.now);
    arguments.produce(now.to_string())
}

fn since<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let layout = if arguments.text(0).is_empty() { RFC3339 } else { arguments.text(0) };
    let read = |index| Moment::parse(layout, arguments.text(index)).map_err(|error| arguments.fail(error.to_string()));
    let start = read(1)?;
    let end = match arguments.text(2) {
        "" => Moment::from_timestamp(arguments.evaluation.context.now),
        _ => read(2)?,
    };
    arguments.produce(end.since(start).to_string())
}

fn to_cron<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let at = moment(&arguments, 0)?.fields();
    arguments.produce(format!("{} {} {} {} {}", at.minute, at.hour, at.day, at.month, at.weekday))
}

fn parse<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let (layout, text) = (arguments.text(0), arguments.text(1));
    // A layout that is a number says that the time is in seconds since the epoch.
    if layout.parse::<i64>().is_ok() {
        let seconds = text.parse().map_err(|_| arguments.fail(format!("`{text}` is no number of seconds")))?;
        return arguments.produce(Moment::from_unix(seconds).to_string());
    }
    let moment = Moment::parse(layout, text).map_err(|error| arguments.fail(error.to_string()))?;
    arguments.produce(moment.to_string())
}
