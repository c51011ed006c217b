//! Text forms of numbers and times, as cel-go prints them.

use go_time::GoDuration;
use go_time::Moment;

/// A `double` as `string()` prints it (`%g` of Go): the shortest digits, with an exponent below 1e-4 and from 1e6.
pub(crate) fn double(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return jmespath::go_json::display_float(value);
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&power) {
        return format!("{value}");
    }
    let (sign, exponent) = exponent.strip_prefix('-').map_or(("+", exponent), |exponent| ("-", exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// A duration in seconds, such as `5400s`.
pub(crate) fn duration(duration: GoDuration) -> String {
    format!("{}s", duration.as_seconds())
}

/// An RFC 3339 time with as many digits of fraction as it needs.
pub(crate) fn timestamp(moment: Moment) -> String {
    let text = moment.to_string();
    let nanos = moment.as_nanos().rem_euclid(1_000_000_000);
    if nanos == 0 {
        return text;
    }
    let fraction = format!("{nanos:09}");
    let (seconds, zone) = text.split_at(text.len().min(19));
    format!("{seconds}.{}{zone}", fraction.trim_end_matches('0'))
}
