//! Go's `fmt`: `%v`, `Sprint`, `Sprintf`, `%q`.

mod float;
mod quote;
mod verb;

pub(crate) use float::{json_float, shortest};
pub(crate) use quote::{is_printable, quote};

use crate::value::Value;
use verb::Printer;

/// A value as an action prints it: nil is `<no value>`.
pub(crate) fn print(value: &Value) -> Vec<u8> {
    match value {
        Value::Nil => b"<no value>".to_vec(),
        Value::Text(text) => text.expose().to_vec(),
        other => plain(other),
    }
}

/// A value as `%v` writes it.
pub(crate) fn plain(value: &Value) -> Vec<u8> {
    if let Value::Text(text) = value {
        return text.expose().to_vec();
    }
    let mut printer = Printer::new(MAX_BYTES);
    printer.argument(value, 'v', 0);
    printer.out
}

/// More than any output may have; what is cut off here is refused by the caller's limit.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// `Sprint`: a space between operands of which neither is text.
pub(crate) fn sprint(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut before_is_text = true;
    for value in values {
        let is_text = matches!(value, Value::Text(_));
        if !is_text && !before_is_text {
            out.push(b' ');
        }
        before_is_text = is_text;
        out.extend_from_slice(&plain(value));
    }
    out
}

/// `Sprintln` without its line end.
pub(crate) fn sprint_spaced(values: &[Value]) -> Vec<u8> {
    values.iter().map(plain).collect::<Vec<_>>().join(&b' ')
}

/// `Sprintf`, up to `most` bytes.
pub(crate) fn sprintf(format: &[u8], values: &[Value], most: usize) -> Result<Vec<u8>, String> {
    let mut printer = Printer::new(most);
    printer.run(format, values);
    if printer.is_cut { Err("output is too large".to_owned()) } else { Ok(printer.out) }
}
