//! Red Hat and its relatives: facts of the build, and package lists in text form.

use crate::analyzer::File;
use crate::found::Found;
use crate::package::Package;
use crate::text::{ParseError, file_name, text};
use crate::tree::json;

pub(crate) fn wants_manifest(path: &str, _mode: u32) -> bool {
    let home = crate::text::folder(path);
    path.ends_with(".json") && matches!(home, "root/buildinfo/content_manifests" | "usr/share/buildinfo")
}

/// Content sets that an image was built from.
pub(crate) fn content_manifest(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let manifest = json(file.bytes, false)?;
    found.content_sets.extend(manifest.get("content_sets").items().iter().map(|set| set.text().to_owned()));
    Ok(())
}

pub(crate) fn wants_dockerfile(path: &str, _mode: u32) -> bool {
    crate::text::folder(path) == "root/buildinfo" && file_name(path).starts_with("Dockerfile")
}

/// Name-version-release and architecture in the labels of the Dockerfile that is kept in the image.
pub(crate) fn dockerfile(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let content = text(file.bytes).replace("\\\n", " ");
    let mut variables: Vec<(String, String)> = Vec::new();
    let (mut component, mut architecture) = (String::new(), String::new());
    for line in content.lines() {
        let Some((instruction, rest)) = line.trim().split_once(char::is_whitespace) else { continue };
        for (key, value) in pairs(rest) {
            let value = variables.iter().fold(value, |value, (name, known)| {
                value.replace(&format!("${{{name}}}"), known).replace(&format!("${name}"), known)
            });
            match (instruction.to_ascii_lowercase().as_str(), key.to_ascii_lowercase().as_str()) {
                ("env" | "arg", _) => variables.push((key, value)),
                ("label", "com.redhat.component" | "bzcomponent") => component = value,
                ("label", "architecture") => architecture = value,
                _ => {}
            }
        }
    }
    if component.is_empty() {
        return Err(ParseError::new("no component found"));
    }
    if architecture.is_empty() {
        return Err(ParseError::new("no arch found"));
    }
    // The file is called after version and release: `Dockerfile-name-version-release`.
    let parts: Vec<&str> = file_name(file.path).rsplitn(3, '-').collect();
    let (release, version) = (parts.first().copied().unwrap_or_default(), parts.get(1).copied().unwrap_or_default());
    found.build = Some((format!("{component}-{version}-{release}"), architecture));
    Ok(())
}

/// `key="value" key=value` and the old `key value`.
fn pairs(text: &str) -> Vec<(String, String)> {
    if !text.contains('=') {
        let (key, value) = text.trim().split_once(char::is_whitespace).unwrap_or((text, ""));
        return vec![(key.to_owned(), value.trim().trim_matches('"').to_owned())];
    }
    let (mut pairs, mut rest) = (Vec::new(), text.trim());
    while let Some((key, after)) = rest.split_once('=') {
        let quoted = after.strip_prefix('"').and_then(|inner| inner.split_once('"'));
        let (value, tail) = quoted.or_else(|| after.split_once(char::is_whitespace)).unwrap_or((after, ""));
        pairs.push((key.trim().trim_matches('"').to_owned(), value.to_owned()));
        rest = tail.trim_start();
    }
    pairs
}

/// The list that distroless images of Mariner and Azure Linux have in the place of a database: the output of `rpm -qa` in ten fields.
pub(crate) fn rpm_list(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let mut packages = Vec::new();
    for line in text(file.bytes).lines().filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, version, _, _, _, _, _, arch, epoch, source] = fields.as_slice() else {
            return Err(ParseError::new("a line has not ten fields"));
        };
        let (version, release) = version.rsplit_once('-').unwrap_or((version, ""));
        let source = source_of(source);
        packages.push(Package {
            name: (*name).to_owned(),
            version: version.to_owned(),
            release: release.to_owned(),
            epoch: epoch.trim().parse().unwrap_or(0),
            arch: (*arch).to_owned(),
            source_name: source.map_or("", |(name, ..)| name).to_owned(),
            source_version: source.map_or("", |(_, version, _)| version).to_owned(),
            source_epoch: epoch.trim().parse().unwrap_or(0),
            source_release: source.map_or("", |(.., release)| release).to_owned(),
            ..Package::default()
        });
    }
    found.package_list(file.path, packages);
    Ok(())
}

/// `name-version-release.src.rpm`.
pub(crate) fn source_of(file_name: &str) -> Option<(&str, &str, &str)> {
    let stem = file_name.strip_suffix(".rpm")?;
    let (stem, _arch) = stem.rsplit_once('.')?;
    let (stem, release) = stem.rsplit_once('-')?;
    let (name, version) = stem.rsplit_once('-')?;
    (!name.is_empty()).then_some((name, version, release))
}

/// The inventory that Bottlerocket keeps of itself.
pub(crate) fn bottlerocket(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let inventory = json(file.bytes, false)?;
    let one = |node: &crate::tree::Node| {
        let epoch = node.get("Epoch").text().parse().unwrap_or(0);
        let (name, version) = (node.get("Name").text(), node.get("Version").text());
        let mut package = Package {
            name: name.to_owned(),
            version: version.to_owned(),
            release: node.get("Release").text().to_owned(),
            epoch,
            arch: node.get("Architecture").text().to_owned(),
            ..Package::default()
        };
        package.id = format!("{name}@{}", package.full_version());
        package
    };
    found.package_list(file.path, inventory.get("Content").items().iter().map(one).collect());
    Ok(())
}
