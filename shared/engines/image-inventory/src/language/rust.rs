//! Cargo: the lock file with the manifests of its workspace, which say what is asked for directly, and what of all that is not for
//! development only.

use std::collections::{BTreeMap, BTreeSet};

use crate::analyzer::Files;
use crate::found::Found;
use crate::hash;
use crate::language::files::sort;
use crate::language::formats::parse;
use crate::language::graph::id;
use crate::package::{ApplicationKind, Package, Relationship};
use crate::text::{beside, file_name, folder, join, wildcard};
use crate::tree::{Node, Value, toml};

pub(crate) fn wants(path: &str, _mode: u32) -> bool {
    matches!(file_name(path), "Cargo.lock" | "Cargo.toml")
}

pub(crate) fn analyze(files: &Files<'_>, found: &mut Found) {
    for (path, bytes) in files.iter().filter(|(path, _)| file_name(path) == "Cargo.lock") {
        let mut packages = match parse("cargo", bytes) {
            Ok(packages) => packages,
            Err(error) => {
                found.set_aside(path, "cargo", &error);
                continue;
            }
        };
        let manifest = beside(path, "Cargo.toml");
        match files.get(&manifest).map(|bytes| toml(bytes)) {
            Some(Ok(root)) => packages = of_workspace(packages, &root, &members(files, folder(path), &root)),
            Some(Err(error)) => found.set_aside(&manifest, "cargo", &error),
            None => {}
        }
        sort(&mut packages);
        found.application(ApplicationKind::Cargo, path, packages);
    }
}

/// Manifests of the members; their folders may be patterns.
fn members(files: &Files<'_>, home: &str, root: &Node) -> Vec<Node> {
    let patterns = root.get("workspace").get("members").items();
    let mut found = Vec::new();
    for pattern in
        patterns.iter().map(|pattern| join(home, pattern.text().trim_start_matches("./").trim_end_matches('/')))
    {
        let fits = |path: &String| file_name(path) == "Cargo.toml" && glob(&pattern, folder(path));
        found.extend(files.iter().filter(|(path, _)| fits(path)).filter_map(|(_, bytes)| toml(bytes).ok()));
    }
    found
}

/// A path pattern whose `*` and `?` stay within a segment.
pub(crate) fn glob(pattern: &str, path: &str) -> bool {
    let (patterns, segments): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    patterns.len() == segments.len()
        && patterns.iter().zip(&segments).all(|(pattern, segment)| wildcard(pattern, segment))
}

/// The packages that the workspace needs when it is built for use.
fn of_workspace(packages: Vec<Package>, root: &Node, members: &[Node]) -> Vec<Package> {
    let by_id: BTreeMap<String, Package> = packages.into_iter().map(|one| (one.id.clone(), one)).collect();
    let version = root.get("workspace").get("package").get("version").text();
    let shared = root.get("workspace").get("dependencies");
    let root_id = manifest_id(root, version);
    let mut workspace = Vec::new();
    let mut kept: BTreeMap<String, Package> = BTreeMap::new();
    // The root may use what it shares with its members.
    let mut declared = declared(root, shared);
    for (name, one) in shared.entries() {
        declared.entry(name.to_owned()).or_insert_with(|| constraint(one));
    }
    select(by_id.get(&root_id), &declared, &by_id, &mut kept);
    for member in members {
        let id = manifest_id(member, version);
        select(by_id.get(&id), &self::declared(member, shared), &by_id, &mut kept);
        workspace.push(id);
    }
    let mut pending: Vec<String> = kept.values().flat_map(|one| one.depends_on.clone()).collect();
    while let Some(need) = pending.pop() {
        if let Some(one) = by_id.get(&need).filter(|_| !kept.contains_key(&need)) {
            pending.extend(one.depends_on.iter().cloned());
            kept.insert(need, Package { relationship: Relationship::Indirect, ..one.clone() });
        }
    }
    let owners: BTreeSet<&String> = workspace.iter().chain([&root_id]).collect();
    let known: BTreeSet<String> = kept.keys().cloned().collect();
    for (id, one) in by_id.iter().filter(|(id, _)| owners.contains(id)) {
        let relationship = if *id == root_id { Relationship::Root } else { Relationship::Workspace };
        let depends_on = one.depends_on.iter().filter(|need| known.contains(*need)).cloned().collect();
        kept.insert(id.clone(), Package { relationship, depends_on, ..one.clone() });
    }
    // A root that is no package itself is not in the lock file.
    kept.entry(root_id.clone()).or_insert_with(|| Package {
        id: root_id,
        relationship: Relationship::Root,
        depends_on: workspace,
        ..Package::default()
    });
    kept.into_values().collect()
}

