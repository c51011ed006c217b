//! Output formats: text with `%field` items.

use std::collections::BTreeMap;

use crate::catalogue::FieldId;
use crate::event::{Event, Value};
use crate::fields::Field;
use crate::parser::parse_operand_prefix;
use crate::source::{Source, source};

/// A compiled output format.
#[derive(Clone, Debug)]
pub struct Output {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Item { name: String, source: Source },
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
            // Containers' fields are suggested outputs; the old way to ask for them prints nothing.
            if let Some(tail) = item.strip_prefix(CONTAINER_INFO) {
                rest = tail;
                continue;
            }
            // The longest front that is a field; a dot behind it ends a sentence.
            let shown = || item.chars().take(40).collect::<String>();
            let (operand, length) =
                parse_operand_prefix(item).ok_or_else(|| format!("invalid formatting token {}", shown()))?;
            let (source, _) =
                source(&operand).map_err(|what| format!("invalid formatting token {}: {what}", shown()))?;
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            let name = item.get(..length).unwrap_or_default().to_owned();
            parts.push(Part::Item { name, source });
            rest = item.get(length..).unwrap_or_default();
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self { parts })
    }

    /// The line for an event; a missing value is `<NA>`, bytes that are no UTF-8 become U+FFFD.
    #[must_use]
    pub fn render<E: Event + ?Sized>(&self, event: &E) -> String {
        let mut line = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Item { source, .. } => match source.value(event).filter(|value| !is_nothing(value)) {
                    Some(value) => line.push_str(&String::from_utf8_lossy(&value.as_bytes())),
                    None => line.push_str(MISSING),
                },
            }
        }
        line
    }

    /// The values of the items by name: numbers and truth values as such, missing ones as null, times in nanoseconds.
    #[must_use]
    pub fn values<E: Event + ?Sized>(&self, event: &E) -> BTreeMap<String, serde_json::Value> {
        let mut values = BTreeMap::new();
        for part in &self.parts {
            if let Part::Item { name, source, .. } = part {
                let value = match source {
                    Source::Field(field) if is_time(field) => event.timestamp_ns().into(),
                    source => json(source.value(event)),
                };
                values.insert(name.clone(), value);
            }
        }
        values
    }

    /// The names of the items.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| if let Part::Item { name, .. } = part { Some(name.as_str()) } else { None })
    }

    /// Every field that it asks for.
    pub(crate) fn fields(&self) -> Vec<&Field> {
        let mut found = Vec::new();
        for part in &self.parts {
            if let Part::Item { source, .. } = part {
                source.fields(&mut found);
            }
        }
        found
    }
}

fn is_time(field: &Field) -> bool {
    use FieldId as F;
    matches!(field.id, F::EvtTime | F::EvtTimeS | F::EvtTimeIso | F::EvtDatetime | F::EvtDatetimeS)
}

fn is_nothing(value: &Value<'_>) -> bool {
    matches!(value, Value::Any(items) if items.is_empty())
}

fn json(value: Option<Value<'_>>) -> serde_json::Value {
    match value {
        None => serde_json::Value::Null,
        Some(Value::Number(number)) => number.into(),
        Some(Value::Unsigned(number)) => number.into(),
        Some(Value::Boolean(boolean)) => boolean.into(),
        Some(value) if is_nothing(&value) => serde_json::Value::Null,
        Some(value) => String::from_utf8_lossy(&value.as_bytes()).into(),
    }
}

const MISSING: &str = "<NA>";
const CONTAINER_INFO: &str = "container.info";
