//! Paths, with slashes.

use super::{Entry, text};
use crate::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("base", "s", |call| text(base(&call.text(0)))),
    ("dir", "s", |call| text(dir(&call.text(0)))),
    ("clean", "s", |call| text(clean(&call.text(0)))),
    ("ext", "s", |call| text(ext(&call.text(0)))),
    ("isAbs", "s", |call| Ok(Value::Bool(call.bytes(0).starts_with(b"/")))),
    ("osBase", "s", |call| text(base(&call.text(0)))),
    ("osDir", "s", |call| text(dir(&call.text(0)))),
    ("osClean", "s", |call| text(clean(&call.text(0)))),
    ("osExt", "s", |call| text(ext(&call.text(0)))),
    ("osIsAbs", "s", |call| Ok(Value::Bool(call.bytes(0).starts_with(b"/")))),
];

fn base(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        Some(last) if !last.is_empty() => last.to_owned(),
        _ => "/".to_owned(),
    }
}

fn dir(path: &str) -> String {
    clean(path.rfind('/').and_then(|at| path.get(..at.saturating_add(1))).unwrap_or_default())
}

fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if is_rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (is_rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

fn ext(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rfind('.').and_then(|at| name.get(at..)).unwrap_or_default().to_owned()
}
