//! What a scan is told not to look at.

use vulnerability_matching::glob;

/// Patterns of files and folders below the root of an image or folder: `*` within a folder, `**` across folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skip {
    files: Vec<String>,
    folders: Vec<String>,
}

impl Skip {
    /// Patterns; a leading `/` or `./` and a trailing `/` mean nothing.
    #[must_use]
    pub fn new(files: &[String], folders: &[String]) -> Self {
        let all = |patterns: &[String]| patterns.iter().map(|pattern| normal(pattern).to_owned()).collect();
        Self { files: all(files), folders: all(folders) }
    }

    /// Whether everything is looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty()
    }

    /// Whether a path is left out: it or a folder above it fits a pattern of folders, or it fits one of files.
    #[must_use]
    pub fn is_left_out(&self, path: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        let path = String::from_utf8_lossy(path);
        let path = normal(&path);
        let fits = |patterns: &[String], path: &str| patterns.iter().any(|pattern| glob::matches(pattern, path));
        let mut above = path.match_indices('/').filter_map(|(end, _)| path.get(..end)).chain([path]);
        fits(&self.files, path) || above.any(|folder| fits(&self.folders, folder))
    }
}

fn normal(path: &str) -> &str {
    let path = path.strip_prefix("./").unwrap_or(path);
    path.trim_start_matches('/').trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_left_out_by_pattern() {
        let owned = |patterns: &[&str]| patterns.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        for (files, folders, path, is_left_out) in [
            (&["/app/go.mod"][..], &[][..], "app/go.mod", true),
            (&["go.mod"], &[], "app/go.mod", false),
            (&["**/go.mod"], &[], "./app/go.mod", true),
            (&[], &["usr/lib"], "usr/lib/python3/x", true),
            (&[], &["usr/lib/"], "usr/lib", true),
            (&[], &["lib"], "usr/lib/x", false),
            (&[], &["**/node_modules"], "a/b/node_modules/c/package.json", true),
            (&[], &["usr/l*"], "usr/lib64/x", true),
            (&[], &[], "a", false),
        ] {
            let skip = Skip::new(&owned(files), &owned(folders));
            assert_eq!(skip.is_left_out(path.as_bytes()), is_left_out, "{files:?} {folders:?} {path}");
        }
    }
}
