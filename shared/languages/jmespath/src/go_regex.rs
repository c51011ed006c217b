//! Go's regular expressions (RE2) on the `regex` crate.
//!
//! Both are finite automata with the same idea of a match; the spelling differs. In Go `\d`, `\w`, `\s` and `\b` mean ASCII,
//! `\Q..\E` quotes, a `{` that begins no count is a plain character, and a class knows no set operations. A pattern is
//! translated to what means the same here.

use regex::{Captures, Regex, RegexBuilder};

/// Longest pattern that is compiled, in bytes.
const MAX_LENGTH: usize = 16 * 1024;
/// Most memory that one compiled pattern may take, in bytes.
const MAX_SIZE: usize = 2 * 1024 * 1024;
/// Highest count in a repetition, as in Go.
const MAX_REPEAT: u32 = 1000;

/// A pattern that Go refuses, or that is too large.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {what}: `{pattern}`")]
pub struct RegexError {
    what: String,
    pattern: String,
}

/// Compiles a Go pattern.
///
/// # Errors
/// When Go would refuse it, or when it needs too much memory.
pub fn compile(pattern: &str) -> Result<Regex, RegexError> {
    let fail = |what: String| RegexError { what, pattern: pattern.chars().take(200).collect() };
    if pattern.len() > MAX_LENGTH {
        return Err(fail(format!("longer than {MAX_LENGTH} bytes")));
    }
    let translated = translate(pattern).map_err(|what| fail(what.to_owned()))?;
    RegexBuilder::new(&translated).size_limit(MAX_SIZE).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => fail("expression too large".to_owned()),
        error => fail(error.to_string().lines().last().unwrap_or("invalid expression").trim().to_owned()),
    })
}

/// Replaces every match in `text` by `template`, in which `$1`, `$name` and `${name}` stand for groups and `$$` for `$`.
#[must_use]
pub fn replace_all(regex: &Regex, text: &str, template: &str) -> String {
    if !template.contains('$') {
        return regex.replace_all(text, regex::NoExpand(template)).into_owned();
    }
    regex.replace_all(text, |captures: &Captures<'_>| expand(captures, template)).into_owned()
}

/// `template` with the groups of `captures` filled in; unknown groups are empty.
#[must_use]
pub fn expand(captures: &Captures<'_>, template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(next) = behind.strip_prefix('$') {
            out.push('$');
            rest = next;
            continue;
        }
        let Some((name, next)) = group_name(behind) else {
            out.push('$');
            rest = behind;
            continue;
        };
        let group = match name.parse::<usize>() {
            Ok(index) => captures.get(index),
            Err(_) => captures.name(name),
        };
        out.push_str(group.map_or("", |found| found.as_str()));
        rest = next;
    }
    out.push_str(rest);
    out
}

fn group_name(text: &str) -> Option<(&str, &str)> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    if let Some(braced) = text.strip_prefix('{') {
        let (name, rest) = braced.split_once('}')?;
        return (!name.is_empty() && name.chars().all(is_name)).then_some((name, rest));
    }
    let end = text.find(|c: char| !is_name(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

struct Translation<'p> {
    rest: &'p str,
    out: String,
    /// What was written last: nothing that can repeat, something that can, or a repetition.
    last: Last,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Atom,
    Repetition,
}

fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut translation =
        Translation { rest: pattern, out: String::with_capacity(pattern.len() + 8), last: Last::Nothing };
    while let Some(c) = translation.next() {
        translation.step(c)?;
    }
    Ok(translation.out)
}

