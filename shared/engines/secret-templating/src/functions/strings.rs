//! Text.

use super::{Call, Entry, Returned, text};
use crate::format::{plain, quote};
use crate::value::{Text, Value};

pub(super) const TABLE: &[Entry] = &[
    ("toString", "a", |call| text(plain(&call.value(0)))),
    ("trim", "s", |call| text(trim(call.bytes(0), char::is_whitespace))),
    ("trimAll", "ss", |call| trim_all(call)),
    ("trimall", "ss", |call| trim_all(call)),
    ("trimSuffix", "ss", |call| text(call.bytes(1).strip_suffix(call.bytes(0)).unwrap_or(call.bytes(1)))),
    ("trimPrefix", "ss", |call| text(call.bytes(1).strip_prefix(call.bytes(0)).unwrap_or(call.bytes(1)))),
    ("upper", "s", |call| text(call.text(0).chars().map(upper).collect::<String>())),
    ("lower", "s", |call| text(call.text(0).chars().map(lower).collect::<String>())),
    ("contains", "ss", |call| Ok(Value::Bool(find(call.bytes(1), call.bytes(0)).is_some()))),
    ("hasPrefix", "ss", |call| Ok(Value::Bool(call.bytes(1).starts_with(call.bytes(0))))),
    ("hasSuffix", "ss", |call| Ok(Value::Bool(call.bytes(1).ends_with(call.bytes(0))))),
    ("replace", "sss", replace),
    ("repeat", "is", |call| {
        let count = usize::try_from(call.int(0)).map_err(|_| "strings: negative Repeat count")?;
        call.check_length(count.saturating_mul(call.bytes(1).len()))?;
        text(call.bytes(1).repeat(count))
    }),
    ("trunc", "is", |call| text(trunc(call.int(0), call.bytes(1)))),
    ("substr", "iis", substr),
    ("quote", "a*", |call| {
        let quoted: Vec<String> = present(call).map(|value| quote(&plain(value))).collect();
        text(quoted.join(" "))
    }),
    ("squote", "a*", |call| {
        let quoted: Vec<Vec<u8>> = present(call).map(|value| [b"'", plain(value).as_slice(), b"'"].concat()).collect();
        text(quoted.join(&b' '))
    }),
    ("cat", "a*", |call| {
        let shown: Vec<Vec<u8>> = present(call).map(plain).collect();
        text(shown.join(&b' '))
    }),
    ("indent", "is", |call| indent(call).map(Value::text)),
    ("nindent", "is", |call| Ok(Value::text([b"\n".to_vec(), indent(call)?].concat()))),
    ("plural", "ssi", |call| Ok(call.value(usize::from(call.int(2) != 1)))),
    ("split", "ss", |call| Ok(numbered(split(call.bytes(1), call.bytes(0), usize::MAX)))),
    ("splitn", "sis", |call| {
        let most = if call.int(1) < 0 { usize::MAX } else { usize::try_from(call.int(1)).unwrap_or(usize::MAX) };
        Ok(numbered(split(call.bytes(2), call.bytes(0), most)))
    }),
    ("splitList", "ss", |call| Ok(Value::texts(split(call.bytes(1), call.bytes(0), usize::MAX)))),
];

fn present<'a>(call: &'a Call<'_>) -> impl Iterator<Item = &'a Value> {
    call.arguments.iter().filter(|value| **value != Value::Nil)
}

/// Go's upper case of one character is one character.
pub(super) fn upper(letter: char) -> char {
    let mut upper = letter.to_uppercase();
    if upper.len() == 1 { upper.next().unwrap_or(letter) } else { letter }
}

/// Go's lower case of one character is one character.
pub(super) fn lower(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

/// A value as a list of texts; nil items are left out.
pub(super) fn texts_of(value: &Value) -> Vec<Vec<u8>> {
    match value {
        Value::Nil => Vec::new(),
        Value::List(_, items) => items.iter().filter(|item| **item != Value::Nil).map(plain).collect(),
        other => vec![plain(other)],
    }
}

fn trim(bytes: &[u8], is_trimmed: impl Fn(char) -> bool) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_matches(is_trimmed).as_bytes().to_vec(),
        Err(_) => {
            let is_kept = |byte: &u8| !(byte.is_ascii() && is_trimmed(char::from(*byte)));
            let start = bytes.iter().position(is_kept).unwrap_or(bytes.len());
            let end = bytes.iter().rposition(is_kept).map_or(start, |last| last.saturating_add(1));
            bytes.get(start..end).unwrap_or_default().to_vec()
        }
    }
}

