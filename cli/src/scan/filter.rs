//! What of a report stands, and what is left out by severity, status, statements and ignore files.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use registry_scanner::{Match, Pull, Report, Shown, Statements, attached_documents};
use vulnerability_matching::ignore::{Ignorable, IgnoreFile};

use super::args::{PackageKind, Scan};
use crate::print;

/// The findings to show. Statements come first; what they or an ignore file take away is told as suppressed.
pub(super) async fn shown<'r>(scan: &Scan, report: &'r Report, pull: &Pull) -> anyhow::Result<Shown<'r>> {
    let (ignored, source) = ignore_file(scan.ignorefile.as_deref())?;
    let verdicts = statements(&scan.vex, report, pull).await?.verdicts(report);
    let mut shown = Shown::default();
    for (found, statement) in report.findings.iter().zip(verdicts) {
        if let Some(statement) = statement {
            shown.suppressed.push((found, [statement.status.to_owned(), statement.justification, statement.source]));
        } else if !is_wanted(scan, report, found) {
            continue;
        } else if let Some(entry) = ignored.matching(&ignorable(found, &system_target(report))) {
            shown.suppressed.push((found, ["ignored".to_owned(), entry.statement.clone(), source.clone()]));
        } else {
            shown.findings.push(found);
        }
    }
    if !shown.suppressed.is_empty() && !scan.show_suppressed {
        print::note(format!(
            "{} findings are suppressed by statements or an ignore file: --show-suppressed tells them",
            shown.suppressed.len()
        ));
        shown.suppressed.clear();
    }
    Ok(shown)
}

fn is_wanted(scan: &Scan, report: &Report, found: &Match) -> bool {
    let kind = if is_of_system(report, found) { PackageKind::Os } else { PackageKind::Library };
    (scan.severity.is_empty() || scan.severity.contains(&found.severity))
        && (scan.pkg_types.is_empty() || scan.pkg_types.contains(&kind))
        && !(scan.ignore_unfixed && found.status != "fixed")
        && !scan.ignore_status.contains(&found.status)
}

/// Packages of languages come from a file.
fn is_of_system(report: &Report, found: &Match) -> bool {
    let packages = &report.inventory.packages;
    packages.iter().any(|one| one.name == found.package && one.file_path == found.path && one.purl == found.purl)
}

async fn statements(sources: &[PathBuf], report: &Report, pull: &Pull) -> anyhow::Result<Statements> {
    let mut documents = Vec::with_capacity(sources.len());
    for source in sources {
        if source == Path::new("oci") {
            let attached = attached_documents(report, pull).await.context("no attached VEX documents can be had")?;
            if attached.is_empty() {
                print::note("no VEX attestation is attached to the image");
            }
            documents.extend(attached);
            continue;
        }
        let bytes =
            std::fs::read(source).with_context(|| format!("cannot read the VEX document {}", source.display()))?;
        documents.push((source.display().to_string(), bytes));
    }
    let documents = documents.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    Ok(Statements::parse(documents, report)?)
}

/// What is to be ignored, and by which file: the one that is named, or the one that stands where Trivy looks for it.
fn ignore_file(named: Option<&Path>) -> anyhow::Result<(IgnoreFile, String)> {
    let usual = [".trivyignore", ".trivyignore.yaml"].map(Path::new);
    let Some(path) = named.or_else(|| usual.into_iter().find(|path| path.is_file())) else {
        return Ok((IgnoreFile::default(), String::new()));
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the ignore file {}", path.display()))?;
    let today: String = service::now().to_string().chars().take(10).collect();
    let name = path.display().to_string();
    let (file, faults) = IgnoreFile::parse(&name, &text, &today);
    faults.iter().for_each(print::fault);
    Ok((file, name))
}

/// What stands for a path where a package of the operating system has none.
fn system_target(report: &Report) -> String {
    match &report.inventory.operating_system {
        Some(system) => format!("{} ({} {})", report.image, system.family, system.release),
        None => report.image.clone(),
    }
}

fn ignorable<'a>(found: &'a Match, target: &'a str) -> Ignorable<'a> {
    let path = if found.path.is_empty() { target } else { &found.path };
    Ignorable { id: &found.id, aliases: &found.aliases, path, purl: found.purl.as_ref() }
}
