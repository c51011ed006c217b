//! The report for programs.

use anyhow::Context as _;
use scan_report::github::{self, Build};
use scan_report::{Report, cyclonedx, junit, predicate, sarif, spdx, trivy};

use super::args::{Form, Scan};
use super::template;

/// Renders the report in a form for programs.
///
/// # Errors
/// When the template cannot be read or rendered.
pub(super) fn render(scan: &Scan, form: Form, report: &Report) -> anyhow::Result<String> {
    let json = match form {
        Form::Json | Form::Table => trivy::render(report, scan.list_all_pkgs),
        Form::Sarif => sarif::render(report),
        Form::Cyclonedx => cyclonedx::render(report),
        Form::SpdxJson => spdx::render(report),
        Form::Github => github::render(report, &build()),
        Form::CosignVuln => predicate::render(report),
        Form::Spdx => return Ok(spdx::tag_value(report)),
        Form::Junit => return Ok(junit::render(report)),
        Form::Template => return template::render(scan.template.as_deref().unwrap_or_default(), report),
    };
    let mut text = serde_json::to_string_pretty(&json).context("the report cannot be written as JSON")?;
    text.push('\n');
    Ok(text)
}

/// The build that GitHub's runner says it is.
#[expect(clippy::disallowed_methods, reason = "the runner tells by its own variables what is built")]
fn build() -> Build {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    Build {
        reference: variable("GITHUB_REF"),
        commit: variable("GITHUB_SHA"),
        correlator: format!("{}_{}", variable("GITHUB_WORKFLOW"), variable("GITHUB_JOB")),
        run: variable("GITHUB_RUN_ID"),
    }
}
