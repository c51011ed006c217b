//! Formats of lines: Gradle, Mix, `version.php` of WordPress.

use crate::language::graph::id;
use crate::package::{LineRange, Package};
use crate::text::{ParseError, line_number, text};

/// `gradle.lockfile`: `group:name:version=configurations`.
pub(crate) fn gradle(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let mut packages = Vec::new();
    for (index, line) in text(bytes).lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        let (coordinates, configurations) = line.split_once('=').unwrap_or((line, ""));
        let [group, artifact, version] = coordinates.split(':').collect::<Vec<_>>()[..] else { continue };
        let mut names = configurations.split(',').map(|name| name.trim().to_ascii_lowercase()).peekable();
        let development = names.peek().is_some() && names.all(|name| name.starts_with("test"));
        packages.push(Package {
            id: format!("{group}:{artifact}:{version}"),
            name: format!("{group}:{artifact}"),
            version: version.to_owned(),
            development,
            locations: vec![line_at(index)],
            ..Package::default()
        });
    }
    Ok(packages)
}

/// `mix.lock`: `"name": {:hex, :name, "version", ...}`. Packages from git have no version.
pub(crate) fn mix(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let mut packages = Vec::new();
    for (index, line) in text(bytes).lines().enumerate() {
        let Some((name, rest)) = line.trim().split_once(':') else { continue };
        let fields: Vec<&str> = rest.split(',').collect();
        let [kind, _, version, ..] = fields.as_slice() else { continue };
        if kind.trim() != "{:hex" {
            continue;
        }
        let (name, version) = (name.trim().trim_matches('"'), version.trim().trim_matches('"'));
        packages.push(Package {
            id: id(name, version),
            name: name.to_owned(),
            version: version.to_owned(),
            locations: vec![line_at(index)],
            ..Package::default()
        });
    }
    Ok(packages)
}

/// `wp-includes/version.php`: `$wp_version = '6.4';` outside of comments.
pub(crate) fn wordpress(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let mut in_comment = false;
    for line in text(bytes).lines() {
        let line = line.trim();
        if in_comment || line.starts_with("/*") {
            in_comment = !line.contains("*/");
            continue;
        }
        if line.starts_with("//") || line.starts_with('#') {
            continue;
        }
        let Some(value) = line.strip_prefix("$wp_version").map(str::trim_start).and_then(|rest| rest.strip_prefix('='))
        else {
            continue;
        };
        let version = value.split(';').next().unwrap_or_default().trim().trim_matches(['\'', '"']);
        if !version.is_empty() {
            return Ok(vec![Package {
                name: "wordpress".to_owned(),
                version: version.to_owned(),
                ..Package::default()
            }]);
        }
    }
    Err(ParseError::new("version.php could not be parsed: it sets no $wp_version"))
}

pub(crate) fn line_at(index: usize) -> LineRange {
    let number = line_number(index.saturating_add(1));
    LineRange { start: number, end: number }
}
