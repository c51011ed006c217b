//! Finds the files that a command is about.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use model::{Fault, FaultKind};

/// A walk through files and folders, sorted by name.
pub(super) struct Search<'w> {
    wanted: &'w dyn Fn(&Path) -> bool,
    /// Folders by their true paths: each is visited once, however many links lead to it.
    seen: HashSet<PathBuf>,
    pub(super) found: Vec<PathBuf>,
    /// Folders that cannot be listed.
    pub(super) faults: Vec<Fault>,
}

impl<'w> Search<'w> {
    pub(super) fn new(wanted: &'w dyn Fn(&Path) -> bool) -> Self {
        Self { wanted, seen: HashSet::new(), found: Vec::new(), faults: Vec::new() }
    }

    /// Takes a file as it is, and what is wanted below a folder.
    pub(super) fn below(&mut self, path: &Path) {
        if path.is_dir() {
            self.folder(path);
        } else {
            self.found.push(path.to_owned());
        }
    }

    fn folder(&mut self, folder: &Path) {
        let listed = std::fs::canonicalize(folder).and_then(|real| {
            if !self.seen.insert(real) {
                return Ok(Vec::new());
            }
            std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()
        });
        let mut entries = listed.unwrap_or_else(|error| {
            let fault =
                Fault::new(FaultKind::Invalid, &folder.display().to_string(), format!("cannot be listed, {error}"));
            self.faults.push(fault.cure("make the folder readable, or do not name it"));
            Vec::new()
        });
        entries.sort();
        for entry in entries {
            if entry.is_dir() {
                self.folder(&entry);
            } else if (self.wanted)(&entry) {
                self.found.push(entry);
            }
        }
    }
}
