//! `pnpm-lock.yaml`, versions 5, 6 and 9.

use std::collections::BTreeSet;

use crate::language::graph::{id, unique};
use crate::language::javascript::bun::reach;
use crate::package::{Package, Relationship};
use crate::text::ParseError;
use crate::tree::{Node, yaml};

/// Parses a lock file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = yaml(bytes)?;
    let version: f64 = lock.get("lockfileVersion").text().parse().unwrap_or(-1.0);
    if version < 0.0 {
        return Ok(Vec::new());
    }
    let packages = if version >= 9.0 { by_snapshot(&lock) } else { by_path(&lock, version) };
    Ok(unique(packages))
}

/// Versions 5 and 6: everything is in `packages`.
fn by_path(lock: &Node, version: f64) -> Vec<Package> {
    let mut direct: BTreeSet<String> = BTreeSet::new();
    let importers = lock.get("importers").entries().map(|(_, importer)| importer);
    for importer in std::iter::once(lock).chain(importers) {
        for group in ["dependencies", "optionalDependencies", "devDependencies"] {
            direct.extend(importer.get(group).entries().map(|(name, _)| name.to_owned()));
        }
    }
    let mut packages = Vec::new();
    for (path, one) in lock.get("packages").entries() {
        let (mut name, mut number, _) = key(path, version);
        if !one.get("name").text().is_empty() {
            one.get("name").text().clone_into(&mut name);
        }
        if !one.get("version").text().is_empty() {
            one.get("version").text().clone_into(&mut number);
        }
        // Before version 9 what is for development is marked, and left out.
        if name.is_empty() || number.is_empty() || one.get("dev").is_true() {
            continue;
        }
        let needs = ["dependencies", "optionalDependencies"].iter().flat_map(|group| one.get(group).entries());
        let needs = needs.map(|(need, range)| id(need, &version_of(range.text(), version, need))).collect();
        packages.push(Package {
            relationship: Relationship::direct(direct.contains(&name)),
            depends_on: needs,
            ..crate::language::graph::package(&name, &number)
        });
    }
    packages
}

/// The version that a dependency names: without peers, and without what stands for a path.
fn version_of(text: &str, version: f64, need: &str) -> String {
    let bare = peerless(text, version);
    if let Some(rest) = bare.strip_prefix('/') {
        let (_, number, _) = key(&format!("/{rest}"), version);
        return number;
    }
    let _ = need;
    bare.to_owned()
}

/// Version 9: identities in `snapshots`, facts in `packages`, wishes in `importers`.
fn by_snapshot(lock: &Node) -> Vec<Package> {
    let (mut direct, mut production) = (BTreeSet::new(), BTreeSet::new());
    for (_, importer) in lock.get("importers").entries() {
        for group in ["dependencies", "optionalDependencies", "devDependencies"] {
            for (name, wish) in importer.get(group).entries() {
                let id = snapshot_id(name, wish.get("version").text());
                if group != "devDependencies" {
                    production.insert(id.clone());
                }
                direct.insert(id);
            }
        }
    }
    let facts = lock.get("packages");
    let mut packages = Vec::new();
    for (snapshot, one) in lock.get("snapshots").entries() {
        let (name, number, reference) = key(snapshot, 9.0);
        let plain = snapshot.split_once('(').map_or(snapshot, |(plain, _)| plain);
        let stated = facts.get(plain).get("version").text();
        // A tarball states its version apart; its id keeps the address.
        let number = if stated.is_empty() { stated_version(&number, 9.0) } else { stated.to_owned() };
        if name.is_empty() || reference.starts_with("link:") {
            continue;
        }
        let needs = ["dependencies", "optionalDependencies"]
            .iter()
            .flat_map(|group| one.get(group).entries())
            .map(|(need, range)| snapshot_id(need, range.text()))
            .collect();
        packages.push(Package {
            id: snapshot.to_owned(),
            name: name.clone(),
            version: number,
            relationship: Relationship::direct(direct.contains(snapshot)),
            depends_on: needs,
            ..Package::default()
        });
    }
    let reached = reach(&packages, |one| production.contains(&one.id));
    for one in &mut packages {
        one.development = !reached.contains(&one.id);
        one.depends_on.retain(|need| lock.get("snapshots").get(need).is_map());
    }
    packages
}

/// The snapshot that a dependency names: an alias names the whole of it.
fn snapshot_id(name: &str, version: &str) -> String {
    let bare = version.split_once('(').map_or(version, |(bare, _)| bare);
    let is_whole = bare.get(1..).is_some_and(|rest| rest.contains('@')) && !bare.contains("://") && !bare.contains(':');
    if is_whole { version.to_owned() } else { format!("{name}@{version}") }
}

/// Name, version and reference of a key of `packages`. The reference is the key itself where it names a registry or an address.
pub(crate) fn key(path: &str, version: f64) -> (String, String, String) {
    let bare = peerless(path, version);
    let (registry, rest) = registry(bare, version);
    let separator = if version < 6.0 { '/' } else { '@' };
    let split = if version >= 9.0 {
        rest.get(1..).and_then(|tail| tail.find('@')).and_then(|at| rest.split_at_checked(at.saturating_add(1)))
    } else {
        rest.rfind(separator).and_then(|at| rest.split_at_checked(at))
    };
    let Some((name, number)) = split else { return (String::new(), String::new(), String::new()) };
    let number = number.get(1..).unwrap_or_default();
    let is_number = number.starts_with(|c: char| c.is_ascii_digit());
    if version < 9.0 && !is_number {
        return (String::new(), String::new(), path.to_owned());
    }
    let reference = if registry.is_empty() || is_default(registry) { String::new() } else { path.to_owned() };
    (name.to_owned(), number.to_owned(), reference)
}

/// Without peers: `_peer` in version 5, `(peer)` since 6.
pub(crate) fn peerless(text: &str, version: f64) -> &str {
    if version < 6.0 {
        let at = text.rfind('/').map_or(0, |at| at.saturating_add(1));
        let tail = text.get(at..).unwrap_or_default();
        let end = tail.find(['_', '(']).map_or(text.len(), |end| at.saturating_add(end));
        return text.get(..end).unwrap_or(text);
    }
    text.split_once('(').map_or(text, |(bare, _)| bare)
}

/// The version that a dependency states, empty where it is an address.
pub(crate) fn stated_version(text: &str, version: f64) -> String {
    let bare = peerless(text, version);
    if bare.starts_with(|c: char| c.is_ascii_digit()) { bare.to_owned() } else { String::new() }
}

fn registry(path: &str, version: f64) -> (&str, &str) {
    if version >= 9.0 {
        return ("", path);
    }
    match path.split_once('/') {
        Some(("", rest)) => ("", rest),
        Some((host, rest)) if host.contains('.') && !host.starts_with('@') => (host, rest),
        _ => ("", path),
    }
}

fn is_default(registry: &str) -> bool {
    registry.starts_with("registry.npm")
}
