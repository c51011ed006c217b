//! Licences: the SPDX identifier of a name as package managers write it, and SPDX licence expressions (SPDX 2.3, annex D).

mod names;

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use names::known;

/// A licence expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LicenseExpression {
    /// A licence by its identifier or name, with `+` or `-or-later` if `or_later`.
    Simple {
        /// Identifier without `-only` and `-or-later`, or any other name.
        name: String,
        /// Whether any later version will do.
        or_later: bool,
    },
    /// Two expressions that an operator joins.
    Compound {
        /// Left of the operator.
        left: Box<LicenseExpression>,
        /// The operator.
        operator: Operator,
        /// Right of the operator: an exception for `WITH`.
        right: Box<LicenseExpression>,
    },
}

/// An operator of licence expressions, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// A choice.
    Or,
    /// Both.
    And,
    /// A licence with an exception.
    With,
}

impl LicenseExpression {
    /// Parses an expression; names of several words count as one licence. `None` when it breaks the syntax or is nested too deeply.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let words = words(text);
        let mut parser = Parser { words: &words, at: 0 };
        let parsed = parser.level(Operator::Or, 0)?;
        (parser.at == words.len()).then_some(parsed)
    }

    /// With the SPDX identifier in the place of each name that has one.
    #[must_use]
    pub fn normalized(self) -> Self {
        match self {
            Self::Simple { name, or_later } => match known(&name) {
                Some((id, open)) => Self::Simple { name: id, or_later: or_later || open },
                None => Self::Simple { name: plain(name.trim()), or_later },
            },
            Self::Compound { left, operator, right } => {
                let right = match (operator, exception(&right.to_string())) {
                    (Operator::With, Some(id)) => Self::Simple { name: id.to_owned(), or_later: false },
                    _ => right.normalized(),
                };
                Self::Compound { left: Box::new(left.normalized()), operator, right: Box::new(right) }
            }
        }
    }

    /// Whether all licences and exceptions are on the SPDX licence list.
    #[must_use]
    pub fn is_spdx(&self) -> bool {
        match self {
            Self::Simple { .. } => identifier(&self.to_string()).is_some(),
            Self::Compound { left, operator: Operator::With, right } => {
                left.is_spdx() && exception(&right.to_string()).is_some()
            }
            Self::Compound { left, right, .. } => left.is_spdx() && right.is_spdx(),
        }
    }

    /// The expression with another in the place of each licence, be it with an exception or without.
    #[must_use]
    pub fn map_licenses(self, replace: &mut dyn FnMut(Self) -> Self) -> Self {
        match self {
            Self::Compound { left, operator, right } if operator != Operator::With => {
                let (left, right) = (left.map_licenses(replace), right.map_licenses(replace));
                Self::Compound { left: Box::new(left), operator, right: Box::new(right) }
            }
            license => replace(license),
        }
    }
}

impl fmt::Display for LicenseExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple { name, or_later } => {
                let suffix = match (is_gnu(name), or_later) {
                    (true, true) => "-or-later",
                    (true, false) => "-only",
                    (false, true) => "+",
                    (false, false) => "",
                };
                write!(f, "{name}{suffix}")
            }
            Self::Compound { left, operator, right } => {
                let side = |f: &mut fmt::Formatter<'_>, side: &Self| match side {
                    Self::Compound { operator: inner, .. } if inner < operator => write!(f, "({side})"),
                    _ => write!(f, "{side}"),
                };
                side(f, left)?;
                f.write_str(match operator {
                    Operator::Or => " OR ",
                    Operator::And => " AND ",
                    Operator::With => " WITH ",
                })?;
                side(f, right)
            }
        }
    }
}

/// The identifier that the SPDX licence list has for a name as package managers write it; the name itself where it has none.
#[must_use]
pub fn normal_license(name: &str) -> String {
    match known(name) {
        Some((name, or_later)) => LicenseExpression::Simple { name, or_later }.to_string(),
        None => name.trim().to_owned(),
    }
}

/// The identifier in the spelling of the SPDX licence list.
#[must_use]
pub fn identifier(name: &str) -> Option<&'static str> {
    static BY_NAME: OnceLock<HashMap<String, &'static str>> = OnceLock::new();
    let all = || spdx::identifiers::LICENSES.iter().map(|one| (one.name.to_ascii_uppercase(), one.name)).collect();
    BY_NAME.get_or_init(all).get(&name.to_ascii_uppercase()).copied()
}

