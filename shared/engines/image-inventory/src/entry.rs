//! One entry of a layer, before its bytes.

use crate::limits::Limits;

/// The header of one entry of a layer.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Path as the archive has it.
    pub path: &'a [u8],
    /// What it is.
    pub kind: EntryKind,
    /// Size of its content in bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file with content.
    File,
    /// A folder.
    Folder,
    /// A symbolic link: never followed.
    Symlink,
    /// Another name of a file of the same layer: never followed.
    HardLink,
    /// A device node, a pipe, a socket or anything else without content.
    Other,
}

/// Why the path of an entry is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It leaves the root of the image.
    #[error("its path leaves the root of the image by `..`")]
    LeavesRoot,
    /// It holds a NUL byte.
    #[error("its path holds a NUL byte")]
    Nul,
    /// It is longer than [`Limits::max_path_bytes`].
    #[error("its path is longer than {0} bytes")]
    TooLong(usize),
    /// It has more folders than [`Limits::max_path_depth`].
    #[error("its path has more than {0} folders")]
    TooDeep(usize),
}

/// The path in normal form: no leading `/` or `./`, no empty or `.` segments. Empty for the root itself. Bytes that are no UTF-8 are
/// replaced, for no name that an analyzer looks for has any.
///
/// # Errors
/// When the path leaves the root or breaks a limit.
pub fn normal_path(path: &[u8], limits: &Limits) -> Result<String, PathFault> {
    if path.len() > limits.max_path_bytes {
        return Err(PathFault::TooLong(limits.max_path_bytes));
    }
    if path.contains(&0) {
        return Err(PathFault::Nul);
    }
    let text = String::from_utf8_lossy(path);
    let mut normal = String::with_capacity(text.len());
    let mut depth = 0_usize;
    for segment in text.split('/').filter(|segment| !matches!(*segment, "" | ".")) {
        if segment == ".." {
            return Err(PathFault::LeavesRoot);
        }
        depth = depth.saturating_add(1);
        if depth > limits.max_path_depth {
            return Err(PathFault::TooDeep(limits.max_path_depth));
        }
        if !normal.is_empty() {
            normal.push('/');
        }
        normal.push_str(segment);
    }
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_normal_or_are_refused() {
        let limits = Limits { max_path_bytes: 40, max_path_depth: 3, ..Limits::default() };
        let check = |path: &str, expected: Result<&str, PathFault>| {
            assert_eq!(normal_path(path.as_bytes(), &limits).as_deref().map_err(|fault| *fault), expected, "{path}");
        };
        check("./etc//os-release", Ok("etc/os-release"));
        check("/etc/passwd", Ok("etc/passwd"));
        check("./", Ok(""));
        check("../../etc/passwd", Err(PathFault::LeavesRoot));
        check("a/../b", Err(PathFault::LeavesRoot));
        check("a\0b", Err(PathFault::Nul));
        check("a/b/c/d", Err(PathFault::TooDeep(3)));
        check(&"x".repeat(41), Err(PathFault::TooLong(40)));
        assert_eq!(normal_path(b"a\xff/b", &limits).unwrap(), "a\u{fffd}/b");
    }
}
