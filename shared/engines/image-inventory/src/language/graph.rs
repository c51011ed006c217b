//! Ids and graphs that all package managers share.

use std::collections::BTreeMap;

use crate::package::{Package, Relationship};

/// `name@version`; the name alone where the version is unknown.
pub(crate) fn id(name: &str, version: &str) -> String {
    if version.is_empty() { name.to_owned() } else { format!("{name}@{version}") }
}

/// A package with its usual id.
pub(crate) fn package(name: &str, version: &str) -> Package {
    Package { id: id(name, version), name: name.to_owned(), version: version.to_owned(), ..Package::default() }
}

/// Makes packages of one id one: production wins over development, direct over indirect, places and needs are joined.
pub(crate) fn unique(packages: Vec<Package>) -> Vec<Package> {
    let mut known: BTreeMap<(String, String, String, String), Package> = BTreeMap::new();
    for package in packages {
        let key = (package.id.clone(), package.name.clone(), package.version.clone(), package.file_path.clone());
        match known.get_mut(&key) {
            None => drop(known.insert(key, package)),
            Some(first) => {
                first.development &= package.development;
                if rank(package.relationship) < rank(first.relationship) {
                    first.relationship = package.relationship;
                }
                first.locations.extend(package.locations);
                first.locations.sort();
                first.locations.dedup();
                first.depends_on.extend(package.depends_on);
            }
        }
    }
    let mut packages: Vec<Package> = known.into_values().collect();
    for package in &mut packages {
        package.depends_on.sort();
        package.depends_on.dedup();
    }
    packages
}

fn rank(relationship: Relationship) -> u8 {
    match relationship {
        Relationship::Root => 0,
        Relationship::Workspace => 1,
        Relationship::Direct => 2,
        Relationship::Indirect => 3,
        Relationship::Unknown => 4,
    }
}
