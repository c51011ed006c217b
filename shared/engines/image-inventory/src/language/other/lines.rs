//! Formats of lines: Gradle, Mix, `version.php` of WordPress.

use crate::language::graph::{package, unique};
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
        let [group, artifact, version] = line.split(':').collect::<Vec<_>>()[..] else { continue };
        let (version, configurations) = version.split_once('=').unwrap_or((version, ""));
        packages.push(Package {
            id: format!("{group}:{artifact}:{version}"),
            name: format!("{group}:{artifact}"),
            version: version.to_owned(),
            development: configurations.split(',').all(|name| name.starts_with("test")),
            locations: vec![line_at(index)],
            ..Package::default()
        });
    }
    Ok(unique(packages))
}

/// `mix.lock`: `"name": {:hex, :name, "version", ...}`. Packages from git have no version.
pub(crate) fn mix(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let mut packages = Vec::new();
    for (index, line) in text(bytes).lines().enumerate() {
        let Some((name, rest)) = line.trim().split_once(':') else { continue };
        let fields: Vec<&str> =
            rest.split(|c: char| c.is_whitespace() || c == ',').filter(|field| !field.is_empty()).collect();
        // What comes from a repository has fewer fields, and no version.
        let Some(version) = fields.get(2).filter(|_| fields.len() >= 8) else { continue };
        let (name, version) = (name.trim_matches('"'), version.trim_matches('"'));
        packages.push(Package { locations: vec![line_at(index)], ..package(name, version) });
    }
    Ok(unique(packages))
}

/// `wp-includes/version.php`: `$wp_version = '6.4';` outside of comments.
pub(crate) fn wordpress(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let mut in_comment = false;
    for line in text(bytes).lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        if in_comment || line.starts_with("/*") {
            in_comment = !line.contains("*/");
            continue;
        }
        let mut sides = line.split('=');
        let (Some(name), Some(value), None) = (sides.next(), sides.next(), sides.next()) else { continue };
        if name.trim() != "$wp_version" {
            continue;
        }
        let Some((value, _)) = value.split_once(';') else { continue };
        let version = value.trim().trim_matches(['\'', '"']);
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
