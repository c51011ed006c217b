//! Formats that are JSON, YAML or TOML: Cargo, Composer, Conan, Conda, Pub, Swift, CocoaPods, Julia, sbt.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use crate::language::graph::{id, package};
use crate::language::python::version::Version;
use crate::package::{LineRange, Package, Relationship};
use crate::text::{ParseError, text};
use crate::tree::{Node, Value, json, tables, toml, yaml};

/// `Cargo.lock`.
pub(crate) fn cargo(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = toml(bytes)?;
    let content = text(bytes);
    let mut places: BTreeMap<String, LineRange> = BTreeMap::new();
    for table in tables(&content, &["name", "version"]) {
        let [name, version] = table.fields[..] else { continue };
        if !name.is_empty() {
            places.insert(id(name, version), table.lines);
        }
    }
    let nodes = lock.get("package").items();
    let versions: BTreeMap<&str, &str> =
        nodes.iter().map(|node| (node.get("name").text(), node.get("version").text())).collect();
    let resolve = |need: &Node| {
        // `name`, `name version` or `name version (source)`, as short as it can be told apart.
        match need.text().split_whitespace().collect::<Vec<_>>()[..] {
            [name] => versions.get(name).map(|version| id(name, version)),
            [name, version] | [name, version, _] => Some(id(name, version)),
            _ => None,
        }
    };
    let mut packages = Vec::new();
    for node in nodes {
        let mut one = package(node.get("name").text(), node.get("version").text());
        one.locations = places.get(&one.id).copied().into_iter().collect();
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
    let listed = lock.get("packages").items();
    let plain = if lock.get("packages").is_null() { lock.items() } else { listed };
    let mut found: IndexMap<&str, (Package, &Node)> = IndexMap::new();
    let develop = lock.get("packages-dev").items().iter().map(|node| (node, true));
    for (node, development) in plain.iter().map(|node| (node, false)).chain(develop) {
        let name = node.get("name").text();
        // What is there for production is not there for development only.
        if found.contains_key(name) {
            continue;
        }
        let one = Package {
            licenses: composer_licenses(node.get("license")),
            development,
            locations: vec![node.lines],
            ..package(name, node.get("version").text())
        };
        found.insert(name, (one, node));
    }
    let ids: BTreeMap<&str, String> = found.iter().map(|(name, (one, _))| (*name, one.id.clone())).collect();
    let with_needs = |(mut one, node): (Package, &Node)| {
        // `php` and `ext-*` are the platform, no packages.
        let is_package = |(need, _): &(&str, &Node)| *need != "php" && !need.starts_with("ext");
        let needs = node.get("require").entries().filter(is_package);
        one.depends_on = needs.filter_map(|(need, _)| ids.get(need).cloned()).collect();
        one.depends_on.sort();
        one
    };
    Ok(found.into_values().map(with_needs).collect())
}

fn composer_licenses(node: &Node) -> Vec<String> {
    match &node.value {
        Value::List(items) => items.iter().map(Node::text).filter(|text| !text.is_empty()).map(str::to_owned).collect(),
        _ => crate::license::split(node.text()),
    }
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
        one.relationship = Relationship::direct(direct.contains(key));
        let needs = node.get("requires").items().iter();
        one.depends_on = needs.filter_map(|need| named(need.text())).map(|need| need.id).collect();
        packages.push(one);
    }
    Ok(packages)
}

