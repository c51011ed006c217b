//! `format`: texts with values put into them, as version 2 of cel-go's strings library does it.

use super::strings::quote;
use super::{Answer, Function, Invocation, member, refuse};
use crate::error::EvalError;
use crate::text;
use crate::value::{Key, Val};

pub(super) const FUNCTIONS: &[Function] = &[member("format", format)];

fn format<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let [Val::Text(template), Val::List(values)] = arguments else { return None };
    let mut values = values.iter();
    let mut out = String::new();
    let mut rest = template.as_str();
    while let Some((before, behind)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(next) = behind.strip_prefix('%') {
            out.push('%');
            rest = next;
            continue;
        }
        let (precision, behind) = match behind.strip_prefix('.') {
            Some(digits) => {
                let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
                (digits.get(..end).and_then(|digits| digits.parse().ok()), digits.get(end..).unwrap_or_default())
            }
            None => (None, behind),
        };
        let Some(clause) = behind.chars().next() else {
            return refuse("could not parse formatting clause: unexpected end of string");
        };
        let Some(value) = values.next() else {
            return refuse("index out of range: not enough arguments for format string");
        };
        match clause_text(clause, precision.unwrap_or(6_usize).min(100), &value) {
            Ok(text) => out.push_str(&text),
            Err(error) => return Some(Err(error)),
        }
        rest = behind.get(clause.len_utf8()..).unwrap_or_default();
    }
    out.push_str(rest);
    Some(invocation.evaluation.produce(out))
}

fn clause_text(clause: char, precision: usize, value: &Val<'_>) -> Result<String, EvalError> {
    let wrong =
        || EvalError::refused(format!("error during formatting: %{clause} does not take {}", value.type_name()));
    let float = || match value {
        Val::Double(value) => Ok(*value),
        Val::Text(text) => match text.as_str() {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    };
    let whole = || match value {
        Val::Int(value) => Ok(i128::from(*value)),
        Val::Uint(value) => Ok(i128::from(*value)),
        Val::Bool(flag) => Ok(i128::from(*flag)),
        _ => Err(wrong()),
    };
    let based = |text: String, value: i128| if value < 0 { format!("-{text}") } else { text };
    match clause {
        's' => display(value, 0),
        'd' => whole().map(|value| value.to_string()),
        'f' => float().map(|value| fixed(value, precision)),
        'e' => float().map(scientific),
        'b' => whole().map(|value| based(format!("{:b}", value.unsigned_abs()), value)),
        'o' => whole().map(|value| based(format!("{:o}", value.unsigned_abs()), value)),
        'x' | 'X' => {
            let lower = match value {
                Val::Text(text) => hex(text.as_str().as_bytes()),
                Val::Bytes(bytes) => hex(bytes),
                _ => whole().map(|value| based(format!("{:x}", value.unsigned_abs()), value))?,
            };
            Ok(if clause == 'X' { lower.to_uppercase() } else { lower })
        }
        other => Err(EvalError::refused(format!(
            "could not parse formatting clause: unrecognized formatting clause \"{other}\""
        ))),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is no number, in the signs of the English locale.
fn special(value: f64) -> Option<&'static str> {
    match (value.is_nan(), value.is_finite(), value > 0.0) {
        (true, ..) => Some("NaN"),
        (false, true, _) => None,
        (false, false, true) => Some("\u{221e}"),
        (false, false, false) => Some("-\u{221e}"),
    }
}

/// A number with a comma after each thousand.
fn fixed(value: f64, precision: usize) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let text = format!("{value:.precision$}");
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, fraction) =
        digits.split_once('.').map_or((digits, String::new()), |(whole, fraction)| (whole, format!(".{fraction}")));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && whole.len().saturating_sub(index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

/// A number with six digits of fraction, whatever precision was asked for, and its power of ten in small digits.
fn scientific(value: f64) -> String {
    const SMALL: [char; 10] = [
        '\u{2070}', '\u{b9}', '\u{b2}', '\u{b3}', '\u{2074}', '\u{2075}', '\u{2076}', '\u{2077}', '\u{2078}',
        '\u{2079}',
    ];
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let text = format!("{value:.6e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(("", exponent), |exponent| ("\u{207b}", exponent));
    let small = |digit: char| digit.to_digit(10).and_then(|digit| SMALL.get(usize::try_from(digit).ok()?).copied());
    let exponent: String = format!("{exponent:0>2}").chars().filter_map(small).collect();
    format!("{digits}\u{d7}10{sign}{exponent}")
}

/// A value as `%s` shows it.
fn display(value: &Val<'_>, depth: usize) -> Result<String, EvalError> {
    if depth > 32 {
        return Err(EvalError::refused("value is nested too deep to be formatted"));
    }
    Ok(match value {
        Val::Text(text) => text.as_str().to_owned(),
        Val::Null => "null".to_owned(),
        Val::Bool(flag) => flag.to_string(),
        Val::Int(value) => value.to_string(),
        Val::Uint(value) => value.to_string(),
        Val::Double(value) => text::double(*value),
        Val::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Val::Duration(duration) => text::duration(*duration),
        Val::Timestamp(moment) => text::timestamp(*moment),
        Val::Type(name) => name.to_string(),
        Val::List(list) => {
            let parts: Vec<String> = list.iter().map(|value| inside(&value, depth + 1)).collect::<Result<_, _>>()?;
            format!("[{}]", parts.join(", "))
        }
        Val::Map(map) => {
            let mut parts = Vec::new();
            for (key, value) in map.entries() {
                let key = match &key {
                    Key::Text(text) => quote(text.as_str()),
                    other => other.to_string(),
                };
                parts.push(format!("{key}:{}", inside(&value, depth + 1)?));
            }
            parts.sort();
            format!("{{{}}}", parts.join(", "))
        }
        other => {
            return Err(EvalError::refused(format!(
                "error during formatting: string clause does not take {}",
                other.type_name()
            )));
        }
    })
}

/// A value inside a list or a map: as it would be written in an expression.
fn inside(value: &Val<'_>, depth: usize) -> Result<String, EvalError> {
    Ok(match value {
        Val::Text(text) => quote(text.as_str()),
        Val::Bytes(bytes) => format!("b{}", quote(&String::from_utf8_lossy(bytes))),
        Val::Double(value) => special(*value).map_or_else(|| format!("{value:.6}"), str::to_owned),
        Val::Duration(duration) => format!("duration({})", quote(&text::duration(*duration))),
        Val::Timestamp(moment) => format!("timestamp({})", quote(&text::timestamp(*moment))),
        other => display(other, depth)?,
    })
}
