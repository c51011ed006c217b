//! Words: cases, wrapping, abbreviations. Some work byte by byte as their originals do.

use super::strings::{lower, upper};
use super::{Call, Entry, Returned, text};

pub(super) const TABLE: &[Entry] = &[
    ("title", "s", |call| text(title(&call.text(0)))),
    ("untitle", "s", |call| text(untitle(&call.text(0)))),
    ("swapcase", "s", |call| text(swap_case(&call.text(0)))),
    ("nospace", "s", |call| text(no_space(call.bytes(0)))),
    ("initials", "s", |call| text(initials(call.bytes(0)))),
    ("camelcase", "s", |call| text(pascal_case(&call.text(0)))),
    ("snakecase", "s", |call| text(lower_case(&call.text(0), '_'))),
    ("kebabcase", "s", |call| text(lower_case(&call.text(0), '-'))),
    ("abbrev", "is", |call| text(abbreviate(call.bytes(1), (0, call.int(0))))),
    ("abbrevboth", "iis", |call| {
        let (left, right) = (call.int(0), call.int(1));
        let is_too_short = right < 4 || (left > 0 && right < 7);
        text(if is_too_short { call.bytes(2).to_vec() } else { abbreviate(call.bytes(2), (left, right)) })
    }),
    ("wrap", "is", |call| wrap(call, (call.int(0), b"\n", false), 1)),
    ("wrapWith", "iss", |call| {
        let separator = if call.bytes(1).is_empty() { b"\n".to_vec() } else { call.bytes(1).to_vec() };
        wrap(call, (call.int(0), &separator, true), 2)
    }),
];

fn title(text: &str) -> String {
    let mut before = ' ';
    let is_separator = |letter: char| match letter {
        _ if letter.is_ascii() => !(letter.is_ascii_alphanumeric() || letter == '_'),
        _ => !letter.is_alphanumeric() && letter.is_whitespace(),
    };
    text.chars()
        .map(|letter| {
            let cased = if is_separator(before) { upper(letter) } else { letter };
            before = letter;
            cased
        })
        .collect()
}

fn untitle(text: &str) -> String {
    let mut is_start = true;
    text.chars()
        .map(|letter| {
            let cased = if is_start { lower(letter) } else { letter };
            is_start = letter.is_whitespace();
            if is_start { letter } else { cased }
        })
        .collect()
}

fn swap_case(text: &str) -> String {
    text.chars().map(|letter| if letter.is_uppercase() { lower(letter) } else { upper(letter) }).collect()
}

/// Bytes as characters of Latin-1.
fn latin(byte: u8) -> char {
    char::from(byte)
}

fn no_space(bytes: &[u8]) -> Vec<u8> {
    if !bytes.iter().any(|byte| latin(*byte).is_whitespace()) {
        return bytes.to_vec();
    }
    bytes.iter().map(|byte| latin(*byte)).filter(|letter| !letter.is_whitespace()).collect::<String>().into_bytes()
}

fn initials(bytes: &[u8]) -> String {
    let mut is_start = true;
    let mut out = String::new();
    for letter in bytes.iter().map(|byte| latin(*byte)) {
        let is_space = letter.is_whitespace();
        if is_start && !is_space {
            out.push(letter);
        }
        is_start = is_space;
    }
    out
}

fn abbreviate(bytes: &[u8], (offset, width): (i64, i64)) -> Vec<u8> {
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    if width < 4 || length <= width {
        return if width < 4 { Vec::new() } else { bytes.to_vec() };
    }
    let part = |from: i64, to: i64| {
        let (from, to) = (usize::try_from(from).unwrap_or(0), usize::try_from(to).unwrap_or(0));
        bytes.get(from..to).unwrap_or_default()
    };
    let kept = width.saturating_sub(3);
    let mut offset = offset.min(length);
    if length.saturating_sub(offset) < kept {
        offset = length.saturating_sub(kept);
    }
    if offset <= 4 {
        return [part(0, kept), b"..."].concat();
    }
    if width < 7 {
        return Vec::new();
    }
    if offset.saturating_add(kept) < length {
        return [b"...".to_vec(), abbreviate(part(offset, length), (0, kept))].concat();
    }
    [b"...", part(length.saturating_sub(kept), length)].concat()
}

