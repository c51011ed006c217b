//! JSON, YAML and TOML as one tree whose nodes know their lines.

use granit_parser::{Event, Parser, ScalarStyle};
use indexmap::IndexMap;

use crate::package::LineRange;
use crate::text::{ParseError, line_number, text};

/// A node with its first and last line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) lines: LineRange,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Value {
    #[default]
    Null,
    Bool(bool),
    /// A number as it is written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(IndexMap<String, Node>),
}

static NULL: Node = Node { value: Value::Null, lines: LineRange { start: 0, end: 0 } };

impl Node {
    /// The node below a key; null when there is none.
    pub(crate) fn get(&self, key: &str) -> &Self {
        match &self.value {
            Value::Map(map) => map.get(key).unwrap_or(&NULL),
            _ => &NULL,
        }
    }

    /// Text, or a number as text; empty for anything else.
    pub(crate) fn text(&self) -> &str {
        match &self.value {
            Value::Text(text) | Value::Number(text) => text,
            _ => "",
        }
    }

    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Self)> {
        let map = if let Value::Map(map) = &self.value { Some(map) } else { None };
        map.into_iter().flatten().map(|(key, node)| (key.as_str(), node))
    }

    pub(crate) fn is_true(&self) -> bool {
        matches!(self.value, Value::Bool(true)) || self.text() == "true"
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self.value, Value::Number(_))
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.value, Value::List(_))
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self.value, Value::Text(_))
    }
}

/// Parses JSON; with `relaxed`, also comments and trailing commas.
pub(crate) fn json(bytes: &[u8], relaxed: bool) -> Result<Node, ParseError> {
    let content = text(bytes);
    let mut reader = Json { bytes: content.as_bytes(), at: 0, line: 1, relaxed };
    reader.blank()?;
    let node = reader.node(0)?;
    reader.blank()?;
    if reader.peek().is_some() {
        return Err(reader.fault("JSON decode error: text after the end of the document"));
    }
    Ok(node)
}

struct Json<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    relaxed: bool,
}

impl Json<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        if byte == b'\n' {
            self.line = self.line.saturating_add(1);
        }
        Some(byte)
    }

    fn fault(&self, what: &str) -> ParseError {
        ParseError::at(what, self.line)
    }

    fn blank(&mut self) -> Result<(), ParseError> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => drop(self.step()),
                Some(b'/') if self.relaxed => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<(), ParseError> {
        self.step();
        match self.step() {
            Some(b'/') => {
                while self.peek().is_some_and(|byte| byte != b'\n') {
                    self.step();
                }
            }
            Some(b'*') => loop {
                match self.step() {
                    Some(b'*') if self.peek() == Some(b'/') => {
                        self.step();
                        break;
                    }
                    Some(_) => {}
                    None => return Err(self.fault("a comment does not end")),
                }
            },
            _ => return Err(self.fault("unexpected `/`")),
        }
        Ok(())
    }

    fn node(&mut self, depth: usize) -> Result<Node, ParseError> {
        if depth > MAX_DEPTH {
            return Err(self.fault("it is nested too deeply"));
        }
        let start = self.line;
        let value = match self.peek() {
            Some(b'{') => Value::Map(self.map(depth)?),
            Some(b'[') => Value::List(self.list(depth)?),
            Some(b'"') => Value::Text(self.string()?),
            Some(_) => self.word()?,
            None => return Err(self.fault("JSON decode error: unexpected end of text")),
        };
        Ok(Node { value, lines: LineRange { start: line_number(start), end: line_number(self.line) } })
    }

    fn map(&mut self, depth: usize) -> Result<IndexMap<String, Node>, ParseError> {
        let mut map = IndexMap::new();
        self.step();
        loop {
            self.blank()?;
            match self.peek() {
                Some(b'}') if map.is_empty() || self.relaxed => {
                    self.step();
                    return Ok(map);
                }
                Some(b'"') => {}
                _ => return Err(self.fault("JSON decode error: a key is missing")),
            }
            let key = self.string()?;
            self.blank()?;
            if self.step() != Some(b':') {
                return Err(self.fault("JSON decode error: `:` is missing"));
            }
            self.blank()?;
            let node = self.node(depth.saturating_add(1))?;
            map.insert(key, node);
            self.blank()?;
            match self.step() {
                Some(b',') => {}
                Some(b'}') => return Ok(map),
                _ => return Err(self.fault("JSON decode error: `,` or `}` is missing")),
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, ParseError> {
        let mut items = Vec::new();
        self.step();
        loop {
            self.blank()?;
            if self.peek() == Some(b']') && (items.is_empty() || self.relaxed) {
                self.step();
                return Ok(items);
            }
            items.push(self.node(depth.saturating_add(1))?);
            self.blank()?;
            match self.step() {
                Some(b',') => {}
                Some(b']') => return Ok(items),
                _ => return Err(self.fault("JSON decode error: `,` or `]` is missing")),
            }
        }
    }

    /// A string; its escapes are resolved by serde_json.
    fn string(&mut self) -> Result<String, ParseError> {
        let from = self.at;
        self.step();
        let mut escaped = false;
        loop {
            match self.step() {
                Some(b'\\') => {
                    escaped = true;
                    self.step();
                }
                Some(b'"') => break,
                Some(_) => {}
                None => return Err(self.fault("JSON decode error: a string does not end")),
            }
        }
        let raw = self.bytes.get(from..self.at).unwrap_or_default();
        if escaped {
            return serde_json::from_slice(raw).map_err(|error| self.fault(&format!("JSON decode error: {error}")));
        }
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        Ok(String::from_utf8_lossy(inner).into_owned())
    }

    fn word(&mut self) -> Result<Value, ParseError> {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')) {
            self.step();
        }
        let word = String::from_utf8_lossy(self.bytes.get(from..self.at).unwrap_or_default()).into_owned();
        match word.as_str() {
            "null" => Ok(Value::Null),
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ if word.parse::<f64>().is_ok() && word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
                Ok(Value::Number(word))
            }
            _ => Err(self.fault("JSON decode error: unexpected character")),
        }
    }
}

