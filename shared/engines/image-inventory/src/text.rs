//! Small text formats that several package managers share.

use std::borrow::Cow;

/// A file breaks its format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ParseError {
    /// What is wrong.
    pub what: String,
    /// Line, from 1; 0 when unknown.
    pub line: u32,
}

impl ParseError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), line: 0 }
    }

    pub(crate) fn at(what: impl Into<String>, line: usize) -> Self {
        Self { what: what.into(), line: line_number(line) }
    }
}

/// Line numbers fit in 32 bits, for files are bounded.
pub(crate) fn line_number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// Text of bytes; what is no UTF-8 is replaced, and a byte order mark is dropped.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
}

/// The fields of one paragraph of `Name: value` lines with continuation lines (RFC 822 as Debian and Python use it). Names are
/// compared without case.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    fields: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> Fields<'a> {
    /// Parses the lines up to the first empty one; lines that are no field are passed over.
    pub(crate) fn parse(paragraph: &'a str) -> Self {
        let mut fields: Vec<(&'a str, Cow<'a, str>)> = Vec::new();
        for line in paragraph.lines() {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    let value = value.to_mut();
                    value.push('\n');
                    value.push_str(line.trim());
                }
            } else if line.is_empty() {
                break;
            } else if let Some((name, value)) = line.split_once(':') {
                fields.push((name, Cow::Borrowed(value.trim())));
            }
        }
        Self { fields }
    }

    /// First value of a field; empty when absent.
    pub(crate) fn first(&self, name: &str) -> &str {
        let same = |(field, _): &&(&str, Cow<'_, str>)| field.eq_ignore_ascii_case(name);
        self.fields.iter().find(same).map_or("", |(_, value)| value.as_ref())
    }

    /// All values of a field.
    pub(crate) fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> + 'b {
        let same = move |(field, _): &&(&str, Cow<'_, str>)| field.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, value)| value.as_ref())
    }
}

/// Paragraphs that empty lines separate.
pub(crate) fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(['\n', '\r']);
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len();
        let mut offset = 0_usize;
        for line in rest.split_inclusive('\n') {
            if line.trim_end_matches(['\n', '\r']).is_empty() {
                end = offset;
                break;
            }
            offset = offset.saturating_add(line.len());
        }
        let (paragraph, tail) = rest.split_at_checked(end)?;
        rest = tail;
        Some(paragraph)
    })
}

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// File name of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Folder of a path; empty at the top.
pub(crate) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// `name` beside another file.
pub(crate) fn beside(path: &str, name: &str) -> String {
    join(folder(path), name)
}

/// A folder and what lies in it.
pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Whether a name matches a pattern with `*` and `?`.
pub(crate) fn wildcard(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut in_name) = (0_usize, 0_usize);
    // Where the last star stands, and where in the name what follows it is tried next.
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(at), name.get(in_name)) {
            (None, None) => return true,
            (Some('*'), _) => {
                star = Some((at, in_name));
                at = at.saturating_add(1);
            }
            (Some(one), Some(other)) if one == other || *one == '?' => {
                at = at.saturating_add(1);
                in_name = in_name.saturating_add(1);
            }
            _ => match star {
                Some((place, from)) if from < name.len() => {
                    star = Some((place, from.saturating_add(1)));
                    at = place.saturating_add(1);
                    in_name = from.saturating_add(1);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_and_fields() {
        let text = "\n\nA: 1\nB: x\n y\n\nA: 2\r\n\r\nC:3";
        let all: Vec<_> = paragraphs(text).collect();
        assert_eq!(all.len(), 3);
        assert_eq!(Fields::parse(all[0]).first("b"), "x\ny");
        assert_eq!(Fields::parse(all[1]).first("A"), "2");
        assert_eq!(Fields::parse(all[2]).first("C"), "3");
    }

    #[test]
    fn wildcards() {
        let check = |pattern, name, expected| assert_eq!(wildcard(pattern, name), expected, "{pattern} {name}");
        check("*", "", true);
        check("a*b?", "axxbc", true);
        check("a*b", "axxbc", false);
        check("*a*b", "xaxbab", true);
        check("", "a", false);
    }

    #[test]
    fn paths() {
        assert_eq!((folder("a/b/c"), file_name("a/b/c")), ("a/b", "c"));
        assert_eq!((folder("c"), file_name("c"), beside("c", "d")), ("", "c", "d".to_owned()));
    }
}
