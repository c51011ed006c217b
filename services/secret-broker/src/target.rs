//! The folder that Secrets are written to, in the layout of mounted Secrets.
//!
//! ```text
//! <namespace>/<name>/..data -> ..<stamp>      swapped by one rename, so that a reader sees all keys of one version or of the other
//! <namespace>/<name>/..<stamp>/<key>          0600
//! <namespace>/<name>/<key> -> ..data/<key>
//! <namespace>/<name>/..owner                  the manifest that it belongs to
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use secret_sync::SecretBytes;

/// All targets.
#[derive(Debug)]
pub(crate) struct Targets {
    folder: PathBuf,
}

/// A target cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("`{0}` belongs to somebody else")]
    Foreign(String),
    #[error("cannot write `{path}`: {source}")]
    Write { path: String, source: std::io::Error },
}

impl Targets {
    /// Opens the folder, making it if need be, for nobody but this user.
    pub(crate) fn open(folder: &Path) -> std::io::Result<Self> {
        make_folder(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Whether a target is there with all that makes it readable.
    pub(crate) fn is_there(&self, namespace: &str, name: &str) -> bool {
        fs::metadata(self.path(namespace, name).join(CURRENT)).is_ok_and(|meta| meta.is_dir())
    }

    /// Writes a target: readers see the old content or the new one, never a mixture.
    pub(crate) fn write(
        &self,
        (namespace, name): (&str, &str),
        owner: &str,
        content: &BTreeMap<String, SecretBytes>,
    ) -> Result<(), TargetError> {
        let path = self.path(namespace, name);
        if fs::symlink_metadata(&path).is_ok() && !path.join(OWNER).is_file() {
            return Err(TargetError::Foreign(path.display().to_string()));
        }
        swap(&path, owner, content).map_err(|source| TargetError::Write { path: path.display().to_string(), source })
    }

    /// What a target that is ours holds.
    pub(crate) fn read(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, SecretBytes>> {
        let path = self.path(namespace, name);
        path.join(OWNER).is_file().then_some(())?;
        let entries = fs::read_dir(path.join(CURRENT)).ok()?.flatten();
        let one = |entry: fs::DirEntry| {
            Some((entry.file_name().into_string().ok()?, SecretBytes::new(fs::read(entry.path()).ok()?)))
        };
        Some(entries.filter_map(one).collect())
    }

    /// Removes a target that is ours.
    pub(crate) fn remove(&self, namespace: &str, name: &str) -> std::io::Result<()> {
        let path = self.path(namespace, name);
        if !path.join(OWNER).is_file() {
            return Ok(());
        }
        // Readers lose it at once, not key by key.
        match fs::remove_file(path.join(CURRENT)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => fs::remove_dir_all(path),
        }
    }

    /// Targets that are ours, as namespace, name and owner.
    pub(crate) fn owned(&self) -> Vec<(String, String, String)> {
        let mut owned = Vec::new();
        for (namespace, folder) in children(&self.folder) {
            for (name, path) in children(&folder) {
                if let Ok(owner) = fs::read_to_string(path.join(OWNER)) {
                    owned.push((namespace.clone(), name, owner));
                }
            }
        }
        owned
    }

    fn path(&self, namespace: &str, name: &str) -> PathBuf {
        self.folder.join(namespace).join(name)
    }
}

fn children(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect()
}

fn swap(path: &Path, owner: &str, content: &BTreeMap<String, SecretBytes>) -> std::io::Result<()> {
    make_folder(path)?;
    write_file(&path.join(OWNER), owner.as_bytes())?;
    let stamp = format!("..{}", service::now().as_nanos());
    let next = path.join(&stamp);
    make_folder(&next)?;
    for (key, value) in content {
        write_file(&next.join(key), value.expose())?;
    }
    let link = path.join("..data.next");
    let _ = fs::remove_file(&link);
    symlink(&stamp, &link)?;
    fs::rename(&link, path.join(CURRENT))?;
    for key in content.keys() {
        let visible = path.join(key);
        if fs::symlink_metadata(&visible).is_err() {
            symlink(Path::new(CURRENT).join(key), visible)?;
        }
    }
    tidy(path, &stamp, content)
}

/// Removes what the former content left: its folder, and the names of keys that are gone.
fn tidy(path: &Path, stamp: &str, content: &BTreeMap<String, SecretBytes>) -> std::io::Result<()> {
    for (name, child) in children(path) {
        if name == stamp || name == CURRENT || name == OWNER || content.contains_key(&name) {
            continue;
        }
        let is_folder = fs::symlink_metadata(&child)?.is_dir();
        if is_folder { fs::remove_dir_all(&child)? } else { fs::remove_file(&child)? }
    }
    Ok(())
}

fn make_folder(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn write_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)
}

const CURRENT: &str = "..data";
const OWNER: &str = "..owner";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn content(pairs: &[(&str, &str)]) -> BTreeMap<String, SecretBytes> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), SecretBytes::from(*value))).collect()
    }

    #[test]
    fn a_swap_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let targets = Targets::open(&folder.path().join("t")).unwrap();
        targets.write(("shop", "db"), "ExternalSecret shop/db", &content(&[("a", "1"), ("b", "2")])).unwrap();
        targets.write(("shop", "db"), "ExternalSecret shop/db", &content(&[("a", "3"), ("c", "4")])).unwrap();
        let path = folder.path().join("t/shop/db");
        let mut names: Vec<String> = children(&path).into_iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(names.len(), 5, "{names:?}");
        assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "3");
        assert_eq!(fs::metadata(path.join("a")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(targets.is_there("shop", "db") && fs::symlink_metadata(path.join("b")).is_err());
        targets.remove("shop", "db").unwrap();
        assert!(!path.exists() && !targets.is_there("shop", "db"));
    }

    #[test]
    fn what_is_not_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        let targets = Targets::open(folder.path()).unwrap();
        fs::create_dir_all(folder.path().join("shop/db")).unwrap();
        let error = targets.write(("shop", "db"), "x", &content(&[])).unwrap_err();
        assert!(error.to_string().contains("belongs to somebody else"));
        targets.remove("shop", "db").unwrap();
        assert!(folder.path().join("shop/db").exists());
    }
}
