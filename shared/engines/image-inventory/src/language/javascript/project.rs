//! Lock files with the files beside them: `package.json` says what is asked for, `node_modules` which licences.

use std::collections::{BTreeMap, BTreeSet};

use crate::analyzer::Files;
use crate::found::Found;
use crate::language::files::sort;
use crate::language::formats::parse;
use crate::language::graph::id;
use crate::language::javascript::yarn::{Patterns, parse_with_patterns};
use crate::language::javascript::{licenses, package_json, range};
use crate::language::rust::glob;
use crate::package::{ApplicationKind, Package, Relationship};
use crate::text::{ParseError, beside, file_name, folder, join};
use crate::tree::{Node, json};

/// Lock files of Yarn; those in its own folders are of no project.
pub(crate) fn is_yarn_lock(path: &str) -> bool {
    let is_own = folder(path).split('/').any(|one| matches!(one, "node_modules" | ".yarn"));
    file_name(path) == "yarn.lock" && !is_own
}

pub(crate) fn yarn(files: &Files<'_>, found: &mut Found) {
    for (path, bytes) in files.iter().filter(|(path, _)| file_name(path) == "yarn.lock") {
        let (mut packages, patterns) = match parse_with_patterns(bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                found.set_aside(path, "yarn", &error);
                continue;
            }
        };
        if packages.is_empty() {
            continue;
        }
        match relate(files, path, &packages, &patterns) {
            Ok(Some(related)) => packages = related,
            Ok(None) => {}
            Err(error) => found.set_aside(&beside(path, "package.json"), "yarn", &error),
        }
        let licenses = licenses::of_yarn(files, folder(path));
        for package in &mut packages {
            if let Some(known) = licenses.get(&package.id) {
                package.licenses.clone_from(known);
            }
        }
        sort(&mut packages);
        found.application(ApplicationKind::Yarn, path, packages);
    }
}

/// `package-lock.json`, with the licences of `node_modules` where it names none.
pub(crate) fn npm(files: &Files<'_>, found: &mut Found) {
    with_licenses(files, found, ("package-lock.json", "npm"), ApplicationKind::Npm);
}

/// `pnpm-lock.yaml`, with the licences of `node_modules`.
pub(crate) fn pnpm(files: &Files<'_>, found: &mut Found) {
    with_licenses(files, found, ("pnpm-lock.yaml", "pnpm"), ApplicationKind::Pnpm);
}

/// `bun.lock`, with the licences of `node_modules`.
pub(crate) fn bun(files: &Files<'_>, found: &mut Found) {
    with_licenses(files, found, ("bun.lock", "bun"), ApplicationKind::Bun);
}

