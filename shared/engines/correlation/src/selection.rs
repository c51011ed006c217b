//! Selections in Sigma's modifier style: `field|modifier: value`, a map is AND, a list is OR, `|all` turns the list into AND.

use ipnet::IpNet;
use model::Severity;
use regex::{Regex, RegexBuilder};

use crate::fields::{FieldValue, Fields};
use crate::yaml::{Kind, Node};

/// One named selection: it matches when any alternative does.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) name: String,
    pub(crate) alternatives: Vec<Alternative>,
}

/// Tests that must all pass, on events of some types.
#[derive(Clone, Debug)]
pub(crate) struct Alternative {
    pub(crate) types: Vec<String>,
    pub(crate) tests: Vec<Test>,
}

/// One test of one field.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    /// Normalised path.
    pub(crate) path: String,
    /// Number of the field in the compiled set; set by the compiler.
    pub(crate) field: u16,
    all: bool,
    matchers: Vec<Matcher>,
}

#[derive(Clone, Debug)]
enum Matcher {
    /// Equal but for ASCII case.
    Equal(String),
    /// Equal, case and all.
    Cased(String),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
    Pattern(Regex),
    Network(IpNet),
    Compare(Comparison, Scale, f64),
    Number(f64),
    Bool(bool),
    Null,
    Exists(bool),
}

/// The comparisons of Sigma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Gt,
    Gte,
    Lt,
    Lte,
    Eq,
    Neq,
}

/// How a word is turned into a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Plain,
    Severity,
    Priority,
}

impl Comparison {
    /// The comparison of that name.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "gt" => Self::Gt,
            "gte" => Self::Gte,
            "lt" => Self::Lt,
            "lte" => Self::Lte,
            "eq" => Self::Eq,
            "neq" => Self::Neq,
            _ => return None,
        })
    }

    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Gt => left > right,
            Self::Gte => left >= right,
            Self::Lt => left < right,
            Self::Lte => left <= right,
            Self::Eq => (left - right).abs() < f64::EPSILON,
            Self::Neq => (left - right).abs() >= f64::EPSILON,
        }
    }
}

impl Test {
    /// Reads `field|modifier|...: value`.
    ///
    /// # Errors
    /// What is wrong, and whether it is unsupported rather than invalid.
    pub(crate) fn parse(key: &str, value: &Node) -> Result<Self, TestError> {
        let mut parts = key.split('|');
        let field = parts.next().unwrap_or_default();
        if field.is_empty() || field.split('.').any(str::is_empty) || field.split('.').count() > MAX_SEGMENTS {
            return Err(TestError::invalid(format!("`{field}` is not a field path")));
        }
        let path = normal_path(field);
        let modifiers = Modifiers::parse(parts)?;
        let values = value.items();
        if values.is_empty() {
            return Err(TestError::invalid(format!("`{key}` has no value to compare with")));
        }
        let matchers = values.iter().map(|value| modifiers.matcher(&path, value)).collect::<Result<_, _>>()?;
        Ok(Self { path, field: 0, all: modifiers.all, matchers })
    }

    /// Whether the fields pass.
    pub(crate) fn passes(&self, fields: &Fields) -> bool {
        let passes = |matcher: &Matcher| matcher.matches_field(fields, self.field);
        if self.all { self.matchers.iter().all(passes) } else { self.matchers.iter().any(passes) }
    }

    /// The lower-case texts one of which the field must equal, when that is all the test asks: what an index can be built on.
    pub(crate) fn index_keys(&self) -> Option<Vec<String>> {
        let key = |matcher: &Matcher| match matcher {
            Matcher::Equal(text) => Some(text.to_ascii_lowercase()),
            _ => None,
        };
        if self.all { None } else { self.matchers.iter().map(key).collect() }
    }
}

/// Modifiers of one test, as read.
#[derive(Default)]
struct Modifiers {
    kind: Option<String>,
    all: bool,
    cased: bool,
    flags: Vec<char>,
}

