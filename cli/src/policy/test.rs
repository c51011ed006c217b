//! `biotope policy test`: runs `kyverno-test.yaml` files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use admission_policy::testing::{self, Check, CheckVerdict, Row, TestReport};
use serde_json::json;

use super::args::PolicyTest;
use super::junit;
use super::search::Search;
use super::world::World;
use crate::args::Format;
use crate::print;

pub(super) fn test(command: &PolicyTest, output: Format) -> anyhow::Result<ExitCode> {
    let named = |path: &Path| path.file_name().is_some_and(|name| *name == *command.file_name);
    let mut search = Search::new(&named);
    for path in &command.paths {
        anyhow::ensure!(path.exists(), "{} does not exist", path.display());
        search.below(path);
    }
    let Search { found: files, faults, .. } = search;
    faults.iter().for_each(print::fault);
    if files.is_empty() {
        anyhow::ensure!(!command.require_tests, "no {} below the given paths", command.file_name);
        print::note(format!("no {} below the given paths", command.file_name));
    }
    let selector = Selector::parse(&command.test_case_selector)?;
    let world = World::new(&command.registries)?;
    let mut reports = run(&files, &world);
    reports.iter_mut().for_each(|report| selector.apply(report));
    let checks = || reports.iter().flat_map(|report| &report.rows).flat_map(|row| &row.checks);
    let count = |verdict| checks().filter(|check| check.verdict == verdict).count();
    let broken = reports.iter().filter(|report| report.error.is_some()).count();
    let (passed, failed, vacuous) =
        (count(CheckVerdict::Pass), count(CheckVerdict::Fail), count(CheckVerdict::Vacuous));
    match output {
        Format::Json => print::json(&reports.iter().map(report_json).collect::<Vec<_>>())?,
        Format::Junit => print::line(junit::render(&reports)),
        Format::Table => {
            for report in &reports {
                print_report(report, command.fail_only, command.detailed_results);
            }
            print::line(format!(
                "{} tests: {passed} checks passed, {failed} failed, {vacuous} matched nothing, {broken} tests could not run",
                reports.len()
            ));
        }
    }
    Ok(if failed == 0 && broken == 0 && faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the tests on all cores; reports come in the order of the files.
fn run(files: &[PathBuf], world: &World<'_>) -> Vec<TestReport> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len().max(1));
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(path) = files.get(number) else { return done };
            done.push((number, testing::run(&path.display().to_string(), world)));
        }
    };
    let mut all: Vec<(usize, Vec<TestReport>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().flat_map(|(_, reports)| reports).collect()
}

/// `policy=.., rule=.., resource=..`, each with wildcards.
struct Selector {
    policy: String,
    rule: String,
    resource: String,
}

impl Selector {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut selector = Self { policy: "*".to_owned(), rule: "*".to_owned(), resource: "*".to_owned() };
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').map(|(key, value)| (key.trim(), value.trim().to_owned())) {
                Some(("policy", value)) => selector.policy = value,
                Some(("rule", value)) => selector.rule = value,
                Some(("resource", value)) => selector.resource = value,
                _ => anyhow::bail!("`{pair}` selects nothing: use policy=, rule= or resource="),
            }
        }
        Ok(selector)
    }

    fn apply(&self, report: &mut TestReport) {
        let meant = |pattern: &str, text: &str| pattern == "*" || jmespath::wildcard::matches(pattern, text);
        report.rows.retain(|row| meant(&self.policy, &row.policy) && meant(&self.rule, &row.rule));
        for row in &mut report.rows {
            row.checks.retain(|check| meant(&self.resource, &check.resource));
        }
    }
}

fn print_report(report: &TestReport, fail_only: bool, detailed: bool) {
    if let Some(error) = &report.error {
        print::line(format!("{}: {error}", report.path));
    }
    report.faults.iter().for_each(print::fault);
    let mut head = vec!["Policy", "Rule", "Resource", "Result", "Reason"];
    if detailed {
        head.push("Message");
    }
    let mut table = print::table(&head);
    let rows = report.rows.iter().flat_map(|row| row.checks.iter().map(move |check| (row, check)));
    for (row, check) in rows.filter(|(_, check)| !fail_only || check.verdict == CheckVerdict::Fail) {
        let mut cells = vec![row.policy.as_str(), &row.rule, &check.resource, word(check), &check.reason];
        if detailed {
            cells.push(&check.message);
        }
        table.add_row(cells);
    }
    if !table.is_empty() {
        print::line(format!("{} ({})", report.name, report.path));
        table.print();
    }
}

/// The verdict of a check as a word.
pub(super) fn word(check: &Check) -> &'static str {
    match check.verdict {
        CheckVerdict::Pass => "Pass",
        CheckVerdict::Fail => "Fail",
        CheckVerdict::Vacuous => "Vacuous",
    }
}

fn report_json(report: &TestReport) -> serde_json::Value {
    let check = |check: &Check| {
        json!({
            "resource": check.resource, "verdict": word(check), "got": check.got.map(|got| got.as_str()),
            "message": check.message, "reason": check.reason,
        })
    };
    let row = |row: &Row| {
        let checks: Vec<_> = row.checks.iter().map(check).collect();
        json!({"policy": row.policy, "rule": row.rule, "expected": row.expected.as_str(), "checks": checks})
    };
    let rows: Vec<_> = report.rows.iter().map(row).collect();
    json!({"name": report.name, "path": report.path, "error": report.error, "rows": rows})
}
