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
    package.digest = file.digest();
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

/// `license` as text, as an object, or as a list of objects; a list of texts has never been a form of it.
pub(crate) fn licenses(node: &Node) -> Vec<String> {
    let license = node.get("license");
    let one = |node: &Node| Some(node.get("type").text()).filter(|text| !text.is_empty()).map(str::to_owned);
    match &license.value {
        Value::Text(text) if !text.is_empty() => vec![text.clone()],
        Value::List(items) if items.iter().all(Node::is_map) => items.iter().filter_map(one).collect(),
        _ => one(license).into_iter().collect(),
    }
}

/// The patterns of `workspaces`, which is a list or an object with a list.
pub(crate) fn workspaces(node: &Node) -> Vec<&str> {
    let listed = if node.is_map() { node.get("packages") } else { node };
    listed.items().iter().map(Node::text).collect()
}

/// Names that can stand in an address; an empty one is a private package.
pub(crate) fn is_valid_name(name: &str) -> bool {
    if name.is_empty() {
        return true;
    }
    let (scope, bare) = match name.strip_prefix('@').and_then(|rest| rest.split_once('/')) {
        Some((scope, bare)) => (Some(scope), bare),
        None => (None, name),
    };
    let good = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
    };
    scope.is_none_or(good) && good(bare)
}

/// Whether a `package.json` is that of a package, not of a folder inside of one.
pub(crate) fn is_package_root(path: &str) -> bool {
    if file_name(path) != "package.json" {
        return false;
    }
    let folders: Vec<&str> = folder(path).split('/').collect();
    let Some(anchor) = folders.iter().rposition(|one| *one == "node_modules") else { return true };
    match folders.get(anchor.saturating_add(1)..).unwrap_or_default() {
        [name] => !name.starts_with('@'),
        [scope, _] => scope.starts_with('@'),
        _ => false,
    }
}
