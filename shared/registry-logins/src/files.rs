//! Configurations and mounted pull secrets in files. One that cannot be read is told in the log and passed over.

use std::path::{Path, PathBuf};

use crate::DockerConfig;

/// A configuration in a file; the name `.dockercfg` stands for the old form. `None` when there is none that can be read.
#[must_use]
pub fn read(path: &Path) -> Option<DockerConfig> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "credentials cannot be read, passed over");
            return None;
        }
    };
    let is_old = path.file_name().is_some_and(|name| name == ".dockercfg");
    let parsed = if is_old { DockerConfig::parse_old(&text) } else { DockerConfig::parse(&text) };
    parsed
        .map_err(|error| {
            tracing::warn!(path = %path.display(), line = error.line, "credentials are malformed, passed over");
        })
        .ok()
}

/// Mounted secrets: in the folder itself, or each in a folder of it.
#[must_use]
pub fn mounted(folder: &Path) -> Vec<PathBuf> {
    let below = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = below.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.push(folder.to_owned());
    let files = folders.iter().flat_map(|folder| [".dockerconfigjson", ".dockercfg"].map(|name| folder.join(name)));
    files.filter(|path| path.is_file()).collect()
}