/// What an owner needs and says that it does. Among several versions of one name its requirement tells.
fn select(
    owner: Option<&Package>,
    declared: &BTreeMap<String, String>,
    by_id: &BTreeMap<String, Package>,
    kept: &mut BTreeMap<String, Package>,
) {
    let Some(owner) = owner else { return };
    let needs: Vec<&Package> = owner.depends_on.iter().filter_map(|need| by_id.get(need)).collect();
    for one in &needs {
        let Some(wanted) = declared.get(&one.name) else { continue };
        let is_one_of_many = needs.iter().filter(|other| other.name == one.name).count() > 1;
        if !is_one_of_many || wanted.is_empty() || matches(&one.version, wanted) {
            kept.insert(one.id.clone(), Package { relationship: Relationship::Direct, ..(*one).clone() });
        }
    }
}

/// Names that a manifest asks for, with their requirement where it has one. A package that is renamed counts by its own name.
fn declared(manifest: &Node, shared: &Node) -> BTreeMap<String, String> {
    let targets = manifest.get("target").entries().map(|(_, target)| target.get("dependencies"));
    let mut found = BTreeMap::new();
    for (name, one) in std::iter::once(manifest.get("dependencies")).chain(targets).flat_map(Node::entries) {
        let one = if one.get("workspace").is_true() { shared.get(name) } else { one };
        let package = one.get("package").text();
        found.insert(if package.is_empty() { name } else { package }.to_owned(), constraint(one));
    }
    found
}

fn constraint(one: &Node) -> String {
    if one.is_map() { one.get("version").text().to_owned() } else { one.text().to_owned() }
}

/// Id of the package of a manifest; a manifest without a name has a hash instead.
fn manifest_id(manifest: &Node, shared_version: &str) -> String {
    let package = manifest.get("package");
    let stated = package.get("version");
    let version = match &stated.value {
        Value::Text(text) => text.as_str(),
        Value::Null => shared_version,
        _ if stated.get("workspace").is_true() => shared_version,
        _ => "",
    };
    let name = package.get("name").text();
    if !name.is_empty() {
        return id(name, version);
    }
    let text = |node: &Node| (!node.text().is_empty()).then(|| hash::fnv(node.text().as_bytes()));
    let workspace = manifest.get("workspace");
    let of_package = hash::structure("", &[("Version", text(workspace.get("package").get("version")))]);
    let has_version = !workspace.get("package").get("version").text().is_empty();
    let members = workspace.get("members");
    let of_workspace = hash::structure(
        "cargoTomlWorkspace",
        &[
            ("Dependencies", hash::node(workspace.get("dependencies"))),
            ("Members", hash::node(members)),
            ("Package", has_version.then_some(of_package)),
        ],
    );
    let is_workspace = has_version || !members.is_null() || !workspace.get("dependencies").is_null();
    let fields = [
        ("Dependencies", hash::node(manifest.get("dependencies"))),
        ("Target", hash::node(manifest.get("target"))),
        ("Workspace", is_workspace.then_some(of_workspace)),
    ];
    format!("{:x}", hash::structure("cargoToml", &fields))
}

/// Whether a version meets a requirement of a manifest; a bare version means `^`.
pub(crate) fn matches(version: &str, requirement: &str) -> bool {
    let (Ok(version), Ok(requirement)) = (semver::Version::parse(version), semver::VersionReq::parse(requirement))
    else {
        return false;
    };
    requirement.matches(&version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stay_within_a_segment() {
        let check = |pattern, path, expected| assert_eq!(glob(pattern, path), expected, "{pattern} {path}");
        check("crates/*", "crates/a", true);
        check("crates/*", "crates/a/b", false);
        check("a?c*", "abcd", true);
        check("*x*y", "axbxcy", true);
        check("a", "ab", false);
    }
}
