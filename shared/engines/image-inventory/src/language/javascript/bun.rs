//! `bun.lock`: JSON with comments.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::graph::{package, unique};
use crate::package::{Package, Relationship};
use crate::text::ParseError;
use crate::tree::{Node, json};

/// Parses a lock file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let lock = json(bytes, true)?;
    let (direct, production) = wanted(lock.get("workspaces"));
    let mut packages = Vec::new();
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for (key, entry) in lock.get("packages").entries() {
        let items = entry.items();
        let Some((name, version)) = items.first().and_then(|first| split(first.text())) else { continue };
        let is_workspace = version.starts_with("workspace:");
        let home = version.strip_prefix("workspace:").map(|path| lock.get("workspaces").get(path));
        let version = home.map_or(version, |home| home.get("version").text());
        let mut one = package(name, version);
        one.relationship =
            if is_workspace { Relationship::Workspace } else { Relationship::direct(direct.contains(name)) };
        one.locations = vec![entry.lines];
        let meta = items.iter().find(|item| item.is_map());
        let wanted = meta.into_iter().flat_map(|meta| meta.get("dependencies").entries());
        // What is installed below a package itself is nearer than what all share.
        let wanted = wanted.flat_map(|(need, _)| [format!("{key}/{need}"), need.to_owned()]);
        needs.insert(one.id.clone(), wanted.collect());
        ids.insert(key.to_owned(), one.id.clone());
        packages.push(one);
    }
    for one in &mut packages {
        let wanted = needs.get(&one.id).map(Vec::as_slice).unwrap_or_default();
        let known = wanted.chunks(2).filter_map(|places| places.iter().find_map(|place| ids.get(place)));
        one.depends_on = known.cloned().collect();
        one.depends_on.sort();
    }
    let reached =
        reach(&packages, |one| one.relationship == Relationship::Workspace || production.contains(one.name.as_str()));
    for one in &mut packages {
        one.development = !reached.contains(&one.id);
    }
    Ok(unique(packages))
}

/// Names that workspaces ask for, and those of them that are not for development only.
fn wanted(workspaces: &Node) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let (mut direct, mut production) = (BTreeSet::new(), BTreeSet::new());
    for (_, workspace) in workspaces.entries() {
        for group in ["dependencies", "optionalDependencies", "peerDependencies"] {
            production.extend(workspace.get(group).entries().map(|(name, _)| name));
        }
        direct.extend(workspace.get("devDependencies").entries().map(|(name, _)| name));
    }
    direct.extend(production.iter().copied());
    (direct, production)
}

fn split(text: &str) -> Option<(&str, &str)> {
    let at = text.get(1..)?.find('@')?.saturating_add(1);
    let (name, version) = text.split_at_checked(at)?;
    Some((name, version.trim_start_matches('@')))
}

/// Ids that can be reached from the packages that `is_start` names.
pub(crate) fn reach(packages: &[Package], is_start: impl Fn(&Package) -> bool) -> BTreeSet<String> {
    let by_id: BTreeMap<&str, &Package> = packages.iter().map(|one| (one.id.as_str(), one)).collect();
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut pending: Vec<&str> = packages.iter().filter(|one| is_start(one)).map(|one| one.id.as_str()).collect();
    while let Some(id) = pending.pop() {
        if reached.insert(id.to_owned()) {
            pending.extend(by_id.get(id).into_iter().flat_map(|one| one.depends_on.iter().map(String::as_str)));
        }
    }
    reached
}
