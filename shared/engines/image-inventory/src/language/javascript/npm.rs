//! `package-lock.json`, versions 1 to 3.

use std::collections::BTreeSet;

use crate::language::graph::{id, unique};
use crate::language::javascript::package_json::licenses;
use crate::package::{Package, Reference, Relationship};
use crate::text::ParseError;
use crate::tree::{Node, json};

/// Parses a lock file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = json(bytes, false)?;
    let packages = match lock.get("lockfileVersion").text() {
        "" | "0" | "1" => nested(&lock),
        _ => flat(&lock),
    };
    Ok(unique(packages))
}

/// Version 1: dependencies within dependencies. What one requires is looked for among its own, then on each level above.
fn nested(lock: &Node) -> Vec<Package> {
    let mut packages = Vec::new();
    let mut pending: Vec<Vec<&Node>> = vec![vec![lock.get("dependencies")]];
    while let Some(levels) = pending.pop() {
        for (name, one) in levels.last().into_iter().flat_map(|level| level.entries()) {
            let inner = one.get("dependencies");
            let version_of = |need: &str| {
                let level =
                    std::iter::once(&inner).chain(levels.iter().rev()).find(|level| !level.get(need).is_null())?;
                Some(level.get(need).get("version").text())
            };
            let needs = one.get("requires").entries();
            let needs = needs.filter_map(|(need, _)| Some(id(need, version_of(need)?))).collect();
            packages.push(Package {
                development: one.get("dev").is_true(),
                depends_on: needs,
                references: reference(one.get("resolved").text()),
                locations: vec![one.lines],
                ..crate::language::graph::package(name, one.get("version").text())
            });
            if inner.is_map() {
                pending.push(levels.iter().copied().chain([inner]).collect());
            }
        }
    }
    packages
}

/// Versions 2 and 3: one map by the path of installation.
fn flat(lock: &Node) -> Vec<Package> {
    let installed = lock.get("packages");
    let root = installed.get("");
    let mut direct: BTreeSet<&str> = BTreeSet::new();
    for group in ["dependencies", "optionalDependencies", "devDependencies", "peerDependencies"] {
        direct.extend(root.get(group).entries().map(|(name, _)| name));
    }
    let workspaces: BTreeSet<&str> = root.get("workspaces").items().iter().map(Node::text).collect();
    let mut packages = Vec::new();
    for (path, entry) in installed.entries() {
        if !path.starts_with("node_modules") {
            continue;
        }
        // A link stands for the folder that it points to.
        let target = entry.get("resolved").text();
        let is_link = entry.get("link").is_true();
        let (one, home) = if is_link { (installed.get(target), target) } else { (entry, path) };
        if one.is_null() || (is_link && target.is_empty()) {
            continue;
        }
        let name = Some(one.get("name").text()).filter(|name| !name.is_empty()).unwrap_or_else(|| name_of(path));
        let is_workspace = is_link && workspaces.iter().any(|pattern| matches(pattern, target));
        let is_top = path == format!("node_modules/{name}");
        let is_direct = is_top && (direct.contains(name) || is_workspace);
        let reference = reference(if is_link { target } else { one.get("resolved").text() });
        packages.push(Package {
            relationship: Relationship::direct(is_direct),
            development: one.get("dev").is_true(),
            licenses: licenses(one),
            depends_on: needs(one, home, installed),
            references: reference,
            locations: vec![one.lines],
            ..crate::language::graph::package(name, one.get("version").text())
        });
    }
    packages
}

/// What a package needs is found in the nearest `node_modules` on the way up.
fn needs(one: &Node, home: &str, installed: &Node) -> Vec<String> {
    let mut ids = Vec::new();
    for group in ["dependencies", "optionalDependencies"] {
        for (need, _) in one.get(group).entries() {
            let mut folder = home;
            loop {
                let place = if folder.is_empty() {
                    format!("node_modules/{need}")
                } else {
                    format!("{folder}/node_modules/{need}")
                };
                let mut there = installed.get(&place);
                if there.get("link").is_true() {
                    there = installed.get(there.get("resolved").text());
                }
                if !there.is_null() {
                    let name = Some(there.get("name").text()).filter(|name| !name.is_empty()).unwrap_or(need);
                    ids.push(id(name, there.get("version").text()));
                    break;
                }
                if folder.is_empty() {
                    break;
                }
                folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
            }
        }
    }
    ids
}

/// Name of the package that is installed at a path.
pub(crate) fn name_of(path: &str) -> &str {
    path.rsplit_once("node_modules/").map_or(path, |(_, name)| name)
}

fn reference(url: &str) -> Vec<Reference> {
    if url.is_empty() { Vec::new() } else { vec![Reference { kind: "other".to_owned(), url: url.to_owned() }] }
}

/// A workspace pattern: a path, or one with `*` for a segment.
fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
    let (mut left, mut right) = (pattern.split('/'), path.split('/'));
    loop {
        match (left.next(), right.next()) {
            (None, None) | (Some("**"), _) => return true,
            (Some(one), Some(other)) if one == "*" || one == other => {}
            _ => return false,
        }
    }
}
