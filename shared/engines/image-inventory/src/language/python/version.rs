//! Versions and specifiers of PEP 440, as far as lock files need them.

use std::cmp::Ordering;

/// A version, in the order of PEP 440 (summary of permitted suffixes and relative ordering).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    epoch: u64,
    release: Vec<u64>,
    /// Letter and number: `a`, `b`, `rc`.
    pre: Option<(char, u64)>,
    post: Option<u64>,
    dev: Option<u64>,
}

impl Version {
    /// Parses a version in any of its spellings; `None` for what is none. A local part is checked and left out.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let lower = text.trim().to_ascii_lowercase();
        let text = lower.strip_prefix('v').unwrap_or(&lower);
        let (public, local) = text.split_once('+').map_or((text, None), |(public, local)| (public, Some(local)));
        let is_word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
        if !local.is_none_or(|local| local.split(['.', '-', '_']).all(is_word)) {
            return None;
        }
        let (epoch, rest) = match public.split_once('!') {
            Some((epoch, rest)) => (number(epoch)?, rest),
            None => (0, public),
        };
        let end = release_end(rest);
        let release = rest.get(..end)?.split('.').map(number).collect::<Option<Vec<u64>>>()?;
        let mut suffix = Suffix(rest.get(end..)?);
        let pre = suffix.take(PRE);
        let post = suffix.bare_post().or_else(|| suffix.take(POST).map(|(_, number)| number));
        let dev = suffix.take(DEV).map(|(_, number)| number);
        suffix.0.is_empty().then_some(Self { epoch, release, pre, post, dev })
    }

    fn key(&self) -> (u64, Vec<u64>, (u8, char, u64), u64, u64) {
        let mut release = self.release.clone();
        while release.last() == Some(&0) {
            release.pop();
        }
        // A development release of the final one comes before all pre-releases.
        let pre = match (self.pre, self.post, self.dev) {
            (Some((letter, number)), _, _) => (1, letter, number),
            (None, None, Some(_)) => (0, 'a', 0),
            (None, _, _) => (2, 'a', 0),
        };
        let post = self.post.map_or(0, |post| post.saturating_add(1));
        (self.epoch, release, pre, post, self.dev.unwrap_or(u64::MAX))
    }

    fn begins_with(&self, stem: &Self) -> bool {
        let mut own = self.release.clone();
        own.resize(own.len().max(stem.release.len()), 0);
        self.epoch == stem.epoch && own.starts_with(&stem.release)
    }

    /// Whether the version meets all clauses of one of the alternatives of a specifier.
    pub(crate) fn meets(&self, specifier: &str) -> bool {
        specifier.split("||").any(|all| all.split(',').all(|clause| self.meets_clause(clause.trim())))
    }

    fn meets_clause(&self, clause: &str) -> bool {
        if matches!(clause, "" | "*") {
            return true;
        }
        let end = clause.find(|c: char| !matches!(c, '<' | '>' | '=' | '!' | '~' | '^')).unwrap_or(clause.len());
        let (operator, text) = clause.split_at_checked(end).unwrap_or((clause, ""));
        let text = text.trim();
        if let Some(stem) = text.strip_suffix(".*").and_then(Self::parse) {
            return match operator {
                "" | "=" | "==" | "===" => self.begins_with(&stem),
                "!=" => !self.begins_with(&stem),
                _ => false,
            };
        }
        let Some(bound) = Self::parse(text) else { return false };
        let order = self.cmp(&bound);
        match operator {
            "" | "=" | "==" | "===" => order == Ordering::Equal,
            "!=" => order != Ordering::Equal,
            ">=" => order != Ordering::Less,
            "<=" => order != Ordering::Greater,
            ">" => order == Ordering::Greater,
            "<" => order == Ordering::Less,
            "~=" => order != Ordering::Less && self.begins_with(&bound.without_last(1)),
            "~" => order != Ordering::Less && self.begins_with(&bound.first(2)),
            "^" => order != Ordering::Less && self.begins_with(&bound.first(bound.first_number())),
            _ => false,
        }
    }

    fn first(&self, count: usize) -> Self {
        let release = self.release.iter().copied().take(count).collect();
        Self { epoch: self.epoch, release, pre: None, post: None, dev: None }
    }

    fn without_last(&self, count: usize) -> Self {
        self.first(self.release.len().saturating_sub(count).max(1))
    }

    /// How many parts reach to the first that is not zero.
    fn first_number(&self) -> usize {
        self.release.iter().position(|part| *part != 0).map_or(1, |at| at.saturating_add(1))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Where the numbers of the release end: a dot belongs to them only if a digit follows.
fn release_end(text: &str) -> usize {
    let mut end = 0_usize;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next_is_digit = chars.peek().is_some_and(|(_, next)| next.is_ascii_digit());
        if !(c.is_ascii_digit() || (c == '.' && next_is_digit)) {
            break;
        }
        end = at.saturating_add(1);
    }
    end
}