impl Modifiers {
    fn parse<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Self, TestError> {
        let mut modifiers = Self::default();
        for part in parts {
            match part {
                "all" => modifiers.all = true,
                "cased" => modifiers.cased = true,
                "i" | "m" | "s" if modifiers.kind.as_deref() == Some("re") => modifiers.flags.extend(part.chars()),
                "contains" | "startswith" | "endswith" | "re" | "cidr" | "gt" | "gte" | "lt" | "lte" | "neq"
                | "exists" => {
                    if let Some(before) = modifiers.kind.replace(part.to_owned()) {
                        return Err(TestError::invalid(format!(
                            "modifiers `{before}` and `{part}` exclude each other"
                        )));
                    }
                }
                "base64" | "base64offset" | "utf16" | "utf16le" | "utf16be" | "wide" | "windash" | "expand"
                | "fieldref" | "minute" | "hour" | "day" | "week" | "month" | "year" => {
                    return Err(TestError { unsupported: true, what: format!("modifier `{part}`") });
                }
                _ => return Err(TestError::invalid(format!("`{part}` is not a modifier of Sigma"))),
            }
        }
        Ok(modifiers)
    }

    fn matcher(&self, path: &str, value: &Node) -> Result<Matcher, TestError> {
        let text =
            || value.as_text().ok_or_else(|| TestError::invalid(format!("`{path}` is compared with a list or a map")));
        Ok(match self.kind.as_deref() {
            None => self.plain(&value.kind, &text)?,
            Some("contains") => Matcher::Contains(text()?),
            Some("startswith") => Matcher::StartsWith(text()?),
            Some("endswith") => Matcher::EndsWith(text()?),
            Some("re") => Matcher::Pattern(self.regex(&text()?)?),
            Some("cidr") => {
                let text = text()?;
                Matcher::Network(
                    text.parse()
                        .map_err(|_| TestError::invalid(format!("`{text}` is not a network like 10.0.0.0/8")))?,
                )
            }
            Some("exists") => match &value.kind {
                Kind::Bool(truth) => Matcher::Exists(*truth),
                _ => return Err(TestError::invalid("`exists` takes true or false".to_owned())),
            },
            Some(word) => {
                let comparison = Comparison::parse(word).unwrap_or(Comparison::Eq);
                let scale = Scale::of(path);
                let text = text()?;
                let bound =
                    scale.rank(&text).ok_or_else(|| TestError::invalid(format!("`{text}` cannot be ordered")))?;
                Matcher::Compare(comparison, scale, bound)
            }
        })
    }

    fn plain(&self, kind: &Kind, text: &dyn Fn() -> Result<String, TestError>) -> Result<Matcher, TestError> {
        Ok(match kind {
            Kind::Null => Matcher::Null,
            Kind::Bool(truth) => Matcher::Bool(*truth),
            Kind::Number(number) => Matcher::Number(*number),
            _ => {
                let text = text()?;
                match wildcard(&text) {
                    Some(pattern) => Matcher::Pattern(build(&pattern, !self.cased, &['s'])?),
                    None if self.cased => Matcher::Cased(unescape(&text)),
                    None => Matcher::Equal(unescape(&text)),
                }
            }
        })
    }

    fn regex(&self, text: &str) -> Result<Regex, TestError> {
        build(text, self.flags.contains(&'i'), &self.flags)
    }
}

impl Matcher {
    fn matches_field(&self, fields: &Fields, field: u16) -> bool {
        match self {
            Self::Exists(wanted) => fields.of(field).any(|value| *value != FieldValue::Null) == *wanted,
            Self::Null => fields.of(field).all(|value| *value == FieldValue::Null),
            Self::Compare(Comparison::Neq, scale, bound) => fields
                .of(field)
                .all(|value| number(value, *scale).is_none_or(|number| Comparison::Neq.holds(number, *bound))),
            _ => fields.of(field).any(|value| self.matches(value)),
        }
    }

