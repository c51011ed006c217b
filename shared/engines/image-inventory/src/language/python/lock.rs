//! `Pipfile.lock`, `poetry.lock`, `uv.lock`, `pylock.toml` (PEP 751).

use std::collections::{BTreeMap, BTreeSet};

use crate::language::graph::{id, package};
use crate::language::javascript::bun::reach;
use crate::language::python::normal_name;
use crate::language::python::version::Version;
use crate::package::{Package, Relationship};
use crate::text::ParseError;
use crate::tree::{Node, json, toml};

/// `Pipfile.lock`: the packages of production.
pub(crate) fn pipenv(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = json(bytes, false)?;
    let one = |(name, node): (&str, &Node)| Package {
        name: name.to_owned(),
        version: node.get("version").text().trim_start_matches('=').to_owned(),
        locations: vec![node.lines],
        ..Package::default()
    };
    Ok(lock.get("default").entries().map(one).collect())
}

/// `poetry.lock`.
pub(crate) fn poetry(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = toml(bytes)?;
    let mut versions: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    // Needs are followed among the packages of production only.
    for node in lock.get("package").items().iter().filter(|node| node.get("category").text() != "dev") {
        let name = normal_name(node.get("name").text(), true);
        versions.entry(name).or_default().push(node.get("version").text());
    }
    let mut packages = Vec::new();
    for node in lock.get("package").items() {
        let mut one = package(node.get("name").text(), node.get("version").text());
        one.development = is_for_development(node);
        for (need, wish) in node.get("dependencies").entries() {
            let range = if wish.is_map() { wish.get("version").text() } else { wish.text() };
            one.depends_on.extend(poetry_dependency(need, range, &versions));
        }
        one.depends_on.sort();
        packages.push(one);
    }
    Ok(packages)
}

/// Since version 2 of Poetry the groups are stated; before, the category.
fn is_for_development(node: &Node) -> bool {
    let groups = node.get("groups").items();
    if groups.is_empty() {
        return node.get("category").text() == "dev";
    }
    !groups.iter().any(|group| group.text() == "main")
}

/// The id that a dependency names: the first version that the range allows.
pub(crate) fn poetry_dependency(name: &str, range: &str, versions: &BTreeMap<String, Vec<&str>>) -> Option<String> {
    let name = normal_name(name, true);
    let meets = |version: &&&str| Version::parse(version).is_some_and(|version| version.meets(range));
    let version = versions.get(&name)?.iter().find(meets)?;
    Some(id(&name, version))
}

/// `uv.lock`. Exactly one package is the project.
pub(crate) fn uv(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = toml(bytes)?;
    let nodes = lock.get("package").items();
    let is_root = |node: &&Node| {
        [".", ""].contains(&node.get("source").get("virtual").text()) && !node.get("source").get("virtual").is_null()
            || node.get("source").get("editable").text() == "."
    };
    let roots: Vec<&Node> = nodes.iter().filter(is_root).collect();
    let [root] = roots.as_slice() else {
        return Err(ParseError::new("uv lockfile must contain 1 root package"));
    };
    let version_of: BTreeMap<&str, Vec<&str>> = nodes.iter().fold(BTreeMap::new(), |mut versions, node| {
        versions.entry(node.get("name").text()).or_default().push(node.get("version").text());
        versions
    });
    let resolve = |wish: &Node| {
        let name = wish.get("name").text();
        let stated = wish.get("version").text();
        let version = if stated.is_empty() { version_of.get(name)?.first()? } else { stated };
        Some(id(name, version))
    };
    let optional = |node: &Node| {
        node.get("optional-dependencies").entries().flat_map(|(_, list)| list.items().to_vec()).collect::<Vec<_>>()
    };
    let develop = |node: &Node| {
        node.get("dev-dependencies").entries().flat_map(|(_, list)| list.items().to_vec()).collect::<Vec<_>>()
    };
    let production: BTreeSet<String> =
        root.get("dependencies").items().iter().chain(&optional(root)).filter_map(resolve).collect();
    let direct: BTreeSet<String> = production.iter().cloned().chain(develop(root).iter().filter_map(resolve)).collect();
    let root_id = id(root.get("name").text(), root.get("version").text());
    let mut packages = Vec::new();
    for node in nodes {
        let mut one = package(node.get("name").text(), node.get("version").text());
        let wishes = node.get("dependencies").items().iter();
        one.depends_on = wishes.chain(&optional(node)).filter_map(resolve).collect();
        one.relationship = Relationship::direct(direct.contains(&one.id));
        if one.id == root_id {
            one.relationship = Relationship::Root;
            one.depends_on.extend(direct.iter().cloned());
        }
        one.depends_on.sort();
        one.depends_on.dedup();
        packages.push(one);
    }
    let reached = reach(&packages, |one| production.contains(&one.id));
    for one in &mut packages {
        one.development = one.relationship != Relationship::Root && !reached.contains(&one.id);
    }
    packages.retain(|one| !one.development || direct.contains(&one.id) || !reached.contains(&one.id));
    Ok(packages)
}

/// `pylock.toml`. A package with a folder is the project itself.
pub(crate) fn pylock(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = toml(bytes)?;
    let id_of = |node: &Node| id(&normal_name(node.get("name").text(), true), node.get("version").text());
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    for node in lock.get("packages").items() {
        let mut one = package(&normal_name(node.get("name").text(), true), node.get("version").text());
        if !node.get("directory").get("path").text().is_empty() {
            one.relationship = Relationship::Root;
        }
        one.depends_on = node.get("dependencies").items().iter().map(id_of).collect();
        one.depends_on.sort();
        packages.insert(one.id.clone(), one);
    }
    let known: BTreeSet<String> = packages.keys().cloned().collect();
    for one in packages.values_mut() {
        one.depends_on.retain(|need| known.contains(need));
    }
    Ok(packages.into_values().collect())
}
