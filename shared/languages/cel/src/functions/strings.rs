//! Texts: the standard functions, the strings extension, encoders, and JSON patch keys.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::{Answer, Function, Invocation, boolean, global, int, member, refuse};
use crate::error::EvalError;
use crate::value::{List, Text, Val};

pub(super) const FUNCTIONS: &[Function] = &[
    member("contains", |_, arguments| pair(arguments).and_then(|(text, part)| boolean(text.contains(part)))),
    member("startsWith", |_, arguments| pair(arguments).and_then(|(text, part)| boolean(text.starts_with(part)))),
    member("endsWith", |_, arguments| pair(arguments).and_then(|(text, part)| boolean(text.ends_with(part)))),
    member("charAt", char_at),
    member("indexOf", |invocation, arguments| index_of(invocation, arguments, false)),
    member("lastIndexOf", |invocation, arguments| index_of(invocation, arguments, true)),
    member("join", join),
    member("replace", replace),
    member("split", split),
    member("substring", substring),
    member("trim", |invocation, arguments| match arguments {
        [Val::Text(text)] => Some(invocation.evaluation.produce(text.as_str().trim())),
        _ => None,
    }),
    member("lowerAscii", |invocation, arguments| match arguments {
        [Val::Text(text)] => Some(invocation.evaluation.produce(text.as_str().to_ascii_lowercase())),
        _ => None,
    }),
    member("upperAscii", |invocation, arguments| match arguments {
        [Val::Text(text)] => Some(invocation.evaluation.produce(text.as_str().to_ascii_uppercase())),
        _ => None,
    }),
    member("reverse", |invocation, arguments| match arguments {
        [Val::Text(text)] => Some(invocation.evaluation.produce(text.as_str().chars().rev().collect::<String>())),
        [Val::List(list)] => {
            let mut values: Vec<Val<'_>> = list.iter().collect();
            values.reverse();
            Some(Ok(Val::list(values)))
        }
        _ => None,
    }),
    global("strings.quote", |invocation, arguments| match arguments {
        [Val::Text(text)] => Some(invocation.evaluation.produce(quote(text.as_str()))),
        _ => None,
    }),
    global("base64.encode", |invocation, arguments| match arguments {
        [Val::Bytes(bytes)] => Some(invocation.evaluation.produce(STANDARD.encode(bytes))),
        [Val::Text(text)] => Some(invocation.evaluation.produce(STANDARD.encode(text.as_str()))),
        _ => None,
    }),
    global("base64.decode", |_, arguments| match arguments {
        [Val::Text(text)] => {
            let bare = text.as_str().trim_end_matches('=');
            match STANDARD.decode(text.as_str()).or_else(|_| STANDARD_NO_PAD.decode(bare)) {
                Ok(bytes) => Some(Ok(Val::Bytes(bytes.into()))),
                Err(error) => refuse(format!("illegal base64 data: {error}")),
            }
        }
        _ => None,
    }),
    global("jsonpatch.escapeKey", |invocation, arguments| match arguments {
        [Val::Text(text)] => Some(invocation.evaluation.produce(text.as_str().replace('~', "~0").replace('/', "~1"))),
        _ => None,
    }),
];

/// Both texts of `text.method(text)`.
fn pair<'v>(arguments: &'v [Val<'_>]) -> Option<(&'v str, &'v str)> {
    match arguments {
        [Val::Text(text), Val::Text(part)] => Some((text.as_str(), part.as_str())),
        _ => None,
    }
}

/// The byte offset of character `index`; the end is one of them.
fn offset(text: &str, index: i64) -> Result<usize, EvalError> {
    let outside = || EvalError::refused(format!("index out of range: {index}"));
    let wanted = usize::try_from(index).map_err(|_| outside())?;
    let mut offsets = text.char_indices().map(|(offset, _)| offset).chain([text.len()]);
    offsets.nth(wanted).ok_or_else(outside)
}

fn char_at<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let [Val::Text(text), Val::Int(index)] = arguments else { return None };
    let text = text.as_str();
    Some(offset(text, *index).and_then(|at| {
        let found = text.get(at..).and_then(|rest| rest.chars().next());
        invocation.evaluation.produce(found.map(String::from).unwrap_or_default())
    }))
}

