//! `pom.xml` as it is written (Maven POM reference), and the values of its properties.

use std::collections::BTreeMap;

use crate::license::spdx;
use crate::package::LineRange;
use crate::text::ParseError;
use crate::xml::{self, Element};

/// A project as its file has it; a resolver fills in what is inherited.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pom {
    /// Path of the file within the folder; empty for one of a repository.
    pub(crate) path: String,
    pub(crate) parent: Parent,
    pub(crate) group: String,
    pub(crate) artifact: String,
    pub(crate) version: String,
    pub(crate) licenses: Vec<String>,
    pub(crate) modules: Vec<String>,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) managed: Vec<Dependency>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) repositories: Vec<RemoteRepository>,
}

/// What a project says about its parent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parent {
    pub(crate) group: String,
    pub(crate) artifact: String,
    pub(crate) version: String,
    pub(crate) relative_path: String,
}

/// One `<dependency>`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dependency {
    pub(crate) group: String,
    pub(crate) artifact: String,
    pub(crate) version: String,
    pub(crate) scope: String,
    pub(crate) optional: bool,
    /// Group and artifact of each exclusion.
    pub(crate) exclusions: Vec<(String, String)>,
    pub(crate) lines: Option<LineRange>,
}

/// A repository that projects are read from.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RemoteRepository {
    /// Id, by which mirrors and credentials are found.
    pub id: String,
    /// Its address; may hold credentials.
    pub address: String,
    /// Whether it has releases.
    pub releases: bool,
    /// Whether it has snapshots.
    pub snapshots: bool,
}

/// Without the address, which may hold credentials.
impl std::fmt::Debug for RemoteRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteRepository").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Pom {
    /// Reads a file; the lines of dependencies are kept for the project that is asked about only.
    pub(crate) fn parse(path: &str, bytes: &[u8], with_lines: bool) -> Result<Self, ParseError> {
        let project = xml::parse(bytes)?;
        let text = |name: &str| project.field(name).to_owned();
        let parent = project.child("parent");
        let license = |one: &Element| license_name(&one.child("name").text, one.field("url"));
        let dependencies = |home: &Element, with_lines: bool| -> Vec<Dependency> {
            home.child("dependencies").all("dependency").map(|one| dependency(one, with_lines)).collect()
        };
        Ok(Self {
            path: path.to_owned(),
            parent: Parent {
                group: parent.field("groupId").to_owned(),
                artifact: parent.field("artifactId").to_owned(),
                version: parent.field("version").to_owned(),
                relative_path: parent.field("relativePath").to_owned(),
            },
            group: text("groupId"),
            artifact: text("artifactId"),
            version: text("version"),
            licenses: project.child("licenses").all("license").map(license).filter(|name| !name.is_empty()).collect(),
            modules: project.child("modules").all("module").map(|module| module.text.trim().to_owned()).collect(),
            properties: project
                .child("properties")
                .children
                .iter()
                .map(|one| (one.name.clone(), one.text.clone()))
                .collect(),
            managed: dependencies(project.child("dependencyManagement"), false),
            dependencies: dependencies(&project, with_lines),
            repositories: project.child("repositories").all("repository").map(repository).collect(),
        })
    }

    /// Properties with the values that the project itself has: `project.version`, `parent.groupId` and their like.
    pub(crate) fn all_properties(&self) -> BTreeMap<String, String> {
        let fields = [
            ("groupId", &self.group),
            ("artifactId", &self.artifact),
            ("version", &self.version),
            ("parent.groupId", &self.parent.group),
            ("parent.artifactId", &self.parent.artifact),
            ("parent.version", &self.parent.version),
            ("parent.relativePath", &self.parent.relative_path),
        ];
        let mut own: BTreeMap<String, String> = self.properties.clone();
        for (name, value) in fields {
            // Group and version are inherited as such, and never by a property of the parent.
            if !value.is_empty() || matches!(name, "groupId" | "version") || !own.contains_key(name) {
                own.insert(name.to_owned(), value.clone());
            }
        }
        let mut all = self.properties.clone();
        for (name, value) in own.into_iter().filter(|(name, _)| !name.starts_with("project.")) {
            all.insert(format!("project.{name}"), value.clone());
            all.insert(name, value);
        }
        all
    }
}

