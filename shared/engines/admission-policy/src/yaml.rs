//! YAML as the Kubernetes clients read it: several documents per text, YAML 1.1 words and numbers, merge keys, JSON values.
//!
//! Documents are cut at `---` lines first, so a syntax error costs one document only. Anchors are expanded under a budget.

use std::borrow::Cow;
use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Number, Value};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 96;
/// Most nodes that one document may have once its aliases are expanded.
const MAX_NODES: usize = 2_000_000;
/// Most nodes that anchors and aliases of one document may copy.
const MAX_COPIED: usize = 250_000;
/// So many bytes of text weigh as much as a node.
const BYTES_PER_NODE: usize = 32;
/// Most nodes whose line is remembered, and the longest path of one in bytes; others have the line of what holds them.
const MAX_LINES: usize = 100_000;
const MAX_POINTER_BYTES: usize = 1_024;
/// Nodes whose line is remembered lie at most this deep.
const LINE_DEPTH: usize = 9;
/// Most keys of one document that are told to be there twice.
const MAX_TWICE: usize = 20;

/// One YAML document as a JSON value, with the lines of its upper nodes.
#[derive(Clone, Debug)]
pub struct Document {
    /// The document.
    pub value: Value,
    /// Line of its first node, from 1.
    pub line: u32,
    /// Keys that their map has had already, each with its line: the last value counts.
    pub twice: Vec<(String, u32)>,
    lines: BTreeMap<String, u32>,
}

impl Document {
    /// Line of the node at a JSON pointer, or of its nearest known ancestor.
    #[must_use]
    pub fn line_of(&self, pointer: &str) -> u32 {
        let mut pointer = pointer;
        loop {
            if let Some(line) = self.lines.get(pointer) {
                return *line;
            }
            match pointer.rsplit_once('/') {
                Some((parent, _)) => pointer = parent,
                None => return self.line,
            }
        }
    }

    /// The document below `pointer` (one item of a `List`), lines included.
    #[must_use]
    pub fn item(&self, pointer: &str) -> Option<Self> {
        let value = self.value.pointer(pointer)?.clone();
        let keep = |(path, line): (&String, &u32)| Some((path.strip_prefix(pointer)?.to_owned(), *line));
        let lines = self.lines.iter().filter_map(keep).collect();
        Some(Self { value, line: self.line_of(pointer), twice: Vec::new(), lines })
    }
}

/// Why a document could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What the reader stumbled over.
    pub what: String,
}

/// Reads every document of `text`; empty documents are left out.
#[must_use]
pub fn documents(text: &str) -> Vec<Result<Document, SyntaxError>> {
    split(text).into_iter().filter_map(|(part, first)| document(part, first).transpose()).collect()
}

/// Cuts at lines that begin with `---`; each part comes with the number of its first line, from 0.
fn split(text: &str) -> Vec<(&str, u32)> {
    let mut parts = Vec::new();
    let (mut start, mut first, mut offset, mut line) = (0, 0, 0, 0);
    for row in text.split_inclusive('\n') {
        let rest = row.strip_prefix("---");
        if rest.is_some_and(|rest| rest.trim_start_matches([' ', '\t']).len() < rest.len() || rest.trim().is_empty()) {
            parts.push((text.get(start..offset).unwrap_or_default(), first));
            (start, first) = (offset, line);
        }
        offset += row.len();
        line += 1;
    }
    parts.push((text.get(start..).unwrap_or_default(), first));
    parts
}