fn trim_all(call: &mut Call<'_>) -> Returned {
    let letters = call.text(0);
    text(trim(call.bytes(1), |letter| letters.contains(letter)))
}

/// Where `part` stands first in `whole`.
pub(super) fn find(whole: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    whole.windows(part.len()).position(|window| window == part)
}

fn replace(call: &mut Call<'_>) -> Returned {
    let (old, new, whole) = (call.bytes(0), call.bytes(1), call.bytes(2));
    call.check_length(
        whole
            .len()
            .saturating_add(1)
            .saturating_mul(new.len().max(1))
            .min(whole.len().saturating_add(count(whole, old).saturating_mul(new.len()))),
    )?;
    if old.is_empty() {
        return text(String::from_utf8_lossy(whole).replace("", &String::from_utf8_lossy(new)));
    }
    text(split(whole, old, usize::MAX).join(new))
}

fn count(whole: &[u8], part: &[u8]) -> usize {
    if part.is_empty() { whole.len().saturating_add(1) } else { split(whole, part, usize::MAX).len().saturating_sub(1) }
}

/// Cuts text at a separator into at most `most` parts; an empty separator cuts between characters.
pub(super) fn split(whole: &[u8], separator: &[u8], most: usize) -> Vec<Vec<u8>> {
    if most == 0 {
        return Vec::new();
    }
    let mut parts = Vec::new();
    let mut rest = whole;
    while parts.len().saturating_add(1) < most {
        let (end, skip) = if separator.is_empty() {
            let first =
                rest.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8);
            if rest.len() <= first {
                break;
            }
            (first, 0)
        } else {
            match find(rest, separator) {
                Some(at) => (at, separator.len()),
                None => break,
            }
        };
        parts.push(rest.get(..end).unwrap_or_default().to_vec());
        rest = rest.get(end.saturating_add(skip)..).unwrap_or_default();
    }
    if !(separator.is_empty() && whole.is_empty()) {
        parts.push(rest.to_vec());
    }
    parts
}

fn numbered(parts: Vec<Vec<u8>>) -> Value {
    Value::strings(parts.into_iter().enumerate().map(|(index, part)| (format!("_{index}"), Text::new(part))))
}

fn trunc(count: i64, bytes: &[u8]) -> Vec<u8> {
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let part = if count < 0 && length.saturating_add(count) > 0 {
        bytes.get(usize::try_from(length.saturating_add(count)).unwrap_or(0)..)
    } else if count >= 0 && length > count {
        bytes.get(..usize::try_from(count).unwrap_or(0))
    } else {
        Some(bytes)
    };
    part.unwrap_or(bytes).to_vec()
}

fn substr(call: &mut Call<'_>) -> Returned {
    let (start, end, bytes) = (call.int(0), call.int(1), call.bytes(2));
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let fault = |what: String| Err(format!("runtime error: slice bounds out of range {what}"));
    let (from, to) = if start < 0 {
        (0, end)
    } else if end < 0 || end > length {
        (start, length)
    } else {
        (start, end)
    };
    match (usize::try_from(from), usize::try_from(to)) {
        (Ok(from), Ok(to)) if from <= to && to <= bytes.len() => text(bytes.get(from..to).unwrap_or_default()),
        (_, Err(_)) => fault(format!("[:{to}]")),
        _ if to > length => fault(format!("[:{to}] with length {length}")),
        _ => fault(format!("[{from}:{to}]")),
    }
}

fn indent(call: &mut Call<'_>) -> Result<Vec<u8>, String> {
    let spaces = usize::try_from(call.int(0)).map_err(|_| "strings: negative Repeat count")?;
    let lines = count(call.bytes(1), b"\n").saturating_add(1);
    call.check_length(spaces.saturating_mul(lines).saturating_add(call.bytes(1).len()))?;
    let pad = vec![b' '; spaces];
    let separator = [b"\n".as_slice(), &pad].concat();
    Ok([pad, split(call.bytes(1), b"\n", usize::MAX).join(separator.as_slice())].concat())
}
