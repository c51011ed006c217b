//! YAML: read as the Kubernetes clients read it (YAML 1.1 words and numbers, merge keys), written as they write it.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value as Json};

use super::json;
use crate::value::Value;

/// A map, or one that says under `Error` why there is none.
pub(super) fn map(text: &str) -> Value {
    let fault = |what: &str| {
        Value::map([("Error".to_owned(), Value::text(format!("error converting YAML to JSON: yaml: {what}")))])
    };
    match read(text) {
        Ok(Json::Null) => Value::map([]),
        Ok(map @ Json::Object(_)) => Value::from_json(&map),
        Ok(_) => Value::map([("Error".to_owned(), Value::text("error unmarshaling JSON: what it holds is no map"))]),
        Err(what) => fault(&what),
    }
}

type Events<'a> = Parser<'a, granit_parser::StrInput<'a>>;

/// The first document of a text.
///
/// # Errors
/// Where it is no YAML, by line; never with the text itself.
pub(crate) fn read(text: &str) -> Result<Json, String> {
    let mut reader = Reader { anchors: BTreeMap::new(), nodes: 0 };
    let mut events = Parser::new_from_str(text);
    let mut document = None;
    while let Some(event) = reader.next(&mut events)? {
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::StreamEnd => {}
            Event::DocumentEnd if document.is_some() => break,
            Event::DocumentEnd => {}
            event => document = Some(reader.node(&mut events, event, 0)?),
        }
    }
    Ok(document.unwrap_or(Json::Null))
}

const MAX_DEPTH: u32 = 60;
const MAX_NODES: usize = 200_000;

struct Reader {
    anchors: BTreeMap<usize, (Json, usize)>,
    nodes: usize,
}

