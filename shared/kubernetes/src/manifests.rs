//! A folder of manifests, looked at again and again: mounted folders change by a swap of symbolic links, which watches miss.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use model::{Fault, FaultKind};
use serde_json::Value;

/// The files of a folder by name, with what tells that one changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    files: BTreeMap<PathBuf, (u64, Option<SystemTime>)>,
    /// Folders below that cannot be listed, and why.
    closed: BTreeMap<PathBuf, String>,
}

/// A file that cannot be read, by name, and why.
pub type Unreadable = (String, std::io::Error);

/// Largest file that is read.
pub const MAX_BYTES: u64 = 64 << 20;

/// Lists `*.yaml`, `*.yml` and `*.json` below `folder`, at most eight levels deep. A folder is listed once, however many links
/// lead to it.
///
/// # Errors
/// When the folder itself cannot be listed; one below it is told by [`Listing::read`].
pub fn list(folder: &Path) -> std::io::Result<Listing> {
    let mut listing = Listing::default();
    let mut seen = HashSet::new();
    walk((folder, 8), &mut seen, &mut listing)?;
    Ok(listing)
}

/// The text of a file.
///
/// # Errors
/// When it is no regular file (one that waits for a writer would be waited for), larger than [`MAX_BYTES`], not in UTF-8, or
/// cannot be read.
pub fn text(path: &Path) -> std::io::Result<String> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    if meta.len() > MAX_BYTES {
        let what = format!("it has {} MiB, and at most {} are read: split it", meta.len() >> 20, MAX_BYTES >> 20);
        return Err(std::io::Error::other(what));
    }
    String::from_utf8(std::fs::read(path)?).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
        std::io::Error::other(format!("line {line} is not UTF-8 text: save it as such, if it is text at all"))
    })
}

impl Listing {
    /// Names and texts; a file or folder that cannot be read is named in the second list.
    #[must_use]
    pub fn read(&self) -> (Vec<(String, String)>, Vec<Unreadable>) {
        let mut texts = Vec::new();
        let closed = self.closed.iter();
        let mut unreadable: Vec<Unreadable> =
            closed.map(|(path, why)| (path.display().to_string(), std::io::Error::other(why.clone()))).collect();
        for path in self.files.keys() {
            let name = path.display().to_string();
            match text(path) {
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

fn walk((folder, depth): (&Path, u32), seen: &mut HashSet<PathBuf>, found: &mut Listing) -> std::io::Result<()> {
    if !seen.insert(std::fs::canonicalize(folder)?) {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // Names that begin with a dot are the hidden halves of mounted volumes.
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let Ok(meta) = path.metadata() else { continue };
        if is_hidden {
            continue;
        }
        if meta.is_dir() && depth > 0 {
            if let Err(error) = walk((&path, depth.saturating_sub(1)), seen, found) {
                found.closed.insert(path, error.to_string());
            }
        } else if path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
        {
            found.files.insert(path, (meta.len(), meta.modified().ok()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_in_a_circle_lead_to_each_folder_once() {
        let folder = std::env::temp_dir().join(format!("biotope-links-{}", std::process::id()));
        let below = folder.join("below");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join("a.yaml"), "a: 1").unwrap();
        for (target, name) in [("..", "up"), (".", "here"), ("../below", "again")] {
            symlink(target, below.join(name)).unwrap();
        }
        symlink("nowhere", below.join("gone.yaml")).unwrap();
        let (texts, unreadable) = list(&folder).unwrap().read();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(texts, [(below.join("a.yaml").display().to_string(), "a: 1".to_owned())]);
        assert!(unreadable.is_empty(), "{unreadable:?}");
    }

    #[test]
    fn what_is_no_text_is_said() {
        let folder = std::env::temp_dir().join(format!("biotope-texts-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a.yaml"), b"a: 1\nb: \xe4\n").unwrap();
        let _waits = std::os::unix::net::UnixListener::bind(folder.join("b.yaml")).unwrap();
        let large = std::fs::File::create(folder.join("c.yaml")).unwrap();
        large.set_len(MAX_BYTES + 1).unwrap();
        let (texts, unreadable) = list(&folder).unwrap().read();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(texts.is_empty());
        let said: Vec<String> = unreadable.iter().map(|(_, error)| error.to_string()).collect();
        let expected = ["line 2 is not UTF-8 text", "it is no regular file", "it has 64 MiB"];
        assert!(said.iter().zip(expected).all(|(said, wanted)| said.starts_with(wanted)), "{said:?}");
    }
}