fn wrap(call: &Call<'_>, (width, separator, is_hard): (i64, &[u8], bool), argument: usize) -> Returned {
    let bytes = call.bytes(argument);
    let width = usize::try_from(width.max(1)).unwrap_or(1);
    call.check_length(
        bytes.len().saturating_add(separator.len().saturating_mul(bytes.len())).min(
            bytes.len().saturating_add(
                separator
                    .len()
                    .saturating_mul(bytes.len().checked_div(width).unwrap_or(0).saturating_add(1))
                    .saturating_mul(2),
            ),
        ),
    )?;
    let (mut out, mut rest) = (Vec::new(), bytes);
    while rest.len() > width {
        if rest.first() == Some(&b' ') {
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let line = rest.get(..width.saturating_add(1)).unwrap_or(rest);
        let space = line.iter().rposition(|byte| *byte == b' ').or_else(|| {
            let after = rest.get(width..).unwrap_or_default();
            if is_hard { None } else { after.iter().position(|byte| *byte == b' ').map(|at| at.saturating_add(width)) }
        });
        let (end, next) = match space {
            Some(at) => (at, at.saturating_add(1)),
            None if is_hard => (width, width),
            None => break,
        };
        out.extend_from_slice(rest.get(..end).unwrap_or_default());
        out.extend_from_slice(separator);
        rest = rest.get(next..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    text(out)
}

fn is_connector(letter: char) -> bool {
    letter == '-' || letter == '_' || letter.is_whitespace()
}

/// `some_words` as `SomeWords`: connectors go, but for those at the start and one of each run of several.
fn pascal_case(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars();
    let mut current = None;
    let mut is_upper_run = false;
    for letter in letters.by_ref() {
        if is_connector(letter) {
            out.push(letter);
        } else {
            is_upper_run = letter.is_uppercase();
            current = Some(upper(letter));
            break;
        }
    }
    let Some(mut current) = current else {
        // A text of connectors alone repeats its last.
        out.extend(text.chars().next_back());
        return out;
    };
    for letter in letters {
        let before = std::mem::replace(&mut current, letter);
        if is_connector(letter) && is_connector(before) {
            out.push(before);
        } else if is_connector(before) {
            is_upper_run = letter.is_uppercase();
            current = upper(letter);
        } else {
            if is_upper_run && letter.is_uppercase() {
                current = lower(letter);
            } else if is_upper_run {
                is_upper_run = false;
            }
            out.push(before);
        }
    }
    out.push(current);
    out
}

/// Kinds of runs of characters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    End,
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

fn is_punctuation(letter: char) -> bool {
    // Go's punctuation has none of the symbols `$+<=>^`|~`.
    letter.is_ascii_punctuation() && !"$+<=>^`|~".contains(letter)
        || matches!(u32::from(letter), 0xa1 | 0xa7 | 0xab | 0xb6 | 0xb7 | 0xbb | 0xbf | 0x2010..=0x2027 | 0x2030..=0x205e | 0x3001..=0x3003 | 0x3008..=0x3011)
}

fn kind(letter: char) -> Run {
    match letter {
        _ if is_connector(letter) => Run::Connector,
        _ if is_punctuation(letter) => Run::Punctuation,
        _ if letter.is_uppercase() => Run::Upper,
        _ if letter.is_alphabetic() && !is_ideograph(letter) => Run::Letters,
        _ if letter.is_numeric() => Run::Number,
        _ => Run::Other,
    }
}

/// Letters without case are no words of their own.
fn is_ideograph(letter: char) -> bool {
    matches!(u32::from(letter), 0x2e80..=0x9fff | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}

/// The next run of `text`, and what follows it.
fn next_run(text: &str) -> (Run, &str, &str) {
    let Some(first) = text.chars().next() else { return (Run::End, "", "") };
    let run = kind(first);
    let after = text.get(first.len_utf8()..).unwrap_or_default();
    let length_of = |is_part: &dyn Fn(char) -> bool| after.find(|letter| !is_part(letter)).unwrap_or(after.len());
    let mut length = first.len_utf8();
    match run {
        Run::Upper => {
            let uppers = length_of(&char::is_uppercase);
            length = length.saturating_add(uppers);
            let rest = after.get(uppers..).unwrap_or_default();
            let next_is_lower = rest.chars().next().is_some_and(|letter| kind(letter) == Run::Letters);
            if uppers == 0 && next_is_lower {
                length = length.saturating_add(length_of(&|letter| kind(letter) == Run::Letters));
            } else if next_is_lower {
                // The last capital of `HTTPStatus` begins the next word.
                let last = text.get(..length).and_then(|run| run.chars().next_back()).map_or(0, char::len_utf8);
                length = length.saturating_sub(last);
            }
        }
        Run::Other => {
            length = length.saturating_add(length_of(&|letter| kind(letter) == Run::Other));
        }
        _ => length = length.saturating_add(length_of(&|letter| kind(letter) == run)),
    }
    (run, text.get(..length).unwrap_or_default(), text.get(length..).unwrap_or_default())
}

fn push_lower(out: &mut String, (run, word): (Run, &str), connector: char) {
    match run {
        Run::Connector => out.extend(word.chars().map(|_| connector)),
        _ => out.extend(word.chars().map(lower)),
    }
}

/// `SomeWords` as `some_words`: a number belongs to the word before it, unless small letters follow it.
fn lower_case(text: &str, connector: char) -> String {
    let mut out = String::new();
    let (mut run, mut word, mut rest) = next_run(text);
    while !rest.is_empty() {
        if run != Run::Connector {
            push_lower(&mut out, (run, word), connector);
        }
        let before = (run, word);
        (run, word, rest) = next_run(rest);
        match before.0 {
            Run::Number => {
                while matches!(run, Run::Letters | Run::Number) {
                    push_lower(&mut out, (run, word), connector);
                    (run, word, rest) = next_run(rest);
                }
                if !matches!(run, Run::End | Run::Punctuation | Run::Connector) {
                    out.push(connector);
                }
            }
            Run::Connector => push_lower(&mut out, before, connector),
            Run::Punctuation => {}
            _ if run != Run::Number => {
                if !matches!(run, Run::Connector | Run::Punctuation) {
                    out.push(connector);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = (run, word);
                (run, word, rest) = next_run(rest);
                if run != Run::Letters {
                    push_lower(&mut out, number, connector);
                    if !matches!(run, Run::Connector | Run::Punctuation) {
                        out.push(connector);
                    }
                    continue;
                }
                out.push(connector);
                push_lower(&mut out, number, connector);
                while matches!(run, Run::Letters | Run::Number) {
                    push_lower(&mut out, (run, word), connector);
                    (run, word, rest) = next_run(rest);
                }
                if !matches!(run, Run::End | Run::Connector | Run::Punctuation) {
                    out.push(connector);
                }
            }
        }
    }
    push_lower(&mut out, (run, word), connector);
    out
}
