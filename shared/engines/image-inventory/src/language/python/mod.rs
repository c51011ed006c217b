//! Python: installed distributions and lock files.

pub(crate) mod lock;
pub(crate) mod metadata;
pub(crate) mod project;
pub(crate) mod pyproject;
pub(crate) mod requirements;
pub(crate) mod version;

/// A name as PEP 503 makes names equal: runs of `-`, `_` and `.` are one `-`; lower case if asked.
pub(crate) fn normal_name(name: &str, lower: bool) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '-' | '_' | '.') {
            if !normal.ends_with('-') {
                normal.push('-');
            }
        } else if lower {
            normal.extend(c.to_lowercase());
        } else {
            normal.push(c);
        }
    }
    normal
}
