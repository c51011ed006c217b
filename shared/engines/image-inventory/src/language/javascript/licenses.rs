//! Licences of installed packages: what `package.json` says, and the file that it points to where it says no more than that.

use std::collections::BTreeMap;

use crate::analyzer::Files;
use crate::language::javascript::package_json;
use crate::language::zip::Zip;
use crate::license::classify;
use crate::text::{ParseError, beside, folder, join};

/// Whether a path lies in a `node_modules` folder.
pub(crate) fn is_below_modules(path: &str) -> bool {
    path.split('/').any(|one| one == "node_modules")
}

/// Licences of all packages below a folder, by id.
pub(crate) fn below(files: &Files<'_>, home: &str) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let prefix = join(home, "");
    let inside = files.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
    for (path, bytes) in inside.filter(|(path, _)| package_json::is_package_root(path)) {
        let read = |name: &str| {
            let name = name.trim_start_matches("./");
            (!name.contains("..")).then(|| files.get(&beside(path, name)).map(|bytes| bytes.to_vec())).flatten()
        };
        found.extend(one(bytes, &read));
    }
    found
}

/// Licences of what Yarn installed beside a lock file: `node_modules` of the classic one, else unpacked or as archives in its own folder.
pub(crate) fn of_yarn(files: &Files<'_>, home: &str) -> BTreeMap<String, Vec<String>> {
    let modules = join(home, "node_modules");
    let prefix = format!("{modules}/");
    if files.range(prefix.clone()..).next().is_some_and(|(path, _)| path.starts_with(&prefix)) {
        return below(files, &modules);
    }
    let mut found = below(files, &join(home, ".yarn/unplugged"));
    let cache = join(home, ".yarn/cache/");
    let archives = files.range(cache.clone()..).take_while(|(path, _)| path.starts_with(&cache));
    for (_, bytes) in archives.filter(|(path, _)| path.ends_with(".zip")) {
        // A broken archive of the cache costs licences only.
        drop(of_archive(bytes, &mut found));
    }
    found
}

/// Licences of all packages below the top, by id.
pub(crate) fn installed(files: &Files<'_>) -> BTreeMap<String, Vec<String>> {
    below(files, "")
}

/// `.yarn/cache/name-npm-1.0.0-hash.zip`
pub(crate) fn is_archive(path: &str) -> bool {
    path.ends_with(".zip") && format!("/{}", folder(path)).ends_with("/.yarn/cache")
}

fn of_archive(bytes: &[u8], found: &mut BTreeMap<String, Vec<String>>) -> Result<(), ParseError> {
    let zip = Zip::open(bytes)?;
    for home in zip
        .members
        .iter()
        .filter(|member| member.name.starts_with("node_modules/") && package_json::is_package_root(&member.name))
    {
        let manifest = zip.read(home, MAX_TEXT_BYTES)?;
        let read = |name: &str| zip.read(zip.find(&join(folder(&home.name), name))?, MAX_TEXT_BYTES).ok();
        found.extend(one(&manifest, &read));
    }
    Ok(())
}

fn one(manifest: &[u8], read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Option<(String, Vec<String>)> {
    let package = package_json::parse(manifest).ok()?;
    let Some(file) = file_of(&package.licenses) else { return Some((package.id, package.licenses)) };
    let licenses = classify::classify(&read(file)?);
    (!licenses.is_empty()).then_some((package.id, licenses))
}

/// The file that says what the licence field does not: the one that it names with `SEE LICENSE IN file` or `LicenseRef-file`, or the
/// usual one where the field is empty or has several.
pub(crate) fn file_of(licenses: &[String]) -> Option<&str> {
    let [one] = licenses else { return Some("LICENSE") };
    let file = match one.strip_prefix("LicenseRef-") {
        Some(rest) => rest.split('-').next()?,
        None => one.strip_prefix("SEE LICENSE IN ")?.rsplit(' ').next()?,
    };
    (!file.is_empty()).then_some(file)
}

const MAX_TEXT_BYTES: usize = 1 << 20;
