//! Installed distributions: `METADATA` of wheels, `PKG-INFO` of eggs (Python core metadata).

use crate::analyzer::{Analyzer, File, Files, Run, sha1_of};
use crate::found::Found;
use crate::license::{self, classify};
use crate::package::{ApplicationKind, Package};
use crate::text::{Fields, ParseError, beside, file_name, folder, text};

pub(crate) const ANALYZER: Analyzer = Analyzer { name: "python-pkg", wants, run: Run::Together(analyze) };

fn wants(path: &str, _mode: u32) -> bool {
    is_metadata(path) || is_license(path)
}

fn is_metadata(path: &str) -> bool {
    let folder = folder(path);
    match file_name(path) {
        "METADATA" => folder.ends_with(".dist-info") || folder.ends_with(".egg-info"),
        "PKG-INFO" => folder.ends_with(".egg-info") || folder.ends_with("EGG-INFO"),
        name => name.ends_with(".egg-info"),
    }
}

/// Files that `License-File` may point to: beside the metadata, or in `licenses` (PEP 639).
fn is_license(path: &str) -> bool {
    let home = folder(path).trim_end_matches("/licenses");
    let name = file_name(path).to_ascii_lowercase();
    let known = ["license", "licence", "copying", "notice", "authors"].iter().any(|known| name.contains(known));
    known && (home.ends_with(".dist-info") || home.ends_with(".egg-info"))
}

fn analyze(files: &Files<'_>, found: &mut Found) {
    for (path, bytes) in files.iter().filter(|(path, _)| !is_license(path) || is_metadata(path)) {
        let mut package = match parse(bytes) {
            Ok(package) => package,
            Err(error) => {
                found.set_aside(path, "python-pkg", &error);
                continue;
            }
        };
        let read = |name: &str| {
            let places = [beside(path, name), beside(path, &format!("licenses/{name}"))];
            places.iter().find_map(|place| files.get(place)).map(|bytes| bytes.to_vec())
        };
        resolve_licenses(&mut package, &read);
        path.clone_into(&mut package.file_path);
        if files.checksums {
            package.digest = sha1_of(bytes);
        }
        found.application(ApplicationKind::PythonPkg, path, vec![package]);
    }
}

/// Puts what a licence file says in the place of its name.
fn resolve_licenses(package: &mut Package, read: &dyn Fn(&str) -> Option<Vec<u8>>) {
    let mut licenses = Vec::new();
    for license in std::mem::take(&mut package.licenses) {
        match license.strip_prefix("file://") {
            Some(file) => {
                licenses.extend(read(file_name(file)).map(|text| classify::classify(&text)).unwrap_or_default())
            }
            None => licenses.push(license),
        }
    }
    package.licenses = licenses;
}

/// An egg is a zip with the metadata inside, or a folder, whose files are found by themselves.
pub(crate) fn analyze_egg(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    if !file.bytes.starts_with(b"PK") {
        return Ok(());
    }
    let zip = crate::language::zip::Zip::open(file.bytes)?;
    let Some(member) = zip.find("EGG-INFO/PKG-INFO") else { return Ok(()) };
    let metadata = zip.read(member, MAX_METADATA_BYTES)?;
    let mut package = parse(&metadata)?;
    let read = |name: &str| zip.read(zip.find(&format!("EGG-INFO/{name}"))?, MAX_METADATA_BYTES).ok();
    resolve_licenses(&mut package, &read);
    file.path.clone_into(&mut package.file_path);
    if file.checksums {
        package.digest = sha1_of(&metadata);
    }
    found.application(ApplicationKind::PythonPkg, file.path, vec![package]);
    Ok(())
}

const MAX_METADATA_BYTES: usize = 1 << 20;

/// Parses core metadata.
pub(crate) fn parse(bytes: &[u8]) -> Result<Package, ParseError> {
    let content = text(bytes);
    let fields = Fields::parse(header(&content));
    let (name, version) = (fields.first("Name"), fields.first("Version"));
    if name.is_empty() || version.is_empty() {
        return Err(ParseError::new("it has no name or no version"));
    }
    Ok(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        licenses: license::split(&license_of(&fields)),
        ..Package::default()
    })
}

/// The lines up to the first that is no field: what follows is text.
fn header(content: &str) -> &str {
    let mut end = 0_usize;
    for line in content.split_inclusive('\n') {
        let name = line.split_once(':').map(|(name, _)| name);
        let is_field = name.is_some_and(|name| !name.is_empty() && !name.contains([' ', '\t']));
        if !is_field && !line.starts_with([' ', '\t']) {
            break;
        }
        end = end.saturating_add(line.len());
    }
    content.get(..end).unwrap_or(content)
}

/// The expression of PEP 639, else the classifiers, else the free text, else the name of the licence file.
fn license_of(fields: &Fields<'_>) -> String {
    let expression = fields.first("License-Expression");
    if !expression.is_empty() {
        return expression.to_owned();
    }
    let name = |classifier: &str| {
        let rest = classifier.strip_prefix("License :: ")?;
        let last = rest.rsplit(" :: ").next()?;
        // A group of classifiers, no licence.
        (last != "OSI Approved").then(|| last.to_owned())
    };
    let classified: Vec<String> = fields.all("Classifier").filter_map(name).collect();
    if !classified.is_empty() {
        return classified.join(", ");
    }
    let free = fields.first("License");
    let file = fields.first("License-File");
    if free.is_empty() && !file.is_empty() { format!("file://{file}") } else { free.to_owned() }
}