fn document(text: &str, first: u32) -> Result<Option<Document>, SyntaxError> {
    let significant = |line: &str| !(line.is_empty() || line.starts_with('#') || line == "---");
    if !text.lines().any(|line| significant(line.trim())) {
        return Ok(None);
    }
    let mut reader =
        Reader { first, anchors: BTreeMap::new(), lines: BTreeMap::new(), twice: Vec::new(), nodes: 0, copied: 0 };
    let mut events = Parser::new_from_str(text);
    loop {
        match reader.next(&mut events)? {
            None => return Ok(None),
            Some((Event::StreamStart | Event::DocumentStart(..), _)) => {}
            Some((Event::StreamEnd | Event::DocumentEnd, _)) => return Ok(None),
            Some((event, span)) => {
                let line = reader.line(span);
                let value = reader.node(&mut events, event, span, &mut Place::default())?;
                // The rest is read too, so that a fault behind the first node is not lost.
                while let Some((event, span)) = reader.next(&mut events)? {
                    if !matches!(event, Event::DocumentEnd | Event::StreamEnd) {
                        return Err(reader.fault(span, "text after the end of the document"));
                    }
                }
                let empty = value.is_null();
                return Ok((!empty).then_some(Document { value, line, twice: reader.twice, lines: reader.lines }));
            }
        }
    }
}

/// Where the reader stands: the JSON pointer, kept only as deep as lines are.
#[derive(Default)]
struct Place {
    pointer: String,
    depth: usize,
}

struct Reader {
    first: u32,
    anchors: BTreeMap<usize, (Value, usize)>,
    lines: BTreeMap<String, u32>,
    twice: Vec<(String, u32)>,
    nodes: usize,
    copied: usize,
}

type Events<'a> = Parser<'a, granit_parser::StrInput<'a>>;

impl Reader {
    fn next<'a>(&self, events: &mut Events<'a>) -> Result<Option<(Event<'a>, Span)>, SyntaxError> {
        loop {
            match events.next() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(Some(event)),
                Some(Err(error)) => {
                    let marker = error.marker();
                    return Err(self.at(marker.line(), marker.col(), error.info()));
                }
            }
        }
    }

    fn at(&self, line: usize, column: usize, what: String) -> SyntaxError {
        let line = u32::try_from(line).unwrap_or(u32::MAX).saturating_add(self.first);
        SyntaxError { line, column: u32::try_from(column).unwrap_or(0).saturating_add(1), what }
    }

    fn fault(&self, span: Span, what: &str) -> SyntaxError {
        self.at(span.start.line(), span.start.col(), what.to_owned())
    }

    fn line(&self, span: Span) -> u32 {
        u32::try_from(span.start.line()).unwrap_or(u32::MAX).saturating_add(self.first)
    }

    fn count(&mut self, span: Span, nodes: usize) -> Result<(), SyntaxError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(self.fault(span, "the document is too large once its aliases are expanded"));
        }
        Ok(())
    }

    fn count_copy(&mut self, span: Span, nodes: usize) -> Result<(), SyntaxError> {
        self.copied = self.copied.saturating_add(nodes);
        if self.copied > MAX_COPIED {
            return Err(self.fault(span, "the document is too large once its aliases are expanded"));
        }
        Ok(())
    }

    fn node(
        &mut self,
        events: &mut Events<'_>,
        event: Event<'_>,
        span: Span,
        place: &mut Place,
    ) -> Result<Value, SyntaxError> {
        self.count(span, 1)?;
        if place.depth > MAX_DEPTH {
            return Err(self.fault(span, "the document is nested too deeply"));
        }
        let before = self.nodes;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(span, text.len() / BYTES_PER_NODE)?;
                if matches!(style, ScalarStyle::Plain) && tag.is_none() && is_no_json_number(&text) {
                    return Err(
                        self.fault(span, "JSON has no such number: give another one, or put the text into quotes")
                    );
                }
                (scalar(&text, style, tag.as_deref()), anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.sequence(events, place)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(events, place)?, anchor),
            Event::Alias(id) => {
                let Some(nodes) = self.anchors.get(&id).map(|(_, nodes)| *nodes) else {
                    return Err(self.fault(span, "an alias to an anchor that is not complete"));
                };
                // Counted before it is copied: what is too large is never made.
                self.count(span, nodes)?;
                self.count_copy(span, nodes)?;
                (self.anchors.get(&id).map(|(value, _)| value.clone()).unwrap_or_default(), 0)
            }
            _ => return Err(self.fault(span, "unexpected YAML")),
        };
        if anchor > 0 {
            self.count_copy(span, self.nodes - before + 1)?;
            self.anchors.insert(anchor, (value.clone(), self.nodes - before + 1));
        }
        Ok(value)
    }

    fn sequence(&mut self, events: &mut Events<'_>, place: &mut Place) -> Result<Value, SyntaxError> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next(events)? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            let length = self.enter(place, &items.len().to_string(), span);
            let item = self.node(events, event, span, place)?;
            leave(place, length);
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn mapping(&mut self, events: &mut Events<'_>, place: &mut Place) -> Result<Value, SyntaxError> {
        let mut fields = Map::new();
        let mut merged = Vec::new();
        while let Some((event, span)) = self.next(events)? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let plain_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = match self.node(events, event, span, place)? {
                Value::String(key) => key,
                Value::Null => "null".to_owned(),
                Value::Bool(flag) => flag.to_string(),
                Value::Number(number) => number.to_string(),
                Value::Array(_) | Value::Object(_) => return Err(self.fault(span, "a key must be a scalar")),
            };
            let length = self.enter(place, &key.replace('~', "~0").replace('/', "~1"), span);
            if !plain_merge && fields.contains_key(&key) && self.twice.len() < MAX_TWICE {
                self.twice.push((key.clone(), self.line(span)));
            }
            let Some((event, span)) = self.next(events)? else { break };
            let value = self.node(events, event, span, place)?;
            leave(place, length);
            if plain_merge {
                merged.push(value);
            } else {
                fields.insert(key, value);
            }
        }
        for value in merged {
            merge(&mut fields, value);
        }
        Ok(Value::Object(fields))
    }

    /// Steps into a child and remembers its line; returns the length to give to [`leave`].
    fn enter(&mut self, place: &mut Place, segment: &str, span: Span) -> usize {
        let length = place.pointer.len();
        place.depth += 1;
        if place.depth <= LINE_DEPTH {
            place.pointer.push('/');
            place.pointer.push_str(segment);
            if place.pointer.len() <= MAX_POINTER_BYTES && self.lines.len() < MAX_LINES {
                let line = self.line(span);
                self.lines.entry(place.pointer.clone()).or_insert(line);
            }
        }
        length
    }
}