fn index_of<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>], last: bool) -> Answer<'a> {
    let (text, part, from) = match arguments {
        [Val::Text(text), Val::Text(part)] => (text.as_str(), part.as_str(), None),
        [Val::Text(text), Val::Text(part), Val::Int(from)] => (text.as_str(), part.as_str(), Some(*from)),
        [Val::List(list), wanted] => return list_index(invocation, list, wanted, last),
        _ => return None,
    };
    // Behind the end there is only nothing, which is found at the end.
    if from.is_some_and(|from| usize::try_from(from).is_ok_and(|from| from > text.chars().count())) {
        return if part.is_empty() { int(text.chars().count()) } else { int(-1) };
    }
    let at = match from.map(|from| offset(text, from)).transpose() {
        Ok(at) => at,
        Err(error) => return Some(Err(error)),
    };
    let found = match (last, at) {
        (false, at) => {
            let at = at.unwrap_or(0);
            text.get(at..).and_then(|rest| rest.find(part)).map(|found| found + at)
        }
        (true, None) => text.rfind(part),
        (true, Some(at)) => {
            let end = at.saturating_add(part.len()).min(text.len());
            (0..=end).rev().find(|end| text.is_char_boundary(*end)).and_then(|end| text.get(..end)?.rfind(part))
        }
    };
    match found {
        Some(found) => int(text.get(..found).map_or(0, |before| before.chars().count())),
        None => int(-1),
    }
}

fn list_index<'a>(invocation: Invocation<'_, '_, 'a>, list: &List<'a>, wanted: &Val<'a>, last: bool) -> Answer<'a> {
    if let Err(error) = invocation.evaluation.charge(list.len()) {
        return Some(Err(error));
    }
    let mut matching = list.iter().enumerate().filter(|(_, value)| value.equals(wanted)).map(|(index, _)| index);
    match if last { matching.last() } else { matching.next() } {
        Some(index) => int(index),
        None => int(-1),
    }
}

fn join<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let (list, separator) = match arguments {
        [Val::List(list)] => (list, ""),
        [Val::List(list), Val::Text(separator)] => (list, separator.as_str()),
        _ => return None,
    };
    let mut joined = String::new();
    for (index, value) in list.iter().enumerate() {
        let Val::Text(text) = value else { return None };
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text.as_str());
        if let Err(error) = invocation.evaluation.charge(1 + text.as_str().len() / 10) {
            return Some(Err(error));
        }
    }
    Some(invocation.evaluation.produce(joined))
}

/// A count as `replacen` takes it: negative means all.
fn count(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn replace<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let (text, old, new, limit) = match arguments {
        [Val::Text(text), Val::Text(old), Val::Text(new)] => (text, old, new, usize::MAX),
        [Val::Text(text), Val::Text(old), Val::Text(new), Val::Int(limit)] => (text, old, new, count(*limit)),
        _ => return None,
    };
    let (text, old, new) = (text.as_str(), old.as_str(), new.as_str());
    let matches = if old.is_empty() { text.len() + 1 } else { text.matches(old).count() };
    let growth = matches.min(limit).saturating_mul(new.len()).saturating_add(text.len());
    if let Err(error) = invocation.evaluation.charge(growth / 10) {
        return Some(Err(error));
    }
    Some(invocation.evaluation.produce(text.replacen(old, new, limit)))
}

fn split<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let (text, separator, limit) = match arguments {
        [Val::Text(text), Val::Text(separator)] => (text, separator.as_str(), usize::MAX),
        [Val::Text(text), Val::Text(separator), Val::Int(limit)] => (text, separator.as_str(), count(*limit)),
        _ => return None,
    };
    if let Err(error) = invocation.evaluation.charge(1 + text.as_str().len() / 5) {
        return Some(Err(error));
    }
    let values = match (text, limit) {
        (_, 0) => Vec::new(),
        (Text::Borrowed(text), limit) => {
            cut(text, separator, limit).into_iter().map(|part| Val::Text(Text::Borrowed(part))).collect()
        }
        (Text::Shared(text), limit) => cut(text, separator, limit).into_iter().map(Val::text).collect(),
    };
    Some(Ok(Val::list(values)))
}

fn cut<'t>(text: &'t str, separator: &str, limit: usize) -> Vec<&'t str> {
    if !separator.is_empty() {
        return text.splitn(limit, separator).collect();
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if parts.len() + 1 == limit {
            break;
        }
        let (part, behind) = rest.split_at(c.len_utf8());
        parts.push(part);
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

fn substring<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let (text, start, end) = match arguments {
        [Val::Text(text), Val::Int(start)] => (text, *start, None),
        [Val::Text(text), Val::Int(start), Val::Int(end)] => (text, *start, Some(*end)),
        _ => return None,
    };
    let text = text.as_str();
    let cut = || {
        let from = offset(text, start)?;
        let to = end.map_or(Ok(text.len()), |end| offset(text, end))?;
        text.get(from..to).ok_or_else(|| {
            EvalError::refused(format!("invalid substring range. start: {start}, end: {}", end.unwrap_or(-1)))
        })
    };
    Some(cut().and_then(|part| invocation.evaluation.produce(part)))
}

pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
