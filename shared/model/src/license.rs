//! Licences: the SPDX identifier of a name as package managers write it, and SPDX licence expressions (SPDX 2.3, annex D).

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

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

/// Identifier without suffix and whether later versions will do.
fn known(name: &str) -> Option<(String, bool)> {
    let key = Key::of(name);
    // An abbreviation at the end says it best: `GNU General Public License v3 or later (GPLv3+)`.
    let short = key.text.strip_suffix(')').and_then(|text| text.rsplit_once('(')).map(|(_, short)| short);
    if let Some(short) = short.filter(|short| short.contains(|c: char| c.is_ascii_digit()) && !short.contains(' ')) {
        return known(short);
    }
    let found = alias(&key.text).map(str::to_owned).or_else(|| family(&key.text));
    if let Some(id) = found {
        let open = matches!(key.text.as_str(), "GPL" | "LGPL" | "GFDL" | "FDL" | "GNU PUBLIC");
        return Some((id, key.or_later || open));
    }
    let by_name = identifier(&key.text).or_else(|| full_name(&key.text));
    by_name.map(|id| (id.to_owned(), key.or_later))
}

/// A name without what makes no difference.
struct Key {
    text: String,
    or_later: bool,
}

impl Key {
    fn of(name: &str) -> Self {
        let upper = name.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase();
        let mut text = upper.replace("LICENCE", "LICENSE");
        if let Some(rest) = text.strip_prefix("THE ") {
            text = rest.to_owned();
        }
        for suffix in [" LICENSED", " LICENSE", "-LICENSED", "-LICENSE"] {
            if let Some(stem) = text.strip_suffix(suffix) {
                text = stem.to_owned();
            }
        }
        let mut or_later = false;
        for suffix in ["+", "-OR-LATER", " OR LATER"] {
            if let Some(stem) = text.strip_suffix(suffix) {
                (text, or_later) = (stem.trim_end().to_owned(), true);
            }
        }
        for suffix in ["-ONLY", " ONLY"] {
            if let Some(stem) = text.strip_suffix(suffix) {
                text = stem.to_owned();
            }
        }
        Self { text, or_later }
    }
}

/// Names that mean a licence by habit, not by their words.
fn alias(key: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(_, names)| names.contains(&key)).map(|(id, _)| *id)
}

/// A licence of a family that numbers its versions: all words are the family's own, and a number.
fn family(key: &str) -> Option<String> {
    let mut number = None;
    let mut rest: Vec<String> = Vec::new();
    for word in key.split(|c: char| c.is_whitespace() || ",()-;/\"".contains(c)).filter(|word| !word.is_empty()) {
        let (stem, digits) = split_number(word);
        if !digits.is_empty() {
            let digits = digits.strip_suffix(".0.0").unwrap_or(digits);
            if number.is_some_and(|known: &str| known.trim_end_matches(".0") != digits.trim_end_matches(".0")) {
                return None;
            }
            number = Some(digits);
        }
        if !matches!(stem, "" | "V" | "V." | "VER" | "VER." | "VERSION" | "LICENSE" | "LICENSES" | "THE") {
            rest.push(stem.to_owned());
        }
    }
    rest.dedup();
    let words = rest.join(" ");
    let (_, versions, default) = FAMILIES
        .iter()
        .find(|(names, ..)| names.contains(&words.as_str()))
        .map(|(names, versions, default)| (names, *versions, *default))?;
    let Some(number) = number else { return (!default.is_empty()).then(|| default.to_owned()) };
    let same = |version: &&&str| {
        let bare = version.rsplit_once('-').map_or("", |(_, number)| number);
        bare.trim_end_matches(".0") == number.trim_end_matches(".0")
    };
    versions.iter().find(same).map(|id| (*id).to_owned())
}

/// `LGPLV2.1` is `LGPL` and `2.1`.
fn split_number(word: &str) -> (&str, &str) {
    let Some(at) = word.find(|c: char| c.is_ascii_digit()) else { return (word, "") };
    let (stem, digits) = word.split_at_checked(at).unwrap_or((word, ""));
    if digits.chars().all(|c| c.is_ascii_digit() || c == '.') {
        let stem = if stem.len() > 1 { stem.strip_suffix('V').unwrap_or(stem) } else { stem };
        (stem, digits)
    } else {
        (word, "")
    }
}

/// By the name in full, such as `BSD Zero Clause License`.
fn full_name(key: &str) -> Option<&'static str> {
    static BY_NAME: OnceLock<HashMap<String, &'static str>> = OnceLock::new();
    let all = || {
        let current = spdx::identifiers::LICENSES.iter().filter(|one| identifier(one.name).is_some());
        current.map(|one| (Key::of(one.full_name).text, one.name)).collect()
    };
    BY_NAME.get_or_init(all).get(key).copied()
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

