//! YAML as a tree whose every node knows its line and column, so that a fault can point at it.

use std::fmt;

use model::{Fault, FaultKind};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A node with its place, both from 1.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key with its line.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) text: String,
}

/// Reads all documents of `text`.
pub(crate) fn documents(file: &str, text: &str) -> Result<Vec<Node>, Box<Fault>> {
    serde_saphyr::from_multiple::<Spanned<Kind>>(text).map(|all| all.into_iter().map(Node::from).collect()).map_err(
        |error| {
            let (line, column) = error.location().map_or((0, 0), |place| (short(place.line()), short(place.column())));
            let what = error.without_snippet().to_string();
            let what = what.lines().next().unwrap_or("not YAML").to_owned();
            Box::new(Fault::new(FaultKind::Invalid, file, what).at(line, column).cure("correct the YAML"))
        },
    )
}

impl Node {
    /// The scalar as a text; numbers and truth values as YAML writes them.
    pub(crate) fn as_text(&self) -> Option<String> {
        match &self.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Number(number) => Some(number.to_string()),
            Kind::Bool(truth) => Some(truth.to_string()),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The nodes of a list; any other node is a list of one.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Map(_) => std::slice::from_ref(self),
        }
    }

    /// The entries of a map; none for any other node.
    pub(crate) fn entries(&self) -> &[(Key, Node)] {
        match &self.kind {
            Kind::Map(entries) => entries,
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::List(_) => &[],
        }
    }

    /// The content without places, so that moving a rule in its file does not make it another rule.
    pub(crate) fn canonical(&self) -> String {
        match &self.kind {
            Kind::Null => "~".to_owned(),
            Kind::Bool(truth) => truth.to_string(),
            Kind::Number(number) => number.to_string(),
            Kind::Text(text) => format!("{text:?}"),
            Kind::List(items) => format!("[{}]", items.iter().map(Self::canonical).collect::<Vec<_>>().join(",")),
            Kind::Map(entries) => {
                let entry = |(key, node): &(Key, Self)| format!("{:?}:{}", key.text, node.canonical());
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
            }
        }
    }

    /// The value under `key`.
    pub(crate) fn entry(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }
}

impl From<Spanned<Kind>> for Node {
    fn from(spanned: Spanned<Kind>) -> Self {
        Self { line: short(spanned.defined.line()), column: short(spanned.defined.column()), kind: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "rules hold small numbers")]
    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "rules hold small numbers")]
    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Kind>>()? {
            items.push(item.into());
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Spanned<Kind>>()? {
            let (line, column) = (short(key.defined.line()), short(key.defined.column()));
            entries.push((Key { line, column, text: key.value }, value.into()));
        }
        Ok(Kind::Map(entries))
    }
}

fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
