//! Kyverno's arithmetic on numbers, quantities and durations.

use serde_json::Value;

use super::{ANY, ARRAY, Arguments, Function, NUMBER, Outcome, function, numeric};
use crate::error::EvalError;
use crate::item::{Item, number};
use crate::quantity::Quantity;
use go_time::GoDuration;

pub(super) const FUNCTIONS: &[Function] = &[
    function("add", &[ANY, ANY], |arguments| binary(&arguments, add)),
    function("subtract", &[ANY, ANY], |arguments| binary(&arguments, subtract)),
    function("multiply", &[ANY, ANY], |arguments| binary(&arguments, multiply)),
    function("divide", &[ANY, ANY], |arguments| binary(&arguments, divide)),
    function("modulo", &[ANY, ANY], |arguments| binary(&arguments, modulo)),
    function("sum", &[ARRAY], sum),
    function("round", &[NUMBER, NUMBER], round),
];

#[derive(Clone, Copy)]
enum Operand {
    Scalar(f64),
    Quantity(Quantity),
    Duration(GoDuration),
}

impl Operand {
    fn read(value: Option<&Value>) -> Option<Self> {
        match value? {
            Value::Number(number) => number.as_f64().map(Self::Scalar),
            Value::String(text) => match Quantity::parse(text) {
                Ok(quantity) => Some(Self::Quantity(quantity)),
                Err(_) => GoDuration::of(text).map(Self::Duration),
            },
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Scalar(value) => number(value),
            Self::Quantity(quantity) => Value::String(quantity.to_string()),
            Self::Duration(duration) => Value::String(duration.to_string()),
        }
    }
}

const MISMATCH: &str = "Types mismatch";
const ZERO: &str = "Zero divisor passed";
const WHOLE: &str = "Non-integer argument(s) passed for modulo";
const OVERFLOW: &str = "the result is out of range";

type Operation = fn(Operand, Operand) -> Result<Operand, &'static str>;

fn binary<'a>(arguments: &Arguments<'_, 'a>, operation: Operation) -> Outcome<'a> {
    let operand = |index| Operand::read(arguments.item(index).value()).ok_or_else(|| arguments.fail("invalid operand"));
    let result = operation(operand(0)?, operand(1)?).map_err(|what| arguments.fail(what))?;
    Ok(Item::Owned(result.into_value()))
}

fn sum<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let Value::Array(values) = arguments.take_value(0)? else { return Ok(Item::NULL) };
    let mut values = values.into_iter();
    let first = values.next().ok_or_else(|| arguments.fail("at least one element in the array is required"))?;
    if values.len() == 0 {
        return Ok(Item::Owned(first));
    }
    let read = |value: &Value| -> Result<Operand, EvalError> {
        Operand::read(Some(value)).ok_or_else(|| arguments.fail("invalid operand"))
    };
    let mut total = read(&first)?;
    for value in values {
        total = add(total, read(&value)?).map_err(|what| arguments.fail(what))?;
    }
    Ok(Item::Owned(total.into_value()))
}

fn round<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let (value, digits) = (arguments.number(0), arguments.number(1));
    if digits.fract() != 0.0 {
        return Err(arguments.fail("Non-integer argument(s) passed for round off"));
    }
    if digits < 0.0 {
        return Err(arguments.fail("argument is out of bounds"));
    }
    let shift = 10_f64.powf(digits);
    numeric((value * shift).round() / shift)
}

fn add(left: Operand, right: Operand) -> Result<Operand, &'static str> {
    match (left, right) {
        (Operand::Scalar(left), Operand::Scalar(right)) => Ok(Operand::Scalar(left + right)),
        (Operand::Quantity(left), Operand::Quantity(right)) => {
            left.checked_add(right).map(Operand::Quantity).ok_or(OVERFLOW)
        }
        (Operand::Duration(left), Operand::Duration(right)) => Ok(Operand::Duration(left.saturating_add(right))),
        _ => Err(MISMATCH),
    }
}