/// Words of a family without numbers, its versions, and what is meant when no version is named; empty when that cannot be told.
type Family = (&'static [&'static str], &'static [&'static str], &'static str);

const FAMILIES: &[Family] = &[
    (
        &[
            "GNU AFFERO GENERAL PUBLIC AGPL",
            "GNU AFFERO GENERAL PUBLIC",
            "AFFERO GENERAL PUBLIC AGPL",
            "AFFERO GENERAL PUBLIC",
            "GNU AGPL",
            "AGPL",
        ],
        &["AGPL-1.0", "AGPL-3.0"],
        "AGPL-3.0",
    ),
    (
        &[
            "GNU LESSER GENERAL PUBLIC LGPL",
            "GNU LESSER GENERAL PUBLIC",
            "GNU GENERAL LESSER PUBLIC LGPL",
            "LESSER GENERAL PUBLIC LGPL",
            "LESSER GENERAL PUBLIC",
            "GNU LIBRARY OR LESSER GENERAL PUBLIC LGPL",
            "GNU LIBRARY GENERAL PUBLIC",
            "GNU LESSER PUBLIC",
            "GNU LESSER",
            "GNU LGPL GNU LESSER GENERAL PUBLIC",
            "GNU LGPL",
        ],
        &["LGPL-2.0", "LGPL-2.1", "LGPL-3.0"],
        "LGPL-2.1",
    ),
    (&["LGPL"], &["LGPL-2.0", "LGPL-2.1", "LGPL-3.0"], "LGPL-2.0"),
    (&["GNU GENERAL PUBLIC GPL", "GNU GENERAL PUBLIC"], &["GPL-1.0", "GPL-2.0", "GPL-3.0"], "GPL-3.0"),
    (&["GENERAL PUBLIC GPL", "GNU PUBLIC", "GNU GPL", "GPL"], &["GPL-1.0", "GPL-2.0", "GPL-3.0"], "GPL-2.0"),
    (
        &["GNU FREE DOCUMENTATION GFDL", "GNU FREE DOCUMENTATION FDL", "GNU FREE DOCUMENTATION", "GFDL", "FDL"],
        &["GFDL-1.1", "GFDL-1.2", "GFDL-1.3"],
        "GFDL-1.3",
    ),
    (
        &[
            "APACHE",
            "APACHE SOFTWARE",
            "APACHE SOFTWARE APACHE",
            "APACHE PUBLIC",
            "APACHE ASL",
            "ASL",
            "ASF",
            "APL",
            "AL",
            "APACHE STYLE",
        ],
        &["Apache-1.0", "Apache-1.1", "Apache-2.0"],
        "Apache-2.0",
    ),
    (&["MOZILLA PUBLIC", "MOZILLA PUBLIC MPL", "MPL"], &["MPL-1.0", "MPL-1.1", "MPL-2.0"], "MPL-2.0"),
    (
        &["ECLIPSE PUBLIC", "ECLIPSE PUBLIC EPL", "EPL ECLIPSE PUBLIC", "ECLIPSE", "EPL", "ECLIPSE PUBLISH"],
        &["EPL-1.0", "EPL-2.0"],
        "EPL-1.0",
    ),
    (
        &["COMMON DEVELOPMENT AND DISTRIBUTION", "COMMON DEVELOPMENT AND DISTRIBUTION CDDL", "CDDL"],
        &["CDDL-1.0", "CDDL-1.1"],
        "CDDL-1.0",
    ),
    (
        &["EUROPEAN UNION PUBLIC", "EUROPEAN UNION PUBLIC EUPL", "EU PUBLIC EUPL", "EUPL"],
        &["EUPL-1.0", "EUPL-1.1", "EUPL-1.2"],
        "EUPL-1.0",
    ),
    (&["COMMON PUBLIC", "CPL"], &["CPL-1.0"], "CPL-1.0"),
    (&["ACADEMIC FREE", "ACADEMIC FREE AFL", "AFL"], &["AFL-1.1", "AFL-1.2", "AFL-2.0", "AFL-2.1", "AFL-3.0"], ""),
    (&["BOOST SOFTWARE", "BOOST SOFTWARE BSL", "BOOST", "BSL"], &["BSL-1.0"], "BSL-1.0"),
    (&["ZOPE PUBLIC", "ZOPE", "ZPL"], &["ZPL-1.1", "ZPL-2.0", "ZPL-2.1"], "ZPL-2.1"),
    (&["OPEN SOFTWARE", "OSL"], &["OSL-1.0", "OSL-1.1", "OSL-2.0", "OSL-2.1", "OSL-3.0"], ""),
    (&["SIL OPEN FONT", "SIL OPEN FONT OFL", "OFL"], &["OFL-1.0", "OFL-1.1"], ""),
    (&["ARTISTIC"], &["Artistic-1.0", "Artistic-2.0"], "Artistic-2.0"),
    (&["UNIVERSAL PERMISSIVE", "UNIVERSAL PERMISSIVE UPL", "UPL"], &["UPL-1.0"], ""),
    (
        &["CREATIVE COMMONS ATTRIBUTION", "CREATIVE COMMONS BY", "CC BY", "CREATIVE COMMONS"],
        &["CC-BY-1.0", "CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0"],
        "CC-BY-3.0",
    ),
    (
        &["CREATIVE COMMONS ATTRIBUTION INTERNATIONAL", "CREATIVE COMMONS ATTRIBUTION INTERNATIONAL PUBLIC"],
        &["CC-BY-4.0"],
        "CC-BY-4.0",
    ),
    (
        &["CC BY SA", "CREATIVE COMMONS BY SA"],
        &["CC-BY-SA-1.0", "CC-BY-SA-2.0", "CC-BY-SA-2.5", "CC-BY-SA-3.0", "CC-BY-SA-4.0"],
        "",
    ),
    (
        &["CC UNIVERSAL", "CC0 UNIVERSAL", "CC0", "CREATIVE COMMONS ZERO", "CREATIVE COMMONS CC0"],
        &["CC0-1.0"],
        "CC0-1.0",
    ),
];

