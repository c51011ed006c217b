//! dpkg: `status`, `status.d` of images without dpkg, `available` for digests, `*.md5sums` for installed files.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::analyzer::Files;
use crate::found::Found;
use crate::package::Package;
use crate::text::{Fields, file_name, paragraphs, text};

pub(crate) fn wants(path: &str, _mode: u32) -> bool {
    let Some(rest) = path.strip_prefix("var/lib/dpkg/") else { return false };
    match rest.split_once('/') {
        None => matches!(rest, "status" | "available"),
        Some(("status.d", name)) => !name.contains('/'),
        Some(("info", name)) => !name.contains('/') && name.ends_with(".md5sums"),
        Some(_) => false,
    }
}

pub(crate) fn analyze(files: &Files<'_>, found: &mut Found) {
    let digests = digests(files);
    let installed = installed_files(files);
    for (path, bytes) in files.iter() {
        let is_list = path == "var/lib/dpkg/status" || path.starts_with("var/lib/dpkg/status.d/");
        if !is_list || path.ends_with(".md5sums") {
            continue;
        }
        let mut packages = parse_status(&text(bytes));
        for package in &mut packages {
            if let Some(digest) = digests.get(&package.id) {
                package.digest.clone_from(digest);
            }
            let owned = installed.get(&package.name).or_else(|| {
                let with_arch = format!("{}:{}", package.name, package.arch);
                installed.get(&with_arch)
            });
            if let Some(owned) = owned {
                package.installed_files.clone_from(owned);
            }
        }
        found.package_list(path, packages);
    }
    found.system_files.extend(installed.into_values().flatten());
}

/// Installed packages of a status file, by name.
fn parse_status(content: &str) -> Vec<Package> {
    let mut packages: BTreeMap<String, (Package, Vec<String>)> = BTreeMap::new();
    for paragraph in paragraphs(content) {
        let fields = Fields::parse(paragraph);
        if let Some(package) = package(&fields) {
            packages.insert(package.id.clone(), (package, depends(fields.first("Depends"))));
        }
    }
    let ids: HashMap<String, String> =
        packages.values().map(|(package, _)| (package.name.clone(), package.id.clone())).collect();
    let resolve = |(mut package, names): (Package, Vec<String>)| {
        let found: BTreeSet<String> = names.iter().filter_map(|name| ids.get(name).cloned()).collect();
        package.depends_on = found.into_iter().collect();
        package
    };
    packages.into_values().map(resolve).collect()
}

fn package(fields: &Fields<'_>) -> Option<Package> {
    let (name, version) = (fields.first("Package"), fields.first("Version"));
    let removed = fields.first("Status").split_whitespace().any(|word| matches!(word, "deinstall" | "purge"));
    if name.is_empty() || version.is_empty() || removed {
        return None;
    }
    let (epoch, upstream, revision) = split_version(version)?;
    let source = fields.first("Source");
    let (source_name, source_version) = source_of(source);
    let source_name = if source_name.is_empty() { name } else { source_name };
    let source_version = if source_version.is_empty() { version } else { source_version };
    let (source_epoch, source_upstream, source_revision) = split_version(source_version)?;
    Some(Package {
        id: format!("{name}@{version}"),
        name: name.to_owned(),
        version: upstream.to_owned(),
        release: revision.to_owned(),
        epoch,
        arch: fields.first("Architecture").to_owned(),
        source_name: source_name.to_owned(),
        source_version: source_upstream.to_owned(),
        source_release: source_revision.to_owned(),
        source_epoch,
        maintainer: fields.first("Maintainer").to_owned(),
        third_party: Some(is_third_party(fields.first("Maintainer"))),
        ..Package::default()
    })
}

/// `name (version)`: the version is given where it differs from that of the binary package.
fn source_of(field: &str) -> (&str, &str) {
    match field.split_once('(') {
        Some((name, version)) => (name.trim(), version.trim_end().trim_end_matches(')').trim()),
        None => (field.trim(), ""),
    }
}

/// `[epoch:]upstream[-revision]` (Debian policy 5.6.12). `None` when it is no such version.
pub(crate) fn split_version(version: &str) -> Option<(u32, &str, &str)> {
    let (epoch, rest) = match version.split_once(':') {
        Some((epoch, rest)) => (epoch.trim().parse().ok()?, rest),
        None => (0, version),
    };
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '~' | ':' | '_');
    let good =
        upstream.starts_with(|c: char| c.is_ascii_digit()) && upstream.chars().chain(revision.chars()).all(is_known);
    good.then_some((epoch, upstream, revision))
}

