//! `package-lock.json`, versions 1 to 3.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use crate::language::graph::{id, unique};
use crate::language::javascript::package_json::{licenses, workspaces};
use crate::language::rust::glob;
use crate::package::{Package, Reference, Relationship};
use crate::text::ParseError;
use crate::tree::{Node, json};

/// Parses a lock file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = json(bytes, false)?;
    match lock.get("lockfileVersion").text() {
        "1" => Ok(unique(nested(&lock))),
        _ => Ok(unique(flat(&lock))),
    }
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

/// What is installed at a path.
#[derive(Clone, Copy)]
struct Installed<'a> {
    node: &'a Node,
    /// Where it comes from; the folder of a linked package.
    resolved: &'a str,
}

/// Versions 2 and 3: one map by the path of installation.
fn flat(lock: &Node) -> Vec<Package> {
    let listed = lock.get("packages");
    let root = listed.get("");
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for group in ["dependencies", "optionalDependencies", "devDependencies", "peerDependencies"] {
        names.extend(root.get(group).entries().map(|(name, _)| name));
    }
    let (installed, members) = linked(listed, &workspaces(root.get("workspaces")));
    names.extend(members.iter().map(String::as_str));
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    for (path, one) in installed.iter().filter(|(path, _)| path.starts_with(FOLDER)) {
        let stated = one.node.get("name").text();
        let name = if stated.is_empty() { name_of(path) } else { stated };
        let version = one.node.get("version").text();
        let is_direct = path.strip_prefix("node_modules/").is_some_and(|name| names.contains(name));
        let found = Package {
            relationship: Relationship::direct(is_direct),
            development: one.node.get("dev").is_true(),
            licenses: licenses(one.node),
            references: reference(one.resolved),
            locations: vec![one.node.lines],
            ..crate::language::graph::package(name, version)
        };
        match packages.get_mut(&found.id) {
            Some(known) => join(known, found),
            None => {
                let needs = needs(one.node, path, &installed);
                packages.insert(found.id.clone(), Package { depends_on: needs, ..found });
            }
        }
    }
    packages.into_values().collect()
}

/// The packages by path, with those of linked folders moved to where the links are; and the names of the workspace's members.
fn linked<'a>(listed: &'a Node, workspaces: &[&str]) -> (IndexMap<String, Installed<'a>>, BTreeSet<String>) {
    let mut links: BTreeMap<&str, &str> = BTreeMap::new();
    let mut installed: IndexMap<String, Installed<'a>> = IndexMap::new();
    let mut members = BTreeSet::new();
    for (path, node) in listed.entries() {
        let resolved = node.get("resolved").text();
        let is_link = node.get("link").is_true();
        // A link to nowhere says nothing.
        if is_link && resolved.is_empty() {
            continue;
        }
        if is_link {
            links.insert(resolved, path);
        }
        installed.insert(path.to_owned(), Installed { node, resolved });
    }
    for (path, node) in listed.entries() {
        let Some((target, link)) = link_of(path, &links) else { continue };
        let place = format!("{link}{}", path.get(target.len()..).unwrap_or_default());
        let stated = node.get("resolved").text();
        installed.shift_remove(path);
        installed.insert(place, Installed { node, resolved: if stated.is_empty() { target } else { stated } });
        if workspaces.iter().any(|pattern| glob(pattern, path)) {
            members.insert(name_of(link).to_owned());
        }
    }
    (installed, members)
}

/// The linked folder that a path is or lies in.
fn link_of<'a>(path: &str, links: &BTreeMap<&'a str, &'a str>) -> Option<(&'a str, &'a str)> {
    let mut folder = Some(path).filter(|path| !path.is_empty());
    while let Some(one) = folder {
        if let Some((target, link)) = links.get_key_value(one) {
            return Some((target, link));
        }
        folder = one.rsplit_once('/').map(|(above, _)| above);
    }
    None
}

/// The same package at another place.
fn join(known: &mut Package, found: Package) {
    known.development &= found.development;
    if found.relationship == Relationship::Direct {
        known.relationship = Relationship::Direct;
    }
    known.references.extend(found.references);
    known.references.sort();
    known.references.dedup();
    known.locations.extend(found.locations);
    known.locations.sort();
    if known.licenses.is_empty() {
        known.licenses = found.licenses;
    }
}

/// What a package needs is found in the nearest `node_modules` on the way up.
fn needs(one: &Node, home: &str, installed: &IndexMap<String, Installed<'_>>) -> Vec<String> {
    let mut ids = BTreeSet::new();
    for group in ["dependencies", "optionalDependencies", "peerDependencies"] {
        for (need, _) in one.get(group).entries() {
            let found = places(home).find_map(|place| installed.get(&format!("{place}/{need}")));
            ids.extend(found.map(|found| id(need, found.node.get("version").text())));
        }
    }
    ids.into_iter().collect()
}

/// The `node_modules` folders that a package at `home` sees, the nearest first.
fn places(home: &str) -> impl Iterator<Item = String> {
    let inner = format!("{home}/{FOLDER}");
    let ends: Vec<usize> = inner
        .match_indices(FOLDER)
        .filter(|(at, _)| {
            let before = inner.get(..*at).is_some_and(|head| head.is_empty() || head.ends_with('/'));
            let after = inner.get(at.saturating_add(FOLDER.len())..);
            before && after.is_some_and(|tail| tail.is_empty() || tail.starts_with('/'))
        })
        .map(|(at, _)| at.saturating_add(FOLDER.len()))
        .collect();
    ends.into_iter().rev().filter_map(move |end| inner.get(..end).map(str::to_owned))
}

/// Name of the package that is installed at a path.
pub(crate) fn name_of(path: &str) -> &str {
    path.rsplit_once(FOLDER).map_or(path, |(_, name)| name.strip_prefix('/').unwrap_or(name))
}

fn reference(url: &str) -> Vec<Reference> {
    if url.is_empty() { Vec::new() } else { vec![Reference { kind: "other".to_owned(), url: url.to_owned() }] }
}

const FOLDER: &str = "node_modules";