impl Translation<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Some(c)
    }

    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.last = Last::Atom;
    }

    fn literal(&mut self, c: char) {
        let mut buffer = [0; 4];
        let text = regex::escape(c.encode_utf8(&mut buffer));
        self.atom(&text);
    }

    fn step(&mut self, c: char) -> Result<(), &'static str> {
        match c {
            '\\' => return self.escape(),
            '[' => return self.class(),
            '(' => return self.group(),
            '*' | '+' | '?' => return self.repeat(c.to_string()),
            '{' => match self.count()? {
                Some(count) => return self.repeat(count),
                None => self.literal('{'),
            },
            '|' => {
                self.out.push('|');
                self.last = Last::Nothing;
            }
            ')' => self.atom(")"),
            '.' => self.atom("."),
            '^' | '$' => self.atom(if c == '^' { "^" } else { "$" }),
            c => self.literal(c),
        }
        Ok(())
    }

    fn repeat(&mut self, mut operator: String) -> Result<(), &'static str> {
        match self.last {
            Last::Nothing => return Err("missing argument to repetition operator"),
            Last::Repetition => return Err("invalid nested repetition operator"),
            Last::Atom => {}
        }
        if self.take("?") {
            operator.push('?');
        }
        self.out.push_str(&operator);
        self.last = Last::Repetition;
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}` behind the open brace; `None`, with nothing consumed, when it is none of these.
    fn count(&mut self) -> Result<Option<String>, &'static str> {
        let Some((inner, rest)) = self.rest.split_once('}') else { return Ok(None) };
        let (least, most) = inner.split_once(',').map_or((inner, None), |(least, most)| (least, Some(most)));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(least) || most.is_some_and(|most| !most.is_empty() && !digits(most)) {
            return Ok(None);
        }
        let within = |text: &str| text.parse::<u32>().ok().filter(|count| *count <= MAX_REPEAT);
        let low = within(least).ok_or("invalid repeat count")?;
        if let Some(most) = most.filter(|most| !most.is_empty()) {
            within(most).filter(|most| *most >= low).ok_or("invalid repeat count")?;
        }
        self.rest = rest;
        Ok(Some(format!("{{{inner}}}")))
    }

    fn group(&mut self) -> Result<(), &'static str> {
        self.last = Last::Nothing;
        if !self.take("?") {
            self.out.push('(');
            return Ok(());
        }
        if self.rest.starts_with("P<")
            || (self.rest.starts_with('<') && !self.rest.starts_with("<=") && !self.rest.starts_with("<!"))
        {
            let (name, rest) = self.rest.split_once('>').ok_or("invalid named capture")?;
            self.out.push_str("(?P<");
            self.out.push_str(name.trim_start_matches("P<").trim_start_matches('<'));
            self.out.push('>');
            self.rest = rest;
            return Ok(());
        }
        let end = self.rest.find([':', ')']).ok_or("missing closing )")?;
        let (flags, _) = self.rest.split_at(end);
        if !flags.chars().all(|c| "imsU-".contains(c)) {
            return Err("invalid or unsupported Perl syntax");
        }
        let whole = self.rest.get(..=end).unwrap_or_default();
        self.out.push_str("(?");
        self.out.push_str(whole);
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        Ok(())
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        let c = self.next().ok_or("trailing backslash at end of expression")?;
        match c {
            'd' => self.atom("[0-9]"),
            'D' => self.atom("[^0-9]"),
            'w' => self.atom("[0-9A-Za-z_]"),
            'W' => self.atom("[^0-9A-Za-z_]"),
            's' => self.atom(r"[\t\n\x0C\r ]"),
            'S' => self.atom(r"[^\t\n\x0C\r ]"),
            'b' => self.atom(r"(?-u:\b)"),
            'B' => self.atom(r"\B"),
            'A' => self.atom(r"\A"),
            'z' => self.atom(r"\z"),
            'p' | 'P' => self.property(c)?,
            'Q' => {
                let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                for c in quoted.chars() {
                    self.literal(c);
                }
            }
            c => {
                let c = self.escaped(c)?;
                self.literal(c);
            }
        }
        Ok(())
    }

    fn property(&mut self, kind: char) -> Result<(), &'static str> {
        let name = self.property_name().ok_or("invalid character class range")?;
        self.out.push('\\');
        self.out.push(kind);
        self.out.push_str(&name);
        self.last = Last::Atom;
        Ok(())
    }

    fn property_name(&mut self) -> Option<String> {
        if self.rest.starts_with('{') {
            let end = self.rest.find('}')?;
            let name = self.rest.get(..=end)?.to_owned();
            self.rest = self.rest.get(end + 1..)?;
            return Some(name);
        }
        self.next().map(|c| c.to_string())
    }

    /// The character that a backslash and `c` stand for.
    fn escaped(&mut self, c: char) -> Result<char, &'static str> {
        match c {
            'a' => Ok('\u{7}'),
            'f' => Ok('\u{c}'),
            't' => Ok('\t'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            'v' => Ok('\u{b}'),
            'x' => self.hexadecimal().ok_or("invalid escape sequence"),
            '0'..='7' => {
                let mut code = c.to_digit(8).unwrap_or(0);
                if c != '0' && !self.rest.starts_with(|c: char| c.is_digit(8)) {
                    return Err("invalid escape sequence");
                }
                for _ in 0..2 {
                    let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    self.next();
                }
                char::from_u32(code).ok_or("invalid escape sequence")
            }
            c if c.is_ascii_punctuation() => Ok(c),
            _ => Err("invalid escape sequence"),
        }
    }

    fn hexadecimal(&mut self) -> Option<char> {
        let digits = if self.take("{") {
            let (digits, rest) = self.rest.split_once('}')?;
            self.rest = rest;
            digits.to_owned()
        } else {
            [self.next()?, self.next()?].iter().collect()
        };
        u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
    }

    /// A class behind its open bracket.
    fn class(&mut self) -> Result<(), &'static str> {
        self.out.push('[');
        if self.take("^") {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.next().ok_or("missing closing ]")?;
            match c {
                ']' if !first => break,
                '[' if self.rest.starts_with(':') => {
                    let end = self.rest.find(":]").ok_or("missing closing ]")?;
                    self.out.push('[');
                    self.out.push_str(self.rest.get(..end + 2).unwrap_or_default());
                    self.rest = self.rest.get(end + 2..).unwrap_or_default();
                }
                '\\' => self.class_escape()?,
                // A range, unless it stands at an end of the class.
                '-' if !first && !self.rest.starts_with(']') => self.out.push('-'),
                c => self.class_literal(c),
            }
            first = false;
        }
        self.atom("]");
        Ok(())
    }

    fn class_literal(&mut self, c: char) {
        if c.is_ascii_punctuation() {
            self.out.push('\\');
        }
        self.out.push(c);
    }

    fn class_escape(&mut self) -> Result<(), &'static str> {
        let c = self.next().ok_or("trailing backslash at end of expression")?;
        match c {
            'd' => self.out.push_str("0-9"),
            'w' => self.out.push_str("0-9A-Za-z_"),
            's' => self.out.push_str(r"\t\n\x0C\r "),
            'D' => self.out.push_str("[^0-9]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            'S' => self.out.push_str(r"[^\t\n\x0C\r ]"),
            'p' | 'P' => self.property(c)?,
            c => {
                let c = self.escaped(c)?;
                self.class_literal(c);
            }
        }
        Ok(())
    }
}
