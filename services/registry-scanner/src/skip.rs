//! What a scan is told not to look at.

use std::path::{Component, Path, PathBuf};

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

/// Paths of files or folders to skip as paths below `base`, the folder that is scanned. A path that leads into `base`, from the working
/// folder or as a whole, is one of those; any other relative path counts from `base`.
#[must_use]
pub fn paths_below(base: &Path, paths: &[String], working: &Path) -> Vec<String> {
    let base = clean(&working.join(base));
    let below = |path: &String| {
        let whole = clean(&working.join(path));
        match whole.strip_prefix(&base) {
            Ok(inner) => inner.to_string_lossy().into_owned(),
            // A path elsewhere: nothing below `base` is meant, and nothing fits.
            Err(_) if Path::new(path).is_absolute() => whole.to_string_lossy().into_owned(),
            Err(_) => clean(Path::new(path)).to_string_lossy().into_owned(),
        }
    };
    paths.iter().map(below).collect()
}

/// Without `.` and without `..` behind a name.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(cleaned.components().next_back(), Some(Component::Normal(_))) => {
                cleaned.pop();
            }
            Component::ParentDir if cleaned.has_root() => {}
            part => cleaned.push(part),
        }
    }
    cleaned
}

fn normal(path: &str) -> &str {
    let path = path.strip_prefix("./").unwrap_or(path);
    path.trim_start_matches('/').trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_count_from_the_folder_unless_they_lead_into_it() {
        for (base, path, expected) in [
            ("foo", "./foo/bar", "bar"),
            ("foo", "bar", "bar"),
            (".", "foo/bar", "foo/bar"),
            ("./foo/", "/w/foo/x/../bar", "bar"),
            ("foo", "/elsewhere/bar", "/elsewhere/bar"),
            ("/w/foo", "foo", ""),
            ("foo", "../w/foo/**/x", "**/x"),
        ] {
            let below = paths_below(Path::new(base), &[path.to_owned()], Path::new("/w"));
            assert_eq!(below, [expected], "{base} {path}");
        }
    }

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
