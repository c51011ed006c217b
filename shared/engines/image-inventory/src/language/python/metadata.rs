//! Installed distributions: `METADATA` of wheels, `PKG-INFO` of eggs (Python core metadata).

use crate::analyzer::{Analyzer, File, Run};
use crate::found::Found;
use crate::license;
use crate::package::{ApplicationKind, Package};
use crate::text::{Fields, ParseError, file_name, folder, text};

pub(crate) const ANALYZER: Analyzer = Analyzer { name: "python-pkg", wants, run: Run::Each(analyze) };

fn wants(path: &str, _mode: u32) -> bool {
    let folder = folder(path);
    match file_name(path) {
        "METADATA" => folder.ends_with(".dist-info") || folder.ends_with(".egg-info"),
        "PKG-INFO" => folder.ends_with(".egg-info") || folder.ends_with("EGG-INFO"),
        name => name.ends_with(".egg-info"),
    }
}

fn analyze(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let mut package = parse(file.bytes)?;
    file.path.clone_into(&mut package.file_path);
    found.application(ApplicationKind::PythonPkg, file.path, vec![package]);
    Ok(())
}

/// An egg is a zip with the metadata inside, or a folder, whose files are found by themselves.
pub(crate) fn analyze_egg(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    if !file.bytes.starts_with(b"PK") {
        return Ok(());
    }
    let zip = crate::language::zip::Zip::open(file.bytes)?;
    let Some(member) = zip.find("EGG-INFO/PKG-INFO") else { return Ok(()) };
    let mut package = parse(&zip.read(member, MAX_METADATA_BYTES)?)?;
    file.path.clone_into(&mut package.file_path);
    found.application(ApplicationKind::PythonPkg, file.path, vec![package]);
    Ok(())
}

const MAX_METADATA_BYTES: usize = 1 << 20;

/// Parses core metadata.
pub(crate) fn parse(bytes: &[u8]) -> Result<Package, ParseError> {
    let content = text(bytes);
    let fields = Fields::parse(&content);
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
