//! The report for people: a summary, then a table for each list of packages with findings.

use std::fmt::Write as _;

use comfy_table::Cell;
use comfy_table::modifiers::UTF8_SOLID_INNER_BORDERS;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use model::Severity;
use registry_scanner::Report;
use scan_report::{Finding, Package, PackageList};

use super::args::Scan;
use crate::print::{self, Table};

/// Renders the report.
pub(super) fn render(scan: &Scan, report: &Report, document: &scan_report::Report) -> String {
    let mut text = format!("{} ({})\n", report.image, report.digest);
    let known =
        if report.layers_known > 0 { format!(", {} of them known", report.layers_known) } else { String::new() };
    let system = report.inventory.operating_system.as_ref();
    let system = system.map_or_else(String::new, |one| format!("{} {}, ", one.family, one.release));
    let layers = match report.layers {
        0 => String::new(),
        count => format!(" in {count} layers{known}"),
    };
    let (packages, time) = (report.packages(), report.duration.as_millis());
    // A text is written to without fail.
    let _ = writeln!(text, "{system}{packages} packages{layers}, {time} ms, {}\n", report.database);
    if report.partial {
        text.push_str("Not everything could be read: packages may be missing.\n\n");
    }
    text.push_str(&summary(document));
    for list in &document.lists {
        if !list.findings.is_empty() {
            text.push_str(&findings(document, list));
        }
        if !list.suppressed.is_empty() {
            text.push_str(&suppressed(document, list));
        }
    }
    if scan.list_all_pkgs {
        text.push_str(&all_packages(document));
    }
    if document.lists.iter().all(|list| list.findings.is_empty()) {
        text.push_str("no findings\n");
    }
    text
}

fn summary(document: &scan_report::Report) -> String {
    let mut table = new_table(&["Target", "Type", "Packages", "Vulnerabilities"]);
    for list in &document.lists {
        let count = |count: usize| Cell::new(count).set_alignment(comfy_table::CellAlignment::Right);
        table.add_row([
            Cell::new(document.target(list)),
            Cell::new(&list.kind),
            count(list.packages.len()),
            count(list.findings.len()),
        ]);
    }
    format!("Report Summary\n{table}\n\n")
}

fn findings(document: &scan_report::Report, list: &PackageList) -> String {
    let head = ["Library", "Vulnerability", "Severity", "Status", "Installed Version", "Fixed Version", "Title"];
    let mut table = new_table(&head);
    let mut last = None;
    for finding in &list.findings {
        let package = list.packages.get(finding.package);
        let library = package.map_or_else(String::new, |package| library(package, list));
        // A package is named once for all of its findings.
        let is_same = last.replace(finding.package) == Some(finding.package);
        table.add_row([
            Cell::new(if is_same { "" } else { &library }),
            Cell::new(&finding.id),
            print::severity(finding.severity),
            Cell::new(&finding.status),
            Cell::new(if is_same { "" } else { &finding.installed_version }),
            Cell::new(&finding.fixed_version),
            Cell::new(title(finding)),
        ]);
    }
    let name = document.target(list);
    let line = "=".repeat(name.chars().count());
    format!("{name}\n{line}\n{}\n{table}\n\n", total(&list.findings))
}

/// `Total: 2 (UNKNOWN: 0, LOW: 0, MEDIUM: 1, HIGH: 1, CRITICAL: 0)`.
fn total(findings: &[Finding]) -> String {
    let counts: Vec<String> = Severity::ALL
        .into_iter()
        .map(|severity| {
            format!("{severity}: {}", findings.iter().filter(|finding| finding.severity == severity).count())
        })
        .collect();
    format!("Total: {} ({})", findings.len(), counts.join(", "))
}

/// The name, with its file where the list does not name that.
fn library(package: &Package, list: &PackageList) -> String {
    let file = package.path.rsplit('/').next().unwrap_or_default();
    if file.is_empty() || package.path == list.path {
        package.name.clone()
    } else {
        format!("{} ({file})", package.name)
    }
}

/// The first words of the title, and the page to read.
fn title(finding: &Finding) -> String {
    let words: Vec<&str> = finding.title.split_whitespace().collect();
    let mut title = words.iter().take(TITLE_WORDS).copied().collect::<Vec<_>>().join(" ");
    if words.len() > TITLE_WORDS {
        title.push_str("...");
    }
    [title.as_str(), &finding.primary_url].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn suppressed(document: &scan_report::Report, list: &PackageList) -> String {
    let mut table = new_table(&["Library", "Vulnerability", "Severity", "Status", "Statement", "Source"]);
    for one in &list.suppressed {
        let package = list.packages.get(one.finding.package).map_or("", |package| package.name.as_str());
        table.add_row([
            Cell::new(package),
            Cell::new(&one.finding.id),
            print::severity(one.finding.severity),
            Cell::new(&one.status),
            Cell::new(&one.statement),
            Cell::new(&one.source),
        ]);
    }
    format!("Suppressed in {} (Total: {})\n{table}\n\n", document.target(list), list.suppressed.len())
}

fn all_packages(document: &scan_report::Report) -> String {
    let mut table = new_table(&["Package", "Version", "Type", "File"]);
    for list in &document.lists {
        for package in &list.packages {
            let path = if package.path.is_empty() { &list.path } else { &package.path };
            table.add_row([&package.name, &package.version, &list.kind, path]);
        }
    }
    format!("{table}\n\n")
}

fn new_table(head: &[&str]) -> Table {
    print::table(head).styled(UTF8_FULL_CONDENSED, UTF8_SOLID_INNER_BORDERS)
}

const TITLE_WORDS: usize = 12;
