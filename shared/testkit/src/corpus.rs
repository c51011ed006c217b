//! The peers' own test data as judge of our engines.
//!
//! A corpus test opens its corpus, judges every case and finishes. It fails when a case fails that is not listed with its reason in
//! `tests/corpus/<name>.exceptions` of its crate, or when a listed case passes. With `BIOTOPE_CORPORA` set by hand only the count
//! matters. Every case is written to `target/corpus/<name>.jsonl`; the last line printed is `CORPUS <name>: N of M`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// One corpus under judgement.
#[derive(Debug)]
pub struct Corpus {
    name: String,
    folder: PathBuf,
    by_hand: bool,
    unit: &'static str,
    cases: Vec<Case>,
}

#[derive(Debug)]
struct Case {
    id: String,
    verdict: Verdict,
    expected: Value,
    got: Value,
}

/// What came of one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As expected.
    Pass,
    /// Not as expected.
    Fail,
    /// The case proves nothing (it selects no resource, asserts nothing).
    Vacuous,
}

impl Corpus {
    /// Opens corpus `name` whose files lie at `relative` below the corpora folder. `None`, with a line that says so, where the
    /// folder is absent (a user's clone).
    #[must_use]
    #[expect(clippy::disallowed_methods, clippy::print_stderr, reason = "test harness: its switch and its one line")]
    pub fn open(name: &str, relative: &str) -> Option<Self> {
        let given = std::env::var("BIOTOPE_CORPORA").ok().filter(|folder| !folder.is_empty());
        let by_hand = given.is_some();
        let root = given.map_or_else(|| workspace_root().join("../shared/corpora"), PathBuf::from);
        let folder = root.join(relative);
        if !folder.exists() {
            eprintln!("SKIP corpus {name}: {} is not there (set BIOTOPE_CORPORA)", folder.display());
            return None;
        }
        Some(Self { name: name.to_owned(), folder, by_hand, unit: "", cases: Vec::new() })
    }

    /// The folder (or file) of the corpus.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Word after the count on the last line, such as `tests`.
    #[must_use]
    pub fn counted_in(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// The cases of a JSON-lines file; `file` is relative to the folder, or empty when the corpus is that file.
    ///
    /// # Panics
    /// When the file cannot be read or a line is no JSON: then the corpus itself is broken.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a broken corpus must stop the test")]
    pub fn lines(&self, file: &str) -> Vec<Value> {
        let path = if file.is_empty() { self.folder.clone() } else { self.folder.join(file) };
        let text = std::fs::read_to_string(&path).expect("corpus file is readable");
        let parse = |line: &str| serde_json::from_str(line).expect("corpus line is JSON");
        text.lines().filter(|line| !line.trim().is_empty()).map(parse).collect()
    }

    /// Records a case as passed when `expected == got`.
    pub fn compare(&mut self, id: impl Into<String>, expected: Value, got: Value) {
        let verdict = if expected == got { Verdict::Pass } else { Verdict::Fail };
        self.judge(id, verdict, expected, got);
    }

    /// Records a case with its verdict.
    pub fn judge(&mut self, id: impl Into<String>, verdict: Verdict, expected: Value, got: Value) {
        self.cases.push(Case { id: id.into(), verdict, expected, got });
    }

    /// How many cases passed, and how many there are.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        (self.cases.iter().filter(|case| case.verdict == Verdict::Pass).count(), self.cases.len())
    }

    /// Writes the lines, prints the count and judges against `exceptions` (`id<TAB>reason` a line, `# ` starts a comment).
    ///
    /// # Panics
    /// When an unlisted case failed or a listed one passed, unless the corpora were given by hand.
    pub fn finish(self, exceptions: &str) {
        let (passed, all) = self.count();
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        self.conclude(exceptions, &format!("{passed} of {all}{unit}"));
    }

    /// [`Corpus::finish`] for a corpus of test files with rows: `N of M tests, N of M rows`.
    ///
    /// # Panics
    /// As `finish` does.
    pub fn finish_with_tests(self, (tests_passed, tests): (usize, usize), exceptions: &str) {
        let (passed, all) = self.count();
        self.conclude(exceptions, &format!("{tests_passed} of {tests} tests, {passed} of {all} rows"));
    }

