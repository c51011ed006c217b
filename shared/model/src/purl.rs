//! Package URLs (purl specification, ECMA-427).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A package URL: `pkg:type/namespace/name@version?qualifiers#subpath`. Parts are kept decoded and printed in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct PackageUrl {
    /// Type in lower case: `deb`, `apk`, `pypi`, ...
    pub kind: String,
    /// Namespace, segments joined by `/`; empty when there is none.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Version; empty when there is none.
    pub version: String,
    /// Qualifiers, keys in lower case.
    pub qualifiers: BTreeMap<String, String>,
    /// Subpath; empty when there is none.
    pub subpath: String,
}

impl PackageUrl {
    /// A package URL without qualifiers or subpath.
    #[must_use]
    pub fn new(kind: &str, namespace: &str, name: &str, version: &str) -> Self {
        Self {
            kind: kind.to_ascii_lowercase(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            qualifiers: BTreeMap::new(),
            subpath: String::new(),
        }
    }

    /// Adds a qualifier; an empty value is left out, as the specification says.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.qualifiers.insert(key.to_ascii_lowercase(), value.to_owned());
        }
        self
    }
}

impl PackageUrl {
    /// Whether `other` is of what this one names: each part and qualifier that this one has is the same there; a version that this one
    /// leaves out may be any.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let is_version = self.version.is_empty() || self.version == other.version;
        let is_qualified = self.qualifiers.iter().all(|(key, value)| other.qualifiers.get(key) == Some(value));
        (&self.kind, &self.namespace, &self.name, &self.subpath)
            == (&other.kind, &other.namespace, &other.name, &other.subpath)
            && is_version
            && is_qualified
    }
}

impl fmt::Display for PackageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkg:{}/", self.kind)?;
        for segment in self.namespace.split('/').filter(|segment| !segment.is_empty()) {
            encode(f, segment)?;
            f.write_str("/")?;
        }
        encode(f, &self.name)?;
        if !self.version.is_empty() {
            f.write_str("@")?;
            encode(f, &self.version)?;
        }
        for (index, (key, value)) in self.qualifiers.iter().enumerate() {
            f.write_str(if index == 0 { "?" } else { "&" })?;
            write!(f, "{key}=")?;
            encode(f, value)?;
        }
        let mut separator = "#";
        for segment in self.subpath.split('/').filter(|segment| !matches!(*segment, "" | "." | "..")) {
            f.write_str(separator)?;
            encode(f, segment)?;
            separator = "/";
        }
        Ok(())
    }
}

impl FromStr for PackageUrl {
    type Err = PackageUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || PackageUrlError { text: text.chars().take(200).collect() };
        let rest = text.strip_prefix("pkg:").ok_or_else(fault)?.trim_start_matches('/');
        let (rest, subpath) = rest.rsplit_once('#').unwrap_or((rest, ""));
        let (rest, qualifiers) = rest.rsplit_once('?').unwrap_or((rest, ""));
        let (kind, rest) = rest.split_once('/').ok_or_else(fault)?;
        let rest = rest.trim_matches('/');
        // An `@` before the last `/` belongs to an npm scope, not to the version.
        let at = rest.rfind('@').filter(|at| !rest.get(*at..).is_some_and(|tail| tail.contains('/')) && *at > 0);
        let (path, version) = match at {
            Some(at) => (rest.get(..at).unwrap_or(""), rest.get(at.saturating_add(1)..).unwrap_or("")),
            None => (rest, ""),
        };
        let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
        if kind.is_empty() || name.is_empty() {
            return Err(fault());
        }
        let qualifiers = qualifiers
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.to_ascii_lowercase(), decode(value)))
            .collect();
        Ok(Self {
            kind: kind.to_ascii_lowercase(),
            namespace: decode(namespace),
            name: decode(name),
            version: decode(version),
            qualifiers,
            subpath: decode(subpath),
        })
    }
}

impl TryFrom<String> for PackageUrl {
    type Error = PackageUrlError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PackageUrl> for String {
    fn from(purl: PackageUrl) -> Self {
        purl.to_string()
    }
}

/// A text is no package URL.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a package URL of the form pkg:type/namespace/name@version")]
pub struct PackageUrlError {
    text: String,
}

fn encode(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                write!(f, "{}", char::from(byte))?
            }
            _ => write!(f, "%{byte:02X}")?,
        }
    }
    Ok(())
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let pair = (ahead.next().and_then(hex), ahead.next().and_then(hex));
        match (byte, pair) {
            (b'%', (Some(high), Some(low))) => {
                bytes.push((high << 4) | low);
                rest = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints_canonically() {
        for (input, canonical) in [
            ("pkg:pypi/urllib3@1.26.4", "pkg:pypi/urllib3@1.26.4"),
            (
                "pkg:deb/debian/curl@7.50.3-1?distro=jessie&arch=i386",
                "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie",
            ),
            ("pkg:npm/%40angular/core@12.3.1", "pkg:npm/%40angular/core@12.3.1"),
            ("pkg:npm/@angular/core", "pkg:npm/%40angular/core"),
            ("pkg:golang/github.com/a/b@v1.0.0#c/d", "pkg:golang/github.com/a/b@v1.0.0#c/d"),
            ("pkg:deb/debian/libc6@2.36-9%2Bdeb12u14", "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14"),
        ] {
            let purl: PackageUrl = input.parse().unwrap();
            assert_eq!(purl.to_string(), canonical);
            assert_eq!(canonical.parse::<PackageUrl>().unwrap(), purl);
        }
    }

    #[test]
    fn rejects_others() {
        for input in ["", "pypi/a", "pkg:pypi", "pkg:/a", "pkg:pypi/"] {
            assert!(input.parse::<PackageUrl>().is_err(), "{input}");
        }
    }
}
