//! What was told of an image, one line a finding: what changed since can be told, and only that.
//!
//! ```text
//! trivy-db:2026-11-01T00:00:00Z                                  the database
//! CVE-2023-45853 zlib1g 1:1.2.13  var/lib/dpkg/status CRITICAL  1:1.3-1 fixed       sorted, with tabs between
//! `---------------- which finding ------------------´ `-- what is said of it --´
//! ```

use std::fmt::Write as _;

use model::Severity;
use schemas::build::v1::GoneFinding;

/// What is compared of a finding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) id: &'a str,
    pub(crate) package: &'a str,
    pub(crate) installed_version: &'a str,
    pub(crate) path: &'a str,
    pub(crate) severity: Severity,
    pub(crate) fixed_version: &'a str,
    pub(crate) status: &'a str,
}

impl Line<'_> {
    fn write(&self) -> String {
        let mut text = String::with_capacity(160);
        for field in [self.id, self.package, self.installed_version, self.path] {
            put(&mut text, field);
            text.push('\t');
        }
        // A text takes whatever is written.
        let _ = write!(text, "{}\t", self.severity);
        put(&mut text, self.fixed_version);
        text.push('\t');
        put(&mut text, self.status);
        text
    }
}

/// A field; what would end it or its line is written otherwise.
fn put(text: &mut String, field: &str) {
    if field.bytes().any(|byte| byte.is_ascii_control()) {
        field.chars().for_each(|one| if one.is_control() { text.extend(one.escape_default()) } else { text.push(one) });
    } else {
        text.push_str(field);
    }
}

/// The findings of an image as they were told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    text: String,
}

/// Where two lists of findings differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Places of findings that are new.
    pub(crate) added: Vec<usize>,
    /// Places of findings of which something else is said now.
    pub(crate) changed: Vec<usize>,
    /// Findings that are gone.
    pub(crate) gone: Vec<GoneFinding>,
}

impl Told {
    /// What is told of findings with a database.
    pub(crate) fn of<'a>(database: &str, findings: impl Iterator<Item = Line<'a>>) -> Self {
        Self::sorted(database, findings).0
    }

    /// The same, with the place of each line's finding.
    fn sorted<'a>(database: &str, findings: impl Iterator<Item = Line<'a>>) -> (Self, Vec<usize>) {
        let mut lines: Vec<(String, usize)> = findings.map(|line| line.write()).zip(0..).collect();
        lines.sort_unstable();
        lines.dedup_by(|next, line| key(&next.0) == key(&line.0));
        let mut text = String::with_capacity(lines.iter().map(|(line, _)| line.len().saturating_add(1)).sum());
        put(&mut text, database);
        for (line, _) in &lines {
            text.push('\n');
            text.push_str(line);
        }
        (Self { text }, lines.into_iter().map(|(_, place)| place).collect())
    }

    pub(crate) fn from_text(text: String) -> Self {
        Self { text }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The database that it was told with.
    pub(crate) fn database(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    fn findings(&self) -> &str {
        self.text.split_once('\n').map_or("", |(_, findings)| findings)
    }

    /// What is to be told now, and where it differs from this; `None` when it does not. Of findings that could not all be judged
    /// (`is_partial`), those that are missing are not gone.
    pub(crate) fn then<'a>(
        &self,
        database: &str,
        findings: impl Iterator<Item = Line<'a>>,
        is_partial: bool,
    ) -> Option<(Self, Difference)> {
        let (mut now, places) = Self::sorted(database, findings);
        if now.findings() == self.findings() {
            return None;
        }
        let (mut difference, mut stays) = (Difference::default(), Vec::new());
        let mut before = self.findings().lines().peekable();
        for (line, place) in now.findings().lines().zip(places) {
            while let Some(gone) = before.next_if(|old| key(old) < key(line)) {
                stays.push(gone);
                difference.gone.push(finding(gone));
            }
            match before.next_if(|old| key(old) == key(line)) {
                Some(old) if old == line => {}
                Some(_) => difference.changed.push(place),
                None => difference.added.push(place),
            }
        }
        for gone in before {
            stays.push(gone);
            difference.gone.push(finding(gone));
        }
        if is_partial {
            let mut lines: Vec<&str> = now.findings().lines().chain(stays).collect();
            lines.sort_unstable();
            let all = std::iter::once(now.database()).chain(lines).collect::<Vec<_>>().join("\n");
            now.text = all;
            difference.gone.clear();
        }
        (difference != Difference::default()).then_some((now, difference))
    }
}

/// Which finding a line is about, with the tab behind: no key is the beginning of another one.
fn key(line: &str) -> &str {
    let end = line.match_indices('\t').nth(3).map_or(line.len(), |(at, _)| at.saturating_add(1));
    line.get(..end).unwrap_or(line)
}

fn finding(line: &str) -> GoneFinding {
    let mut fields = line.split('\t').map(str::to_owned);
    let mut next = || fields.next().unwrap_or_default();
    GoneFinding { id: next(), package: next(), installed_version: next(), path: next() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &'static str, package: &'static str, rest: (Severity, &'static str, &'static str)) -> Line<'static> {
        Line { id, package, installed_version: "1", path: "p", severity: rest.0, fixed_version: rest.1, status: rest.2 }
    }

    const SAID: (Severity, &str, &str) = (Severity::High, "2", "fixed");

    #[test]
    fn only_what_changed_is_told() {
        let before = Told::of("db:1", [line("B", "b", SAID), line("A", "a", SAID), line("C", "c", SAID)].into_iter());
        let again = [line("C", "c", SAID), line("B", "b", SAID), line("A", "a", SAID), line("A", "a", SAID)];
        assert_eq!(before.then("db:2", again.into_iter(), false), None, "neither the order nor the database is told");
        for said in [(Severity::Low, "2", "fixed"), (Severity::High, "3", "fixed"), (Severity::High, "2", "affected")] {
            let now = [line("D", "d", SAID), line("B", "b", said), line("A", "a", SAID)];
            let (told, difference) = before.then("db:2", now.into_iter(), false).unwrap();
            let expected = Difference { added: vec![0], changed: vec![1], gone: vec![finding("C\tc\t1\tp")] };
            assert_eq!(difference, expected, "{said:?}");
            assert_eq!(told.database(), "db:2");
            assert_eq!(told.then("db:2", now.into_iter(), false), None);
        }
    }

    #[test]
    fn what_could_not_be_judged_is_not_gone() {
        let before = Told::of("db:1", [line("A", "a", SAID), line("C", "c", SAID)].into_iter());
        let now = [line("B", "b", SAID)];
        let (told, difference) = before.then("db:2", now.into_iter(), true).unwrap();
        assert_eq!(difference, Difference { added: vec![0], ..Difference::default() });
        assert_eq!(told.then("db:2", now.into_iter(), true), None);
        let (_, difference) = told.then("db:3", now.into_iter(), false).unwrap();
        assert_eq!(difference.gone.iter().map(|gone| gone.id.as_str()).collect::<Vec<_>>(), ["A", "C"]);
    }

    #[test]
    fn no_name_ends_a_field_or_a_line() {
        let hostile = Line { path: "a\tb\nCVE-1\u{85}", ..line("A", "a\\n", SAID) };
        let told = Told::of("db:\n1", [hostile].into_iter());
        assert_eq!(told.text().lines().count(), 2, "{told:?}");
        assert_eq!(told.text().lines().nth(1).unwrap().split('\t').count(), 7);
        assert_eq!(told.then("x", std::iter::empty(), false).unwrap().1.gone[0].id, "A");
    }
}
