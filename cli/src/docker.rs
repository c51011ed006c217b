//! Where docker keeps logins for registries.

use std::path::{Path, PathBuf};

/// The configuration that is given, as a file or the folder of one; else that in the home folder.
pub(crate) fn configuration(given: Option<&Path>) -> Option<PathBuf> {
    let path = given.map(Path::to_owned).or_else(|| Some(std::env::home_dir()?.join(".docker")))?;
    Some(if path.is_dir() { path.join("config.json") } else { path })
}
