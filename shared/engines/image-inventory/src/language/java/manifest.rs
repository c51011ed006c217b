//! `META-INF/MANIFEST.MF`: the main section, which describes the archive itself (JAR file specification, "Name-Value pairs and
//! Sections").

use crate::license::spdx;
use crate::package::Package;

/// What the main section says about the archive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manifest {
    attributes: Vec<(String, String)>,
}

impl Manifest {
    /// Reads the lines up to the first empty one. Lines end by CRLF, LF or CR; a line that begins with a blank continues the one before.
    pub(crate) fn parse(text: &str) -> Self {
        let mut lines: Vec<String> = Vec::new();
        for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
            match (line.strip_prefix(' '), lines.last_mut()) {
                (Some(rest), Some(last)) => last.push_str(rest),
                _ if line.is_empty() => break,
                _ => lines.push(line.to_owned()),
            }
        }
        // A value that begins with `%` names a text elsewhere.
        let attribute = |line: &String| {
            let (key, value) = line.split_once(':')?;
            let value = value.trim();
            (!value.is_empty() && !value.starts_with('%')).then(|| (key.to_owned(), value.to_owned()))
        };
        Self { attributes: lines.iter().filter_map(attribute).collect() }
    }

    fn first(&self, names: &[&str]) -> &str {
        let value = |name: &&str| self.attributes.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value);
        names.iter().find_map(value).map_or("", String::as_str)
    }

    /// Group, artifact and version, when all three are there: the name is `group:artifact`.
    pub(crate) fn package(&self) -> Option<Package> {
        let stated = self.first(&["Implementation-Vendor-Id"]);
        let bundle = self.first(&["Bundle-SymbolicName"]);
        let group = match (stated, bundle) {
            ("", "") => self.first(&["Implementation-Vendor", "Specification-Vendor"]),
            ("", bundle) => bundle.rsplit_once('.').map_or(bundle, |(group, _)| group),
            (stated, _) => stated,
        };
        let artifact = self.first(&["Implementation-Title", "Specification-Title", "Bundle-Name"]);
        let version = self.first(&["Implementation-Version", "Specification-Version", "Bundle-Version"]);
        let good = !group.is_empty() && !artifact.is_empty() && !version.is_empty();
        good.then(|| Package { name: format!("{group}:{artifact}"), version: version.to_owned(), ..Package::default() })
    }

    /// Licences of a Jenkins plugin as they are named; else those of an OSGi bundle that have an SPDX identifier.
    pub(crate) fn licenses(&self) -> Vec<String> {
        let plugin = self.attributes.iter().filter(|(key, _)| is_plugin_license(key));
        let names: Vec<String> = plugin.map(|(_, value)| value.clone()).collect();
        if names.is_empty() { bundle_licenses(self.first(&["Bundle-License"])) } else { names }
    }
}

fn is_plugin_license(key: &str) -> bool {
    key == "Plugin-License-Name" || key.starts_with("Plugin-License-Name-")
}

/// The value of a line `Plugin-License-Name[-N]: value`; empty for any other line.
pub(crate) fn plugin_license(line: &str) -> &str {
    line.split_once(':').filter(|(key, _)| is_plugin_license(key)).map_or("", |(_, value)| value.trim())
}

/// `Bundle-License` of OSGi: entries `name;link=address`, of which those count that lead to an SPDX identifier.
pub(crate) fn bundle_licenses(header: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in split_unquoted(header, b',') {
        let fields = split_unquoted(entry, b';');
        let bare = |text: &str| text.trim_matches([' ', '"']).to_owned();
        let name = fields.first().map(|name| bare(name)).unwrap_or_default();
        let pairs = fields.iter().skip(1).filter_map(|field| field.split_once('='));
        let link = pairs.filter(|(key, _)| key.trim() == "link").map(|(_, value)| bare(value)).next_back();
        let known = spdx::identifier(&name).or_else(|| spdx::of_address(&name));
        found.extend(known.or_else(|| spdx::of_address(&link?)).map(str::to_owned));
    }
    found
}

/// Splits where the separator is not within quotes; a backslash within them escapes.
fn split_unquoted(text: &str, separator: u8) -> Vec<&str> {
    let (mut fields, mut start, mut quoted, mut escaped) = (Vec::new(), 0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            byte if byte == separator && !quoted => {
                fields.push(text.get(start..at).unwrap_or_default());
                start = at.saturating_add(1);
            }
            _ => {}
        }
    }
    fields.push(text.get(start..).unwrap_or_default());
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_lines_are_joined_and_later_sections_do_not_count() {
        for end in ["\n", "\r\n", "\r"] {
            let lines = [
                "Implementation-Ven",
                " dor-Id: g",
                "Implementation-Title: a",
                "Implementation-Version: 1",
                "",
                "Implementation-Title: b",
            ];
            let found = Manifest::parse(&lines.join(end)).package().unwrap();
            assert_eq!((found.name.as_str(), found.version.as_str()), ("g:a", "1"), "{end:?}");
        }
        assert!(Manifest::parse("Bundle-Name: %name\nBundle-Version: 1\nBundle-SymbolicName: a.b").package().is_none());
    }

    #[test]
    fn licences_of_bundles() {
        let check = |header: &str, expected: &[&str]| assert_eq!(bundle_licenses(header), expected, "{header}");
        check("http://www.apache.org/licenses/LICENSE-2.0.txt", &["Apache-2.0"]);
        check("\"A, B\";link=\"https://opensource.org/licenses/MIT\", isc", &["MIT", "ISC"]);
        check("\"x\\\",\";link=y", &[]);
    }
}
