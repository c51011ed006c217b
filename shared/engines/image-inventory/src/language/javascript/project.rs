//! Lock files with the files beside them: `package.json` says what is asked for, `node_modules` which licences.

use std::collections::{BTreeMap, BTreeSet};

use crate::analyzer::Files;
use crate::found::Found;
use crate::language::files::sort;
use crate::language::formats::parse;
use crate::language::graph::id;
use crate::language::javascript::bun::reach;
use crate::language::javascript::yarn::parse_with_patterns;
use crate::language::javascript::{licenses, package_json, range};
use crate::package::{ApplicationKind, Package, Relationship};
use crate::text::{beside, file_name, folder, join};
use crate::tree::{Node, json};

pub(crate) fn yarn(files: &Files<'_>, found: &mut Found) {
    let licenses = licenses::installed(files);
    for (path, bytes) in files.iter().filter(|(path, _)| file_name(path) == "yarn.lock") {
        let (mut packages, patterns) = match parse_with_patterns(bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                found.set_aside(path, "yarn", &error);
                continue;
            }
        };
        for package in &mut packages {
            if let Some(known) = licenses.get(&package.id) {
                package.licenses.clone_from(known);
            }
        }
        if let Some(Ok(project)) = files.get(&beside(path, "package.json")).map(|bytes| json(bytes, false)) {
            relate(&mut packages, &patterns, &project, &members(files, path, &project));
        }
        sort(&mut packages);
        found.application(ApplicationKind::Yarn, path, packages);
    }
}

/// `package-lock.json`, with the licences of `node_modules`.
pub(crate) fn npm(files: &Files<'_>, found: &mut Found) {
    with_licenses(files, found, ("package-lock.json", "npm"), ApplicationKind::Npm);
}

/// `pnpm-lock.yaml`, with the licences of `node_modules`.
pub(crate) fn pnpm(files: &Files<'_>, found: &mut Found) {
    with_licenses(files, found, ("pnpm-lock.yaml", "pnpm"), ApplicationKind::Pnpm);
}

fn with_licenses(files: &Files<'_>, found: &mut Found, (lock, format): (&str, &str), kind: ApplicationKind) {
    let licenses = licenses::installed(files);
    for (path, bytes) in files.iter().filter(|(path, _)| file_name(path) == lock) {
        match parse(format, bytes) {
            Ok(mut packages) => {
                for package in packages.iter_mut().filter(|package| package.licenses.is_empty()) {
                    let known = licenses.get(&id(&package.name, &package.version));
                    package.licenses = known.cloned().unwrap_or_default();
                }
                sort(&mut packages);
                found.application(kind, path, packages);
            }
            Err(error) => found.set_aside(path, format, &error),
        }
    }
}

/// Projects of the workspace.
fn members(files: &Files<'_>, lock: &str, project: &Node) -> Vec<Node> {
    let listed = project.get("workspaces");
    let globs = if listed.is_map() { listed.get("packages").items() } else { listed.items() };
    let matches = |path: &str| {
        let home = folder(path);
        globs.iter().any(|glob| {
            let pattern = join(folder(lock), glob.text().trim_end_matches('/'));
            pattern == home || pattern.strip_suffix("/*").is_some_and(|base| folder(home) == base)
        })
    };
    let own = files.iter().filter(|(path, _)| file_name(path) == "package.json" && matches(path));
    own.filter_map(|(_, bytes)| json(bytes, false).ok()).collect()
}

/// What projects ask for directly, and what of all that is for development only. Packages that nobody asks for are left out.
fn relate(packages: &mut Vec<Package>, patterns: &BTreeMap<String, String>, project: &Node, members: &[Node]) {
    let (mut production, mut direct) = (BTreeSet::new(), BTreeSet::new());
    let wishes = |one: &Node, group: &str| -> Vec<String> {
        let found = one.get(group).entries().filter_map(|(name, range)| {
            let range = range.text().strip_prefix("npm:").unwrap_or(range.text());
            let pinned = patterns.get(&format!("{name}@{range}")).cloned();
            // A lock file that pins a resolution has no pattern of that range.
            pinned.or_else(|| {
                let fits = |one: &&Package| one.name == name && range::matches(&one.version, range);
                packages.iter().find(fits).map(|one| one.id.clone())
            })
        });
        found.collect()
    };
    let mut added = Vec::new();
    for (index, one) in std::iter::once(project).chain(members).enumerate() {
        let mut needs: Vec<String> = Vec::new();
        for group in ["dependencies", "optionalDependencies", "devDependencies"] {
            let ids = wishes(one, group);
            if group != "devDependencies" {
                production.extend(ids.iter().cloned());
            }
            direct.extend(ids.iter().cloned());
            needs.extend(ids);
        }
        let (name, version) = (one.get("name").text(), one.get("version").text());
        needs.sort();
        added.push(Package {
            relationship: if index == 0 { Relationship::Root } else { Relationship::Workspace },
            licenses: package_json::licenses(one),
            depends_on: needs,
            // A project without a name is called after its file.
            id: if name.is_empty() { "package.json".to_owned() } else { id(name, version) },
            name: name.to_owned(),
            version: version.to_owned(),
            ..Package::default()
        });
    }
    let members: Vec<String> = added.iter().skip(1).map(|one| one.id.clone()).collect();
    if let Some(root) = added.first_mut() {
        root.depends_on.extend(members);
        root.depends_on.sort();
    }
    let known = reach(packages, |one| direct.contains(&one.id));
    let used = reach(packages, |one| production.contains(&one.id));
    packages.retain(|one| known.contains(&one.id));
    for one in packages.iter_mut() {
        one.relationship = Relationship::direct(direct.contains(&one.id));
        one.development = !used.contains(&one.id);
    }
    packages.extend(added);
}
