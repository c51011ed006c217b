//! `biotope scan`: one image, without a platform.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use model::Severity;
use registry_scanner::{Advisories, Fingerprint, Options, Platform, Report, scan_once};
use schemas::build::v1::Finding;
use vulnerability_matching::ignore::{Ignorable, IgnoreFile};

use crate::args::{Output, Scan};
use crate::print;

/// Scans and prints. Exits with `--exit-code` when there are findings.
pub(crate) async fn scan(scan: &Scan, output: Output) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        scan.advisories.is_dir(),
        "{} is no folder of advisories: name one with --advisories (OSV JSON files)",
        scan.advisories.display()
    );
    let (advisories, faults) = Advisories::load(&scan.advisories, &Fingerprint::of(&scan.advisories));
    for fault in &faults {
        print::note(fault);
    }
    let platform =
        scan.platform.as_deref().map(str::parse::<Platform>).transpose().context("--platform is os/arch[/variant]")?;
    let options =
        Options { platform: platform.unwrap_or_default(), advisories: Arc::new(advisories), ..Options::default() };
    let severities: Vec<Severity> = scan.severity.iter().map(|word| word.parse()).collect::<Result<_, _>>()?;
    let ignored = ignore_file(scan.ignorefile.as_deref())?;
    let spinner = print::spinner(format!("scanning {}", scan.target));
    let report = scan_once(&scan.target, &options).await;
    spinner.finish_and_clear();
    let report = report?;
    let is_shown = |finding: &&Finding| {
        (severities.is_empty() || severities.contains(&finding.severity))
            && !(scan.ignore_unfixed && finding.fixed_version.is_empty())
            && ignored.matching(&ignorable(finding, &report.image)).is_none()
    };
    let findings: Vec<&Finding> = report.findings.iter().filter(is_shown).collect();
    match output {
        Output::Json => print::json(&serde_json::json!({
            "image": report.image, "digest": report.digest, "packages": report.packages(), "partial": report.partial,
            "database": report.database, "faults": report.faults, "findings": findings,
            "ignored": ignored_ids(&report, &ignored),
        }))?,
        Output::Table => {
            tables(scan, &report, &findings);
            let ignored = ignored_ids(&report, &ignored).len();
            if ignored > 0 {
                print::line(format!("{ignored} ignored by the ignore file"));
            }
        }
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(scan.exit_code) })
}

/// What is to be ignored: the file that is named, or the one that stands where Trivy looks for it.
fn ignore_file(named: Option<&Path>) -> anyhow::Result<IgnoreFile> {
    let usual = [".trivyignore", ".trivyignore.yaml"].map(Path::new);
    let Some(path) = named.or_else(|| usual.into_iter().find(|path| path.is_file())) else {
        return Ok(IgnoreFile::default());
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the ignore file {}", path.display()))?;
    let today: String = service::now().to_string().chars().take(10).collect();
    let (file, faults) = IgnoreFile::parse(&path.display().to_string(), &text, &today);
    faults.iter().for_each(print::note);
    Ok(file)
}

fn ignorable<'a>(finding: &'a Finding, image: &'a str) -> Ignorable<'a> {
    let path = if finding.path.is_empty() { image } else { &finding.path };
    Ignorable { id: &finding.id, aliases: &finding.aliases, path, purl: finding.purl.as_ref() }
}

/// The findings that an entry hides, each with the reason that it gives.
fn ignored_ids(report: &Report, ignored: &IgnoreFile) -> Vec<serde_json::Value> {
    let entries = report.findings.iter().filter_map(|finding| {
        let entry = ignored.matching(&ignorable(finding, &report.image))?;
        Some(serde_json::json!({ "id": finding.id, "package": finding.package, "statement": entry.statement }))
    });
    entries.collect()
}

fn tables(scan: &Scan, report: &Report, findings: &[&Finding]) {
    print::line(format!("{} ({})", report.image, report.digest));
    print::line(format!(
        "{} packages in {} layers, {} ms, {}",
        report.packages(),
        report.layers,
        report.duration.as_millis(),
        report.database
    ));
    for fault in &report.faults {
        print::note(fault);
    }
    if scan.list_all_pkgs {
        let mut table = print::table(&["Package", "Version"]);
        for package in report.inventory.all_packages() {
            table.add_row([package.name.clone(), package.version.clone()]);
        }
        print::line(table);
    }
    if findings.is_empty() {
        print::line("no findings");
        return;
    }
    let mut table = print::table(&["Severity", "Id", "Package", "Installed", "Fixed", "Title"]);
    for finding in findings {
        let title: String = finding.title.chars().take(60).collect();
        let mut row = vec![print::severity(finding.severity)];
        row.extend(
            [&finding.id, &finding.package, &finding.installed_version, &finding.fixed_version, &title]
                .map(comfy_table::Cell::new),
        );
        table.add_row(row);
    }
    print::line(table);
}
