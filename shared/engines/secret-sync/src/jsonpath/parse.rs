//! Text to steps.

use super::filter::{self, Expression};
use super::{Key, PathError, Step};

/// Longest path.
const MAX_BYTES: usize = 4_096;
/// Expressions within expressions.
const MAX_DEPTH: u32 = 64;

pub(super) fn path(text: &str) -> Result<Vec<Step>, PathError> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    if text.is_empty() || text.len() > MAX_BYTES {
        return Err(reader.wrong("a path has from 1 to 4096 bytes"));
    }
    let mut steps = Vec::new();
    if !reader.eat("$") && !text.starts_with(['.', '[']) {
        // A name at the beginning is one of the root.
        steps.push(reader.after_dot()?);
    }
    steps.extend(reader.steps()?);
    match reader.rest() {
        "" => Ok(steps),
        _ => Err(reader.wrong("unexpected text behind the path")),
    }
}

/// Where in the path the reading is.
pub(super) struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: u32,
}

impl<'t> Reader<'t> {
    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn wrong(&self, what: &'static str) -> PathError {
        PathError::Malformed { at: self.at, what }
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        let is_there = self.rest().starts_with(token);
        if is_there {
            self.at = self.at.saturating_add(token.len());
        }
        is_there
    }

    pub(super) fn spaces(&mut self) {
        let rest = self.rest();
        self.at = self.at.saturating_add(rest.len().saturating_sub(rest.trim_start().len()));
    }

    /// Goes one level deeper, but not below the limit.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, PathError>) -> Result<T, PathError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.wrong("too many expressions within expressions"));
        }
        self.depth = self.depth.saturating_add(1);
        let read = read(self);
        self.depth = self.depth.saturating_sub(1);
        read
    }

    /// All steps that follow.
    pub(super) fn steps(&mut self) -> Result<Vec<Step>, PathError> {
        let mut steps = Vec::new();
        loop {
            if self.eat("..") {
                steps.push(Step::Descend);
                if !self.rest().starts_with('[') {
                    steps.push(self.after_dot()?);
                }
            } else if self.eat(".") {
                steps.push(self.after_dot()?);
            } else if self.eat("[") {
                steps.push(self.bracket()?);
            } else {
                return Ok(steps);
            }
        }
    }

    fn after_dot(&mut self) -> Result<Step, PathError> {
        if self.eat("*") {
            return Ok(Step::All);
        }
        let is_in_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '$');
        let rest = self.rest();
        let name = rest.split(|letter: char| !is_in_name(letter)).next().unwrap_or_default();
        if name.is_empty() {
            return Err(self.wrong("a name is missing"));
        }
        self.at = self.at.saturating_add(name.len());
        Ok(Step::Key(Key::Name(name.to_owned())))
    }

    fn bracket(&mut self) -> Result<Step, PathError> {
        self.spaces();
        let step = if self.eat("*") {
            Step::All
        } else if self.eat("?") {
            Step::Filter(self.filter()?)
        } else {
            self.keys()?
        };
        self.spaces();
        if self.eat("]") { Ok(step) } else { Err(self.wrong("a bracket is not closed")) }
    }

    fn filter(&mut self) -> Result<Expression, PathError> {
        filter::read(self)
    }

    fn keys(&mut self) -> Result<Step, PathError> {
        let mut keys = Vec::new();
        loop {
            self.spaces();
            let key = match self.rest().chars().next() {
                Some('"' | '\'') => Some(Key::Name(self.quoted()?)),
                Some(':') => None,
                _ => Some(Key::Place(self.integer()?)),
            };
            self.spaces();
            if self.rest().starts_with(':') && keys.is_empty() {
                return self.slice(key);
            }
            keys.extend(key);
            if !self.eat(",") {
                break;
            }
        }
        match <[Key; 1]>::try_from(keys) {
            Ok([key]) => Ok(Step::Key(key)),
            Err(keys) => Ok(Step::Union(keys)),
        }
    }

    fn slice(&mut self, first: Option<Key>) -> Result<Step, PathError> {
        let from = match first {
            None => None,
            Some(Key::Place(place)) => Some(place),
            Some(Key::Name(_)) => return Err(self.wrong("a slice has numbers")),
        };
        let (mut ends, mut count) = ([None, None], 0_usize);
        while self.eat(":") {
            self.spaces();
            let end = ends.get_mut(count).ok_or_else(|| self.wrong("a slice has at most three numbers"))?;
            if !self.rest().starts_with([':', ']']) {
                *end = Some(self.integer()?);
            }
            count = count.saturating_add(1);
            self.spaces();
        }
        let [to, by] = ends;
        if by == Some(0) { Err(self.wrong("a slice goes on by zero")) } else { Ok(Step::Slice(from, to, by)) }
    }

    fn integer(&mut self) -> Result<i64, PathError> {
        let rest = self.rest();
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        let length = count.saturating_add(rest.len().saturating_sub(digits.len()));
        let number = rest.get(..length).and_then(|text| text.parse().ok());
        let number = number.ok_or_else(|| self.wrong("a name in quotation marks or a number is missing"))?;
        self.at = self.at.saturating_add(length);
        Ok(number)
    }

    /// A text in single or double quotation marks; a backslash takes the meaning from the next letter.
    pub(super) fn quoted(&mut self) -> Result<String, PathError> {
        let mut letters = self.rest().char_indices();
        let Some((_, mark)) = letters.next() else { return Err(self.wrong("a text is missing")) };
        let mut text = String::new();
        while let Some((at, letter)) = letters.next() {
            match letter {
                _ if letter == mark => {
                    self.at = self.at.saturating_add(at).saturating_add(letter.len_utf8());
                    return Ok(text);
                }
                '\\' => text.extend(letters.next().map(|(_, letter)| match letter {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                })),
                other => text.push(other),
            }
        }
        Err(self.wrong("a quotation mark is not closed"))
    }

    /// A number as JSON has it.
    pub(super) fn number(&mut self) -> Option<serde_json::Number> {
        let rest = self.rest();
        let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
        let length = rest.bytes().take_while(|byte| is_part(byte)).count();
        let number = rest.get(..length)?.parse().ok()?;
        self.at = self.at.saturating_add(length);
        Some(number)
    }
}
