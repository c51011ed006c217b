//! Test reports in the XML that continuous integration reads.

use std::fmt::Write as _;

use admission_policy::testing::{CheckVerdict, TestReport};

/// One suite for each test, one case for each check. A test that could not run is a suite with an error.
pub(super) fn render(reports: &[TestReport]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<Counts> = reports.iter().map(Counts::of).collect();
    let sum = |part: fn(&Counts) -> usize| all.iter().map(part).sum::<usize>();
    let (tests, failures) = (sum(|one| one.tests), sum(|one| one.failures));
    let (errors, skipped) = (sum(|one| one.errors), sum(|one| one.skipped));
    let _ = writeln!(
        out,
        "<testsuites tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">"
    );
    for (report, counts) in reports.iter().zip(&all) {
        suite(report, counts, &mut out);
    }
    out.push_str("</testsuites>");
    out
}

struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Counts {
    fn of(report: &TestReport) -> Self {
        let checks = || report.rows.iter().flat_map(|row| &row.checks);
        let count = |verdict| checks().filter(|check| check.verdict == verdict).count();
        let errors = usize::from(report.error.is_some());
        Self {
            tests: checks().count() + errors,
            failures: count(CheckVerdict::Fail),
            errors,
            skipped: count(CheckVerdict::Vacuous),
        }
    }
}

fn suite(report: &TestReport, counts: &Counts, out: &mut String) {
    let Counts { tests, failures, errors, skipped } = counts;
    let name = if report.name.is_empty() { &report.path } else { &report.name };
    let _ = writeln!(
        out,
        " <testsuite name=\"{}\" file=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">",
        escape(name),
        escape(&report.path)
    );
    if let Some(error) = &report.error {
        let _ = writeln!(
            out,
            "  <testcase classname=\"test\" name=\"load\">\n   <error message=\"{}\"/>\n  </testcase>",
            escape(error)
        );
    }
    for row in &report.rows {
        for check in &row.checks {
            let _ = write!(
                out,
                "  <testcase classname=\"{}\" name=\"{}\"",
                escape(&format!("{}.{}", row.policy, row.rule)),
                escape(&check.resource)
            );
            let (reason, message) = (escape(&check.reason), escape(&check.message));
            let _ = match check.verdict {
                CheckVerdict::Pass => writeln!(out, "/>"),
                CheckVerdict::Fail => {
                    writeln!(out, ">\n   <failure message=\"{reason}\">{message}</failure>\n  </testcase>")
                }
                CheckVerdict::Vacuous => {
                    writeln!(out, ">\n   <skipped message=\"{reason}\"/>\n  </testcase>")
                }
            };
        }
    }
    out.push_str(" </testsuite>\n");
}

/// Text inside XML; characters that XML does not allow are left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {}
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_counts_add_up() {
        let report = TestReport {
            path: "a/b".to_owned(),
            name: "a <b> & \"c\"\u{1}".to_owned(),
            error: Some("no".to_owned()),
            faults: Vec::new(),
            rows: Vec::new(),
        };
        let text = render(&[report]);
        assert!(text.contains("name=\"a &lt;b&gt; &amp; &quot;c&quot;\""), "{text}");
        assert!(text.contains("<testsuites tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">"), "{text}");
    }
}