fn dependency(one: &Element, with_lines: bool) -> Dependency {
    let text = |name: &str| one.field(name).to_owned();
    let exclusion = |one: &Element| (one.field("groupId").to_owned(), one.field("artifactId").to_owned());
    Dependency {
        group: text("groupId"),
        artifact: text("artifactId"),
        version: text("version"),
        scope: text("scope"),
        optional: one.field("optional") == "true",
        exclusions: one.child("exclusions").all("exclusion").map(exclusion).collect(),
        lines: with_lines.then_some(one.lines),
    }
}

/// A repository serves releases and snapshots unless it says otherwise.
fn repository(one: &Element) -> RemoteRepository {
    let enabled = |kind: &str| matches!(one.child(kind).field("enabled"), "" | "true");
    RemoteRepository {
        id: one.field("id").to_owned(),
        address: one.field("url").to_owned(),
        releases: enabled("releases"),
        snapshots: enabled("snapshots"),
    }
}

/// The name of a licence; without one, the identifier that its address leads to, or nothing.
pub(crate) fn license_name(name: &str, address: &str) -> String {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() { spdx::of_address(address).unwrap_or_default().to_owned() } else { name }
}

/// Puts the values of properties in the place of `${name}`. A property that leads back to itself has no value.
pub(crate) fn evaluate(
    text: &str,
    properties: &BTreeMap<String, String>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> String {
    let mut seen: Vec<&str> = Vec::new();
    evaluate_within(text, properties, variable, &mut seen).unwrap_or_default()
}

fn evaluate_within<'a>(
    text: &'a str,
    properties: &'a BTreeMap<String, String>,
    variable: &dyn Fn(&str) -> Option<String>,
    seen: &mut Vec<&'a str>,
) -> Option<String> {
    let mut value = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        value.push_str(before);
        let Some((name, tail)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
            value.push_str("${");
            rest = after;
            continue;
        };
        if let Some(name) = name.strip_prefix("env.") {
            value.push_str(&variable(name).unwrap_or_default());
        } else if let Some((name, inner)) = properties.get_key_value(name) {
            if seen.contains(&name.as_str()) || seen.len() >= MAX_PROPERTY_DEPTH {
                return None;
            }
            seen.push(name);
            let resolved = evaluate_within(inner, properties, variable, seen);
            seen.pop();
            value.push_str(&resolved?);
        }
        if value.len() > MAX_VALUE_BYTES {
            return None;
        }
        rest = tail;
    }
    value.push_str(rest);
    Some(value.trim().to_owned())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}

/// Whether a value is nothing but a property.
pub(crate) fn is_property(text: &str) -> bool {
    text.starts_with("${") && text.ends_with('}')
}

const MAX_PROPERTY_DEPTH: usize = 32;
/// Properties that repeat each other grow without end.
const MAX_VALUE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_put_in() {
        let properties: BTreeMap<String, String> =
            [("a", "1"), ("b", "${a}.2"), ("c", "${d}"), ("d", "${c}"), ("e", "${e}x")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        let variable = |name: &str| (name == "HOME").then(|| "/home".to_owned());
        let check = |text: &str, expected: &str| assert_eq!(evaluate(text, &properties, &variable), expected, "{text}");
        check("${b}-${b}", "1.2-1.2");
        check("${c}", "");
        check("${e}", "");
        check("${env.HOME}/x", "/home/x");
        check("${none}x", "x");
        check("${open", "${open");
    }

    #[test]
    fn growing_properties_are_bounded() {
        let mut properties = BTreeMap::from([("p0".to_owned(), "x".repeat(1000))]);
        for level in 1..30 {
            let below = level - 1;
            properties.insert(format!("p{level}"), format!("${{p{below}}}").repeat(10));
        }
        assert_eq!(evaluate("${p29}", &properties, &|_| None), "");
    }
}