fn exception(name: &str) -> Option<&'static str> {
    spdx::identifiers::EXCEPTIONS.iter().map(|one| one.name).find(|known| known.eq_ignore_ascii_case(name))
}

fn is_gnu(name: &str) -> bool {
    ["AGPL-", "GFDL-", "GPL-", "LGPL-"].iter().any(|family| {
        name.strip_prefix(family).is_some_and(|rest| {
            let number =
                rest.strip_suffix("-no-invariants").or_else(|| rest.strip_suffix("-invariants")).unwrap_or(rest);
            number.chars().all(|c| c.is_ascii_digit() || c == '.')
        })
    })
}

/// A name with nothing but what identifiers may have.
fn plain(name: &str) -> String {
    let good = |c: char| c.is_ascii_alphabetic() || c.is_numeric() || matches!(c, '-' | '.' | ':');
    name.chars().map(|c| if good(c) { c } else { '-' }).collect()
}

/// Words, parentheses, and `+` at the end of a word.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for piece in text.split_whitespace() {
        let mut word = String::new();
        let mut chars = piece.chars().peekable();
        while let Some(c) = chars.next() {
            let ends = c == '+' && chars.peek().is_none_or(|next| matches!(next, '(' | ')'));
            if matches!(c, '(' | ')') || ends {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                words.push(c.to_string());
            } else {
                word.push(c);
            }
        }
        if !word.is_empty() {
            words.push(word);
        }
    }
    words
}

struct Parser<'a> {
    words: &'a [String],
    at: usize,
}

impl Parser<'_> {
    fn level(&mut self, operator: Operator, depth: usize) -> Option<LicenseExpression> {
        let tighter = match operator {
            Operator::Or => Some(Operator::And),
            Operator::And => Some(Operator::With),
            Operator::With => None,
        };
        let next = |parser: &mut Self| match tighter {
            Some(tighter) => parser.level(tighter, depth),
            None => parser.primary(depth),
        };
        let mut left = next(self)?;
        while self.words.get(self.at).and_then(|word| operator_of(word)) == Some(operator) {
            self.at = self.at.saturating_add(1);
            let right = next(self)?;
            left = LicenseExpression::Compound { left: Box::new(left), operator, right: Box::new(right) };
        }
        Some(left)
    }

    fn primary(&mut self, depth: usize) -> Option<LicenseExpression> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.take("(") {
            let inner = self.level(Operator::Or, depth.saturating_add(1))?;
            return self.take(")").then_some(inner);
        }
        let mut name = String::new();
        while let Some(word) = self.words.get(self.at) {
            if matches!(word.as_str(), "(" | ")" | "+") || operator_of(word).is_some() {
                break;
            }
            if !name.is_empty() {
                name.push(' ');
            }
            name.push_str(word);
            self.at = self.at.saturating_add(1);
        }
        (!name.is_empty()).then(|| LicenseExpression::Simple { name, or_later: self.take("+") })
    }

    fn take(&mut self, wanted: &str) -> bool {
        let is_there = self.words.get(self.at).is_some_and(|word| word == wanted);
        self.at = self.at.saturating_add(usize::from(is_there));
        is_there
    }
}

fn operator_of(word: &str) -> Option<Operator> {
    let operators = [("OR", Operator::Or), ("AND", Operator::And), ("WITH", Operator::With)];
    operators.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, operator)| *operator)
}

const MAX_DEPTH: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_parsed_and_written() {
        let check = |text: &str, expected: &str| {
            let parsed = LicenseExpression::parse(text).map(|one| one.normalized().to_string());
            assert_eq!(parsed.as_deref(), Some(expected), "{text}");
        };
        check("mit or apache-2.0", "MIT OR Apache-2.0");
        check("(MIT OR ISC) AND GPL-2.0+", "(MIT OR ISC) AND GPL-2.0-or-later");
        check("afl 2.0 with linux-SYSCALL-note", "AFL-2.0 WITH Linux-syscall-note");
        check("MIT AND (ISC)", "MIT AND ISC");
        for broken in ["", "AND", "MIT AND", "(MIT", "MIT)", "a+ b", &"(".repeat(100)] {
            assert_eq!(LicenseExpression::parse(broken), None, "{broken}");
        }
        assert!(LicenseExpression::parse("MIT OR GPL-3.0-only").unwrap().is_spdx());
        assert!(!LicenseExpression::parse("MIT OR mine").unwrap().is_spdx());
    }
}