    fn matches(&self, value: &FieldValue) -> bool {
        match (self, value) {
            (Self::Compare(comparison, scale, bound), value) => {
                number(value, *scale).is_some_and(|number| comparison.holds(number, *bound))
            }
            (Self::Bool(wanted), FieldValue::Bool(truth)) => wanted == truth,
            (Self::Number(wanted), FieldValue::Number(number)) => Comparison::Eq.holds(*number, *wanted),
            (Self::Number(wanted), FieldValue::Text(text)) => {
                text.parse().is_ok_and(|number| Comparison::Eq.holds(number, *wanted))
            }
            (Self::Equal(wanted), FieldValue::Bool(truth)) => {
                wanted.eq_ignore_ascii_case(if *truth { "true" } else { "false" })
            }
            (Self::Equal(wanted), FieldValue::Number(number)) => {
                wanted.parse().is_ok_and(|w: f64| Comparison::Eq.holds(*number, w))
            }
            (matcher, FieldValue::Text(text)) => matcher.matches_text(text),
            _ => false,
        }
    }

    fn matches_text(&self, text: &str) -> bool {
        match self {
            Self::Equal(wanted) => text.eq_ignore_ascii_case(wanted),
            Self::Cased(wanted) => text == wanted,
            Self::Contains(part) => contains(text, part),
            Self::StartsWith(part) => starts(text.as_bytes(), part.as_bytes()),
            Self::EndsWith(part) => {
                let from = text.len().checked_sub(part.len());
                from.and_then(|from| text.as_bytes().get(from..))
                    .is_some_and(|end| end.eq_ignore_ascii_case(part.as_bytes()))
            }
            Self::Pattern(regex) => regex.is_match(text),
            Self::Network(network) => text.parse().is_ok_and(|address: std::net::IpAddr| network.contains(&address)),
            Self::Compare(..) | Self::Number(_) | Self::Bool(_) | Self::Null | Self::Exists(_) => false,
        }
    }
}

impl Scale {
    /// Fields that end in `severity` or `priority` are ordered by the words of those scales.
    fn of(path: &str) -> Self {
        match path.rsplit('.').next() {
            Some("severity") => Self::Severity,
            Some("priority") => Self::Priority,
            _ => Self::Plain,
        }
    }

    fn rank(self, text: &str) -> Option<f64> {
        let place = |words: &[&str]| words.iter().position(|word| word.eq_ignore_ascii_case(text));
        let rank = match self {
            Self::Plain => return text.parse().ok(),
            Self::Severity => place(&Severity::ALL.map(Severity::as_str)),
            Self::Priority => place(&PRIORITIES).or_else(|| place(&PRIORITY_ALIASES).map(|_| 1)),
        };
        rank.and_then(|rank| u8::try_from(rank).ok()).map(f64::from)
    }
}

fn number(value: &FieldValue, scale: Scale) -> Option<f64> {
    match value {
        FieldValue::Number(number) => Some(*number),
        FieldValue::Text(text) => scale.rank(text),
        FieldValue::Bool(_) | FieldValue::Null => None,
    }
}

/// Paths start at the event's data unless they name a part of the envelope.
pub(crate) fn normal_path(field: &str) -> String {
    match field.split('.').next() {
        Some("identity" | "node" | "cluster" | "source" | "type" | "data" | "finding" | "image") => field.to_owned(),
        _ => format!("data.{field}"),
    }
}

fn starts(text: &[u8], part: &[u8]) -> bool {
    text.get(..part.len()).is_some_and(|start| start.eq_ignore_ascii_case(part))
}

fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// The regular expression of a text with the wildcards `*` and `?`; `None` when it has none that is not escaped.
fn wildcard(text: &str) -> Option<String> {
    let (mut pattern, mut found, mut escaped) = (String::from("^"), false, false);
    for c in text.chars() {
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '*' if !escaped => (pattern.push_str(".*"), found = true).0,
            '?' if !escaped => (pattern.push('.'), found = true).0,
            _ => {
                if escaped && !matches!(c, '*' | '?' | '\\') {
                    pattern.push_str("\\\\");
                }
                pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            }
        }
        escaped = false;
    }
    pattern.push('$');
    found.then_some(pattern)
}

/// Removes the backslash before a wildcard.
fn unescape(text: &str) -> String {
    text.replace("\\*", "*").replace("\\?", "?")
}