fn subtract(left: Operand, right: Operand) -> Result<Operand, &'static str> {
    match (left, right) {
        (Operand::Scalar(left), Operand::Scalar(right)) => Ok(Operand::Scalar(left - right)),
        (Operand::Quantity(left), Operand::Quantity(right)) => {
            left.checked_sub(right).map(Operand::Quantity).ok_or(OVERFLOW)
        }
        (Operand::Duration(left), Operand::Duration(right)) => Ok(Operand::Duration(left.saturating_sub(right))),
        _ => Err(MISMATCH),
    }
}

fn multiply(left: Operand, right: Operand) -> Result<Operand, &'static str> {
    match (left, right) {
        (Operand::Scalar(left), Operand::Scalar(right)) => Ok(Operand::Scalar(left * right)),
        (Operand::Quantity(quantity), Operand::Scalar(factor))
        | (Operand::Scalar(factor), Operand::Quantity(quantity)) => {
            let factor = Quantity::from_f64(factor).ok_or(OVERFLOW)?;
            quantity.checked_mul(factor).map(Operand::Quantity).ok_or(OVERFLOW)
        }
        (Operand::Duration(duration), Operand::Scalar(factor))
        | (Operand::Scalar(factor), Operand::Duration(duration)) => {
            Ok(Operand::Duration(GoDuration::from_seconds(duration.as_seconds() * factor)))
        }
        _ => Err(MISMATCH),
    }
}

fn divide(left: Operand, right: Operand) -> Result<Operand, &'static str> {
    match (left, right) {
        (Operand::Scalar(_) | Operand::Quantity(_) | Operand::Duration(_), Operand::Scalar(0.0)) => Err(ZERO),
        (Operand::Scalar(left), Operand::Scalar(right)) => Ok(Operand::Scalar(left / right)),
        (Operand::Quantity(_), Operand::Quantity(right)) if right.is_zero() => Err(ZERO),
        (Operand::Quantity(left), Operand::Quantity(right)) => Ok(Operand::Scalar(left.as_f64() / right.as_f64())),
        (Operand::Quantity(left), Operand::Scalar(right)) => {
            let right = Quantity::from_f64(right).ok_or(OVERFLOW)?;
            left.checked_div(right).map(Operand::Quantity).ok_or(OVERFLOW)
        }
        (Operand::Duration(_), Operand::Duration(right)) if right.as_nanos() == 0 => Err(ZERO),
        (Operand::Duration(left), Operand::Duration(right)) => {
            Ok(Operand::Scalar(left.as_seconds() / right.as_seconds()))
        }
        (Operand::Duration(left), Operand::Scalar(right)) => {
            Ok(Operand::Duration(GoDuration::from_seconds(left.as_seconds() / right)))
        }
        _ => Err(MISMATCH),
    }
}

fn modulo(left: Operand, right: Operand) -> Result<Operand, &'static str> {
    match (left, right) {
        (Operand::Scalar(left), Operand::Scalar(right)) =>
        {
            #[expect(clippy::cast_precision_loss, reason = "whole() refuses what floats do not hold exactly")]
            Ok(Operand::Scalar(remainder(whole(left)?, whole(right)?)? as f64))
        }
        (Operand::Quantity(left), Operand::Quantity(right)) => {
            let (dividend, divisor) = (left.as_i64().ok_or(WHOLE)?, right.as_i64().ok_or(WHOLE)?);
            Ok(Operand::Quantity(Quantity::from_integer(remainder(dividend, divisor)?, left.format())))
        }
        (Operand::Duration(left), Operand::Duration(right)) => {
            left.checked_rem(right).map(Operand::Duration).ok_or(ZERO)
        }
        _ => Err(MISMATCH),
    }
}

fn remainder(dividend: i64, divisor: i64) -> Result<i64, &'static str> {
    if divisor == 0 { Err(ZERO) } else { Ok(dividend.wrapping_rem(divisor)) }
}

fn whole(value: f64) -> Result<i64, &'static str> {
    if value.fract() != 0.0 || value.abs() >= 9.3e18 {
        return Err(WHOLE);
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and in range, checked above")]
    Ok(value as i64)
}
