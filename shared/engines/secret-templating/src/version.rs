//! Semantic versions and what constrains them.

use std::cmp::Ordering;
use std::fmt;

/// A version, read leniently: `v1.2` is 1.2.0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) patch: u64,
    pub(crate) prerelease: String,
    pub(crate) metadata: String,
    pub(crate) original: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let pattern = Pattern::parse(text.strip_prefix('v').unwrap_or(text))?;
        let number = |part: Option<&str>| part.map_or(Some(0), |part| part.parse().ok());
        let is_identifier =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let has_no_zero =
            |part: &str| !(part.len() > 1 && part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit()));
        let has_prerelease = !pattern.prerelease.is_empty();
        if has_prerelease && !pattern.prerelease.split('.').all(|part| is_identifier(part) && has_no_zero(part)) {
            return None;
        }
        if !pattern.metadata.is_empty() && !pattern.metadata.split('.').all(is_identifier) {
            return None;
        }
        Some(Self {
            major: pattern.parts.first()?.parse().ok()?,
            minor: number(pattern.parts.get(1).copied())?,
            patch: number(pattern.parts.get(2).copied())?,
            prerelease: pattern.prerelease.to_owned(),
            metadata: pattern.metadata.to_owned(),
            original: text.to_owned(),
        })
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let numbers = |version: &Self| (version.major, version.minor, version.patch);
        numbers(self).cmp(&numbers(other)).then_with(|| compare_prereleases(&self.prerelease, &other.prerelease))
    }
}

fn compare_prereleases(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Up to three parts with a point between them, then `-prerelease` and `+metadata`.
struct Pattern<'a> {
    parts: Vec<&'a str>,
    prerelease: &'a str,
    metadata: &'a str,
}

impl<'a> Pattern<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (rest, metadata) = match text.split_once('+') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (text, ""),
        };
        let (core, prerelease) = match rest.split_once('-') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (rest, ""),
        };
        let parts: Vec<&str> = core.split('.').collect();
        (parts.len() <= 3).then_some(Self { parts, prerelease, metadata })
    }
}

/// One condition: an operator, and a version of which parts may be left open.
struct Condition {
    operator: String,
    version: Version,
    is_open: bool,
    has_open_minor: bool,
    has_open_patch: bool,
}

impl Condition {
    fn parse(text: &str) -> Option<Self> {
        let version_at = text.find(|letter: char| !"=!<>~^ ".contains(letter)).unwrap_or(text.len());
        let (operator, version) = text.split_at_checked(version_at)?;
        let operator = operator.trim().to_owned();
        if !matches!(operator.as_str(), "" | "=" | "!=" | ">" | "<" | ">=" | "=>" | "<=" | "=<" | "~" | "~>" | "^") {
            return None;
        }
        let pattern = Pattern::parse(version.strip_prefix('v').unwrap_or(version))?;
        let is_open = |index: usize| matches!(pattern.parts.get(index).copied(), None | Some("" | "x" | "X" | "*"));
        let part = |index: usize| pattern.parts.get(index).copied().unwrap_or_default();
        let suffix = if pattern.prerelease.is_empty() { String::new() } else { format!("-{}", pattern.prerelease) };
        let (text, minor, patch) = if is_open(0) {
            (format!("0.0.0{suffix}"), false, false)
        } else if is_open(1) {
            (format!("{}.0.0{suffix}", part(0)), true, false)
        } else if is_open(2) {
            (format!("{}.{}.0{suffix}", part(0), part(1)), false, true)
        } else {
            (format!("{}.{}.{}{suffix}", part(0), part(1), part(2)), false, false)
        };
        let is_open = is_open(0) || minor || patch;
        Some(Self { operator, version: Version::parse(&text)?, is_open, has_open_minor: minor, has_open_patch: patch })
    }

    fn holds(&self, version: &Version, takes_prereleases: bool) -> bool {
        if !version.prerelease.is_empty() && !takes_prereleases {
            return false;
        }
        let order = version.compare(&self.version);
        match self.operator.as_str() {
            "" | "=" if !self.is_open => order.is_eq(),
            "" | "=" | "~" | "~>" => self.holds_tilde(version),
            "!=" => self.differs(version),
            ">" if self.has_open_minor => version.major > self.version.major,
            ">" if self.has_open_patch => (version.major, version.minor) > (self.version.major, self.version.minor),
            ">" => order.is_gt(),
            "<" => order.is_lt(),
            ">=" | "=>" => order.is_ge(),
            "<=" | "=<" if self.is_open => {
                version.major < self.version.major
                    || (version.major == self.version.major
                        && (version.minor <= self.version.minor || self.has_open_minor))
            }
            "<=" | "=<" => order.is_le(),
            _ => self.holds_caret(version),
        }
    }

    fn differs(&self, version: &Version) -> bool {
        if !self.is_open {
            return version.compare(&self.version).is_ne();
        }
        version.major != self.version.major
            || (!self.has_open_minor
                && (version.minor != self.version.minor
                    || (!self.has_open_patch && version.patch != self.version.patch)
                    || version.prerelease != self.version.prerelease))
    }

    fn holds_tilde(&self, version: &Version) -> bool {
        let own = &self.version;
        let is_any = (own.major, own.minor, own.patch) == (0, 0, 0) && !self.has_open_minor && !self.has_open_patch;
        version.compare(own).is_ge()
            && (is_any || (version.major == own.major && (version.minor == own.minor || self.has_open_minor)))
    }

    fn holds_caret(&self, version: &Version) -> bool {
        let own = &self.version;
        if version.compare(own).is_lt() || version.major != own.major {
            return false;
        }
        if own.major > 0 || self.has_open_minor {
            return true;
        }
        if own.minor > 0 || self.has_open_patch {
            return version.minor == own.minor;
        }
        version.minor == own.minor && version.patch == own.patch
    }
}

/// Whether a version fulfils conditions: `||` between alternatives, commas or spaces between what must hold at once.
pub(crate) fn satisfies(version: &Version, constraint: &str) -> Option<bool> {
    let mut is_satisfied = false;
    for alternative in constraint.split("||") {
        let conditions = conditions(alternative)?;
        let takes_prereleases = conditions.iter().any(|condition| !condition.version.prerelease.is_empty());
        is_satisfied |= conditions.iter().all(|condition| condition.holds(version, takes_prereleases));
    }
    Some(is_satisfied)
}

fn conditions(text: &str) -> Option<Vec<Condition>> {
    let words: Vec<&str> = text.split([' ', ',', '\t']).filter(|word| !word.is_empty()).collect();
    let mut joined: Vec<String> = Vec::new();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        if words.peek() == Some(&"-") {
            words.next();
            joined.push(format!(">={word}"));
            joined.push(format!("<={}", words.next()?));
        } else if word.chars().all(|letter| "=!<>~^".contains(letter)) {
            joined.push(format!("{word}{}", words.next()?));
        } else {
            joined.push(word.to_owned());
        }
    }
    if joined.is_empty() {
        joined.push(String::new());
    }
    joined.iter().map(|text| Condition::parse(text)).collect()
}