fn with_licenses(files: &Files<'_>, found: &mut Found, (lock, format): (&str, &str), kind: ApplicationKind) {
    for (path, bytes) in files.iter().filter(|(path, _)| file_name(path) == lock) {
        match parse(format, bytes) {
            Ok(mut packages) => {
                let licenses = licenses::below(files, &beside(path, "node_modules"));
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

/// A `package.json` of the project or of a member of its workspace.
struct Project {
    itself: Package,
    wishes: BTreeMap<String, String>,
    develop: BTreeMap<String, String>,
}

fn project(path: &str, node: &Node, bytes: &[u8]) -> Result<Project, ParseError> {
    let mut itself = package_json::parse(bytes)?;
    // A project without a name is called after its file.
    if itself.id.is_empty() {
        path.clone_into(&mut itself.id);
    }
    let group = |name: &str| node.get(name).entries().map(|(name, range)| (name.to_owned(), range.text().to_owned()));
    let wishes = group("dependencies").chain(group("optionalDependencies")).collect();
    Ok(Project { itself, wishes, develop: group("devDependencies").collect() })
}

/// The packages with what projects ask for directly, what of all that is for development only, and the projects themselves. `None`
/// where no `package.json` stands beside the lock file.
fn relate(
    files: &Files<'_>,
    lock: &str,
    packages: &[Package],
    patterns: &Patterns,
) -> Result<Option<Vec<Package>>, ParseError> {
    let home = beside(lock, "package.json");
    let Some(bytes) = files.get(&home) else { return Ok(None) };
    let node = json(bytes, false)?;
    let mut root = project(&home, &node, bytes)?;
    root.itself.relationship = Relationship::Root;
    let mut members = members(files, folder(lock), &package_json::workspaces(node.get("workspaces")))?;
    root.itself.depends_on = members.iter().map(|member| member.itself.id.clone()).collect();
    let mut graph = Graph {
        packages: packages.iter().map(|one| (one.id.clone(), one.clone())).collect(),
        patterns,
        projects: Vec::new(),
    };
    graph.add(root)?;
    for mut member in members.drain(..) {
        member.itself.relationship = Relationship::Workspace;
        graph.add(member)?;
    }
    let mut related = graph.packages;
    related.extend(graph.projects.into_iter().map(|one| (one.id.clone(), one)));
    Ok(Some(related.into_values().collect()))
}

/// Projects of the workspace: all in the folders that its patterns name.
fn members(files: &Files<'_>, home: &str, workspaces: &[&str]) -> Result<Vec<Project>, ParseError> {
    let mut found = Vec::new();
    for workspace in workspaces {
        let segments = workspace.split('/').filter(|one| !matches!(*one, "" | "."));
        let pattern = join(home, &segments.collect::<Vec<_>>().join("/"));
        let depth = pattern.split('/').count();
        for (path, bytes) in files.iter().filter(|(path, _)| file_name(path) == "package.json") {
            let folders: Vec<&str> = folder(path).split('/').collect();
            if folders.get(..depth).is_some_and(|top| glob(&pattern, &top.join("/"))) {
                found.push(project(path, &json(bytes, false)?, bytes)?);
            }
        }
    }
    Ok(found)
}

struct Graph<'a> {
    packages: BTreeMap<String, Package>,
    patterns: &'a Patterns,
    projects: Vec<Package>,
}

impl Graph<'_> {
    /// What is for development comes first, so that production has the last word.
    fn add(&mut self, project: Project) -> Result<(), ParseError> {
        let mut itself = project.itself;
        itself.depends_on.extend(self.walk(&project.develop, true)?);
        itself.depends_on.extend(self.walk(&project.wishes, false)?);
        itself.depends_on.sort();
        self.projects.push(itself);
        Ok(())
    }

    /// Marks what is asked for and all that it needs; gives the ids of what is asked for.
    fn walk(&mut self, wishes: &BTreeMap<String, String>, develop: bool) -> Result<Vec<String>, ParseError> {
        let mut direct = Vec::new();
        for one in self.packages.values() {
            let Some(wish) = wishes.get(&one.name) else { continue };
            let (name, range) = alias(wish).unwrap_or((&one.name, wish));
            let known = self.patterns.get(&one.id).is_some_and(|known| known.contains(&id(name, range)));
            if known || range::matches(&one.version, range)? {
                direct.push((one.id.clone(), name.to_owned()));
            }
        }
        let mut seen: BTreeSet<String> = direct.iter().map(|(id, _)| id.clone()).collect();
        for (id, name) in &direct {
            let Some(one) = self.packages.get_mut(id) else { continue };
            if one.relationship == Relationship::Unknown || one.development {
                one.development = develop;
            }
            one.relationship = Relationship::Direct;
            one.name.clone_from(name);
            self.spread(id, &mut seen);
        }
        Ok(direct.into_iter().map(|(id, _)| id).collect())
    }

    fn spread(&mut self, start: &str, seen: &mut BTreeSet<String>) {
        let mut pending = vec![start.to_owned()];
        while let Some(id) = pending.pop() {
            let Some((develop, needs)) = self.packages.get(&id).map(|one| (one.development, one.depends_on.clone()))
            else {
                continue;
            };
            for need in needs {
                let Some(one) = self.packages.get_mut(&need).filter(|_| seen.insert(need.clone())) else { continue };
                if one.relationship == Relationship::Unknown || one.development {
                    one.development = develop;
                }
                one.relationship = Relationship::Indirect;
                pending.push(need);
            }
        }
    }
}

/// Name and range of `npm:name@range`, which stands for another package than the key says.
fn alias(wish: &str) -> Option<(&str, &str)> {
    let (_, rest) = wish.split_once(':')?;
    let at = rest.char_indices().skip(1).find(|(_, c)| *c == '@').map(|(at, _)| at);
    let (name, range) = at.and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '@');
    is_name.then(|| (name, range.strip_prefix('@').unwrap_or(range)))
}
