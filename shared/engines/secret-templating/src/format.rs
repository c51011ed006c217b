//! Go's `fmt`: `%v`, `Sprint`, `Sprintf`, `%q`.

use crate::value::Value;

/// A value as `%v` writes it; nil is `<no value>` as templates print it.
pub(crate) fn print(value: &Value) -> Vec<u8> {
    match value {
        Value::Nil => b"<no value>".to_vec(),
        other => plain(other),
    }
}

/// A value as `%v` writes it.
pub(crate) fn plain(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_plain(value, &mut out, 64);
    out
}

fn write_plain(value: &Value, out: &mut Vec<u8>, depth: u32) {
    if out.len() > MAX_BYTES {
        return;
    }
    match value {
        Value::Nil => out.extend_from_slice(b"<nil>"),
        Value::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Float(value) => out.extend_from_slice(float(*value, (-4, 6)).as_bytes()),
        Value::Text(text) => out.extend_from_slice(text.expose()),
        Value::List(_) | Value::Map(_) | Value::Strings(_) if depth == 0 => out.extend_from_slice(b"..."),
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                write_plain(item, out, depth.saturating_sub(1));
            }
            out.push(b']');
        }
        Value::Map(fields) | Value::Strings(fields) => {
            out.extend_from_slice(b"map[");
            for (index, (key, item)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                out.extend_from_slice(key.as_bytes());
                out.push(b':');
                write_plain(item, out, depth.saturating_sub(1));
            }
            out.push(b']');
        }
    }
}

/// More than any output may have; what is cut off here is refused by the caller's limit.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// A float in its shortest form, with an exponent when that is below `least` or not below `most`.
pub(crate) fn float(value: f64, (least, most): (i32, i32)) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let number: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && (number < least || number >= most) {
        format!("{digits}e{}", signed_exponent(number))
    } else {
        format!("{value}")
    }
}

fn signed_exponent(exponent: i32) -> String {
    format!("{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}

/// A string in double quotes with Go's escapes.
pub(crate) fn quote(bytes: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                '\u{7}' => quoted.push_str("\\a"),
                '\u{8}' => quoted.push_str("\\b"),
                '\u{c}' => quoted.push_str("\\f"),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                '\u{b}' => quoted.push_str("\\v"),
                '\u{feff}' => quoted.push_str("\\ufeff"),
                letter if u32::from(letter) < 0x20 || letter == '\u{7f}' => {
                    quoted.push_str(&format!("\\x{:02x}", u32::from(letter)))
                }
                letter if letter.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(letter))),
                letter => quoted.push(letter),
            }
        }
        for byte in chunk.invalid() {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push('"');
    quoted
}

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

#[derive(Default)]
struct Verb {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// `Sprintf`.
pub(crate) fn sprintf(format: &[u8], values: &[Value], most: usize) -> Result<Vec<u8>, String> {
    let text = String::from_utf8_lossy(format).into_owned();
    let (mut out, mut letters, mut used) = (Vec::new(), text.chars().peekable(), 0_usize);
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let mut verb = Verb::default();
        while let Some(flag) = letters.next_if(|letter| matches!(letter, '-' | '+' | '#' | ' ' | '0')) {
            match flag {
                '-' => verb.minus = true,
                '+' => verb.plus = true,
                '#' => verb.sharp = true,
                ' ' => verb.space = true,
                _ => verb.zero = true,
            }
        }
        verb.width = digits(&mut letters);
        if letters.next_if_eq(&'.').is_some() {
            verb.precision = Some(digits(&mut letters));
        }
        if verb.width.max(verb.precision.unwrap_or(0)) > most.min(1_000_000) {
            return Err("width or precision is too large".to_owned());
        }
        let Some(name) = letters.next() else {
            out.extend_from_slice(b"%!(NOVERB)");
            break;
        };
        if name == '%' {
            out.push(b'%');
            continue;
        }
        match values.get(used) {
            Some(value) => out.extend_from_slice(&padded(formatted(name, &verb, value), &verb, value)),
            None => out.extend_from_slice(format!("%!{name}(MISSING)").as_bytes()),
        }
        used = used.saturating_add(1);
        if out.len() > most {
            return Err("output is too large".to_owned());
        }
    }
    if let Some(extra) = values.get(used..).filter(|extra| !extra.is_empty()) {
        out.extend_from_slice(b"%!(EXTRA ");
        for (index, value) in extra.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            out.extend_from_slice(format!("{separator}{}", value.type_name()).as_bytes());
            if *value != Value::Nil {
                out.push(b'=');
                out.extend_from_slice(&plain(value));
            }
        }
        out.push(b')');
    }
    Ok(out)
}