/// Names in a `Depends` field, alternatives included, without versions and architectures.
fn depends(field: &str) -> Vec<String> {
    let name = |part: &str| part.split(['(', ':']).next().unwrap_or_default().trim().to_owned();
    field.split([',', '|']).map(name).filter(|name| !name.is_empty()).collect()
}

/// Maintainers that build packages outside of the distributions.
pub(crate) fn is_third_party(maintainer: &str) -> bool {
    let exact = ["Docker <support@docker.com>", "Ubuntu Wine Team", "The Wine Project"];
    let parts = [
        "@nvidia.com",
        "@microsoft.com",
        "@docker.com",
        "@mysql.com",
        "@nodesource.com",
        "@hashicorp.com",
        "@google.com>",
        "@percona.com",
        "@mongodb.com",
        "@elastic.co",
        "@grafana.com",
        "@nginx.com",
        "@redis.com",
        "@gitlab.com",
        "@sury.org",
        "@postgresql.org>",
        "@mariadb.org",
    ];
    let official = ["@debian.org", "@lists.debian.org", "@ubuntu.com", "@canonical.com", "@lists.ubuntu.com"];
    let is = |list: &[&str]| list.iter().any(|part| maintainer.contains(part));
    exact.contains(&maintainer) || (is(&parts) && !is(&official))
}

/// Digests of `available`, by package id.
fn digests(files: &Files<'_>) -> HashMap<String, String> {
    let Some(bytes) = files.get("var/lib/dpkg/available") else { return HashMap::new() };
    let content = text(bytes);
    let digest = |paragraph: &str| {
        let fields = Fields::parse(paragraph);
        let (name, version, hash) = (fields.first("Package"), fields.first("Version"), fields.first("SHA256"));
        let complete = !name.is_empty() && !version.is_empty() && !hash.is_empty();
        complete.then(|| (format!("{name}@{version}"), format!("sha256:{hash}")))
    };
    paragraphs(&content).filter_map(digest).collect()
}

/// Files of each package, by the name of its `md5sums` file.
fn installed_files(files: &Files<'_>) -> BTreeMap<String, Vec<String>> {
    let mut installed = BTreeMap::new();
    for (path, bytes) in files.iter() {
        let Some(package) = file_name(path).strip_suffix(".md5sums") else { continue };
        let line = |line: &str| {
            let (_, file) = line.trim_start().split_once(char::is_whitespace)?;
            let file = file.trim();
            (!file.is_empty()).then(|| format!("/{}", file.trim_start_matches('/')))
        };
        let list: Vec<String> = text(bytes).lines().filter_map(line).collect();
        installed.insert(package.to_owned(), list);
    }
    installed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_parts() {
        let check = |version: &str, expected| assert_eq!(split_version(version), expected, "{version}");
        check("1:2.3-4", Some((1, "2.3", "4")));
        check("2.3", Some((0, "2.3", "")));
        check("2.3-rc1-4", Some((0, "2.3-rc1", "4")));
        check("x:1", None);
        check("", None);
        check("a1", None);
    }

    #[test]
    fn status_gives_installed_packages_with_sources_and_dependencies() {
        let status = "Package: one\nStatus: install ok installed\nVersion: 1:1.0-2\nArchitecture: amd64\n\
            Source: origin (1.0-1)\nDepends: two (>= 1) | three, four:any\nMaintainer: A <a@debian.org>\n\n\
            Package: two\nStatus: install ok installed\nVersion: 3\n\n\
            Package: gone\nStatus: deinstall ok config-files\nVersion: 3\n\nPackage: broken\nVersion: \n";
        let packages = parse_status(status);
        assert_eq!(packages.len(), 2);
        assert_eq!(packages[0].full_version(), "1:1.0-2");
        assert_eq!((packages[0].source_name.as_str(), packages[0].full_source_version().as_str()), ("origin", "1.0-1"));
        assert_eq!(packages[0].depends_on, ["two@3"]);
        assert_eq!(packages[1].source_name, "two");
    }
}
