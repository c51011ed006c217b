//! What rules files define: lists, macros, rules and exceptions, as written.

use crate::priority::Priority;
use crate::yaml::{Content, Node};

/// Where an item stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Place {
    pub(crate) fn of(file: &str, node: &Node) -> Self {
        Self { file: file.to_owned(), line: node.line, column: node.column }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ListItem {
    pub(crate) name: String,
    pub(crate) items: Vec<String>,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) struct MacroItem {
    pub(crate) name: String,
    pub(crate) condition: String,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) struct RuleItem {
    pub(crate) name: String,
    pub(crate) condition: String,
    pub(crate) output: String,
    pub(crate) description: String,
    pub(crate) priority: Priority,
    pub(crate) tags: Vec<String>,
    pub(crate) enabled: bool,
    pub(crate) source: String,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) warns_on_types: bool,
    pub(crate) skips_unknown: bool,
    pub(crate) capture: bool,
    pub(crate) capture_duration: Option<u32>,
    pub(crate) place: Place,
}

/// One exception of a rule.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) name: String,
    pub(crate) fields: Option<Entry>,
    pub(crate) comps: Option<Entry>,
    pub(crate) values: Vec<Entry>,
}

/// A scalar or a list, as the parts of exceptions may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    One(String),
    List(Vec<Entry>),
}

impl Entry {
    /// Reads a part of an exception.
    pub(crate) fn read(node: &Node) -> Result<Self, String> {
        match &node.content {
            Content::Scalar { text, .. } if text.is_empty() => Err("Value must be non-empty".to_owned()),
            Content::Scalar { text, .. } => Ok(Self::One(text.clone())),
            Content::List(items) => Ok(Self::List(items.iter().map(Self::read).collect::<Result<_, _>>()?)),
            Content::Map(_) => Err("Could not decode scalar value".to_owned()),
        }
    }

    /// The text of a scalar; empty for a list.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::One(text) => text,
            Self::List(_) => "",
        }
    }
}

/// The text of a key that must be there.
pub(crate) fn required(item: &Node, key: &str) -> Result<String, String> {
    let Some(value) = item.get(key) else { return Err(format!("Item has no mapping for key '{key}'")) };
    if value.is_null() {
        return Err(format!("Mapping for key '{key}' is empty"));
    }
    text_of(value)
}

/// The text of a key that may be there.
pub(crate) fn optional(item: &Node, key: &str) -> Result<Option<String>, String> {
    item.get(key).map(|_| required(item, key)).transpose()
}

/// A truth value that may be there.
pub(crate) fn flag(item: &Node, key: &str) -> Result<Option<bool>, String> {
    let Some(value) = item.get(key) else { return Ok(None) };
    required(item, key)?;
    value.truth().map(Some).ok_or_else(|| "Can't decode YAML scalar value".to_owned())
}

/// A list of scalars that may be there.
pub(crate) fn texts(item: &Node, key: &str) -> Result<Option<Vec<String>>, String> {
    let Some(value) = item.get(key) else { return Ok(None) };
    let Some(items) = value.items() else { return Err("Value is not a sequence".to_owned()) };
    let text = |item: &Node| item.scalar().map(str::to_owned).ok_or("sequence value is not scalar");
    items.iter().map(text).collect::<Result<Vec<_>, _>>().map(Some).map_err(str::to_owned)
}

fn text_of(value: &Node) -> Result<String, String> {
    match value.scalar() {
        None => Err("Value is not a scalar value".to_owned()),
        Some("") => Err("Value must be non-empty".to_owned()),
        Some(text) => Ok(text.to_owned()),
    }
}

/// Whether a macro can be named so.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a list can be named so.
pub(crate) fn is_bare(name: &str) -> bool {
    !name.contains(|c: char| c.is_ascii_whitespace() || matches!(c, '(' | ')' | '"' | '\'' | '=' | ','))
}
