//! Semantic versions and ranges as `blang/semver` reads them: `>1.0.0 <2.0.0 || >=3.x !3.1.4`.

use std::cmp::Ordering;

/// A strict semantic version: three numbers, an optional prerelease and build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// Breaking changes.
    pub major: u64,
    /// Features.
    pub minor: u64,
    /// Fixes.
    pub patch: u64,
    prerelease: Vec<Identifier>,
    build: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Identifier {
    Number(u64),
    Text(String),
}

/// A text that is no version or no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no semantic version{role}: {what}")]
pub struct SemverError {
    text: String,
    role: &'static str,
    what: &'static str,
}

impl Version {
    /// Reads `1.2.3-rc.1+build`.
    ///
    /// # Errors
    /// When a part is missing, has a leading zero or a character that versions do not have.
    pub fn parse(text: &str) -> Result<Self, SemverError> {
        Self::read(text).map_err(|what| SemverError { text: text.chars().take(80).collect(), role: "", what })
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
        let (core, prerelease) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
        let mut parts = core.split('.').map(numeric);
        let mut part = || parts.next().ok_or("it needs major, minor and patch")?;
        let (major, minor, patch) = (part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err("it has more than three numbers");
        }
        let prerelease = prerelease.map_or(Ok(Vec::new()), |text| text.split('.').map(identifier).collect())?;
        let build: Vec<String> = build.map(|text| text.split('.').map(str::to_owned).collect()).unwrap_or_default();
        if build.iter().any(|part| !is_identifier(part)) {
            return Err("its build part is malformed");
        }
        Ok(Self { major, minor, patch, prerelease, build })
    }

    /// Order by precedence; the build part counts for nothing.
    #[must_use]
    pub fn precedence(&self, other: &Self) -> Ordering {
        let core = |version: &Self| (version.major, version.minor, version.patch);
        core(self).cmp(&core(other)).then_with(|| match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => prereleases(&self.prerelease, &other.prerelease),
        })
    }
}

fn prereleases(left: &[Identifier], right: &[Identifier]) -> Ordering {
    for (left, right) in left.iter().zip(right) {
        let order = match (left, right) {
            (Identifier::Number(left), Identifier::Number(right)) => left.cmp(right),
            (Identifier::Text(left), Identifier::Text(right)) => left.cmp(right),
            (Identifier::Number(_), Identifier::Text(_)) => Ordering::Less,
            (Identifier::Text(_), Identifier::Number(_)) => Ordering::Greater,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn numeric(text: &str) -> Result<u64, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("its numbers may have digits only");
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err("its numbers may not begin with zero");
    }
    text.parse().map_err(|_| "a number is too large")
}

fn identifier(text: &str) -> Result<Identifier, &'static str> {
    if !is_identifier(text) {
        return Err("its prerelease part is malformed");
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return numeric(text).map(Identifier::Number);
    }
    Ok(Identifier::Text(text.to_owned()))
}

/// A set of versions: alternatives of bounds that must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    alternatives: Vec<Vec<(Operator, Version)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Range {
    /// Reads bounds joined by blanks (and) and `||` (or); `x` stands for any minor or patch number.
    ///
    /// # Errors
    /// When an alternative is empty or a bound is no operator with a version.
    pub fn parse(text: &str) -> Result<Self, SemverError> {
        let fail = |what| SemverError { text: text.chars().take(80).collect(), role: " range", what };
        // An operator may stand apart from its version.
        let mut parts: Vec<String> = Vec::new();
        for word in text.replace("||", " || ").split_whitespace() {
            match parts.last_mut() {
                Some(last) if last != "||" && last.bytes().all(|byte| b"=!<>".contains(&byte)) => last.push_str(word),
                _ => parts.push(word.to_owned()),
            }
        }
        let mut alternatives = Vec::new();
        for alternative in parts.split(|part| part == "||") {
            if alternative.is_empty() {
                return Err(fail("an alternative is empty"));
            }
            let mut bounds = Vec::new();
            for bound in alternative {
                read_bound(bound, &mut bounds).map_err(fail)?;
            }
            alternatives.push(bounds);
        }
        Ok(Self { alternatives })
    }

    /// Whether `version` is in the range.
    #[must_use]
    pub fn contains(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|bounds| bounds.iter().all(|(operator, bound)| holds(*operator, version, bound)))
    }
}

fn holds(operator: Operator, version: &Version, bound: &Version) -> bool {
    let order = version.precedence(bound);
    match operator {
        Operator::Equal => order == Ordering::Equal,
        Operator::NotEqual => order != Ordering::Equal,
        Operator::Less => order == Ordering::Less,
        Operator::LessOrEqual => order != Ordering::Greater,
        Operator::Greater => order == Ordering::Greater,
        Operator::GreaterOrEqual => order != Ordering::Less,
    }
}

fn read_bound(text: &str, bounds: &mut Vec<(Operator, Version)>) -> Result<(), &'static str> {
    let at = text.find(|c: char| c.is_ascii_digit()).ok_or("a bound has no version")?;
    let (operator, version) = text.split_at(at);
    let operator = match operator {
        "" | "=" | "==" => Operator::Equal,
        "!" | "!=" => Operator::NotEqual,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        _ => return Err("a bound has an unknown operator"),
    };
    if !version.contains('x') {
        bounds.push((operator, Version::read(version)?));
        return Ok(());
    }
    let (floor, next) = expand(version)?;
    match operator {
        Operator::Equal => bounds.extend([(Operator::GreaterOrEqual, floor), (Operator::Less, next)]),
        // Kept as upstream has it: both bounds must hold, so nothing is ever in this range.
        Operator::NotEqual => bounds.extend([(Operator::Less, floor), (Operator::GreaterOrEqual, next)]),
        Operator::Less => bounds.push((Operator::Less, floor)),
        Operator::LessOrEqual => bounds.push((Operator::Less, next)),
        Operator::Greater => bounds.push((Operator::GreaterOrEqual, next)),
        Operator::GreaterOrEqual => bounds.push((Operator::GreaterOrEqual, floor)),
    }
    Ok(())
}

/// The first version that a wildcard stands for, and the first behind it.
fn expand(text: &str) -> Result<(Version, Version), &'static str> {
    let numbers: Vec<u64> = text.split('.').take_while(|part| *part != "x").map(numeric).collect::<Result<_, _>>()?;
    let version = |major, minor| Version { major, minor, ..Version::default() };
    match numbers.as_slice() {
        [major] => Ok((version(*major, 0), version(major.saturating_add(1), 0))),
        [major, minor] => Ok((version(*major, *minor), version(*major, minor.saturating_add(1)))),
        _ => Err("`x` stands for the minor or the patch number"),
    }
}