/// `name/version[@user/channel][#revision]`.
fn conan_package(reference: &str, node: &Node) -> Option<Package> {
    let plain = reference.split(['#', '@']).next()?;
    let (name, version) = plain.split_once('/').filter(|(_, version)| !version.contains('/'))?;
    let id = if version.is_empty() { name.to_owned() } else { plain.to_owned() };
    Some(Package { id, locations: vec![node.lines], ..package(name, version) })
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

/// `channel::name=version=build`, `name ==version`, `name version build`; only an exact version counts.
fn conda_package(text: &str, node: &Node) -> Option<Package> {
    let text = text.rsplit_once("::").map_or(text, |(_, rest)| rest);
    let spaced = text.replace('>', " >").replace('<', " <").replace('=', " ");
    let mut words = spaced.split_whitespace();
    let name = words.next()?;
    let version = words.next().filter(|version| Version::parse(version).is_some()).unwrap_or_default();
    Some(Package {
        name: name.to_owned(),
        version: version.to_owned(),
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
    let licenses = crate::license::split(node.get("license").text());
    Ok(vec![Package { name: name.to_owned(), version: version.to_owned(), licenses, ..Package::default() }])
}

/// `pubspec.lock`; with `minimum`, packages of an SDK get the lowest version of that SDK.
pub(crate) fn pub_lock(bytes: &[u8], minimum: bool) -> Result<Vec<Package>, ParseError> {
    let lock = map(yaml(bytes)?)?;
    let one = |(name, node): (&str, &Node)| {
        let stated = node.get("version").text();
        let range = lock.get("sdks").get(node.get("description").text()).text();
        let is_bound = minimum && stated == "0.0.0" && node.get("source").text() == "sdk";
        let version = Some(range).filter(|_| is_bound).and_then(lowest).unwrap_or(stated);
        let relationship = match node.get("dependency").text() {
            "direct main" | "direct dev" => Relationship::Direct,
            "transitive" => Relationship::Indirect,
            _ => Relationship::Unknown,
        };
        Package { relationship, ..package(name, version) }
    };
    Ok(lock.get("packages").entries().map(one).collect())
}

/// The lower bound that a range begins with.
fn lowest(range: &str) -> Option<&str> {
    let range = range.trim();
    let bound = range.strip_prefix(">=").or_else(|| range.strip_prefix('^'))?;
    let version = bound.trim_start().split([' ', ',', '<', '|']).next()?;
    version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
}

/// `Package.resolved` of Swift, versions 1 to 3.
pub(crate) fn swift(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = json(bytes, false)?;
    let is_first = lock.get("version").text().parse::<u64>().unwrap_or(0) <= 1;
    let pins = if is_first { lock.get("object").get("pins") } else { lock.get("pins") };
    let one = |pin: &Node| {
        let place = pin.get(if is_first { "repositoryURL" } else { "location" }).text();
        let name = place.strip_prefix("https://").unwrap_or(place);
        let name = name.strip_suffix(".git").unwrap_or(name);
        // A pin may follow a branch instead.
        let state = pin.get("state");
        let version =
            Some(state.get("version").text()).filter(|text| !text.is_empty()).unwrap_or(state.get("branch").text());
        (!version.is_empty()).then(|| Package { locations: vec![pin.lines], ..package(name, version) })
    };
    Ok(pins.items().iter().filter_map(one).collect())
}

/// `Podfile.lock`.
pub(crate) fn cocoapods(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = yaml(bytes)?;
    let parse = |text: &str| {
        let (name, version) = text.split_once(" (").filter(|(_, version)| !version.contains(" ("))?;
        Some(package(name, version.trim().trim_matches(['(', ')'])))
    };
    let mut found: BTreeMap<String, Package> = BTreeMap::new();
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in lock.get("PODS").items() {
        found.extend(parse(pod.text()).map(|one| (one.name.clone(), one)));
        for (name, wanted) in pod.entries() {
            let Some(one) = parse(name) else { continue };
            let Value::List(wanted) = &wanted.value else {
                return Err(ParseError::at(format!("what `{name}` needs is no list"), wanted.lines.start as usize));
            };
            let bare = |need: &Node| need.text().split_whitespace().next().unwrap_or_default().to_owned();
            needs.entry(one.name.clone()).or_default().extend(wanted.iter().map(bare));
            found.insert(one.name.clone(), one);
        }
    }
    let versions: BTreeMap<String, String> =
        found.iter().map(|(name, one)| (name.clone(), one.version.clone())).collect();
    let with_needs = |(name, mut one): (String, Package)| {
        let wanted = needs.remove(&name).unwrap_or_default();
        let known = |need: &String| id(need, versions.get(need).map_or("", String::as_str));
        one.depends_on = wanted.iter().filter(|need| !need.is_empty()).map(known).collect();
        one
    };
    Ok(found.into_iter().map(with_needs).collect())
}

/// `Manifest.toml` of Julia, versions 1 and 2. Packages are told apart by their UUID, for names may repeat.
pub(crate) fn julia(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let manifest = toml(bytes)?;
    let content = text(bytes);
    let is_new = !manifest.get("manifest_format").is_null();
    let listed = if is_new { manifest.get("deps") } else { &manifest };
    let places: BTreeMap<&str, LineRange> =
        tables(&content, &["uuid"]).iter().filter_map(|table| Some((*table.fields.first()?, table.lines))).collect();
    // Packages of the standard library have the version of Julia itself.
    let julia = Some(manifest.get("julia_version").text()).filter(|version| !version.is_empty()).unwrap_or("unknown");
    let mut packages = Vec::new();
    for (name, nodes) in listed.entries() {
        for node in nodes.items() {
            let uuid = node.get("uuid").text();
            let version = Some(node.get("version").text()).filter(|text| !text.is_empty()).unwrap_or(julia);
            packages.push(Package {
                id: uuid.to_owned(),
                name: name.to_owned(),
                version: version.to_owned(),
                depends_on: julia_needs(node, listed)?,
                locations: places.get(uuid).filter(|_| !uuid.is_empty()).copied().into_iter().collect(),
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
        let count = match listed.get(need.text()).items() {
            [one] => {
                needs.push(one.get("uuid").text().to_owned());
                continue;
            }
            [] => "no",
            _ => "multiple",
        };
        return Err(ParseError::new(format!("`{}` has invalid format (parsed {count} deps)", need.text())));
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
