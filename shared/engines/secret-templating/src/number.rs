//! Constants of templates. A number has every type that its text allows; where it stands decides.

use std::fmt;

use crate::format::quote;
use crate::value::{Text, Value};

/// A constant.
#[derive(Clone, Debug)]
pub(crate) enum Constant {
    Bool(bool),
    Text(Text),
    Number(Number),
}

/// What a number can be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Number {
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) imaginary: Option<f64>,
}

impl Number {
    /// A character constant.
    pub(crate) fn character(letter: u32) -> Self {
        Self { int: Some(letter.into()), uint: Some(letter.into()), float: Some(letter.into()), imaginary: None }
    }

    /// Reads a number as Go writes it.
    ///
    /// # Errors
    /// In Go's words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let illegal = || format!("illegal number syntax: {}", quote(text.as_bytes()));
        if let Some(body) = text.strip_suffix('i') {
            let number = float(body).ok_or_else(illegal)?;
            return Ok(Self { imaginary: Some(number), ..Self::default() });
        }
        let mut number = Self::default();
        if let Some((is_negative, magnitude)) = integer(text) {
            let signed = if is_negative { -i128::from(magnitude) } else { i128::from(magnitude) };
            number.int = i64::try_from(signed).ok();
            let has_sign = text.starts_with(['-', '+']);
            number.uint = (!has_sign || magnitude == 0).then_some(magnitude);
        }
        if let Some(int) = number.int {
            number.float = Some(int as f64);
        } else if let Some(uint) = number.uint {
            number.float = Some(uint as f64);
        } else {
            let value = float(text).ok_or_else(illegal)?;
            if !text.contains(['.', 'e', 'E', 'p', 'P']) {
                return Err(format!("integer overflow: {}", quote(text.as_bytes())));
            }
            number.float = Some(value);
            if value.fract() == 0.0 && value.abs() < 9.2e18 {
                number.int = Some(value as i64);
                number.uint = u64::try_from(value as i64).ok();
            }
        }
        Ok(number)
    }

    /// The value where no type is asked for: the text of the number decides.
    pub(crate) fn ideal(&self, text: &str) -> Result<Value, String> {
        if let Some(imaginary) = self.imaginary {
            return Ok(Value::Complex(0.0, imaginary));
        }
        let is_hex = text.starts_with("0x") || text.starts_with("0X");
        let is_hex_int = text.len() > 2 && is_hex && !text.contains(['p', 'P']);
        if let Some(float) = self.float
            && !is_hex_int
            && !text.starts_with('\'')
            && text.contains(['.', 'e', 'E', 'p', 'P'])
        {
            return Ok(Value::Float(float));
        }
        self.int.map(Value::int).ok_or_else(|| format!("{text} overflows int"))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.float)
    }
}

/// Sign and magnitude of an integer with Go's prefixes and underscores.
fn integer(text: &str) -> Option<(bool, u64)> {
    let (is_negative, digits) = signed(text);
    let (radix, body) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, digits.get(2..)?),
        Some("0b") => (2, digits.get(2..)?),
        Some("0o") => (8, digits.get(2..)?),
        Some(two) if two.starts_with('0') => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    let is_bare = radix == 10;
    if !underscores_are_right(body, is_bare) {
        return None;
    }
    let plain = body.replace('_', "");
    if !plain.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    Some((is_negative, u64::from_str_radix(&plain, radix).ok()?))
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Underscores stand between digits, or after a prefix.
fn underscores_are_right(body: &str, is_bare: bool) -> bool {
    !(body.contains("__") || body.ends_with('_') || (is_bare && body.starts_with('_')))
}

fn float(text: &str) -> Option<f64> {
    let (is_negative, digits) = signed(text);
    let lower = digits.to_ascii_lowercase();
    let value = if let Some(body) = lower.strip_prefix("0x") {
        hex_float(&body.replace('_', ""))?
    } else {
        let is_float =
            lower.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'+' | b'-' | b'_'));
        if !is_float || !underscores_are_right(&lower, true) {
            return None;
        }
        lower.replace('_', "").parse::<f64>().ok()?
    };
    value.is_finite().then_some(if is_negative { -value } else { value })
}

fn hex_float(body: &str) -> Option<f64> {
    let (mantissa, exponent) = body.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0_f64;
    for digit in whole.chars() {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let mut scale = 1.0 / 16.0;
    for digit in fraction.chars() {
        value += f64::from(digit.to_digit(16)?) * scale;
        scale /= 16.0;
    }
    Some(value * 2.0_f64.powi(exponent.parse().ok()?))
}
