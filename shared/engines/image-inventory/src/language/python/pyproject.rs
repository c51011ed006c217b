//! `pyproject.toml`: what a project asks for, in the form of PEP 621 and in that of Poetry.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::python::normal_name;
use crate::text::ParseError;
use crate::tree::{Node, toml};

/// Names that a project asks for, in normal form. `None` is a list that is not there, which is not the same as an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PythonProject {
    /// `project.dependencies`.
    pub dependencies: Option<BTreeSet<String>>,
    /// `project.optional-dependencies`, by extra.
    pub optional: Option<BTreeMap<String, BTreeSet<String>>>,
    /// `tool.poetry.dependencies`.
    pub poetry: Option<BTreeSet<String>>,
    /// `tool.poetry.group.<name>.dependencies`.
    pub groups: BTreeMap<String, BTreeSet<String>>,
}

impl PythonProject {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is no TOML, or a list of dependencies is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let file = toml(bytes)?;
        let (project, poetry) = (file.get("project"), file.get("tool").get("poetry"));
        let extras = project.get("optional-dependencies");
        let optional = extras.entries().map(|(name, list)| Ok((name.to_owned(), names(list)?.unwrap_or_default())));
        let optional: BTreeMap<String, BTreeSet<String>> = optional.collect::<Result<_, ParseError>>()?;
        let groups = poetry.get("group").entries();
        let groups =
            groups.map(|(name, group)| Ok((name.to_owned(), names(group.get("dependencies"))?.unwrap_or_default())));
        Ok(Self {
            dependencies: names(project.get("dependencies"))?,
            optional: (!extras.is_null()).then_some(optional),
            poetry: names(poetry.get("dependencies"))?,
            groups: groups.collect::<Result<_, ParseError>>()?,
        })
    }

    /// What is installed with the project: its dependencies and those of its extras where it states them, else Poetry's main group.
    #[must_use]
    pub fn main(&self) -> BTreeSet<String> {
        if self.dependencies.is_none() && self.optional.is_none() {
            return self.poetry.clone().unwrap_or_default();
        }
        let extras = self.optional.iter().flat_map(BTreeMap::values).flatten();
        self.dependencies.iter().flatten().chain(extras).cloned().collect()
    }

    /// The same, and what Poetry's other groups ask for.
    pub(crate) fn all(&self) -> BTreeSet<String> {
        let mut all = self.main();
        all.extend(self.groups.values().flatten().cloned());
        all
    }
}

/// The names of a table of Poetry, or of a list of requirements (PEP 508).
fn names(list: &Node) -> Result<Option<BTreeSet<String>>, ParseError> {
    if list.is_null() {
        return Ok(None);
    }
    if list.is_map() {
        return Ok(Some(list.entries().map(|(name, _)| normal_name(name, true)).collect()));
    }
    if !list.is_list() {
        return Err(ParseError::at("dependencies are neither a table nor a list", line(list)));
    }
    let mut names = BTreeSet::new();
    for need in list.items() {
        if !need.is_text() {
            return Err(ParseError::at("a dependency is not a text", line(need)));
        }
        let bare = need.text().split(|c: char| c.is_whitespace() || "><=([".contains(c)).find(|part| !part.is_empty());
        names.extend(bare.map(|name| normal_name(name, true)));
    }
    Ok(Some(names))
}

fn line(node: &Node) -> usize {
    usize::try_from(node.lines.start).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn both_forms_are_read_whole() {
        let text = "[project]\ndependencies = [\"Flask == 1.1.4\", \"Foo_Bar[x,y] (==0.1)\", \"a;python_version<'3'\"]\n\
                    [tool.poetry.dependencies]\npython = \"^3.9\"\nRequests = { version = \"2\" }\n\
                    [tool.poetry.group.dev.dependencies]\npytest = \"*\"\n[tool.poetry.group.empty]\n";
        let project = PythonProject::parse(text.as_bytes()).unwrap();
        assert_eq!(project.dependencies, Some(set(&["flask", "foo-bar", "a;python-version"])));
        assert_eq!((project.optional.clone(), project.poetry.clone()), (None, Some(set(&["python", "requests"]))));
        assert_eq!(project.groups, [("dev".to_owned(), set(&["pytest"])), ("empty".to_owned(), set(&[]))].into());
        assert!(project.all().contains("pytest") && !project.main().contains("requests"));
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for text in ["[project]\ndependencies = 7\n", "[project]\ndependencies = [7]\n", "[project\n"] {
            assert!(PythonProject::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(PythonProject::parse(b"").unwrap(), PythonProject::default());
    }
}
