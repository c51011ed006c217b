//! Output formats: text with `%field` items.

use std::collections::BTreeMap;

use crate::compile::{Source, source};
use crate::evaluate::{Event, Value, bytes};
use crate::fields::FieldId;
use crate::parser::parse_operand_prefix;

/// A compiled output format.
#[derive(Clone, Debug)]
pub struct Output {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Item { name: String, source: Source, is_address: bool },
}

impl Output {
    /// Compiles a format. A leading `*` (print also when values are missing) is the only behaviour that there is.
    ///
    /// # Errors
    /// Names the item that is no field.
    pub fn compile(format: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = format.trim().strip_prefix('*').unwrap_or(format.trim());
        while let Some(at) = rest.find('%') {
            text.push_str(rest.get(..at).unwrap_or_default());
            let item = rest.get(at + 1..).unwrap_or_default();
            if let Some(tail) = item.strip_prefix('%') {
                text.push('%');
                rest = tail;
                continue;
            }
            // The longest front that is a field; a dot behind it ends a sentence.
            let (operand, length) = parse_operand_prefix(item).ok_or_else(|| {
                format!("invalid output format: no field behind % in '{}'", item.chars().take(40).collect::<String>())
            })?;
            let (source, _) =
                source(&operand).map_err(|what| format!("invalid formatting token {}: {what}", operand))?;
            let is_address = matches!(&source, Source::Field(field) if field.id == FieldId::EvtRawres);
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            let name = item.get(..length).unwrap_or_default().to_owned();
            parts.push(Part::Item { name, source, is_address });
            rest = item.get(length..).unwrap_or_default();
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self { parts })
    }

    /// The line for an event; a missing value is `<NA>`, control characters are made visible.
    #[must_use]
    pub fn render(&self, event: &dyn Event) -> String {
        let mut line = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Item { source, .. } => match source.value(event) {
                    Some(value) => push_visible(&mut line, &bytes(&value)),
                    None => line.push_str(MISSING),
                },
            }
        }
        line
    }

    /// The values of the items by name: numbers and truth values as such, missing ones as null.
    #[must_use]
    pub fn fields(&self, event: &dyn Event) -> BTreeMap<String, serde_json::Value> {
        let mut fields = BTreeMap::new();
        for part in &self.parts {
            if let Part::Item { name, source, .. } = part {
                fields.insert(name.clone(), json(source.value(event)));
            }
        }
        fields
    }

    /// The names of the items.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| if let Part::Item { name, .. } = part { Some(name.as_str()) } else { None })
    }

    /// Whether an item prints a raw result, which reads better as an address in some events.
    #[must_use]
    pub fn has_raw_result(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Item { is_address: true, .. }))
    }
}

fn json(value: Option<Value<'_>>) -> serde_json::Value {
    match value {
        None => serde_json::Value::Null,
        Some(Value::Number(number)) => number.into(),
        Some(Value::Boolean(boolean)) => boolean.into(),
        Some(value) => {
            let mut text = String::new();
            push_visible(&mut text, &bytes(&value));
            text.into()
        }
    }
}

/// Text as it can stand in a log: bytes that are no UTF-8 become U+FFFD, control characters an escape, so that no terminal obeys them.
fn push_visible(line: &mut String, text: &[u8]) {
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
}

const MISSING: &str = "<NA>";
