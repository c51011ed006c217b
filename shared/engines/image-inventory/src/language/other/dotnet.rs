//! .NET: `*.deps.json`, `packages.lock.json`, `packages.config`, `Packages.props`.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::graph::{package, unique};
use crate::package::{Package, Relationship};
use crate::text::ParseError;
use crate::tree::{Node, json};
use crate::xml;

/// `*.deps.json`: what an application was published with.
pub(crate) fn deps(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let deps = json(bytes, false)
        .map_err(|error| ParseError { what: format!("failed to decode .deps.json file: {}", error.what), ..error })?;
    let target = deps.get("targets").get(deps.get("runtimeTarget").get("name").text());
    let used: BTreeMap<String, &Node> = target.entries().map(|(key, one)| (plain_id(key), one)).collect();
    let (mut packages, mut projects) = (Vec::new(), Vec::new());
    for (key, library) in deps.get("libraries").entries() {
        let kind = library.get("type").text().to_ascii_lowercase();
        let id = plain_id(key);
        let Some((name, version)) = id.split_once('/').filter(|_| key.contains('/')) else { continue };
        if !matches!(kind.as_str(), "package" | "project" | "runtimepack") || !used.get(&id).is_none_or(|one| runs(one))
        {
            continue;
        }
        if kind == "project" {
            projects.push(id.clone());
        }
        packages.push(Package { locations: vec![library.lines], id: id.clone(), ..package(name, version) });
    }
    let root = root_of(&projects, &used);
    let direct = root.and_then(|root| used.get(root)).map(|root| needs(root)).unwrap_or_default();
    let known: BTreeSet<String> = packages.iter().map(|one| one.id.clone()).collect();
    for one in &mut packages {
        if projects.contains(&one.id) {
            let is_root = root == Some(one.id.as_str());
            one.relationship = if is_root { Relationship::Root } else { Relationship::Workspace };
        } else if !direct.is_empty() {
            one.relationship = Relationship::direct(direct.contains(&one.id));
        }
        let wanted = used.get(&one.id).map(|one| needs(one)).unwrap_or_default();
        one.depends_on = wanted.into_iter().filter(|need| known.contains(need)).collect();
    }
    Ok(unique(packages))
}

/// `name/version`; the runtime that an application brings is called by its own name.
fn plain_id(key: &str) -> String {
    let key = key.strip_prefix("runtimepack.").unwrap_or(key);
    key.strip_suffix('/').unwrap_or(key).to_owned()
}

/// The one project that no other library needs.
fn root_of<'a>(projects: &'a [String], used: &BTreeMap<String, &Node>) -> Option<&'a str> {
    let needed: BTreeSet<String> = used.values().flat_map(|one| needs(one)).collect();
    let mut roots = projects.iter().filter(|project| !needed.contains(*project));
    match (roots.next(), roots.next()) {
        (Some(root), None) => Some(root),
        _ => None,
    }
}

/// Whether a library brings files at run time; a bare reference does not.
fn runs(one: &Node) -> bool {
    ["runtime", "runtimeTargets", "native"].iter().any(|group| !one.get(group).is_null())
}

fn needs(one: &Node) -> BTreeSet<String> {
    let wanted = one.get("dependencies").entries();
    wanted.map(|(name, version)| plain_id(&format!("{name}/{}", version.text()))).collect()
}

/// `packages.lock.json`.
pub(crate) fn lock(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = json(bytes, false)?;
    let mut packages = Vec::new();
    for (_, target) in lock.get("dependencies").entries() {
        for (name, one) in target.entries().filter(|(_, one)| one.get("type").text() != "Project") {
            let mut found = package(name, one.get("resolved").text());
            found.relationship = Relationship::direct(one.get("type").text() == "Direct");
            found.locations = vec![one.lines];
            let wanted = one.get("dependencies").entries();
            // The range of a dependency is resolved in the same target.
            found.depends_on = wanted
                .map(|(need, _)| crate::language::graph::id(need, target.get(need).get("resolved").text()))
                .collect();
            packages.push(found);
        }
    }
    Ok(unique(packages))
}

/// `packages.config`: `<package id="..." version="..."/>`.
pub(crate) fn config(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let root = root_element(bytes, "packages", "failed to decode .config file")?;
    let one = |node: &xml::Element| {
        let (name, version) = (node.attribute("id"), node.attribute("version"));
        let is_used = !name.is_empty() && node.attribute("developmentDependency") != "true";
        is_used.then(|| Package { id: String::new(), ..package(name, version) })
    };
    Ok(unique(root.all("package").filter_map(one).collect()))
}

/// `Packages.props`: `PackageReference` and `PackageVersion`; values that are variables are left out.
pub(crate) fn props(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let root = root_element(bytes, "Project", "failed to decode '*.packages.props' file")?;
    let is_variable = |text: &str| text.starts_with("$(") && text.ends_with(')');
    let is_literal = |text: &str| !text.is_empty() && !is_variable(text);
    let one = |node: &xml::Element| {
        let included = node.attribute("Include");
        let name = if included.is_empty() { node.attribute("Update") } else { included }.trim();
        let version = node.attribute("Version").trim();
        (is_literal(name) && is_literal(version)).then(|| package(name, version))
    };
    let groups =
        root.all("ItemGroup").flat_map(|group| group.all("PackageReference").chain(group.all("PackageVersion")));
    Ok(unique(groups.filter_map(one).collect()))
}

fn root_element(bytes: &[u8], name: &str, what: &str) -> Result<xml::Element, ParseError> {
    let root = xml::parse(bytes).map_err(|error| ParseError { what: format!("{what}: {}", error.what), ..error })?;
    if root.name == name {
        return Ok(root);
    }
    Err(ParseError::new(format!("{what}: the root is <{}>, not <{name}>", root.name)))
}