impl Reader {
    fn next<'a>(&self, events: &mut Events<'a>) -> Result<Option<Event<'a>>, String> {
        loop {
            match events.next() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, _))) => return Ok(Some(event)),
                Some(Err(error)) => return Err(format!("line {}: it cannot be read", error.marker().line())),
            }
        }
    }

    fn node(&mut self, events: &mut Events<'_>, event: Event<'_>, depth: u32) -> Result<Json, String> {
        let before = self.nodes;
        self.count(1)?;
        if depth > MAX_DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        let deeper = depth.saturating_add(1);
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let kind = tag.as_deref().map(|tag| tag.suffix().to_owned());
                let is_text =
                    kind.as_deref() == Some("str") || (!matches!(style, ScalarStyle::Plain) && kind.is_none());
                (if is_text { Json::String(text.to_string()) } else { plain(&text) }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                while let Some(event) = self.next(events)?.filter(|event| !matches!(event, Event::SequenceEnd)) {
                    items.push(self.node(events, event, deeper)?);
                }
                (Json::Array(items), anchor)
            }
            Event::MappingStart(_, anchor, _) => (self.mapping(events, deeper)?, anchor),
            Event::Alias(id) => {
                let (value, nodes) = self.anchors.get(&id).cloned().ok_or("an alias has no anchor")?;
                self.count(nodes)?;
                (value, 0)
            }
            _ => return Err("it cannot be read".to_owned()),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), self.nodes.saturating_sub(before)));
        }
        Ok(value)
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES { Err("it is too large".to_owned()) } else { Ok(()) }
    }

    fn mapping(&mut self, events: &mut Events<'_>, depth: u32) -> Result<Json, String> {
        let (mut fields, mut merged) = (Map::new(), Vec::new());
        while let Some(event) = self.next(events)?.filter(|event| !matches!(event, Event::MappingEnd)) {
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = match self.node(events, event, depth)? {
                Json::String(key) => key,
                Json::Null => "null".to_owned(),
                Json::Bool(flag) => flag.to_string(),
                Json::Number(number) => number.to_string(),
                Json::Array(_) | Json::Object(_) => return Err("a key is no scalar".to_owned()),
            };
            let Some(event) = self.next(events)? else { break };
            let value = self.node(events, event, depth)?;
            if is_merge {
                merged.push(value);
            } else {
                fields.insert(key, value);
            }
        }
        for base in merged {
            let bases = if let Json::Array(bases) = base { bases } else { vec![base] };
            for base in bases {
                for (key, value) in base.as_object().into_iter().flatten() {
                    if !fields.contains_key(key) {
                        fields.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        Ok(Json::Object(fields))
    }
}

/// A plain scalar by the rules of YAML 1.1.
fn plain(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Json::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Json::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Json::Bool(false),
        _ => number(text).map_or_else(|| Json::String(text.to_owned()), Json::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !body.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.') {
        return None;
    }
    let digits = text.replace('_', "");
    let (is_negative, body) = match digits.strip_prefix(['+', '-']) {
        Some(body) => (digits.starts_with('-'), body),
        None => (false, digits.as_str()),
    };
    let (radix, magnitude) = match body.get(..2) {
        Some("0x") => (16, body.get(2..)?),
        Some("0b") => (2, body.get(2..)?),
        Some("0o") => (8, body.get(2..)?),
        Some(two) if two.starts_with('0') && two.bytes().all(|byte| byte.is_ascii_digit()) => (8, body.get(1..)?),
        _ => (10, body),
    };
    let is_plain = !magnitude.is_empty() && magnitude.chars().all(|letter| letter.is_digit(radix));
    if let Some(magnitude) = is_plain.then(|| u64::from_str_radix(magnitude, radix).ok()).flatten() {
        let signed = i128::from(magnitude) * if is_negative { -1 } else { 1 };
        return i64::try_from(signed).map(Number::from).or_else(|_| u64::try_from(signed).map(Number::from)).ok();
    }
    let is_float = body.bytes().any(|byte| byte.is_ascii_digit())
        && body.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    Number::from_f64(if is_float { digits.parse().ok()? } else { return None })
}

/// A value as YAML, without a line end behind it; empty for what YAML cannot hold.
pub(super) fn write(value: &Value) -> String {
    let json = json::json(value).and_then(|json| serde_json::from_str::<Json>(&json).ok());
    let Some(json) = json else { return String::new() };
    let mut out = String::new();
    write_node(&json, &mut out, (0, false), 0);
    out.strip_suffix('\n').unwrap_or(&out).to_owned()
}

/// `indent` is where the node's own lines start; a map in a list begins on the list's line.
fn write_node(json: &Json, out: &mut String, (indent, is_in_line): (usize, bool), depth: u32) {
    if depth > 64 {
        return;
    }
    let deeper = depth.saturating_add(1);
    match json {
        Json::Object(fields) if !fields.is_empty() => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| key_order(a, b));
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if index > 0 || !is_in_line {
                    out.extend(std::iter::repeat_n(' ', indent));
                }
                out.push_str(&scalar(key, indent, false));
                out.push(':');
                match value {
                    Json::Object(fields) if !fields.is_empty() => {
                        out.push('\n');
                        write_node(value, out, (indent.saturating_add(2), false), deeper);
                    }
                    Json::Array(items) if !items.is_empty() => {
                        out.push('\n');
                        write_node(value, out, (indent, false), deeper);
                    }
                    _ => {
                        out.push(' ');
                        write_node(value, out, (indent.saturating_add(2), true), deeper);
                    }
                }
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 || !is_in_line {
                    out.extend(std::iter::repeat_n(' ', indent));
                }
                out.push_str("- ");
                write_node(item, out, (indent.saturating_add(2), true), deeper);
            }
        }
        Json::Object(_) => out.push_str("{}\n"),
        Json::Array(_) => out.push_str("[]\n"),
        Json::Null => out.push_str("null\n"),
        Json::Bool(flag) => out.push_str(if *flag { "true\n" } else { "false\n" }),
        Json::Number(number) => {
            let text = match number.as_i64() {
                Some(number) => number.to_string(),
                None => crate::format::shortest(number.as_f64().unwrap_or_default()),
            };
            out.push_str(&text);
            out.push('\n');
        }
        Json::String(text) => {
            out.push_str(&scalar(text, indent, true));
            out.push('\n');
        }
    }
}

