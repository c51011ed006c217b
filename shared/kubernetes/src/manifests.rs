//! A folder of manifests, looked at again and again: mounted folders change by a swap of symbolic links, which watches miss.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use model::{Fault, FaultKind};
use serde_json::Value;

/// The files of a folder by name, with what tells that one changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing(BTreeMap<PathBuf, (u64, Option<SystemTime>)>);

/// A file that cannot be read, by name, and why.
pub type Unreadable = (String, std::io::Error);

/// Lists `*.yaml`, `*.yml` and `*.json` below `folder`, at most eight levels deep.
///
/// # Errors
/// When a folder cannot be listed.
pub fn list(folder: &Path) -> std::io::Result<Listing> {
    let mut files = BTreeMap::new();
    walk(folder, 8, &mut files)?;
    Ok(Listing(files))
}

impl Listing {
    /// Names and texts; a file that cannot be read is named in the second list.
    #[must_use]
    pub fn read(&self) -> (Vec<(String, String)>, Vec<Unreadable>) {
        let mut texts = Vec::new();
        let mut unreadable = Vec::new();
        for path in self.0.keys() {
            let name = path.display().to_string();
            match std::fs::read_to_string(path) {
                Ok(text) => texts.push((name, text)),
                Err(error) => unreadable.push((name, error)),
            }
        }
        (texts, unreadable)
    }
}

/// The objects of a file with one document or more, empty documents left out. Text that is not YAML gives none, and its fault with line and column.
pub fn objects(name: &str, text: &str, faults: &mut Vec<Fault>) -> Vec<Value> {
    match serde_saphyr::from_multiple::<Value>(text) {
        Ok(objects) => objects.into_iter().filter(|object| !object.is_null()).collect(),
        Err(error) => {
            let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
            let place = |number: u64| u32::try_from(number).unwrap_or(0);
            let fault = Fault::new(FaultKind::Invalid, name, "not YAML").at(place(line), place(column));
            faults.push(fault.cure("mend the syntax"));
            Vec::new()
        }
    }
}

fn walk(folder: &Path, depth: u32, files: &mut BTreeMap<PathBuf, (u64, Option<SystemTime>)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // Names that begin with a dot are the hidden halves of mounted volumes.
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let Ok(meta) = path.metadata() else { continue };
        if is_hidden {
            continue;
        }
        if meta.is_dir() && depth > 0 {
            walk(&path, depth.saturating_sub(1), files)?;
        } else if path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
        {
            files.insert(path, (meta.len(), meta.modified().ok()));
        }
    }
    Ok(())
}