/// Parses the first document of a YAML text. Scalars stay as they are written.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Node, ParseError> {
    let mut documents = documents(bytes, 1)?;
    Ok(if documents.is_empty() { Node::default() } else { documents.swap_remove(0) })
}

/// Parses all documents of a YAML text.
pub(crate) fn yaml_documents(bytes: &[u8]) -> Result<Vec<Node>, ParseError> {
    documents(bytes, MAX_DOCUMENTS)
}

/// The first documents of a YAML text. Aliases read as null, for lock files have none.
fn documents(bytes: &[u8], most: usize) -> Result<Vec<Node>, ParseError> {
    let content = text(bytes);
    let mut events = Parser::new_from_str(&content);
    let mut documents = Vec::new();
    while documents.len() < most {
        let Some(event) = events.next() else { break };
        let (event, span) = event.map_err(|error| ParseError::at(error.info(), error.marker().line()))?;
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd | Event::Comment(..) => {}
            Event::StreamEnd => break,
            event => documents.push(yaml_node(&mut events, event, span.start.line(), 0)?),
        }
    }
    Ok(documents)
}

type Events<'a> = Parser<'a, granit_parser::StrInput<'a>>;

fn next<'a>(events: &mut Events<'a>) -> Result<(Event<'a>, usize), ParseError> {
    loop {
        match events.next() {
            Some(Ok((Event::Comment(..), _))) => {}
            Some(Ok((event, span))) => return Ok((event, span.start.line())),
            Some(Err(error)) => return Err(ParseError::at(error.info(), error.marker().line())),
            None => return Err(ParseError::new("unexpected end of text")),
        }
    }
}

fn yaml_node(events: &mut Events<'_>, event: Event<'_>, line: usize, depth: usize) -> Result<Node, ParseError> {
    if depth > MAX_DEPTH {
        return Err(ParseError::at("it is nested too deeply", line));
    }
    let deeper = depth.saturating_add(1);
    let mut end = line;
    let value = match event {
        Event::Scalar(text, ScalarStyle::Plain, ..) => plain(&text),
        Event::Scalar(text, ..) => Value::Text(text.into_owned()),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                let (event, at) = next(events)?;
                if matches!(event, Event::SequenceEnd) {
                    break;
                }
                let item = yaml_node(events, event, at, deeper)?;
                end = end.max(item.lines.end as usize);
                items.push(item);
            }
            Value::List(items)
        }
        Event::MappingStart(..) => {
            let mut map = IndexMap::new();
            loop {
                let (event, at) = next(events)?;
                if matches!(event, Event::MappingEnd) {
                    break;
                }
                let key = yaml_node(events, event, at, deeper)?;
                let (event, at) = next(events)?;
                let node = yaml_node(events, event, at, deeper)?;
                end = end.max(node.lines.end as usize);
                if map.insert(key.text().to_owned(), node).is_some() {
                    return Err(ParseError::at(
                        format!("decode error: the key `{}` stands there twice", key.text()),
                        at,
                    ));
                }
            }
            Value::Map(map)
        }
        _ => Value::Null,
    };
    Ok(Node { value, lines: LineRange { start: line_number(line), end: line_number(end) } })
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if text.parse::<f64>().is_ok() && text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            Value::Number(text.to_owned())
        }
        _ => Value::Text(text.to_owned()),
    }
}