const ALIASES: &[(&str, &[&str])] = &[
    ("AFL-3.0", &["AFL"]),
    ("AFL-2.1", &["ACADEMIC FREE LICENSE (AFL)"]),
    ("BSD-1-Clause", &["BSD-1"]),
    (
        "BSD-2-Clause",
        &[
            "BSD-2",
            "BSD 2 CLAUSE",
            "BSD 2-CLAUSE",
            "BSD TWO CLAUSE",
            "2-CLAUSE BSD",
            "SIMPLIFIED BSD",
            "BSD SIMPLIFIED",
            "FREEBSD",
            "BSD SOFTWARE",
        ],
    ),
    (
        "BSD-3-Clause",
        &[
            "BSD",
            "BSD*",
            "BSD-LIKE",
            "BSD-STYLE",
            "BSD STYLE",
            "BSD-3",
            "BSD 3 CLAUSE",
            "BSD 3-CLAUSE",
            "BSD-3 CLAUSE",
            "BSD THREE CLAUSE",
            "3-CLAUSE BSD",
            "NEW BSD",
            "(NEW) BSD",
            "BSD NEW",
            "BSD (3-CLAUSE)",
            "BSD 3-CLAUSE NEW",
            "MODIFIED BSD",
            "REVISED BSD",
            "EDL-1.0",
            "ECLIPSE DISTRIBUTION LICENSE - V 1.0",
            "ECLIPSE DISTRIBUTION LICENSE V. 1.0",
            "GO",
        ],
    ),
    ("BSD-4-Clause", &["BSD-4", "BSD 4 CLAUSE", "BSD 4-CLAUSE", "BSD FOUR CLAUSE", "ORIGINAL BSD"]),
    ("ISC", &["ISCL", "ISC LICENSE (ISCL)"]),
    ("LGPL-2.0", &["LGPLV2", "LGPL-2"]),
    (
        "MIT",
        &[
            "EXPAT",
            "MIT-LIKE",
            "MIT-STYLE",
            "MIT/X11",
            "X11/MIT",
            "EXPAT (MIT/X11)",
            "BOUNCY CASTLE",
            "JQUERY",
            "MIT LICENSE (MIT)",
        ],
    ),
    ("NPL-1.1", &["NETSCAPE"]),
    ("PSF-2.0", &["PSF", "PSFL", "PYTHON SOFTWARE FOUNDATION"]),
    ("Python-2.0", &["PYTHON", "PYTHON-2", "JYTHON SOFTWARE"]),
    ("W3C", &["W3CL"]),
    ("WTFPL", &["WTF"]),
    ("Zend-2.0", &["ZEND-2"]),
    ("Zlib", &["ZLIB/LIBPNG", "ZLIB"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers() {
        let check = |name: &str, expected: &str| assert_eq!(normal_license(name), expected, "{name}");
        check("mit", "MIT");
        check("The MIT License", "MIT");
        check("Apache License, Version 2.0", "Apache-2.0");
        check("The Apache Software License, Version 2.0", "Apache-2.0");
        check("GPLv2+", "GPL-2.0-or-later");
        check("GPL-3", "GPL-3.0-only");
        check("GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later");
        check("LGPL-2.1-or-later", "LGPL-2.1-or-later");
        check("GNU LESSER", "LGPL-2.1-only");
        check("BSD License", "BSD-3-Clause");
        check("AFL 2.0", "AFL-2.0");
        check("0BSD", "0BSD");
        check("Odd house rules", "Odd house rules");
        check("EPL 9.0", "EPL 9.0");
    }

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