fn leave(place: &mut Place, length: usize) {
    place.depth -= 1;
    place.pointer.truncate(length);
}

/// `<<: *base` and `<<: [*a, *b]`: keys that are there already win.
fn merge(fields: &mut Map<String, Value>, value: Value) {
    match value {
        Value::Object(base) => {
            for (key, value) in base {
                fields.entry(key).or_insert(value);
            }
        }
        Value::Array(bases) => bases.into_iter().for_each(|base| {
            if base.is_object() {
                merge(fields, base);
            }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&granit_parser::Tag>) -> Value {
    let tagged = tag.map(|tag| tag.suffix().to_owned());
    let is_text = tagged.as_deref().is_some_and(|tag| tag == "str" || tag == "binary");
    if is_text || (!matches!(style, ScalarStyle::Plain) && tagged.is_none()) {
        return Value::String(text.to_owned());
    }
    plain(text)
}

/// Whether YAML reads it as a number that JSON has no word for.
fn is_no_json_number(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(body, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// A plain scalar by the YAML 1.1 rules of the Go reader.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    numeric.then(|| number(text)).flatten().map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    let digits: Cow<'_, str> = if text.contains('_') { text.replace('_', "").into() } else { text.into() };
    if let Some(integer) = integer(&digits) {
        return Some(integer);
    }
    let body = digits.strip_prefix(['+', '-']).unwrap_or(&digits);
    let shaped = body.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && body.contains(|c: char| c.is_ascii_digit())
        && body.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    let value: f64 = if shaped { digits.parse().ok()? } else { return None };
    Number::from_f64(value)
}

fn integer(text: &str) -> Option<Number> {
    let (negative, body) = match text.strip_prefix(['+', '-']) {
        Some(body) => (text.starts_with('-'), body),
        None => (false, text),
    };
    let radix = |prefix: &[&str], base| {
        let rest = prefix.iter().find_map(|prefix| body.strip_prefix(prefix))?;
        rest.chars().all(|c| c.is_digit(base)).then(|| u64::from_str_radix(rest, base).ok()).flatten()
    };
    let magnitude = radix(&["0x", "0X"], 16).or_else(|| radix(&["0o", "0O"], 8)).or_else(|| radix(&["0b", "0B"], 2));
    let magnitude = match magnitude {
        Some(magnitude) => magnitude,
        None if body.len() > 1 && body.starts_with('0') => {
            if !body.chars().all(|c| c.is_digit(8)) {
                return None;
            }
            u64::from_str_radix(body, 8).ok()?
        }
        None if !body.is_empty() && body.chars().all(|c| c.is_ascii_digit()) => body.parse().ok()?,
        None => return None,
    };
    if negative {
        return i64::try_from(-i128::from(magnitude)).ok().map(Number::from);
    }
    Some(Number::from(magnitude))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_scalars_as_the_go_reader_does() {
        let cases = [
            ("yes", json!(true)),
            ("off", json!(false)),
            ("'yes'", json!("yes")),
            ("0o17", json!(15)),
            ("017", json!(15)),
            ("089", json!(89.0)),
            ("0x1F", json!(31)),
            ("1_000", json!(1000)),
            ("1.5", json!(1.5)),
            ("1e3", json!(1000.0)),
            ("1.2.3", json!("1.2.3")),
            ("2001-01-01", json!("2001-01-01")),
            ("100Mi", json!("100Mi")),
            ("~", json!(null)),
            ("-3", json!(-3)),
            ("-", json!([null])),
            ("!!str 5", json!("5")),
        ];
        for (text, expected) in cases {
            let read = documents(&format!("key: {}", if text == "-" { "\n- " } else { text }));
            assert_eq!(read[0].as_ref().unwrap().value["key"], expected, "{text}");
        }
    }

    #[test]
    fn numbers_that_json_does_not_have_are_told() {
        for text in [".nan", ".NaN", "-.inf", "+.Inf", ".INF"] {
            let error = documents(&format!("a: 1\nkey: {text}\n")).swap_remove(0).unwrap_err();
            assert_eq!((error.line, error.column), (2, 6), "{text}: {error}");
        }
        let read = documents("{a: '.nan', b: 1e400, c: .info, d: -.nan, e: 123456789012345678901234567890}");
        let expected = json!({"a": ".nan", "b": "1e400", "c": ".info", "d": "-.nan", "e": 1.234_567_890_123_456_8e29});
        assert_eq!(read[0].as_ref().unwrap().value, expected);
    }

    #[test]
    fn keys_that_are_there_twice_are_known_with_their_lines() {
        let read = documents("a: 1\nb: {x: 1, <<: {y: 1}, <<: {z: 1}}\na: 2\nc:\n- d: 1\n  d: 2\n");
        let read = read[0].as_ref().unwrap();
        assert_eq!(read.twice, [("a".to_owned(), 3), ("d".to_owned(), 6)]);
        assert_eq!(read.value["a"], 2);
    }

    #[test]
    fn keeps_the_documents_around_a_broken_one() {
        let read = documents("a: 1\n---\nb: [1\nc: 2\n---\nd: {x: 1}\n");
        assert_eq!(read.len(), 3);
        assert!(read[1].as_ref().unwrap_err().line >= 3);
        let last = read[2].as_ref().unwrap();
        assert_eq!((last.line, last.line_of("/d/x")), (6, 6));
    }

    #[test]
    fn expands_merge_keys_and_refuses_bombs() {
        let read = documents("base: &b {x: 1, z: 2}\nuse:\n  <<: *b\n  x: 3\n");
        assert_eq!(read[0].as_ref().unwrap().value["use"], json!({"x": 3, "z": 2}));
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let alias = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(","));
        }
        assert!(documents(&bomb)[0].as_ref().unwrap_err().what.contains("too large"));
    }
}
