//! `size`, type conversions, and `type` itself.

use std::rc::Rc;

use go_time::GoDuration;
use go_time::Moment;

use super::{Answer, Function, Invocation, both, global, int, refuse};
use crate::arithmetic::in_range;
use crate::error::EvalError;
use crate::text;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = &[
    both("size", size),
    global("int", to_int),
    global("uint", to_uint),
    global("double", to_double),
    global("string", to_text),
    global("bytes", |_, arguments| match arguments {
        [Val::Bytes(bytes)] => Some(Ok(Val::Bytes(bytes.clone()))),
        [Val::Text(text)] => Some(Ok(Val::Bytes(Rc::from(text.as_str().as_bytes())))),
        _ => None,
    }),
    global("bool", |_, arguments| match arguments {
        [Val::Bool(flag)] => Some(Ok(Val::Bool(*flag))),
        [Val::Text(text)] => match text.as_str() {
            "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(Ok(Val::Bool(true))),
            "false" | "False" | "FALSE" | "f" | "0" => Some(Ok(Val::Bool(false))),
            other => refuse(format!("type conversion error from 'string' to 'bool': {other}")),
        },
        _ => None,
    }),
    global("dyn", |_, arguments| match arguments {
        [value] => Some(Ok(value.clone())),
        _ => None,
    }),
    global("type", |_, arguments| match arguments {
        [value] => Some(Ok(Val::Type(Rc::from(value.type_name())))),
        _ => None,
    }),
    global("timestamp", |_, arguments| match arguments {
        [Val::Timestamp(moment)] => Some(Ok(Val::Timestamp(*moment))),
        [Val::Int(seconds)] => Some(in_range(Moment::from_unix(*seconds)).map(Val::Timestamp)),
        [Val::Text(text)] => match Moment::parse_rfc3339(text.as_str()) {
            Ok(moment) => Some(in_range(moment.utc()).map(Val::Timestamp)),
            Err(error) => refuse(error.to_string()),
        },
        _ => None,
    }),
    global("duration", |_, arguments| match arguments {
        [Val::Duration(duration)] => Some(Ok(Val::Duration(*duration))),
        [Val::Text(text)] => match GoDuration::parse(text.as_str()) {
            Ok(duration) => Some(Ok(Val::Duration(duration))),
            Err(error) => refuse(error.to_string()),
        },
        _ => None,
    }),
];

fn size<'a>(_: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    match arguments {
        [Val::Text(text)] => int(text.as_str().chars().count()),
        [Val::Bytes(bytes)] => int(bytes.len()),
        [Val::List(list)] => int(list.len()),
        [Val::Map(map)] => int(map.len()),
        [Val::Struct(value)] => int(value.fields.len()),
        _ => None,
    }
}

const TWO_63: f64 = 9_223_372_036_854_775_808.0;

fn to_int<'a>(_: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    const OVERFLOW: EvalError = EvalError::Overflow("integer");
    match arguments {
        [Val::Int(value)] => Some(Ok(Val::Int(*value))),
        [Val::Uint(value)] => Some(i64::try_from(*value).map(Val::Int).map_err(|_| OVERFLOW)),
        #[expect(clippy::cast_possible_truncation, reason = "in range by the guard")]
        [Val::Double(value)] if value.abs() < TWO_63 => Some(Ok(Val::Int(*value as i64))),
        [Val::Double(_)] => Some(Err(OVERFLOW)),
        [Val::Text(text)] => match text.as_str().parse() {
            Ok(value) => Some(Ok(Val::Int(value))),
            Err(_) => refuse(format!("strconv.ParseInt: parsing \"{}\": invalid syntax", text.as_str())),
        },
        [Val::Timestamp(moment)] => int(moment.as_nanos().div_euclid(1_000_000_000)),
        [Val::Duration(duration)] => Some(Ok(Val::Int(duration.as_nanos()))),
        _ => None,
    }
}

fn to_uint<'a>(_: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    const OVERFLOW: EvalError = EvalError::Overflow("unsigned integer");
    match arguments {
        [Val::Uint(value)] => Some(Ok(Val::Uint(*value))),
        [Val::Int(value)] => Some(u64::try_from(*value).map(Val::Uint).map_err(|_| OVERFLOW)),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range by the guard")]
        [Val::Double(value)] if *value >= 0.0 && *value < TWO_63 * 2.0 => Some(Ok(Val::Uint(*value as u64))),
        [Val::Double(_)] => Some(Err(OVERFLOW)),
        [Val::Text(text)] => match text.as_str().parse() {
            Ok(value) => Some(Ok(Val::Uint(value))),
            Err(_) => refuse(format!("strconv.ParseUint: parsing \"{}\": invalid syntax", text.as_str())),
        },
        _ => None,
    }
}

fn to_double<'a>(_: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    #[expect(clippy::cast_precision_loss, reason = "conversion to double rounds")]
    match arguments {
        [Val::Double(value)] => Some(Ok(Val::Double(*value))),
        [Val::Int(value)] => Some(Ok(Val::Double(*value as f64))),
        [Val::Uint(value)] => Some(Ok(Val::Double(*value as f64))),
        [Val::Text(text)] => match text.as_str().parse::<f64>() {
            // What is too large for a double is no number; infinity has a name.
            Ok(value) if value.is_infinite() && text.as_str().contains(|c: char| c.is_ascii_digit()) => {
                refuse("type conversion error from 'string' to 'double'")
            }
            Ok(value) => Some(Ok(Val::Double(value))),
            Err(_) => refuse(format!("strconv.ParseFloat: parsing \"{}\": invalid syntax", text.as_str())),
        },
        _ => None,
    }
}

fn to_text<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let text = match arguments {
        [Val::Text(text)] => return Some(Ok(Val::Text(text.clone()))),
        [Val::Bool(flag)] => flag.to_string(),
        [Val::Int(value)] => value.to_string(),
        [Val::Uint(value)] => value.to_string(),
        [Val::Double(value)] => text::double(*value),
        [Val::Bytes(bytes)] => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => return refuse("invalid UTF-8 in bytes, cannot convert to string"),
        },
        [Val::Duration(duration)] => text::duration(*duration),
        [Val::Timestamp(moment)] => text::timestamp(*moment),
        [Val::Ip(ip)] => ip.0.to_string(),
        [Val::Cidr(cidr)] => format!("{}/{}", cidr.address, cidr.prefix),
        [Val::Url(url)] => url.text.clone(),
        [Val::Quantity(quantity)] => quantity.to_string(),
        [Val::Type(name)] => name.to_string(),
        _ => return None,
    };
    Some(invocation.evaluation.produce(text))
}
