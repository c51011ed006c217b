//! JUnit XML: one suite for each list of packages, one failed case for each finding.

use crate::{Report, severity_word};

/// Renders a report.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" ?>\n<testsuites name=\"biotope\">\n");
    for list in &report.lists {
        let count = list.findings.len();
        xml.push_str(&format!(
            "    <testsuite tests=\"{count}\" failures=\"{count}\" name=\"{}\" errors=\"0\" skipped=\"0\" time=\"0\">\n",
            escaped(&report.target(list))
        ));
        for finding in &list.findings {
            let name = list.packages.get(finding.package).map_or("", |package| package.name.as_str());
            xml.push_str(&format!(
                "        <testcase classname=\"{}-{}\" name=\"[{}] {}\" time=\"0\">\n            <failure message=\"{}\" type=\"description\">{}</failure>\n        </testcase>\n",
                escaped(name),
                escaped(&finding.installed_version),
                severity_word(finding.severity),
                escaped(&finding.id),
                escaped(&finding.title),
                escaped(&finding.description),
            ));
        }
        xml.push_str("    </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Text for XML; what XML 1.0 cannot hold at all is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' | '\r' => escaped.push(' '),
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => {}
            other => escaped.push(other),
        }
    }
    escaped
}