/// What follows the release.
struct Suffix<'a>(&'a str);

impl Suffix<'_> {
    /// One part: a separator, a word, a separator, a number; all but the word may be missing.
    fn take(&mut self, words: &[(&str, char)]) -> Option<(char, u64)> {
        let bare = self.0.strip_prefix(SEPARATORS).unwrap_or(self.0);
        let (word, letter) = words.iter().find(|(word, _)| bare.starts_with(word))?;
        let tail = bare.get(word.len()..)?;
        let digits = tail.strip_prefix(SEPARATORS).unwrap_or(tail);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let (number, rest) = if end == 0 { (0, tail) } else { (number(digits.get(..end)?)?, digits.get(end..)?) };
        self.0 = rest;
        Some((*letter, number))
    }

    /// `-1`, short for a post-release.
    fn bare_post(&mut self) -> Option<u64> {
        let tail = self.0.strip_prefix('-')?;
        let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let found = number(tail.get(..end)?)?;
        self.0 = tail.get(end..)?;
        Some(found)
    }
}

const SEPARATORS: [char; 3] = ['.', '-', '_'];
const PRE: &[(&str, char)] =
    &[("alpha", 'a'), ("a", 'a'), ("beta", 'b'), ("b", 'b'), ("rc", 'c'), ("c", 'c'), ("preview", 'c'), ("pre", 'c')];
const POST: &[(&str, char)] = &[("post", 'p'), ("rev", 'p'), ("r", 'p')];
const DEV: &[(&str, char)] = &[("dev", 'd')];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_order() {
        let sorted =
            ["1.0.dev1", "1.0a1.dev1", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0.post1.dev2", "1.0-1", "1.1", "1!0.5"];
        for pair in sorted.windows(2) {
            let [low, high] = pair else { continue };
            assert!(Version::parse(low) < Version::parse(high), "{low} {high}");
        }
        assert_eq!(Version::parse("1.0.0").map(|one| one.cmp(&Version::parse("1").unwrap())), Some(Ordering::Equal));
        for text in ["", "a", "1.", "1.0+", "1.0+a..b", "1.*", "1.0 2", "1..2", "x1"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn specifiers_hold_versions() {
        let check = |specifier, version, expected| {
            assert_eq!(Version::parse(version).unwrap().meets(specifier), expected, "{version} {specifier}");
        };
        check(">=1.0,<2.0", "1.5", true);
        check(">=1.0, <2.0", "2.0", false);
        check("==1.*", "1.9", true);
        check("!=1.5.*,>1", "1.5.3", false);
        check("~=1.4.2", "1.4.9", true);
        check("~=1.4.2", "1.5", false);
        check("^0.2.3", "0.2.9", true);
        check("^0.2.3", "0.3", false);
        check("<1 || >=3", "3.1", true);
        check("*", "1", true);
        check("odd", "1", false);
    }
}
