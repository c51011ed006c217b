//! Loads incident rules: a folder's, or those that ship.

use std::path::Path;

use correlation::{Rule, RuleSet};
use model::{Fault, FaultKind};

/// Loads and compiles the rules of `folder`, or the shipped ones. What cannot be used is set aside as a fault.
#[must_use]
pub fn load(folder: Option<&Path>) -> (RuleSet, Vec<Fault>) {
    let (texts, mut faults) = folder.map_or_else(|| (shipped(), Vec::new()), read);
    let mut rules = Vec::new();
    for (file, text) in texts {
        let (mut read, mut found) = Rule::parse(&file, &text);
        rules.append(&mut read);
        faults.append(&mut found);
    }
    let (set, mut found) = RuleSet::compile(rules);
    faults.append(&mut found);
    (set, faults)
}

fn shipped() -> Vec<(String, String)> {
    vec![("shipped/pod-compromise.yaml".to_owned(), include_str!("../rules/pod-compromise.yaml").to_owned())]
}

fn read(folder: &Path) -> (Vec<(String, String)>, Vec<Fault>) {
    let (mut texts, mut faults) = (Vec::new(), Vec::new());
    let unreadable = |path: &Path, error: &std::io::Error| {
        Fault::new(FaultKind::Invalid, &path.display().to_string(), format!("cannot be read: {error}"))
            .cure("check that it is there and readable")
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return (texts, vec![unreadable(folder, &error)]),
    };
    let mut paths: Vec<_> =
        entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| is_yaml(path)).collect();
    paths.sort();
    for path in paths {
        let size = std::fs::metadata(&path).map(|file| file.len()).unwrap_or(0);
        if size > MAX_FILE_BYTES {
            let what = format!("{size} bytes are more than a rule file may have ({MAX_FILE_BYTES})");
            faults.push(Fault::new(FaultKind::Invalid, &path.display().to_string(), what).cure("split the file"));
            continue;
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(error) => faults.push(unreadable(&path, &error)),
        }
    }
    (texts, faults)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

const MAX_FILE_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_without_fault() {
        let (set, faults) = load(None);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(set.rules().count(), 3);
    }
}
