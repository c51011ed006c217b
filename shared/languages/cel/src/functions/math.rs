//! The math extension.

use std::cmp::Ordering;

use super::{Answer, Function, Invocation, boolean, global, refuse};
use crate::error::EvalError;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = &[
    global("math.greatest", |_, arguments| extreme(arguments, Ordering::Greater)),
    global("math.least", |_, arguments| extreme(arguments, Ordering::Less)),
    global("math.ceil", |_, arguments| on_double(arguments, f64::ceil)),
    global("math.floor", |_, arguments| on_double(arguments, f64::floor)),
    global("math.round", round),
    global("math.trunc", |_, arguments| on_double(arguments, f64::trunc)),
    global("math.sqrt", |_, arguments| match arguments {
        [Val::Double(value)] => Some(Ok(Val::Double(value.sqrt()))),
        #[expect(clippy::cast_precision_loss, reason = "a root is a double")]
        [Val::Int(value)] => Some(Ok(Val::Double((*value as f64).sqrt()))),
        #[expect(clippy::cast_precision_loss, reason = "a root is a double")]
        [Val::Uint(value)] => Some(Ok(Val::Double((*value as f64).sqrt()))),
        _ => None,
    }),
    global("math.abs", |_, arguments| match arguments {
        [Val::Int(value)] => Some(value.checked_abs().map(Val::Int).ok_or(EvalError::Overflow("integer"))),
        [Val::Uint(value)] => Some(Ok(Val::Uint(*value))),
        [Val::Double(value)] => Some(Ok(Val::Double(value.abs()))),
        _ => None,
    }),
    global("math.sign", |_, arguments| match arguments {
        [Val::Int(value)] => Some(Ok(Val::Int(value.signum()))),
        [Val::Uint(value)] => Some(Ok(Val::Uint((*value).min(1)))),
        [Val::Double(value)] if *value == 0.0 || value.is_nan() => Some(Ok(Val::Double(*value))),
        [Val::Double(value)] => Some(Ok(Val::Double(value.signum()))),
        _ => None,
    }),
    global("math.isNaN", |_, arguments| test(arguments, f64::is_nan)),
    global("math.isInf", |_, arguments| test(arguments, f64::is_infinite)),
    global("math.isFinite", |_, arguments| test(arguments, f64::is_finite)),
    global("math.bitAnd", |_, arguments| bits(arguments, |left, right| left & right)),
    global("math.bitOr", |_, arguments| bits(arguments, |left, right| left | right)),
    global("math.bitXor", |_, arguments| bits(arguments, |left, right| left ^ right)),
    global("math.bitNot", |_, arguments| match arguments {
        [Val::Int(value)] => Some(Ok(Val::Int(!value))),
        [Val::Uint(value)] => Some(Ok(Val::Uint(!value))),
        _ => None,
    }),
    global("math.bitShiftLeft", |_, arguments| shift(arguments, |value, by| value.checked_shl(by).unwrap_or(0))),
    global("math.bitShiftRight", |_, arguments| shift(arguments, |value, by| value.checked_shr(by).unwrap_or(0))),
];

fn on_double<'a>(arguments: &[Val<'a>], run: fn(f64) -> f64) -> Answer<'a> {
    match arguments {
        [Val::Double(value)] => Some(Ok(Val::Double(run(*value)))),
        _ => None,
    }
}

fn test<'a>(arguments: &[Val<'a>], run: fn(f64) -> bool) -> Answer<'a> {
    match arguments {
        [Val::Double(value)] => boolean(run(*value)),
        _ => None,
    }
}

/// `math.round(x)`, and Kyverno's `math.round(x, digits)`.
fn round<'a>(_: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    match arguments {
        [Val::Double(value)] => Some(Ok(Val::Double(value.round()))),
        [Val::Double(value), Val::Int(digits)] => {
            let shift = 10_f64.powi(i32::try_from(*digits).unwrap_or(0));
            Some(Ok(Val::Double((value * shift).round() / shift)))
        }
        _ => None,
    }
}

fn bits<'a>(arguments: &[Val<'a>], run: fn(u64, u64) -> u64) -> Answer<'a> {
    match arguments {
        [Val::Int(left), Val::Int(right)] => {
            Some(Ok(Val::Int(run(left.cast_unsigned(), right.cast_unsigned()).cast_signed())))
        }
        [Val::Uint(left), Val::Uint(right)] => Some(Ok(Val::Uint(run(*left, *right)))),
        _ => None,
    }
}

fn shift<'a>(arguments: &[Val<'a>], run: fn(u64, u32) -> u64) -> Answer<'a> {
    let (value, by) = match arguments {
        [value, Val::Int(by)] => (value, *by),
        _ => return None,
    };
    let Ok(by) = u32::try_from(by.min(64)) else { return refuse(format!("math shift by negative offset: {by}")) };
    match value {
        Val::Int(value) => Some(Ok(Val::Int(run(value.cast_unsigned(), by).cast_signed()))),
        Val::Uint(value) => Some(Ok(Val::Uint(run(*value, by)))),
        _ => None,
    }
}

fn extreme<'a>(arguments: &[Val<'a>], wanted: Ordering) -> Answer<'a> {
    let values: Vec<Val<'a>> = match arguments {
        [Val::List(list)] => list.iter().collect(),
        values => values.to_vec(),
    };
    let mut values = values.into_iter();
    let Some(mut best) = values.next() else { return refuse("math.greatest/least needs at least one value") };
    for value in values {
        match (value.compare(&best), &value) {
            (Some(order), Val::Int(_) | Val::Uint(_) | Val::Double(_)) if order == wanted => best = value,
            (Some(_), Val::Int(_) | Val::Uint(_) | Val::Double(_)) => {}
            _ => return None,
        }
    }
    matches!(best, Val::Int(_) | Val::Uint(_) | Val::Double(_)).then_some(Ok(best))
}