fn build(pattern: &str, ignore_case: bool, flags: &[char]) -> Result<Regex, TestError> {
    RegexBuilder::new(pattern)
        .case_insensitive(ignore_case)
        .multi_line(flags.contains(&'m'))
        .dot_matches_new_line(flags.contains(&'s'))
        .size_limit(MAX_REGEX_BYTES)
        .build()
        .map_err(|error| TestError::invalid(format!("`{pattern}`: {}", last_line(&error.to_string()))))
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Why a test was not read.
#[derive(Debug)]
pub(crate) struct TestError {
    pub(crate) unsupported: bool,
    pub(crate) what: String,
}

impl TestError {
    fn invalid(what: String) -> Self {
        Self { unsupported: false, what }
    }
}

/// Falco's priorities, least first.
const PRIORITIES: [&str; 8] =
    ["debug", "informational", "notice", "warning", "error", "critical", "alert", "emergency"];
const PRIORITY_ALIASES: [&str; 1] = ["info"];
const MAX_SEGMENTS: usize = 12;
const MAX_REGEX_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(test: &str, values: &[FieldValue], expected: bool) {
        let node = &crate::yaml::documents("t.yaml", test).unwrap()[0];
        let (key, value) = &node.entries()[0];
        let test = Test::parse(&key.text, value).unwrap();
        let mut fields = Fields::default();
        values.iter().for_each(|value| fields.push(0, value.clone()));
        assert_eq!(test.passes(&fields), expected, "{} on {values:?}", key.text);
    }

    fn text(text: &str) -> FieldValue {
        FieldValue::Text(text.into())
    }

    #[test]
    fn matches_as_sigma_says() {
        check("f: Shell", &[text("shell")], true);
        check("f|cased: Shell", &[text("shell")], false);
        check("f: [a, b]", &[text("b")], true);
        check("f|all: [a, b]", &[text("b")], false);
        check("f|all: [a, b]", &[text("b"), text("a")], true);
        check("f: '*/bin/?h'", &[text("/usr/bin/sh")], true);
        check("f: 'a\\*b'", &[text("a*b")], true);
        check("f: 'a\\*b'", &[text("axb")], false);
        check("f|contains: HAD", &[text("/etc/shadow")], true);
        check("f|startswith: /ETC", &[text("/etc/shadow")], true);
        check("f|endswith: DOW", &[text("/etc/shadow")], true);
        check("f|endswith: longer than it", &[text("x")], false);
        check("f|re: '^/etc/(shadow|passwd)$'", &[text("/etc/passwd")], true);
        check("f|re|i: '^/ETC'", &[text("/etc/passwd")], true);
        check("f|cidr: 10.0.0.0/8", &[text("10.2.3.4")], true);
        check("f|cidr: 10.0.0.0/8", &[text("11.2.3.4")], false);
        check("f|gte: 5", &[FieldValue::Number(5.0)], true);
        check("f|gt: 5", &[text("5")], false);
        check("f|neq: 5", &[FieldValue::Number(6.0)], true);
        check("f: null", &[], true);
        check("f: null", &[text("x")], false);
        check("f|exists: true", &[FieldValue::Null], false);
        check("f|exists: false", &[], true);
        check("f: 7", &[text("7")], true);
        check("f: true", &[FieldValue::Bool(true)], true);
        check("alert.priority|gte: warning", &[text("Critical")], true);
        check("alert.priority|gte: warning", &[text("Notice")], false);
        check("severity|gte: HIGH", &[text("critical")], true);
        check("severity|lt: HIGH", &[text("MEDIUM")], true);
    }

    #[test]
    fn faults_say_what_is_unsupported_and_what_is_wrong() {
        let parse = |key: &str| {
            let node = crate::yaml::documents("t.yaml", "v: x").unwrap()[0].entries()[0].1.clone();
            Test::parse(key, &node).unwrap_err()
        };
        assert!(parse("f|base64").unsupported);
        assert!(!parse("f|containz").unsupported);
        assert!(parse("f|cidr").what.contains("not a network"));
        assert!(parse("a..b").what.contains("not a field path"));
        assert!(parse("f|contains|endswith").what.contains("exclude"));
    }
}
