//! `package.json` of an installed package.

use crate::analyzer::File;
use crate::found::Found;
use crate::language::graph::id;
use crate::package::{ApplicationKind, Package};
use crate::text::{ParseError, file_name, folder};
use crate::tree::{Node, Value, json};

pub(crate) fn wants(path: &str, _mode: u32) -> bool {
    file_name(path) == "package.json"
}

pub(crate) fn analyze(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    if file_name(file.path) == "package.json" && !is_package_root(file.path) {
        return Ok(());
    }
    let mut package = parse(file.bytes)?;
    if package.name.is_empty() || package.version.is_empty() {
        return Ok(());
    }
    file.path.clone_into(&mut package.file_path);
    found.application(ApplicationKind::NodePkg, file.path, vec![package]);
    Ok(())
}

/// A name as npm allows it, and a version.
pub(crate) fn parse(bytes: &[u8]) -> Result<Package, ParseError> {
    let node = json(bytes, false)?;
    let (name, version) = (node.get("name").text(), node.get("version").text());
    if !is_valid_name(name) {
        return Err(ParseError::new(format!("`{name}` is no name of a package")));
    }
    let id = if name.is_empty() || version.is_empty() { String::new() } else { id(name, version) };
    Ok(Package {
        id,
        name: name.to_owned(),
        version: version.to_owned(),
        licenses: licenses(&node),
        ..Package::default()
    })
}

/// `license` as text or object, `licenses` as a list of either.
pub(crate) fn licenses(node: &Node) -> Vec<String> {
    let one = |node: &Node| {
        let text = if node.is_map() { node.get("type").text() } else { node.text() };
        (!text.is_empty()).then(|| text.to_owned())
    };
    let license = node.get("license");
    // A list under `license` counts when its items are objects; a list of texts has never been a form of it.
    let objects = license.items().iter().filter(|item| item.is_map());
    let stated: Vec<String> = one(license).into_iter().chain(objects.filter_map(one)).collect();
    if !stated.is_empty() {
        return stated;
    }
    let listed = node.get("licenses");
    match &listed.value {
        Value::List(items) => items.iter().filter_map(one).collect(),
        _ => one(listed).into_iter().collect(),
    }
}

/// Names that the registry of npm takes; an empty one is a private package.
pub(crate) fn is_valid_name(name: &str) -> bool {
    if name.is_empty() {
        return true;
    }
    let (scope, bare) = match name.strip_prefix('@').and_then(|rest| rest.split_once('/')) {
        Some((scope, bare)) => (Some(scope), bare),
        None => (None, name),
    };
    let good = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '!' | '*' | '\'' | '(' | ')'))
    };
    scope.is_none_or(good) && good(bare)
}

/// Whether a `package.json` is that of a package, not of a folder inside of one.
pub(crate) fn is_package_root(path: &str) -> bool {
    if file_name(path) != "package.json" {
        return false;
    }
    let folder = folder(path);
    let Some((_, inside)) = folder.rsplit_once("node_modules/") else { return true };
    let depth = inside.split('/').count();
    if inside.starts_with('@') { depth == 2 } else { depth == 1 }
}
