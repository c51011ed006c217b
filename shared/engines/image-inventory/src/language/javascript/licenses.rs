//! Licences of installed packages: what `package.json` says, and the file that it points to where it says no more than that.

use std::collections::BTreeMap;

use crate::analyzer::Files;
use crate::language::javascript::package_json;
use crate::language::zip::Zip;
use crate::license::classify;
use crate::text::{ParseError, beside, file_name, folder, join};

/// Whether a file below `node_modules` says something about licences.
pub(crate) fn wants(path: &str) -> bool {
    let name = file_name(path);
    name == "package.json" || is_license_file(name)
}

fn is_license_file(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ["license", "licence", "copying"].iter().any(|known| lower.starts_with(known))
}

/// Licences of all packages below `node_modules` folders, and in the archives of Yarn's cache, by id.
pub(crate) fn installed(files: &Files<'_>) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for (path, bytes) in files.iter() {
        if is_archive(path) {
            // A broken archive of the cache costs licences only.
            drop(of_archive(bytes, &mut found));
        } else if path.contains("node_modules/") && file_name(path) == "package.json" {
            let read = |name: &str| {
                let name = name.trim_start_matches("./");
                (!name.contains("..")).then(|| files.get(&beside(path, name)).map(|bytes| bytes.to_vec())).flatten()
            };
            let named = files.range(format!("{}/", folder(path))..).map(|(path, _)| path.as_str());
            let beside = named.take_while(|other| other.starts_with(folder(path)));
            let default =
                beside.filter(|other| folder(other) == folder(path)).map(file_name).find(|name| is_license_file(name));
            found.extend(one(bytes, default, &read));
        }
    }
    found
}

/// `.yarn/cache/name-npm-1.0.0-hash.zip`
pub(crate) fn is_archive(path: &str) -> bool {
    path.ends_with(".zip") && format!("/{path}").contains("/.yarn/cache/")
}

fn of_archive(bytes: &[u8], found: &mut BTreeMap<String, Vec<String>>) -> Result<(), ParseError> {
    let zip = Zip::open(bytes)?;
    let home = zip.members.iter().find(|member| package_json::is_package_root(&member.name));
    let Some(home) = home else { return Ok(()) };
    let top = folder(&home.name).to_owned();
    let manifest = zip.read(home, MAX_TEXT_BYTES)?;
    let read = |name: &str| zip.read(zip.find(&join(&top, name.trim_start_matches("./")))?, MAX_TEXT_BYTES).ok();
    let mut names =
        zip.members.iter().filter(|member| folder(&member.name) == top).map(|member| file_name(&member.name));
    found.extend(one(&manifest, names.find(|name| is_license_file(name)), &read));
    Ok(())
}

fn one(
    manifest: &[u8],
    default: Option<&str>,
    read: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Option<(String, Vec<String>)> {
    let package = package_json::parse(manifest).ok()?;
    let file = match package.licenses.as_slice() {
        [] => default,
        stated => match file_of(stated) {
            Some(file) => Some(file),
            None => return Some((package.id, package.licenses)),
        },
    };
    let licenses = classify::classify(&read(file?)?);
    (!licenses.is_empty()).then_some((package.id, licenses))
}

/// The file that a licence field points to: `SEE LICENSE IN file` or `LicenseRef-file`.
pub(crate) fn file_of(licenses: &[String]) -> Option<&str> {
    let [one] = licenses else { return None };
    let bare = one.trim_matches('"');
    let file = bare.strip_prefix("LicenseRef-").or_else(|| bare.strip_prefix("SEE LICENSE IN "))?.trim();
    (!file.is_empty()).then_some(file)
}

const MAX_TEXT_BYTES: usize = 1 << 20;
