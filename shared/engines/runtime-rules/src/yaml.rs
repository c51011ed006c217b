//! YAML as rules files use it: a tree with places, scalars as they are written.
//!
//! A list item `1.10` is a text to the language, so no scalar is ever turned into a number here.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 64;
/// Most nodes of a file once its aliases are expanded.
const MAX_NODES: usize = 2_000_000;

/// A node with its place, line and column from 1.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Scalar {
        text: String,
        is_plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the file; the first of equal keys counts.
    Map(Vec<(String, Node)>),
}

/// Why a file could not be read.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) what: String,
}

impl Node {
    /// The value of a key, when this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|(known, _)| known == key).map(|(_, value)| value),
            Content::Scalar { .. } | Content::List(_) => None,
        }
    }

    /// The entries, when this is a map.
    pub(crate) fn entries(&self) -> Option<&[(String, Self)]> {
        if let Content::Map(entries) = &self.content { Some(entries) } else { None }
    }

    /// The items, when this is a list.
    pub(crate) fn items(&self) -> Option<&[Self]> {
        if let Content::List(items) = &self.content { Some(items) } else { None }
    }

    /// The text, when this is a scalar.
    pub(crate) fn scalar(&self) -> Option<&str> {
        if let Content::Scalar { text, .. } = &self.content { Some(text) } else { None }
    }

    /// Whether nothing is written.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, is_plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// A truth value by the words of YAML 1.1.
    pub(crate) fn truth(&self) -> Option<bool> {
        let text = self.scalar()?;
        let is_one_case = text.chars().all(char::is_lowercase)
            || text.chars().all(char::is_uppercase)
            || text.chars().skip(1).all(char::is_lowercase);
        match text.to_ascii_lowercase().as_str() {
            "y" | "yes" | "true" | "on" if is_one_case => Some(true),
            "n" | "no" | "false" | "off" if is_one_case => Some(false),
            _ => None,
        }
    }
}

/// Reads every document of a text.
///
/// # Errors
/// The first fault, with its place.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, Fault> {
    let mut reader = Reader { events: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    let mut documents = Vec::new();
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            event => documents.push(reader.node(event, span, 0)?),
        }
    }
    Ok(documents)
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Fault> {
        loop {
            match self.events.next() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(Some(event)),
                Some(Err(error)) => {
                    let (line, column) = (number(error.marker().line()), number(error.marker().col() + 1));
                    return Err(Fault { line, column, what: error.info() });
                }
            }
        }
    }

    fn node(&mut self, event: Event<'_>, span: Span, depth: usize) -> Result<Node, Fault> {
        let before = self.nodes;
        self.count(span, 1)?;
        if depth > MAX_DEPTH {
            return Err(fault(span, "the document is nested too deeply"));
        }
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_plain = matches!(style, ScalarStyle::Plain);
                (Content::Scalar { text: text.into_owned(), is_plain }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(id) => {
                let Some((node, nodes)) = self.anchors.get(&id).cloned() else {
                    return Err(fault(span, "an alias to an anchor that is not complete"));
                };
                self.count(span, nodes)?;
                (node.content, 0)
            }
            _ => return Err(fault(span, "unexpected YAML")),
        };
        let node = Node { line: number(span.start.line()), column: number(span.start.col() + 1), content };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Content, Fault> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node(event, span, depth + 1)?);
        }
        Ok(Content::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<Content, Fault> {
        let mut entries = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let Content::Scalar { text: key, .. } = self.node(event, span, depth + 1)?.content else {
                return Err(fault(span, "a key must be a scalar"));
            };
            let Some((event, span)) = self.next()? else { break };
            entries.push((key, self.node(event, span, depth + 1)?));
        }
        Ok(Content::Map(entries))
    }

    fn count(&mut self, span: Span, nodes: usize) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(fault(span, "the document is too large once its aliases are expanded"));
        }
        Ok(())
    }
}

fn fault(span: Span, what: &str) -> Fault {
    Fault { line: number(span.start.line()), column: number(span.start.col() + 1), what: what.to_owned() }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