/// Parses TOML. Nodes have no lines; see [`sections`].
pub(crate) fn toml(bytes: &[u8]) -> Result<Node, ParseError> {
    let content = text(bytes);
    let table: toml::Table = content.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |span| content.get(..span.start).map_or(0, |head| head.lines().count()));
        ParseError::at(format!("decode error: {}", error.message()), line)
    })?;
    Ok(toml_node(toml::Value::Table(table)))
}

fn toml_node(value: toml::Value) -> Node {
    let value = match value {
        toml::Value::String(text) => Value::Text(text),
        toml::Value::Integer(number) => Value::Number(number.to_string()),
        toml::Value::Float(number) => Value::Number(number.to_string()),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(time) => Value::Text(time.to_string()),
        toml::Value::Array(items) => Value::List(items.into_iter().map(toml_node).collect()),
        toml::Value::Table(table) => {
            Value::Map(table.into_iter().map(|(key, value)| (key, toml_node(value))).collect())
        }
    };
    Node { value, lines: LineRange::default() }
}

/// A table of a TOML text, by the lines that it stands on: up to the first empty one, or to the next table.
#[derive(Debug, Default)]
pub(crate) struct Table<'a> {
    /// Values of the fields that are asked for, in that order; empty where a field is missing.
    pub(crate) fields: Vec<&'a str>,
    pub(crate) lines: LineRange,
}

/// The tables of a TOML text with their places and the values of some fields that hold texts.
pub(crate) fn tables<'a>(content: &'a str, fields: &[&str]) -> Vec<Table<'a>> {
    let mut tables: Vec<Table<'a>> = Vec::new();
    let mut is_closed = false;
    for (index, line) in content.lines().enumerate() {
        let number = line_number(index.saturating_add(1));
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            let lines = LineRange { start: number, end: number };
            tables.push(Table { fields: vec![""; fields.len()], lines });
            is_closed = false;
            continue;
        }
        let Some(table) = tables.last_mut() else { continue };
        is_closed |= trimmed.is_empty();
        if !is_closed {
            table.lines.end = number;
        }
        let Some((key, value)) = trimmed.split_once(" =") else { continue };
        for (slot, _) in table.fields.iter_mut().zip(fields).filter(|(_, field)| **field == key) {
            *slot = if value.contains('=') { "" } else { value.trim_matches([' ', '"']) };
        }
    }
    tables
}

const MAX_DEPTH: usize = 100;
const MAX_DOCUMENTS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_their_lines() {
        let node = json(b"{\n \"a\": {\n  \"b\": [1, \"x\\n\"]\n }\n}", false).unwrap();
        assert_eq!(node.get("a").lines, LineRange { start: 2, end: 4 });
        assert_eq!(node.get("a").get("b").items()[1].text(), "x\n");
        let node = yaml(b"a:\n  - b: 1\n    c: d\ne: ~\n").unwrap();
        assert_eq!(node.get("a").items()[0].lines, LineRange { start: 2, end: 3 });
        assert!(node.get("e").is_null());
        let found = tables("[[package]]\na = \"1\"\n\nb = 2\n[x]\n", &["a", "b"]);
        assert_eq!((found[0].lines, found[0].fields.as_slice()), (LineRange { start: 1, end: 2 }, &["1", "2"][..]));
    }

    #[test]
    fn what_is_broken_is_refused() {
        for text in ["", "{", "{\"a\":1,}", "[1,]", "nul", "{} x", "\"a", "// c\n1"] {
            assert!(json(text.as_bytes(), false).is_err(), "{text}");
        }
        assert!(json(b"{\"a\":[1,],} // c", true).is_ok());
        assert!(json("[".repeat(5000).as_bytes(), false).is_err());
        assert!(yaml("- ".repeat(5000).as_bytes()).is_err());
    }
}
