//! The operators `+ - * / %` and unary minus.

use go_time::{GoDuration, Moment};

use crate::error::EvalError;
use crate::evaluate::{Outcome, mismatch};
use crate::value::{List, Val};

const INT: EvalError = EvalError::Overflow("integer");
const UINT: EvalError = EvalError::Overflow("unsigned integer");
const DURATION: EvalError = EvalError::Overflow("duration");

fn int<'a>(value: Option<i64>) -> Outcome<'a> {
    value.map(Val::Int).ok_or(INT)
}

fn uint<'a>(value: Option<u64>) -> Outcome<'a> {
    value.map(Val::Uint).ok_or(UINT)
}

fn duration<'a>(nanos: Option<i64>) -> Outcome<'a> {
    nanos.map(|nanos| Val::Duration(GoDuration::from_nanos(nanos))).ok_or(DURATION)
}

pub(crate) fn negate<'a>(value: &Val<'a>) -> Outcome<'a> {
    match value {
        Val::Int(value) => int(value.checked_neg()),
        Val::Double(value) => Ok(Val::Double(-value)),
        Val::Duration(value) => duration(value.as_nanos().checked_neg()),
        other => Err(mismatch("-_", matches!(other, Val::Bool(_)))),
    }
}

pub(crate) fn add<'a>(left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    match (left, right) {
        (Val::Int(left), Val::Int(right)) => int(left.checked_add(*right)),
        (Val::Uint(left), Val::Uint(right)) => uint(left.checked_add(*right)),
        (Val::Double(left), Val::Double(right)) => Ok(Val::Double(left + right)),
        (Val::Text(left), Val::Text(right)) => Ok(Val::text([left.as_str(), right.as_str()].concat())),
        (Val::Bytes(left), Val::Bytes(right)) => Ok(Val::Bytes([left.as_ref(), right.as_ref()].concat().into())),
        (Val::List(left), Val::List(right)) => Ok(concatenate(left, right)),
        (Val::Duration(left), Val::Duration(right)) => duration(left.as_nanos().checked_add(right.as_nanos())),
        (Val::Timestamp(moment), Val::Duration(span)) | (Val::Duration(span), Val::Timestamp(moment)) => {
            in_range(moment.plus(*span)).map(Val::Timestamp)
        }
        _ => Err(mismatch(
            "_+_",
            matches!(
                left,
                Val::Int(_)
                    | Val::Uint(_)
                    | Val::Double(_)
                    | Val::Text(_)
                    | Val::Bytes(_)
                    | Val::List(_)
                    | Val::Duration(_)
                    | Val::Timestamp(_)
            ),
        )),
    }
}

fn concatenate<'a>(left: &List<'a>, right: &List<'a>) -> Val<'a> {
    Val::list(left.iter().chain(right.iter()).collect())
}

pub(crate) fn subtract<'a>(left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    match (left, right) {
        (Val::Int(left), Val::Int(right)) => int(left.checked_sub(*right)),
        (Val::Uint(left), Val::Uint(right)) => uint(left.checked_sub(*right)),
        (Val::Double(left), Val::Double(right)) => Ok(Val::Double(left - right)),
        (Val::Duration(left), Val::Duration(right)) => duration(left.as_nanos().checked_sub(right.as_nanos())),
        (Val::Timestamp(left), Val::Timestamp(right)) => Ok(Val::Duration(left.since(*right))),
        (Val::Timestamp(moment), Val::Duration(span)) => {
            let back = span.as_nanos().checked_neg().ok_or(DURATION)?;
            in_range(moment.plus(GoDuration::from_nanos(back))).map(Val::Timestamp)
        }
        _ => Err(mismatch(
            "_-_",
            matches!(left, Val::Int(_) | Val::Uint(_) | Val::Double(_) | Val::Duration(_) | Val::Timestamp(_)),
        )),
    }
}

pub(crate) fn multiply<'a>(left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    match (left, right) {
        (Val::Int(left), Val::Int(right)) => int(left.checked_mul(*right)),
        (Val::Uint(left), Val::Uint(right)) => uint(left.checked_mul(*right)),
        (Val::Double(left), Val::Double(right)) => Ok(Val::Double(left * right)),
        _ => Err(mismatch("_*_", matches!(left, Val::Int(_) | Val::Uint(_) | Val::Double(_)))),
    }
}

pub(crate) fn divide<'a>(left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    match (left, right) {
        (Val::Int(_), Val::Int(0)) | (Val::Uint(_), Val::Uint(0)) => Err(EvalError::ByZero("division")),
        (Val::Int(left), Val::Int(right)) => int(left.checked_div(*right)),
        (Val::Uint(left), Val::Uint(right)) => uint(left.checked_div(*right)),
        (Val::Double(left), Val::Double(right)) => Ok(Val::Double(left / right)),
        _ => Err(mismatch("_/_", matches!(left, Val::Int(_) | Val::Uint(_) | Val::Double(_)))),
    }
}

pub(crate) fn modulo<'a>(left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    match (left, right) {
        (Val::Int(_), Val::Int(0)) | (Val::Uint(_), Val::Uint(0)) => Err(EvalError::ByZero("modulus")),
        (Val::Int(left), Val::Int(right)) => int(left.checked_rem(*right)),
        (Val::Uint(left), Val::Uint(right)) => uint(left.checked_rem(*right)),
        _ => Err(mismatch("_%_", matches!(left, Val::Int(_) | Val::Uint(_)))),
    }
}

/// A time between the years 1 and 9999, which is all that there are.
///
/// # Errors
/// For any other.
pub(crate) fn in_range(moment: Moment) -> Result<Moment, EvalError> {
    const FIRST: i64 = -62_135_596_800;
    const LAST: i64 = 253_402_300_799;
    if (FIRST..=LAST).contains(&moment.as_unix()) { Ok(moment) } else { Err(EvalError::refused("timestamp overflow")) }
}
