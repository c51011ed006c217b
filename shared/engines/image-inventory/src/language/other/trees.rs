//! Formats that are JSON, YAML or TOML: Cargo, Composer, Conan, Conda, Pub, Swift, CocoaPods, Julia, sbt.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::graph::{id, package};
use crate::package::{Package, Relationship};
use crate::text::{ParseError, text};
use crate::tree::{Node, Value, json, sections, toml, yaml};

/// `Cargo.lock`.
pub(crate) fn cargo(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = toml(bytes)?;
    let content = text(bytes);
    let places = sections(&content).into_iter().filter(|(name, _)| name == "package").map(|(_, lines)| lines);
    let nodes = lock.get("package").items();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        versions.entry(node.get("name").text()).or_default().push(node.get("version").text());
    }
    let resolve = |need: &Node| {
        // `name`, `name version` or `name version (source)`, as short as it can be told apart.
        let mut words = need.text().split(' ');
        let name = words.next()?;
        let version = words.next().or_else(|| versions.get(name)?.first().copied())?;
        versions.get(name)?.contains(&version).then(|| id(name, version))
    };
    let mut packages = Vec::new();
    for (node, lines) in nodes.iter().zip(places) {
        let mut one = package(node.get("name").text(), node.get("version").text());
        one.locations = vec![lines];
        one.depends_on = node.get("dependencies").items().iter().filter_map(resolve).collect();
        one.depends_on.sort();
        packages.push(one);
    }
    Ok(packages)
}

/// `composer.lock`, and `installed.json` of a vendor folder.
pub(crate) fn composer(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock =
        json(bytes, false).map_err(|error| ParseError { what: format!("decode error: {}", error.what), ..error })?;
    let develop = lock.get("packages-dev").items();
    let listed = lock.get("packages").items();
    let plain = if listed.is_empty() { lock.items() } else { listed };
    let mut packages = Vec::new();
    let ids: BTreeMap<&str, String> = plain
        .iter()
        .chain(develop)
        .map(|node| (node.get("name").text(), id(node.get("name").text(), node.get("version").text())))
        .collect();
    for (node, development) in plain.iter().map(|node| (node, false)).chain(develop.iter().map(|node| (node, true))) {
        let mut one = package(node.get("name").text(), node.get("version").text());
        one.licenses = node.get("license").items().iter().map(|license| license.text().to_owned()).collect();
        if one.licenses.is_empty() && !node.get("license").text().is_empty() {
            one.licenses = vec![node.get("license").text().to_owned()];
        }
        one.development = development;
        one.locations = vec![node.lines];
        // `php` and `ext-*` are the platform, no packages.
        one.depends_on = node.get("require").entries().filter_map(|(need, _)| ids.get(need).cloned()).collect();
        one.depends_on.sort();
        packages.push(one);
    }
    Ok(packages)
}

/// `conan.lock`, versions 1 and 2.
pub(crate) fn conan(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = json(bytes, false)?;
    let nodes = lock.get("graph_lock").get("nodes");
    if !nodes.is_map() {
        return Ok(lock.get("requires").items().iter().filter_map(|node| conan_package(node.text(), node)).collect());
    }
    let direct: BTreeSet<&str> = nodes.get("0").get("requires").items().iter().map(Node::text).collect();
    let named = |key: &str| conan_package(nodes.get(key).get("ref").text(), nodes.get(key));
    let mut packages = Vec::new();
    for (key, node) in nodes.entries() {
        let Some(mut one) = named(key) else { continue };
        one.relationship = Relationship::direct(direct.is_empty() || direct.contains(key));
        let needs = node.get("requires").items().iter();
        one.depends_on = needs.filter_map(|need| named(need.text())).map(|need| need.id).collect();
        packages.push(one);
    }
    Ok(packages)
}

/// `name/version[@user/channel][#revision]`.
fn conan_package(reference: &str, node: &Node) -> Option<Package> {
    let plain = reference.split(['#', '@', '%', ':']).next()?;
    let (name, version) = plain.split_once('/')?;
    let good = !name.is_empty() && !version.is_empty() && !version.contains('/');
    good.then(|| Package { id: format!("{name}/{version}"), locations: vec![node.lines], ..package(name, version) })
}