/// Keys in the order of the Go writer: runs of digits count as numbers, letters stand behind other signs.
fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let at = left.iter().zip(&right).position(|(a, b)| a != b);
    let Some(at) = at else { return left.len().cmp(&right.len()) };
    let (Some(x), Some(y)) = (left.get(at).copied(), right.get(at).copied()) else { return a.cmp(b) };
    let run = |letters: &[char]| -> String {
        let start = letters
            .get(..at)
            .unwrap_or_default()
            .iter()
            .rposition(|letter| !letter.is_ascii_digit())
            .map_or(0, |at| at.saturating_add(1));
        letters.get(start..).unwrap_or_default().iter().take_while(|letter| letter.is_ascii_digit()).collect()
    };
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return std::cmp::Ordering::Greater,
        (false, true) => return std::cmp::Ordering::Less,
        (false, false) => {}
    }
    let numbers = (run(&left).parse::<u64>(), run(&right).parse::<u64>());
    match numbers {
        (Ok(first), Ok(second)) if first != second => first.cmp(&second),
        _ => x.cmp(&y),
    }
}

/// Text in the simplest style that reads back.
fn scalar(text: &str, indent: usize, may_break: bool) -> String {
    let reads_as_text = plain(text) == Json::String(text.to_owned()) && !is_time_like(text);
    let is_special = |letter: char| letter == '\u{feff}' || (letter.is_control() && letter != '\n');
    let has_space_at_break = text.contains(" \n") || text.ends_with(' ');
    if text.contains('\n') && may_break && !text.contains(is_special) && !has_space_at_break {
        return literal(text, indent);
    }
    if text.contains('\n') || text.contains(is_special) || !reads_as_text {
        return double_quoted(text);
    }
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Dates and numbers to the base of sixty read as something else elsewhere.
fn is_time_like(text: &str) -> bool {
    let is_base_60 = text.contains(':')
        && text.trim_start_matches(['-', '+']).split(':').all(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'.'))
        });
    let mut parts = text.splitn(3, '-');
    let is_number = |part: Option<&str>, length: usize| {
        part.is_some_and(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_date = is_number(parts.next(), 4)
        && is_number(parts.next(), 2)
        && parts.next().is_some_and(|part| {
            part.get(..2).is_some_and(|day| day.bytes().all(|byte| byte.is_ascii_digit()))
                && (part.len() == 2 || part.contains(':'))
        });
    is_base_60 || is_date
}

fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let starts_marked = match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => true,
        '-' | '?' | ':' => text.chars().nth(1).is_none_or(char::is_whitespace),
        _ => false,
    };
    let is_document_mark = text.starts_with("---") || text.starts_with("...");
    let has_marks = text.contains(": ") || text.contains(" #") || text.ends_with(':');
    let has_edges = text.starts_with(' ') || text.ends_with(' ');
    !(starts_marked || is_document_mark || has_marks || has_edges)
}

fn literal(text: &str, indent: usize) -> String {
    let mut out = String::from("|");
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    if !text.ends_with('\n') {
        out.push('-');
    } else if text.ends_with("\n\n") || text == "\n" {
        out.push('+');
    }
    let body = text.strip_suffix('\n').unwrap_or(text);
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent.max(2)));
            out.push_str(line);
        }
    }
    out
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{feff}' => out.push_str("\\uFEFF"),
            _ if letter.is_control() => out.push_str(&format!("\\x{:02X}", u32::from(letter))),
            _ => out.push(letter),
        }
    }
    out.push('"');
    out
}
