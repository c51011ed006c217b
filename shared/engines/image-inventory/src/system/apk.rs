//! apk: the `installed` database of Alpine and its relatives.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use base64::Engine as _;

use crate::analyzer::File;
use crate::found::Found;
use crate::license;
use crate::package::Package;
use crate::text::{ParseError, paragraphs, text};

pub(crate) fn analyze(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let packages = parse(&text(file.bytes));
    for package in &packages {
        found.system_files.extend(package.installed_files.iter().cloned());
    }
    found.package_list(file.path, packages);
    Ok(())
}

fn parse(content: &str) -> Vec<Package> {
    let mut packages: Vec<Package> = Vec::new();
    let mut needs: Vec<Vec<String>> = Vec::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut providers: HashMap<String, String> = HashMap::new();
    for paragraph in paragraphs(content) {
        let Some((package, depends, provides)) = package(paragraph) else { continue };
        if !known.insert(package.id.clone()) {
            continue;
        }
        providers.insert(package.name.clone(), package.id.clone());
        providers.extend(provides.into_iter().map(|name| (name, package.id.clone())));
        packages.push(package);
        needs.push(depends);
    }
    for (package, needs) in packages.iter_mut().zip(needs) {
        let ids: BTreeSet<String> = needs.iter().filter_map(|need| providers.get(need).cloned()).collect();
        package.depends_on = ids.into_iter().collect();
    }
    packages
}

fn package(paragraph: &str) -> Option<(Package, Vec<String>, Vec<String>)> {
    let (mut package, mut depends, mut provides) = (Package::default(), Vec::new(), Vec::new());
    let mut folder = "";
    for line in paragraph.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        match key {
            "P" => value.clone_into(&mut package.name),
            "V" => value.clone_into(&mut package.version),
            "o" => value.clone_into(&mut package.source_name),
            "A" => value.clone_into(&mut package.arch),
            "m" => value.clone_into(&mut package.maintainer),
            "L" => package.licenses = license::of_words(value),
            "C" => package.digest = checksum(value),
            "F" => folder = value,
            "R" => package.installed_files.push(crate::text::join(folder, value)),
            "p" => provides.extend(value.split_whitespace().map(|item| bare(item).to_owned())),
            "D" | "r" if key == "D" => {
                let wanted = value.split_whitespace().filter(|item| !item.starts_with('!'));
                depends.extend(wanted.map(|item| bare(item).to_owned()));
            }
            _ => {}
        }
    }
    if package.name.is_empty() || package.version.is_empty() {
        return None;
    }
    package.id = format!("{}@{}", package.name, package.version);
    if package.source_name.is_empty() {
        package.source_name.clone_from(&package.name);
    }
    package.source_version.clone_from(&package.version);
    Some((package, depends, provides))
}

/// A dependency without its version condition: `musl>=1.2` is `musl`.
fn bare(item: &str) -> &str {
    item.split(['=', '<', '>', '~']).next().unwrap_or(item)
}

/// `Q1` and base64 is a SHA-1; plain hex is an MD5 of old databases.
fn checksum(value: &str) -> String {
    let Some(encoded) = value.strip_prefix("Q1") else {
        return if value.is_empty() { String::new() } else { format!("md5:{value}") };
    };
    let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(encoded) else { return String::new() };
    let mut text = String::from("sha1:");
    for byte in bytes {
        // Writing to a String never fails.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
