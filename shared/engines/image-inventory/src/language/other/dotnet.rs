//! .NET: `*.deps.json`, `packages.lock.json`, `packages.config`, `Packages.props`.

use std::collections::BTreeSet;

use crate::language::graph::{package, unique};
use crate::package::{Package, Relationship};
use crate::text::{ParseError, text};
use crate::tree::{Node, json};

/// `*.deps.json`: what an application was published with.
pub(crate) fn deps(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let deps = json(bytes, false)
        .map_err(|error| ParseError { what: format!("failed to decode .deps.json file: {}", error.what), ..error })?;
    let target = deps.get("targets").get(deps.get("runtimeTarget").get("name").text());
    let libraries = deps.get("libraries");
    let kind = |key: &str| libraries.get(key).get("type").text().to_owned();
    // A project that no other project needs is the root.
    let needed: BTreeSet<String> = target
        .entries()
        .flat_map(|(_, one)| {
            one.get("dependencies").entries().map(|(name, version)| format!("{name}/{}", version.text()))
        })
        .collect();
    let projects: Vec<&str> = libraries.entries().map(|(key, _)| key).filter(|key| kind(key) == "project").collect();
    let root = projects.iter().find(|key| !needed.contains(**key)).copied();
    let known_target = target.is_map();
    let mut direct: BTreeSet<String> = BTreeSet::new();
    for project in &projects {
        direct.extend(needs(target.get(project)));
    }
    let mut packages = Vec::new();
    for (key, library) in libraries.entries() {
        let Some((name, version)) = key.split_once('/') else { continue };
        let is_project = projects.contains(&key);
        let is_runtime = matches!(kind(key).as_str(), "package" | "runtimepack");
        let name = if kind(key) == "runtimepack" { name.trim_start_matches("runtimepack.") } else { name };
        if !is_project && !is_runtime || (known_target && !is_project && !has_runtime(target, key)) {
            continue;
        }
        let relationship = if Some(key) == root {
            Relationship::Root
        } else if is_project {
            Relationship::Workspace
        } else if !known_target {
            Relationship::Unknown
        } else {
            Relationship::direct(direct.contains(key))
        };
        packages.push(Package {
            id: format!("{name}/{version}"),
            name: name.to_owned(),
            version: version.to_owned(),
            relationship,
            depends_on: needs(target.get(key)),
            locations: vec![library.lines],
            ..Package::default()
        });
    }
    let ids: BTreeSet<String> = packages.iter().map(|one| one.id.clone()).collect();
    for one in &mut packages {
        let renamed = |need: &String| need.trim_start_matches("runtimepack.").to_owned();
        one.depends_on = one.depends_on.iter().map(renamed).filter(|need| ids.contains(need)).collect();
        one.depends_on.sort();
    }
    Ok(unique(packages))
}

/// Whether a library brings files at run time; a bare reference does not.
fn has_runtime(target: &Node, key: &str) -> bool {
    let one = target.get(key);
    one.is_null()
        || ["runtime", "runtimeTargets", "native"].iter().any(|group| one.get(group).entries().next().is_some())
}

fn needs(one: &Node) -> Vec<String> {
    one.get("dependencies").entries().map(|(name, version)| format!("{name}/{}", version.text())).collect()
}

/// `packages.lock.json`.
pub(crate) fn lock(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = json(bytes, false)?;
    let mut packages = Vec::new();
    for (_, target) in lock.get("dependencies").entries() {
        for (name, one) in target.entries().filter(|(_, one)| one.get("type").text() != "Project") {
            let mut found = package(name, one.get("resolved").text());
            found.relationship = Relationship::direct(one.get("type").text() != "Transitive");
            found.locations = vec![one.lines];
            let wanted = one.get("dependencies").entries();
            // The range of a dependency is resolved in the same target.
            found.depends_on = wanted
                .map(|(need, range)| {
                    let resolved = target.get(need).get("resolved").text();
                    crate::language::graph::id(need, if resolved.is_empty() { range.text() } else { resolved })
                })
                .collect();
            packages.push(found);
        }
    }
    Ok(unique(packages))
}

/// `packages.config`: `<package id="..." version="..."/>`.
pub(crate) fn config(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let content = text(bytes);
    let nodes = elements(&content)
        .map_err(|error| ParseError { what: format!("failed to decode .config file: {}", error.what), ..error })?;
    let one = |node: &Element<'_>| {
        let (name, version) = (node.attribute("id"), node.attribute("version"));
        let used = node.name == "package" && !name.is_empty() && node.attribute("developmentDependency") != "true";
        used.then(|| package(name, version))
    };
    Ok(unique(nodes.iter().filter_map(one).collect()))
}

/// `Packages.props`: `PackageReference`, `PackageVersion` and global ones; values with variables are left out.
pub(crate) fn props(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let content = text(bytes);
    let is_literal = |text: &str| !text.is_empty() && !text.contains("$(");
    let one = |node: &Element<'_>| {
        let known = ["PackageReference", "PackageVersion", "GlobalPackageReference"].contains(&node.name);
        let included = node.attribute("Include");
        let name = if included.is_empty() { node.attribute("Update") } else { included };
        let version = node.attribute("Version");
        (known && is_literal(name.trim()) && is_literal(version.trim())).then(|| package(name.trim(), version.trim()))
    };
    Ok(unique(elements(&content)?.iter().filter_map(one).collect()))
}

/// A start tag of XML.
pub(crate) struct Element<'a> {
    pub(crate) name: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
}

impl Element<'_> {
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

/// All start tags of an XML text, after a check that tags are closed as they were opened.
pub(crate) fn elements(content: &str) -> Result<Vec<Element<'_>>, ParseError> {
    let (mut elements, mut open, mut rest) = (Vec::new(), Vec::new(), content);
    let line = |rest: &str| content.lines().count().saturating_sub(rest.lines().count()).saturating_add(1);
    while let Some((_, after)) = rest.split_once('<') {
        let end = if after.starts_with("!--") { "-->" } else { ">" };
        let Some((tag, tail)) = after.split_once(end) else {
            return Err(ParseError::at(format!("XML syntax error on line {}: unexpected EOF", line("")), line(rest)));
        };
        rest = tail;
        if tag.starts_with(['?', '!']) {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name.trim()) {
                return Err(ParseError::at(format!("XML syntax error: unexpected </{}>", name.trim()), line(rest)));
            }
            continue;
        }
        let body = tag.trim_end_matches('/');
        let name = body.split_whitespace().next().unwrap_or_default();
        if !tag.ends_with('/') {
            open.push(name);
        }
        elements.push(Element { name, attributes: attributes(body.get(name.len()..).unwrap_or_default()) });
    }
    if elements.is_empty() {
        return Err(ParseError::new("XML syntax error: it has no element"));
    }
    if open.is_empty() {
        return Ok(elements);
    }
    let last = content.lines().count();
    Err(ParseError::at(format!("XML syntax error on line {last}: unexpected EOF"), last))
}

fn attributes(mut body: &str) -> Vec<(&str, &str)> {
    let mut attributes = Vec::new();
    while let Some((key, rest)) = body.split_once('=') {
        let rest = rest.trim_start();
        let quote = if rest.starts_with('\'') { '\'' } else { '"' };
        let Some((value, tail)) = rest.get(1..).and_then(|rest| rest.split_once(quote)) else { break };
        attributes.push((key.trim(), value));
        body = tail;
    }
    attributes
}
