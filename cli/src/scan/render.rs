//! The report for programs.

use anyhow::Context as _;
use scan_report::{Report, cyclonedx, junit, sarif, spdx, trivy};

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
        Form::Junit => return Ok(junit::render(report)),
        Form::Template => return template::render(scan.template.as_deref().unwrap_or_default(), report),
    };
    let mut text = serde_json::to_string_pretty(&json).context("the report cannot be written as JSON")?;
    text.push('\n');
    Ok(text)
}
