//! Text.

use super::{ANY, Entry, Returned, any_text, at, int, string};
use crate::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("toString", (1, 1), |arguments, _| Ok(Value::text(any_text(&at(arguments, 0))))),
    ("upper", (1, 1), |arguments, _| map(arguments, |text| text.to_uppercase())),
    ("lower", (1, 1), |arguments, _| map(arguments, |text| text.to_lowercase())),
    ("trim", (1, 1), |arguments, _| map(arguments, |text| text.trim().to_owned())),
    ("trimAll", (2, 2), |arguments, _| trim_by(arguments, |text, set| text.trim_matches(set).to_owned())),
    ("trimPrefix", (2, 2), |arguments, _| {
        pair(arguments, |cut, text| Value::text(text.strip_prefix(cut).unwrap_or(text)))
    }),
    ("trimSuffix", (2, 2), |arguments, _| {
        pair(arguments, |cut, text| Value::text(text.strip_suffix(cut).unwrap_or(text)))
    }),
    ("contains", (2, 2), |arguments, _| pair(arguments, |part, text| Value::Bool(text.contains(part)))),
    ("hasPrefix", (2, 2), |arguments, _| pair(arguments, |part, text| Value::Bool(text.starts_with(part)))),
    ("hasSuffix", (2, 2), |arguments, _| pair(arguments, |part, text| Value::Bool(text.ends_with(part)))),
    ("replace", (3, 3), |arguments, limits| {
        let (from, to, text) = (string(arguments, 0)?, string(arguments, 1)?, string(arguments, 2)?);
        let count = text.matches(from.as_str()).count();
        if count.saturating_mul(to.len()).saturating_add(text.len()) > limits.bytes {
            return Err("result is too large".to_owned());
        }
        Ok(Value::text(text.replace(&from, &to)))
    }),
    ("repeat", (2, 2), |arguments, limits| {
        let (count, text) = (int(arguments, 0)?, string(arguments, 1)?);
        let count = usize::try_from(count).map_err(|_| "negative Repeat count".to_owned())?;
        if count.saturating_mul(text.len()) > limits.bytes {
            return Err("result is too large".to_owned());
        }
        Ok(Value::text(text.repeat(count)))
    }),
    ("nospace", (1, 1), |arguments, _| {
        map(arguments, |text| text.chars().filter(|letter| !letter.is_whitespace()).collect())
    }),
    ("indent", (2, 2), |arguments, limits| indent(arguments, limits.bytes, "")),
    ("nindent", (2, 2), |arguments, limits| indent(arguments, limits.bytes, "\n")),
    ("quote", (0, ANY), |arguments, _| Ok(joined(arguments, |bytes| crate::format::quote(bytes).into_bytes()))),
    ("squote", (0, ANY), |arguments, _| Ok(joined(arguments, |bytes| [b"'", bytes, b"'"].concat()))),
    ("cat", (0, ANY), |arguments, _| Ok(joined(arguments, <[u8]>::to_vec))),
    ("splitList", (2, 2), |arguments, _| pair(arguments, |separator, text| Value::list(split(separator, text)))),
    ("join", (2, 2), |arguments, _| {
        let separator = string(arguments, 0)?;
        let parts: Vec<Vec<u8>> = match at(arguments, 1) {
            Value::List(items) => items.iter().filter(|item| **item != Value::Nil).map(any_text).collect(),
            Value::Nil => Vec::new(),
            other => vec![any_text(&other)],
        };
        Ok(Value::text(parts.join(separator.as_bytes())))
    }),
];

fn map(arguments: &[Value], change: impl FnOnce(&str) -> String) -> Returned {
    Ok(Value::text(change(&string(arguments, 0)?)))
}

fn pair(arguments: &[Value], judge: impl FnOnce(&str, &str) -> Value) -> Returned {
    Ok(judge(&string(arguments, 0)?, &string(arguments, 1)?))
}

fn trim_by(arguments: &[Value], trim: impl FnOnce(&str, &[char]) -> String) -> Returned {
    let set: Vec<char> = string(arguments, 0)?.chars().collect();
    Ok(Value::text(trim(&string(arguments, 1)?, &set)))
}

fn split(separator: &str, text: &str) -> Vec<Value> {
    match separator.is_empty() {
        true => text.chars().map(|letter| Value::text(letter.to_string())).collect(),
        false => text.split(separator).map(Value::text).collect(),
    }
}

fn indent(arguments: &[Value], most: usize, before: &str) -> Returned {
    let (width, text) = (usize::try_from(int(arguments, 0)?).unwrap_or(0), string(arguments, 1)?);
    let lines = text.matches('\n').count().saturating_add(1);
    if width.saturating_mul(lines).saturating_add(text.len()) > most {
        return Err("result is too large".to_owned());
    }
    let pad = " ".repeat(width);
    Ok(Value::text(format!("{before}{pad}{}", text.replace('\n', &format!("\n{pad}")))))
}

fn joined(arguments: &[Value], change: impl Fn(&[u8]) -> Vec<u8>) -> Value {
    let parts = arguments.iter().filter(|value| **value != Value::Nil).map(|value| change(&any_text(value)));
    Value::Text(crate::Text::new(parts.collect::<Vec<_>>().join(&b' ')))
}

/// Escapes for HTML as Go does.
pub(super) fn html(bytes: &[u8]) -> Vec<u8> {
    replaced(bytes, |byte| match byte {
        b'"' => Some("&#34;"),
        b'\'' => Some("&#39;"),
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        0 => Some("\u{fffd}"),
        _ => None,
    })
}

/// Escapes for JavaScript strings as Go does.
pub(super) fn js(bytes: &[u8]) -> Vec<u8> {
    let mut out = String::new();
    for letter in String::from_utf8_lossy(bytes).chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter if letter.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.into_bytes()
}

/// Escapes for the query part of a URL as Go does.
pub(super) fn url_query(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b' ' => out.push(b'+'),
            b'-' | b'_' | b'.' | b'~' => out.push(*byte),
            byte if byte.is_ascii_alphanumeric() => out.push(*byte),
            byte => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

fn replaced(bytes: &[u8], change: impl Fn(u8) -> Option<&'static str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match change(*byte) {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => out.push(*byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(html(b"<a href='x'>&"), b"&lt;a href=&#39;x&#39;&gt;&amp;");
        assert_eq!(js(b"a=\"b\"<"), b"a\\u003D\\\"b\\\"\\u003C");
        assert_eq!(url_query(b"a b&c/d"), b"a+b%26c%2Fd");
    }
}
