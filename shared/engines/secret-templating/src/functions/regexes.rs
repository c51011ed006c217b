//! Regular expressions, with the meaning of RE2: classes like `\d` are of ASCII.

use regex::bytes::{Regex, RegexBuilder};

use super::{Call, Entry, Returned, text};
use crate::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("regexMatch", "ss", |call| Ok(Value::Bool(compile(call).is_ok_and(|regex| regex.is_match(call.bytes(1)))))),
    ("mustRegexMatch", "ss", |call| Ok(Value::Bool(compile(call)?.is_match(call.bytes(1))))),
    ("regexFind", "ss", find),
    ("mustRegexFind", "ss", find),
    ("regexFindAll", "ssi", find_all),
    ("mustRegexFindAll", "ssi", find_all),
    ("regexReplaceAll", "sss", |call| replace(call, true)),
    ("mustRegexReplaceAll", "sss", |call| replace(call, true)),
    ("regexReplaceAllLiteral", "sss", |call| replace(call, false)),
    ("mustRegexReplaceAllLiteral", "sss", |call| replace(call, false)),
    ("regexSplit", "ssi", split),
    ("mustRegexSplit", "ssi", split),
    ("regexQuoteMeta", "s", |call| {
        let is_special = |byte: u8| br"\.+*?()|[]{}^$".contains(&byte);
        text(
            call.bytes(0)
                .iter()
                .flat_map(|byte| is_special(*byte).then_some(b'\\').into_iter().chain([*byte]))
                .collect::<Vec<u8>>(),
        )
    }),
];

fn compile(call: &Call<'_>) -> Result<Regex, String> {
    let fault = |_| "invalid regular expression".to_owned();
    RegexBuilder::new(&translate(&call.text(0))).size_limit(4 << 20).dfa_size_limit(4 << 20).build().map_err(fault)
}

/// A pattern of Go in the words of our engine.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut letters = pattern.chars().peekable();
    let (mut is_class, mut is_class_start) = (false, false);
    while let Some(letter) = letters.next() {
        let starts_class = std::mem::take(&mut is_class_start);
        match letter {
            '\\' => match letters.next() {
                Some('d') => out.push_str(if is_class { "0-9" } else { "[0-9]" }),
                Some('w') => out.push_str(if is_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                Some('s') => out.push_str(if is_class { r"\t\n\x0C\r " } else { r"[\t\n\x0C\r ]" }),
                Some('D') => out.push_str("[^0-9]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('S') => out.push_str(r"[^\t\n\x0C\r ]"),
                Some('b') if !is_class => out.push_str(r"(?-u:\b)"),
                Some('B') if !is_class => out.push_str(r"(?-u:\B)"),
                Some('Q') => {
                    let mut literal = String::new();
                    while let Some(letter) = letters.next() {
                        if letter == '\\' && letters.next_if_eq(&'E').is_some() {
                            break;
                        }
                        literal.push(letter);
                    }
                    out.push_str(&regex::escape(&literal));
                }
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '[' if !is_class => {
                (is_class, is_class_start) = (true, true);
                out.push('[');
                if letters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            // A named class within a class; any other bracket there is itself.
            '[' if letters.peek() == Some(&':') => {
                out.push('[');
                for letter in letters.by_ref() {
                    out.push(letter);
                    if letter == ']' {
                        break;
                    }
                }
            }
            '[' => out.push_str(r"\["),
            ']' if starts_class => out.push_str(r"\]"),
            ']' => {
                is_class = false;
                out.push(']');
            }
            '&' | '~' if is_class => {
                out.push('\\');
                out.push(letter);
            }
            other => out.push(other),
        }
    }
    out
}

fn find(call: &mut Call<'_>) -> Returned {
    text(compile(call)?.find(call.bytes(1)).map(|found| found.as_bytes()).unwrap_or_default())
}

/// The most matches that a count asks for; below zero it asks for all.
fn most(count: i64) -> usize {
    if count < 0 { usize::MAX } else { usize::try_from(count).unwrap_or(usize::MAX) }
}

fn find_all(call: &mut Call<'_>) -> Returned {
    let regex = compile(call)?;
    let found =
        regex.find_iter(call.bytes(1)).take(most(call.int(2)).min(MAX_MATCHES)).map(|found| found.as_bytes().to_vec());
    Ok(Value::texts(found))
}

const MAX_MATCHES: usize = 150_000;

fn replace(call: &mut Call<'_>, expands: bool) -> Returned {
    let regex = compile(call)?;
    let (whole, template) = (call.bytes(1), call.bytes(2));
    let (mut out, mut end) = (Vec::new(), 0_usize);
    for captures in regex.captures_iter(whole) {
        let Some(found) = captures.get(0) else { continue };
        out.extend_from_slice(whole.get(end..found.start()).unwrap_or_default());
        if expands {
            expand(template, &captures, &mut out);
        } else {
            out.extend_from_slice(template);
        }
        end = found.end();
        call.check_length(out.len())?;
    }
    out.extend_from_slice(whole.get(end..).unwrap_or_default());
    text(out)
}

/// `$1`, `$name`, `${name}` and `$$`; a name is as long as it can be.
fn expand(template: &[u8], captures: &regex::bytes::Captures<'_>, out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(template).into_owned();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        out.extend_from_slice(before.as_bytes());
        let is_name = |letter: char| letter == '_' || letter.is_alphanumeric();
        let (name, next) = if let Some(after) = after.strip_prefix('$') {
            out.push(b'$');
            rest = after;
            continue;
        } else if let Some(body) = after.strip_prefix('{') {
            match body.split_once('}').filter(|(name, _)| !name.is_empty() && name.chars().all(is_name)) {
                Some((name, next)) => (name, next),
                None => ("", after),
            }
        } else {
            after.split_at(after.find(|letter| !is_name(letter)).unwrap_or(after.len()))
        };
        if name.is_empty() {
            out.push(b'$');
            rest = after;
            continue;
        }
        let found = if name.bytes().all(|byte| byte.is_ascii_digit()) && !(name.starts_with('0') && name.len() > 1) {
            name.parse().ok().and_then(|index| captures.get(index))
        } else {
            captures.name(name)
        };
        out.extend_from_slice(found.map(|found| found.as_bytes()).unwrap_or_default());
        rest = next;
    }
    out.extend_from_slice(rest.as_bytes());
}

fn split(call: &mut Call<'_>) -> Returned {
    let regex = compile(call)?;
    let (whole, most) = (call.bytes(1), most(call.int(2)));
    if most == 0 {
        return Ok(Value::texts([]));
    }
    if whole.is_empty() && !call.bytes(0).is_empty() {
        return Ok(Value::texts([Vec::new()]));
    }
    let (mut parts, mut begin, mut end) = (Vec::new(), 0_usize, 0_usize);
    for found in regex.find_iter(whole).take(most.min(MAX_MATCHES)) {
        if parts.len().saturating_add(1) == most {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            parts.push(whole.get(begin..end).unwrap_or_default().to_vec());
        }
        begin = found.end();
    }
    if end != whole.len() {
        parts.push(whole.get(begin..).unwrap_or_default().to_vec());
    }
    Ok(Value::texts(parts))
}
