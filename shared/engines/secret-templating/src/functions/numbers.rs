//! Numbers.

use std::sync::Arc;

use super::{Call, Entry, Returned, text};
use crate::format::sprint;
use crate::value::{ListKind, Value};

pub(super) const TABLE: &[Entry] = &[
    ("atoi", "s", |call| Ok(Value::int(call.text(0).parse().unwrap_or(0)))),
    ("int", "a", |call| Ok(Value::int(to_int64(&call.value(0))))),
    ("int64", "a", |call| Ok(Value::int64(to_int64(&call.value(0))))),
    ("float64", "a", |call| Ok(Value::Float(to_float(&call.value(0))))),
    ("toDecimal", "a", |call| {
        let shown = String::from_utf8_lossy(&sprint(&call.arguments)).into_owned();
        Ok(Value::int64(i64::from_str_radix(&shown, 8).unwrap_or(0)))
    }),
    ("seq", "i*", seq),
    ("until", "i", |call| {
        let count = call.int(0);
        ints(call, (0, count, if count < 0 { -1 } else { 1 }))
    }),
    ("untilStep", "iii", |call| ints(call, (call.int(0), call.int(1), call.int(2)))),
    ("add1", "a", |call| Ok(Value::int64(to_int64(&call.value(0)).wrapping_add(1)))),
    ("add", "a*", |call| fold(call, 0, i64::wrapping_add)),
    ("mul", "aa*", |call| fold(call, 1, i64::wrapping_mul)),
    ("sub", "aa", |call| pair(call, |a, b| Some(a.wrapping_sub(b)))),
    ("div", "aa", |call| pair(call, |a, b| (b != 0).then(|| a.wrapping_div(b)))),
    ("mod", "aa", |call| pair(call, |a, b| (b != 0).then(|| a.wrapping_rem(b)))),
    ("max", "aa*", |call| reduce(call, i64::max)),
    ("biggest", "aa*", |call| reduce(call, i64::max)),
    ("min", "aa*", |call| reduce(call, i64::min)),
    ("maxf", "aa*", |call| reduce_floats(call, |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) })),
    ("minf", "aa*", |call| reduce_floats(call, |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) })),
    ("ceil", "a", |call| Ok(Value::Float(to_float(&call.value(0)).ceil()))),
    ("floor", "a", |call| Ok(Value::Float(to_float(&call.value(0)).floor()))),
    ("round", "aif*", round),
    ("add1f", "a", |call| decimals(&[call.value(0), Value::int(1)], Decimal::add)),
    ("addf", "a*", |call| decimals(&[&[Value::Float(0.0)], call.from(0)].concat(), Decimal::add)),
    ("subf", "aa*", |call| decimals(call.from(0), Decimal::sub)),
    ("mulf", "aa*", |call| decimals(call.from(0), Decimal::mul)),
    ("divf", "aa*", |call| decimals(call.from(0), Decimal::div)),
];

/// Any value as an integer; what is none counts as zero.
pub(super) fn to_int64(value: &Value) -> i64 {
    match value {
        Value::Int(_, number) => i64::try_from(*number).unwrap_or(i64::MIN),
        Value::Float(number) if number.abs() < 9.3e18 && (*number as i64) != i64::MAX => *number as i64,
        Value::Float(_) => i64::MIN,
        Value::Bool(value) => i64::from(*value),
        Value::Text(text) => {
            let text = text.expose_str();
            let whole = match text.split_once('.') {
                Some((whole, fraction)) if fraction.bytes().all(|byte| byte.is_ascii_digit()) => {
                    if matches!(whole, "" | "-" | "+") { "0" } else { whole }
                }
                _ => &text,
            };
            crate::number::Number::parse(whole)
                .ok()
                .filter(|_| is_integer(whole))
                .and_then(|number| number.int)
                .unwrap_or(0)
        }
        _ => 0,
    }
}

/// Whether the text itself is an integer's: no float, no character.
fn is_integer(text: &str) -> bool {
    let is_hex = text.trim_start_matches(['-', '+']).to_ascii_lowercase().starts_with("0x");
    !text.contains('.') && !text.ends_with('i') && (is_hex || !text.contains(['e', 'E'])) && !text.contains(['p', 'P'])
}

/// Any value as a float; what is none counts as zero.
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(_, number) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Text(text) => {
            let text = text.expose_str();
            let is_hex = text.trim_start_matches(['-', '+']).to_ascii_lowercase().starts_with("0x");
            if is_hex {
                crate::number::Number::parse(&text)
                    .ok()
                    .and_then(|number| number.float)
                    .filter(|_| text.contains(['p', 'P']))
                    .unwrap_or(0.0)
            } else {
                text.parse()
                    .ok()
                    .filter(|number: &f64| number.is_finite() || !text.contains(|letter: char| letter.is_ascii_digit()))
                    .unwrap_or(0.0)
            }
        }
        _ => 0.0,
    }
}

fn fold(call: &mut Call<'_>, start: i64, with: fn(i64, i64) -> i64) -> Returned {
    Ok(Value::int64(call.arguments.iter().map(to_int64).fold(start, with)))
}

fn reduce(call: &mut Call<'_>, with: fn(i64, i64) -> i64) -> Returned {
    Ok(Value::int64(call.arguments.iter().map(to_int64).reduce(with).unwrap_or(0)))
}