    #[expect(clippy::print_stdout, reason = "the line is the interface")]
    fn conclude(self, exceptions: &str, count: &str) {
        let mut listed: BTreeMap<&str, &str> = exceptions
            .lines()
            .filter(|line| !line.starts_with("# ") && !line.trim().is_empty())
            .map(|line| line.split_once('\t').unwrap_or((line, "")))
            .collect();
        let mut faults = String::new();
        let mut out = String::new();
        for case in &self.cases {
            let reason = listed.remove(case.id.as_str());
            let verdict = match (case.verdict, reason) {
                (Verdict::Pass, None) => "pass",
                (Verdict::Vacuous, _) => "vacuous",
                (Verdict::Fail, Some(reason)) if !reason.trim().is_empty() => "listed",
                (Verdict::Fail, _) => "fail",
                (Verdict::Pass, Some(_)) => {
                    let _ = writeln!(faults, "listed but passes: {}", case.id);
                    "pass"
                }
            };
            if verdict == "fail" {
                let _ = writeln!(
                    faults,
                    "fails: {}\n  expected {}\n  got      {}",
                    case.id,
                    short(&case.expected),
                    short(&case.got)
                );
            }
            let line = json!({ "id": case.id, "verdict": verdict, "expected": case.expected, "got": case.got });
            let _ = writeln!(out, "{line}");
        }
        for id in listed.keys() {
            let _ = writeln!(faults, "listed but not in the corpus: {id}");
        }
        self.write(&out);
        let faults: String = faults.lines().take(120).fold(String::new(), |text, line| text + line + "\n");
        if !self.by_hand && !faults.is_empty() {
            println!("{faults}");
        }
        println!("CORPUS {}: {count}", self.name);
        if let Some((group, passed, all)) = self.sum() {
            println!("CORPUS {group}: {passed} of {all}");
        }
        assert!(self.by_hand || faults.is_empty(), "corpus {} differs from its exceptions file", self.name);
    }

    /// All files of the group together, as each was judged last; a file that no test judged counts in full.
    fn sum(&self) -> Option<(&str, usize, usize)> {
        let (group, _) = self.name.split_once('-').filter(|(group, _)| SUMMED.contains(group))?;
        let (mut passed, mut all) = (0_usize, 0_usize);
        for entry in std::fs::read_dir(self.folder.parent()?).ok()?.flatten() {
            let path = entry.path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            if path.extension().is_none_or(|extension| extension != "jsonl") || INVENTORIES.contains(&name) {
                continue;
            }
            let lines = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
            all = all.saturating_add(lines(&path).lines().filter(|line| !line.trim().is_empty()).count());
            let judged = lines(&workspace_root().join(format!("target/corpus/{group}-{name}.jsonl")));
            let is_pass = |line: &&str| {
                serde_json::from_str::<Value>(line).is_ok_and(|line| line.get("verdict") == Some(&json!("pass")))
            };
            passed = passed.saturating_add(judged.lines().filter(is_pass).count());
        }
        Some((group, passed, all))
    }

    fn write(&self, lines: &str) {
        let folder = workspace_root().join("target/corpus");
        let written = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(format!("{}.jsonl", self.name)), lines));
        if let Err(error) = written {
            panic_on_write(&folder, &error);
        }
    }
}

/// Corpora of many files that are one to who reads the count: each file judged also prints the sum, so the last sum stands.
const SUMMED: [&str; 1] = ["eso"];
/// Files that list names instead of cases.
const INVENTORIES: [&str; 1] = ["template_functions"];

/// The root of the workspace that these tests were built from.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 600 { text.chars().take(600).collect::<String>() + "..." } else { text }
}

#[expect(clippy::panic, reason = "a test fails by panicking")]
fn panic_on_write(folder: &Path, error: &std::io::Error) -> ! {
    panic!("cannot write {}: {error}", folder.display())
}
