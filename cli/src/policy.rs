//! `biotope policy`: Kyverno policies and their tests.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use admission_policy::testing::{CheckVerdict, Files, TestReport};
use admission_policy::{PolicySet, Request, Snapshot, testing, yaml};
use anyhow::Context as _;
use serde_json::json;

use crate::args::{Output, Policy};
use crate::print;

/// Tests or applies.
pub(crate) fn policy(command: &Policy, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        Policy::Test { paths } => test(paths, output),
        Policy::Apply { policies, resource } => apply(policies, resource, output),
    }
}

/// The real file system.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<String> = entries
            .map(|entry| entry.path())
            .filter(|path| path.is_file() && is_yaml(path))
            .map(|path| path.display().to_string())
            .collect();
        files.sort();
        files
    }
}

fn test(paths: &[PathBuf], output: Output) -> anyhow::Result<ExitCode> {
    let mut files = Vec::new();
    for path in paths {
        anyhow::ensure!(path.exists(), "{} does not exist", path.display());
        find(
            path,
            &|path| {
                path.file_name().is_some_and(|name| name == "kyverno-test.yaml")
                    || (path.is_file() && paths.iter().any(|given| given == path))
            },
            &mut files,
        );
    }
    anyhow::ensure!(!files.is_empty(), "no kyverno-test.yaml below the given paths");
    let reports: Vec<TestReport> =
        files.iter().flat_map(|path| testing::run(&path.display().to_string(), &Disk)).collect();
    let checks = || reports.iter().flat_map(|report| &report.rows).flat_map(|row| &row.checks);
    let count = |verdict| checks().filter(|check| check.verdict == verdict).count();
    let broken = reports.iter().filter(|report| report.error.is_some()).count();
    match output {
        Output::Json => print::json(&reports.iter().map(report_json).collect::<Vec<_>>())?,
        Output::Table => reports.iter().for_each(print_report),
    }
    let (passed, failed, vacuous) =
        (count(CheckVerdict::Pass), count(CheckVerdict::Fail), count(CheckVerdict::Vacuous));
    if output == Output::Table {
        print::line(format!(
            "{} tests: {passed} checks passed, {failed} failed, {vacuous} matched nothing, {broken} tests could not run",
            reports.len()
        ));
    }
    Ok(if failed == 0 && broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_report(report: &TestReport) {
    if let Some(error) = &report.error {
        print::line(format!("{}: {error}", report.path));
    }
    report.faults.iter().for_each(print::note);
    let mut table = print::table(&["Policy", "Rule", "Resource", "Result", "Reason"]);
    for row in &report.rows {
        for check in row.checks.iter().filter(|check| check.verdict != CheckVerdict::Pass) {
            table.add_row([&row.policy, &row.rule, &check.resource, &format!("{:?}", check.verdict), &check.reason]);
        }
    }
    if table.row_iter().next().is_some() {
        print::line(format!("{} ({})", report.name, report.path));
        print::line(table);
    }
}

fn report_json(report: &TestReport) -> serde_json::Value {
    let row = |row: &testing::Row| {
        let checks: Vec<_> = row.checks.iter().map(|check| json!({ "resource": check.resource, "verdict": format!("{:?}", check.verdict), "got": check.got.map(|got| got.as_str()), "message": check.message, "reason": check.reason })).collect();
        json!({ "policy": row.policy, "rule": row.rule, "expected": row.expected.as_str(), "checks": checks })
    };
    json!({ "name": report.name, "path": report.path, "error": report.error, "rows": report.rows.iter().map(row).collect::<Vec<_>>() })
}

fn apply(policies: &[PathBuf], resources: &[PathBuf], output: Output) -> anyhow::Result<ExitCode> {
    let (set, faults) = PolicySet::load(texts(policies)?);
    faults.iter().for_each(print::note);
    let mut denied = false;
    let mut all = Vec::new();
    let mut table = print::table(&["Resource", "Policy", "Rule", "Result", "Message"]);
    for (file, text) in texts(resources)? {
        for document in yaml::documents(&text) {
            let document = document.map_err(|error| anyhow::anyhow!("{file}: {error}"))?;
            let request = Request::create(document.value);
            let outcome = set.evaluate(&request, &Snapshot::default());
            denied |= !outcome.allowed;
            let name = format!("{}/{}", request.kind.kind, request.name);
            for verdict in &outcome.verdicts {
                table.add_row([&name, &verdict.policy.name, &verdict.rule, verdict.status.as_str(), &verdict.message]);
                all.push(json!({ "resource": name, "policy": verdict.policy.name, "rule": verdict.rule, "result": verdict.status.as_str(), "message": verdict.message }));
            }
            if let Some(patched) = &outcome.patched {
                all.push(json!({ "resource": name, "patched": patched }));
                if output == Output::Table {
                    print::json(patched)?;
                }
            }
        }
    }
    match output {
        Output::Json => print::json(&all)?,
        Output::Table => print::line(table),
    }
    Ok(if denied { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn texts(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for path in paths {
        anyhow::ensure!(path.exists(), "{} does not exist", path.display());
        find(path, &is_yaml, &mut files);
    }
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((path.display().to_string(), text))
    };
    files.into_iter().map(read).collect()
}

fn find(path: &Path, wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| find(entry, wanted, found));
    } else if wanted(path) {
        found.push(path.to_owned());
    }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}
