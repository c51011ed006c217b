//! The Kyverno policy library with its own tests, judged row by row.

use std::path::{Path, PathBuf};

use admission_policy::PolicySet;
use admission_policy::testing::{CheckVerdict, Files, ReadError, TestReport, run};
use model::{Fault, FaultKind};
use serde_json::json;
use testkit::corpus::{Corpus, Verdict};

struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<String, ReadError> {
        std::fs::read_to_string(path).map_err(|error| ReadError::Unreadable(error.to_string()))
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut files: Vec<String> = entries.flatten().map(|entry| entry.path().display().to_string()).collect();
        files.retain(|file| [".yaml", ".yml"].iter().any(|end| file.ends_with(end)));
        files.sort();
        files
    }
}

#[test]
fn corpus_kyverno_policies() {
    let Some(mut corpus) = Corpus::open("kyverno-policies", "kyverno-policies") else { return };
    let root = corpus.folder().to_owned();
    let (mut tests, mut passed) = (0, 0);
    for path in test_files(&root) {
        let folder = path.parent().and_then(Path::parent).unwrap_or(&root);
        let id = folder.strip_prefix(&root).unwrap_or(folder).display().to_string();
        for report in run(&path.display().to_string(), &Disk) {
            tests += 1;
            passed += usize::from(report.passed());
            judge(&mut corpus, &id, &report);
        }
    }
    corpus.finish_with_tests((passed, tests), include_str!("../corpus/kyverno-policies.exceptions"));
}

fn judge(corpus: &mut Corpus, id: &str, report: &TestReport) {
    if let Some(error) = &report.error {
        corpus.judge(id, Verdict::Fail, json!("runs"), json!(error));
    }
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    for (number, row) in (1..).zip(&report.rows) {
        let verdict = match row.verdict() {
            CheckVerdict::Pass => Verdict::Pass,
            CheckVerdict::Fail => Verdict::Fail,
            CheckVerdict::Vacuous => Verdict::Vacuous,
        };
        let wrong: Vec<_> = row.checks.iter().filter(|check| check.verdict != CheckVerdict::Pass).collect();
        let got = wrong.iter().map(|check| format!("{}: {} ({})", check.resource, check.reason, check.message));
        let got =
            json!({"checks": got.collect::<Vec<_>>(), "faults": if wrong.is_empty() { &[][..] } else { &faults[..] }});
        let row_id = format!("{id}#{number} {}/{}", row.policy, row.rule);
        corpus.judge(row_id, verdict, json!(row.expected.as_str()), got);
    }
}

fn test_files(root: &Path) -> Vec<PathBuf> {
    let mut folders = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("corpus folder is readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("kyverno-test.yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_policy_of_the_library_loads() {
    let Some(corpus) = Corpus::open("kyverno-policies", "kyverno-policies") else { return };
    let mut folders = vec![corpus.folder().to_owned()];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(&folder).expect("corpus folder is readable").flatten().map(|entry| entry.path()) {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml") {
                texts.push((
                    path.display().to_string(),
                    std::fs::read_to_string(&path).expect("corpus file is readable"),
                ));
            }
        }
    }
    let (set, faults) = PolicySet::load(texts);
    // One policy of the library is written in a language that nobody has: it is told of, and the others load.
    let broken =
        |fault: &&Fault| fault.kind != FaultKind::Warning && !fault.file.ends_with("/schedule-based-quotas.yaml");
    let faults: Vec<String> = faults.iter().filter(broken).map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{} policies load, but:\n{}", set.len(), faults.join("\n"));
}