/// `environment.yaml` of Conda; `pip` packages within included.
pub(crate) fn conda_environment(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let environment = map(yaml(bytes)?)?;
    let mut packages = Vec::new();
    let refuse = |node: &Node| {
        let kind = match &node.value {
            Value::Null => "!!null",
            Value::Bool(_) => "!!bool",
            Value::Number(number) if number.contains('.') => "!!float",
            Value::Number(_) => "!!int",
            Value::Text(_) => "!!str",
            Value::List(_) => "!!seq",
            Value::Map(_) => "!!map",
        };
        let line = node.lines.start;
        ParseError { what: format!("unsupported dependency type {kind:?} on line {line}"), line }
    };
    for node in environment.get("dependencies").items() {
        match &node.value {
            Value::Text(text) => packages.extend(conda_package(text, node)),
            Value::Map(groups) => {
                for inner in groups.values() {
                    let Value::List(items) = &inner.value else { return Err(refuse(inner)) };
                    for item in items {
                        let Value::Text(text) = &item.value else { return Err(refuse(item)) };
                        packages.extend(conda_package(text, item));
                    }
                }
            }
            _ => return Err(refuse(node)),
        }
    }
    Ok(packages)
}

/// `name=version=build`; only an exact version counts.
fn conda_package(text: &str, node: &Node) -> Option<Package> {
    let text = text.rsplit_once("::").map_or(text, |(_, rest)| rest).trim();
    let end = text.find([' ', '=', '<', '>', '!', '~', '[']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let rest = rest.trim_start();
    let is_exact = rest.starts_with(|c: char| c.is_ascii_digit())
        || rest
            .strip_prefix("==")
            .or_else(|| rest.strip_prefix('='))
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let version = rest.trim_start_matches('=').split(['=', ' ']).next().unwrap_or_default();
    let exact =
        is_exact && version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-' | '!'));
    (!name.is_empty()).then(|| Package {
        name: name.to_owned(),
        version: if exact { version.to_owned() } else { String::new() },
        locations: vec![node.lines],
        ..Package::default()
    })
}

/// `conda-meta/*.json`: one installed package.
pub(crate) fn conda_package_file(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let node = json(bytes, false)?;
    let (name, version) = (node.get("name").text(), node.get("version").text());
    if name.is_empty() || version.is_empty() {
        return Err(ParseError::new("unable to parse conda package: it has no name or no version"));
    }
    let license = node.get("license").text();
    let licenses = if license.is_empty() { Vec::new() } else { vec![license.to_owned()] };
    Ok(vec![Package { name: name.to_owned(), version: version.to_owned(), licenses, ..Package::default() }])
}

/// `pubspec.lock`; with `minimum`, packages of an SDK get the lowest version of that SDK.
pub(crate) fn pub_lock(bytes: &[u8], minimum: bool) -> Result<Vec<Package>, ParseError> {
    let lock = map(yaml(bytes)?)?;
    let one = |(name, node): (&str, &Node)| {
        let mut version = node.get("version").text().to_owned();
        let sdk = node.get("description").text();
        if node.get("source").text() == "sdk" && version == "0.0.0" && minimum {
            let range = lock.get("sdks").get(sdk).text();
            let lowest = range.trim_start_matches(['^', '>', '=', ' ']).split([' ', '<']).next().unwrap_or_default();
            if lowest.starts_with(|c: char| c.is_ascii_digit()) {
                lowest.clone_into(&mut version);
            }
        }
        let relationship = Relationship::direct(node.get("dependency").text() != "transitive");
        Package { relationship, ..package(name, &version) }
    };
    Ok(lock.get("packages").entries().map(one).collect())
}

/// `Package.resolved` of Swift, versions 1 to 3.
pub(crate) fn swift(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = json(bytes, false)?;
    let is_first = lock.get("version").text() == "1";
    let pins = if is_first { lock.get("object").get("pins") } else { lock.get("pins") };
    let one = |pin: &Node| {
        let place = pin.get(if is_first { "repositoryURL" } else { "location" }).text();
        let name = place.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches(".git");
        // A pin may follow a branch instead.
        let state = pin.get("state");
        let version =
            Some(state.get("version").text()).filter(|text| !text.is_empty()).unwrap_or(state.get("branch").text());
        (!name.is_empty() && !version.is_empty())
            .then(|| Package { locations: vec![pin.lines], ..package(name, version) })
    };
    Ok(pins.items().iter().filter_map(one).collect())
}

/// `Podfile.lock`.
pub(crate) fn cocoapods(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = yaml(bytes)?;
    let parse = |text: &str| {
        let (name, version) = text.split_once(" (")?;
        Some(package(name, version.trim_end_matches(')')))
    };
    let mut found: Vec<(Package, Vec<String>)> = Vec::new();
    for pod in lock.get("PODS").items() {
        if let Some(one) = parse(pod.text()) {
            found.push((one, Vec::new()));
        }
        for (name, needs) in pod.entries() {
            let bare = |need: &Node| need.text().split(' ').next().unwrap_or_default().to_owned();
            found.extend(parse(name).map(|one| (one, needs.items().iter().map(bare).collect())));
        }
    }
    let ids: BTreeMap<String, String> = found.iter().map(|(one, _)| (one.name.clone(), one.id.clone())).collect();
    let resolve = |(mut one, needs): (Package, Vec<String>)| {
        one.depends_on = needs.iter().filter_map(|need| ids.get(need).cloned()).collect();
        one.depends_on.sort();
        one
    };
    Ok(found.into_iter().map(resolve).collect())
}

/// `Manifest.toml` of Julia, versions 1 and 2. Packages are told apart by their UUID, for names may repeat.
pub(crate) fn julia(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let manifest = toml(bytes)?;
    let content = text(bytes);
    let is_new = !manifest.get("manifest_format").is_null();
    let listed = if is_new { manifest.get("deps") } else { &manifest };
    let mut places: BTreeMap<String, Vec<crate::package::LineRange>> = BTreeMap::new();
    for (name, lines) in sections(&content) {
        places.entry(name).or_default().push(lines);
    }
    // Packages of the standard library have the version of Julia itself.
    let julia = Some(manifest.get("julia_version").text()).filter(|version| !version.is_empty()).unwrap_or("unknown");
    let mut packages = Vec::new();
    for (name, nodes) in listed.entries() {
        for (index, node) in nodes.items().iter().enumerate() {
            let uuid = node.get("uuid").text();
            let version = Some(node.get("version").text()).filter(|text| !text.is_empty()).unwrap_or(julia);
            let header = if is_new { format!("deps.{name}") } else { name.to_owned() };
            packages.push(Package {
                id: uuid.to_owned(),
                name: name.to_owned(),
                version: version.to_owned(),
                depends_on: julia_needs(node, listed)?,
                locations: places.get(&header).and_then(|all| all.get(index)).copied().into_iter().collect(),
                ..Package::default()
            });
        }
    }
    Ok(packages)
}

fn julia_needs(node: &Node, listed: &Node) -> Result<Vec<String>, ParseError> {
    let deps = node.get("deps");
    let mut needs: Vec<String> = deps.entries().map(|(_, uuid)| uuid.text().to_owned()).collect();
    for need in deps.items() {
        let found = listed.get(need.text()).items().first();
        let uuid = found.map(|found| found.get("uuid").text().to_owned());
        needs.push(uuid.ok_or_else(|| ParseError::new("manifest has invalid format (parsed no deps)"))?);
    }
    needs.sort();
    Ok(needs)
}

/// `build.sbt.lock`.
pub(crate) fn sbt(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = json(bytes, false)?;
    let one = |node: &Node| {
        let (group, name, version) = (node.get("org").text(), node.get("name").text(), node.get("version").text());
        let used = |configuration: &Node| matches!(configuration.text(), "compile" | "runtime");
        node.get("configurations").items().iter().any(used).then(|| Package {
            id: format!("{group}:{name}:{version}"),
            name: format!("{group}:{name}"),
            version: version.to_owned(),
            locations: vec![node.lines],
            ..Package::default()
        })
    };
    Ok(lock.get("dependencies").items().iter().filter_map(one).collect())
}

/// A document that is no map is no lock file; an empty one is an empty lock file.
fn map(document: Node) -> Result<Node, ParseError> {
    if document.is_map() || document.is_null() {
        Ok(document)
    } else {
        Err(ParseError::at("decode error: it is no map", 1))
    }
}