fn reduce_floats(call: &mut Call<'_>, with: fn(f64, f64) -> f64) -> Returned {
    Ok(Value::Float(call.arguments.iter().map(to_float).reduce(with).unwrap_or(0.0)))
}

fn pair(call: &mut Call<'_>, with: fn(i64, i64) -> Option<i64>) -> Returned {
    let result = with(to_int64(&call.value(0)), to_int64(&call.value(1)));
    result.map(Value::int64).ok_or_else(|| "runtime error: integer divide by zero".to_owned())
}

fn round(call: &mut Call<'_>) -> Returned {
    let round_on = call.arguments.get(2).map_or(0.5, to_float);
    let power = 10.0_f64.powi(i32::try_from(call.int(1)).unwrap_or(i32::MAX));
    let digit = power * to_float(&call.value(0));
    let rounded = if digit.fract() >= round_on { digit.ceil() } else { digit.floor() };
    Ok(Value::Float(rounded / power))
}

/// From `start` up or down to, but without, `stop`.
fn steps((start, stop, step): (i64, i64, i64)) -> Result<Vec<i64>, String> {
    let mut numbers = Vec::new();
    if (stop < start && step >= 0) || (stop >= start && step <= 0) {
        return Ok(numbers);
    }
    let mut number = start;
    while if step > 0 { number < stop } else { number > stop } {
        if numbers.len() >= MAX_NUMBERS {
            return Err(format!("more than {MAX_NUMBERS} numbers"));
        }
        numbers.push(number);
        let Some(next) = number.checked_add(step) else { break };
        number = next;
    }
    Ok(numbers)
}

const MAX_NUMBERS: usize = 100_000;

fn ints(_: &Call<'_>, range: (i64, i64, i64)) -> Returned {
    Ok(Value::List(ListKind::Ints, Arc::new(steps(range)?.into_iter().map(Value::int).collect())))
}

fn seq(call: &mut Call<'_>) -> Returned {
    let numbers: Vec<i64> = (0..call.arguments.len()).map(|index| call.int(index)).collect();
    let range = match *numbers.as_slice() {
        [end] => (1, end, if end < 1 { -1 } else { 1 }),
        [start, end] => (start, end, if end < start { -1 } else { 1 }),
        [start, step, end] if end >= start || step <= 0 => (start, end, step),
        _ => return text(""),
    };
    let (start, end, step) = range;
    let stop = end.saturating_add(if end < start { -1 } else { 1 });
    let shown: Vec<String> = steps((start, stop, step))?.iter().map(i64::to_string).collect();
    text(shown.join(" "))
}

/// A decimal number: digits and a power of ten. Its operations lose what a decimal of 38 digits cannot hold.
#[derive(Clone, Copy)]
struct Decimal {
    digits: i128,
    exponent: i32,
}

impl Decimal {
    fn of(number: f64) -> Option<Self> {
        if !number.is_finite() {
            return None;
        }
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e')?;
        let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let exponent = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction).ok()?)?;
        Some(Self { digits: mantissa.replace('.', "").parse().ok()?, exponent })
    }

    fn at(self, exponent: i32) -> Option<i128> {
        let power = u32::try_from(self.exponent.checked_sub(exponent)?).ok()?;
        self.digits.checked_mul(10_i128.checked_pow(power)?)
    }

    fn add(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        Some(Self { digits: self.at(exponent)?.checked_add(other.at(exponent)?)?, exponent })
    }

    fn sub(self, other: Self) -> Option<Self> {
        self.add(Self { digits: other.digits.checked_neg()?, ..other })
    }

    fn mul(self, other: Self) -> Option<Self> {
        let digits = self.digits.checked_mul(other.digits)?;
        Some(Self { digits, exponent: self.exponent.checked_add(other.exponent)? })
    }

    /// To sixteen places, half away from zero.
    fn div(self, other: Self) -> Option<Self> {
        let shift = self.exponent.checked_sub(other.exponent)?.checked_add(16)?;
        let power = 10_i128.checked_pow(shift.unsigned_abs())?;
        let (above, below) = if shift >= 0 {
            (self.digits.checked_mul(power)?, other.digits)
        } else {
            (self.digits, other.digits.checked_mul(power)?)
        };
        let (whole, rest) = (above.checked_div(below)?, above.checked_rem(below)?);
        let is_up = rest.checked_abs()?.checked_mul(2)? >= below.checked_abs()?;
        let sign = if (above < 0) == (below < 0) { 1 } else { -1 };
        Some(Self { digits: whole.checked_add(if is_up { sign } else { 0 })?, exponent: -16 })
    }

    fn float(self) -> Option<f64> {
        format!("{}e{}", self.digits, self.exponent).parse().ok()
    }
}

fn decimals(values: &[Value], with: fn(Decimal, Decimal) -> Option<Decimal>) -> Returned {
    let mut numbers = values.iter().map(|value| Decimal::of(to_float(value)));
    let fault = || "a number is too large, or a divisor is zero".to_owned();
    let mut result = numbers.next().flatten().ok_or_else(fault)?;
    for number in numbers {
        result = number.and_then(|number| with(result, number)).ok_or_else(fault)?;
    }
    result.float().map(Value::Float).ok_or_else(fault)
}
