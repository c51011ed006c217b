//! `pnpm-lock.yaml`, versions 5 to 9.

use std::collections::BTreeSet;

use crate::language::graph::{id, package};
use crate::language::javascript::bun::reach;
use crate::package::{Package, Reference, Relationship};
use crate::text::ParseError;
use crate::tree::{Node, yaml_documents};

/// Parses a lock file. Since version 11 of pnpm another document, for the package manager itself, may stand before that of the project.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let documents = yaml_documents(bytes)?;
    let Some(lock) = documents.iter().find(|document| !is_environment(document)) else { return Ok(Vec::new()) };
    let version: f64 = lock.get("lockfileVersion").text().parse().unwrap_or(-1.0);
    if version < 0.0 {
        return Ok(Vec::new());
    }
    let mut packages = if version >= 9.0 { by_snapshot(lock) } else { by_path(lock, version) };
    packages.sort_by(|a, b| (&a.name, &a.version, &a.id).cmp(&(&b.name, &b.version, &b.id)));
    Ok(packages)
}

fn is_environment(document: &Node) -> bool {
    let is_set = |importer: &Node, group: &str| importer.get(group).is_map();
    document
        .get("importers")
        .entries()
        .any(|(_, importer)| is_set(importer, "configDependencies") || is_set(importer, "packageManagerDependencies"))
}

/// Versions 5 and 6: everything is in `packages`. What is for development is marked, and left out.
fn by_path(lock: &Node, version: f64) -> Vec<Package> {
    let direct = lock.get("dependencies");
    let mut packages = Vec::new();
    for (path, one) in lock.get("packages").entries().filter(|(_, one)| !one.get("dev").is_true()) {
        let stated = one.get("name").text();
        let (name, number, reference) = if stated.is_empty() {
            let (name, number, reference) = key(path, version);
            let number = stated_version(&number, version);
            (name, number, reference)
        } else {
            (stated.to_owned(), one.get("version").text().to_owned(), String::new())
        };
        let needs = one.get("dependencies").entries().map(|(need, range)| id(need, range.text()));
        let mut depends_on: Vec<String> = needs.collect();
        depends_on.sort();
        let is_direct = direct.entries().any(|(wish, _)| wish == name);
        packages.push(Package {
            relationship: Relationship::direct(is_direct),
            depends_on,
            references: references(&reference),
            ..package(&name, &number)
        });
    }
    packages
}

/// Version 9: identities in `snapshots`, facts in `packages`, wishes in `importers`.
fn by_snapshot(lock: &Node) -> Vec<Package> {
    let wished = |group: &'static str| -> BTreeSet<String> {
        let importers = lock.get("importers").entries();
        let wishes = importers.flat_map(|(_, importer)| importer.get(group).entries());
        wishes.map(|(name, wish)| id(name, peerless(wish.get("version").text(), 9.0))).collect()
    };
    let (development, production) = (wished("devDependencies"), wished("dependencies"));
    let facts = lock.get("packages");
    let mut packages = Vec::new();
    let mut started = BTreeSet::new();
    for (snapshot, one) in lock.get("snapshots").entries() {
        let (name, number, _) = key(snapshot, 9.0);
        let plain = id(&name, &number);
        // A tarball states its version apart; its id keeps the address.
        let stated = facts.get(&plain).get("version").text();
        let version = if stated.is_empty() { stated_version(&number, 9.0) } else { stated.to_owned() };
        let needs = ["optionalDependencies", "dependencies"].iter().flat_map(|group| one.get(group).entries());
        let known = |(need, range): &(&str, &Node)| !facts.get(&id(need, peerless(range.text(), 9.0))).is_null();
        let needs: BTreeSet<String> = needs.filter(known).map(|(need, range)| id(need, range.text())).collect();
        if production.contains(&plain) {
            started.insert(snapshot.to_owned());
        }
        packages.push(Package {
            id: snapshot.to_owned(),
            name,
            version,
            relationship: Relationship::direct(production.contains(&plain) || development.contains(&plain)),
            depends_on: needs.into_iter().collect(),
            ..Package::default()
        });
    }
    let reached = reach(&packages, |one| started.contains(&one.id));
    for one in &mut packages {
        one.development = !reached.contains(&one.id);
    }
    packages
}

fn references(address: &str) -> Vec<Reference> {
    let reference = Reference { kind: "vcs".to_owned(), url: address.to_owned() };
    if address.is_empty() { Vec::new() } else { vec![reference] }
}

/// Name, version and reference of a key. The reference is the key itself where it names another registry than the usual one.
///
/// `/lodash/4.17.10` and `registry.npmjs.org/lodash/4.17.10` in version 5, `/lodash@4.17.10` in 6, `lodash@4.17.10` in 9.
pub(crate) fn key(path: &str, version: f64) -> (String, String, String) {
    let (registry, bare) = if version < 9.0 { path.split_once('/').unwrap_or((path, "")) } else { ("", path) };
    let is_usual = registry.is_empty() || registry.starts_with("registry.npm");
    let reference = if is_usual { "" } else { path };
    let (scope, bare) = match bare.split_once('/').filter(|_| bare.starts_with('@')) {
        Some((scope, bare)) => (Some(scope), bare),
        None if bare.starts_with('@') => (Some(bare), ""),
        None => (None, bare),
    };
    let (name, rest) = bare.split_once(if version < 6.0 { '/' } else { '@' }).unwrap_or((bare, ""));
    let name = scope.map_or_else(|| name.to_owned(), |scope| format!("{scope}/{name}"));
    (name, peerless(rest, version).to_owned(), reference.to_owned())
}

/// Without peers: `_peer` in version 5, `(peer)` since 6.
pub(crate) fn peerless(text: &str, version: f64) -> &str {
    let separator = if version < 6.0 { '_' } else { '(' };
    text.split_once(separator).map_or(text, |(bare, _)| bare)
}

/// The version that a key states, empty where it is an address or none of semantic versioning.
pub(crate) fn stated_version(text: &str, version: f64) -> String {
    let is_address = version < 9.0 && (text.starts_with("file:") || text.starts_with("http"));
    if is_address || !is_version(text) { String::new() } else { text.to_owned() }
}

/// A version of semantic versioning, section 2 to 10.
fn is_version(text: &str) -> bool {
    let (core, build) = text.split_once('+').map_or((text, None), |(core, build)| (core, Some(build)));
    let (numbers, pre) = core.split_once('-').map_or((core, None), |(numbers, pre)| (numbers, Some(pre)));
    let is_word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let is_number = |part: &str| {
        let is_padded = part.len() > 1 && part.starts_with('0');
        !part.is_empty() && !is_padded && part.chars().all(|c| c.is_ascii_digit())
    };
    let is_pre = |part: &str| is_number(part) || (is_word(part) && part.contains(|c: char| !c.is_ascii_digit()));
    numbers.split('.').count() == 3
        && numbers.split('.').all(is_number)
        && pre.is_none_or(|pre| pre.split('.').all(is_pre))
        && build.is_none_or(|build| build.split('.').all(is_word))
}