fn digits(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> usize {
    let mut number = 0_usize;
    while let Some(digit) = letters.next_if(char::is_ascii_digit).and_then(|letter| letter.to_digit(10)) {
        number = number.saturating_mul(10).saturating_add(usize::try_from(digit).unwrap_or(0));
    }
    number
}

fn formatted(name: char, verb: &Verb, value: &Value) -> Vec<u8> {
    let bad = || {
        let mut out = format!("%!{name}({}", value.type_name()).into_bytes();
        if *value == Value::Nil {
            return format!("%!{name}(<nil>)").into_bytes();
        }
        out.push(b'=');
        out.extend_from_slice(&plain(value));
        out.push(b')');
        out
    };
    match (name, value) {
        ('T', _) => value.type_name().as_bytes().to_vec(),
        ('v', Value::Text(text)) if verb.sharp => quote(text.expose()).into_bytes(),
        ('s' | 'v', Value::Text(text)) => truncated(text.expose(), verb.precision),
        ('q', Value::Text(text)) => quote(&truncated(text.expose(), verb.precision)).into_bytes(),
        ('x', Value::Text(text)) => hex::encode(text.expose()).into_bytes(),
        ('X', Value::Text(text)) => hex::encode_upper(text.expose()).into_bytes(),
        ('t' | 'v', Value::Bool(value)) => value.to_string().into_bytes(),
        ('d' | 'v', Value::Int(number)) => signed(*number, verb, number.unsigned_abs().to_string()),
        ('x', Value::Int(number)) => {
            signed(*number, verb, prefixed(verb, "0x", format!("{:x}", number.unsigned_abs())))
        }
        ('X', Value::Int(number)) => {
            signed(*number, verb, prefixed(verb, "0X", format!("{:X}", number.unsigned_abs())))
        }
        ('o', Value::Int(number)) => signed(*number, verb, prefixed(verb, "0", format!("{:o}", number.unsigned_abs()))),
        ('b', Value::Int(number)) => {
            signed(*number, verb, prefixed(verb, "0b", format!("{:b}", number.unsigned_abs())))
        }
        ('c', Value::Int(number)) => {
            let letter = u32::try_from(*number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
            letter.to_string().into_bytes()
        }
        ('U', Value::Int(number)) => format!("U+{number:04X}").into_bytes(),
        ('f' | 'F', Value::Float(number)) => with_sign(format!("{number:.*}", verb.precision.unwrap_or(6)), verb),
        ('e', Value::Float(number)) => {
            let text = format!("{number:.*e}", verb.precision.unwrap_or(6));
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            with_sign(format!("{mantissa}e{}", signed_exponent(exponent.parse().unwrap_or(0))), verb)
        }
        ('g' | 'v', Value::Float(number)) if verb.precision.is_none() => with_sign(float(*number, (-4, 6)), verb),
        ('v', Value::Nil) => b"<nil>".to_vec(),
        ('v' | 's' | 'd' | 'q', Value::List(items)) => {
            let parts: Vec<Vec<u8>> = items.iter().map(|item| formatted(name, verb, item)).collect();
            [b"[".to_vec(), parts.join(&b' '), b"]".to_vec()].concat()
        }
        ('v' | 's', Value::Map(_) | Value::Strings(_)) => plain(value),
        _ => bad(),
    }
}

fn truncated(bytes: &[u8], precision: Option<usize>) -> Vec<u8> {
    match precision {
        Some(most) => String::from_utf8_lossy(bytes).chars().take(most).collect::<String>().into_bytes(),
        None => bytes.to_vec(),
    }
}

fn prefixed(verb: &Verb, prefix: &str, digits: String) -> String {
    if verb.sharp { format!("{prefix}{digits}") } else { digits }
}

fn signed(number: i64, verb: &Verb, digits: String) -> Vec<u8> {
    let digits = match verb.precision {
        Some(least) => format!("{digits:0>least$}"),
        None => digits,
    };
    with_sign(if number < 0 { format!("-{digits}") } else { digits }, verb)
}

fn with_sign(text: String, verb: &Verb) -> Vec<u8> {
    let sign = match text.starts_with(['-', '+']) {
        true => "",
        false if verb.plus => "+",
        false if verb.space => " ",
        false => "",
    };
    format!("{sign}{text}").into_bytes()
}

fn padded(text: Vec<u8>, verb: &Verb, value: &Value) -> Vec<u8> {
    let length = String::from_utf8_lossy(&text).chars().count();
    let missing = verb.width.saturating_sub(length);
    if verb.minus {
        return [text, vec![b' '; missing]].concat();
    }
    let is_number = matches!(value, Value::Int(_) | Value::Float(_));
    if verb.zero && is_number && (verb.precision.is_none() || matches!(value, Value::Float(_))) {
        let split = usize::from(text.first().is_some_and(|first| matches!(first, b'-' | b'+' | b' ')));
        let (sign, digits) = text.split_at_checked(split).unwrap_or((&[], &text));
        return [sign, &vec![b'0'; missing], digits].concat();
    }
    let fill = if verb.zero && !is_number { b'0' } else { b' ' };
    [vec![fill; missing], text].concat()
}
