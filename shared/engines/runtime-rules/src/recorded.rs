//! Events as alerts record them: the fields of an output, read back, so that rules can be judged on them again.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::catalogue::{FieldId, FieldType};
use crate::event::{Event, Value};
use crate::event_type::EventType;
use crate::fields::{Field, FieldArgument};

/// Ancestors that a recorded event may name: `proc.aname[1]` to this.
const MAX_ANCESTORS: u32 = 64;

/// An event as an alert tells it. It has the fields that the output of its rule named; all others are missing.
#[derive(Clone, Debug)]
pub struct RecordedEvent {
    event_type: EventType,
    timestamp_ns: u64,
    fields: BTreeMap<String, Json>,
}

impl RecordedEvent {
    /// Reads an alert (JSON with `output_fields`), or an object of fields alone.
    ///
    /// # Errors
    /// What is missing or not understood, in one line.
    pub fn read(json: &str) -> Result<Self, String> {
        let whole: Json = serde_json::from_str(json).map_err(|error| format!("no JSON: {error}"))?;
        let Some(fields) = whole.get("output_fields").unwrap_or(&whole).as_object() else {
            return Err("neither an alert with `output_fields` nor an object of fields".to_owned());
        };
        let fields: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let Some(name) = fields.get("evt.type").and_then(Json::as_str) else {
            return Err("the field `evt.type` is missing: rules are judged by the type of the event".to_owned());
        };
        let event_type = EventType::named(name).ok_or_else(|| format!("`{name}` is no type of event"))?;
        let timestamp_ns = ["evt.time", "evt.rawtime"].iter().find_map(|name| fields.get(*name)?.as_u64());
        Ok(Self { event_type, timestamp_ns: timestamp_ns.unwrap_or_default(), fields })
    }

    /// Whether it has a value for a field, or says that there was none; a field that was not recorded is not known.
    #[must_use]
    pub fn knows(&self, field: &Field) -> bool {
        field.id.is_answered_by_engine()
            || self.recorded(field).is_some()
            || (field.argument.is_none() && self.ancestors(field.id).is_some())
    }

    /// What was recorded for a field. A network field is the address field of the same end.
    fn recorded(&self, field: &Field) -> Option<&Json> {
        let address = match field.id {
            FieldId::FdNet => FieldId::FdIp,
            FieldId::FdCnet => FieldId::FdCip,
            FieldId::FdSnet => FieldId::FdSip,
            FieldId::FdLnet => FieldId::FdLip,
            FieldId::FdRnet => FieldId::FdRip,
            _ => return self.fields.get(&field.to_string()),
        };
        self.fields.get(field.id.name()).or_else(|| self.fields.get(address.name()))
    }

    /// `proc.aname` without argument is every ancestor that was recorded with one.
    fn ancestors(&self, id: FieldId) -> Option<Value<'_>> {
        let nth = |place: u32| convert(self.fields.get(&format!("{}[{place}]", id.name()))?, id.field_type());
        let values: Vec<_> = (1..=MAX_ANCESTORS).filter_map(nth).collect();
        (!values.is_empty()).then_some(Value::Any(values))
    }
}

impl Event for RecordedEvent {
    fn event_type(&self) -> EventType {
        self.event_type
    }

    fn timestamp_ns(&self) -> u64 {
        self.timestamp_ns
    }

    fn field(&self, field: FieldId, argument: Option<&FieldArgument>) -> Option<Value<'_>> {
        match self.recorded(&Field { id: field, argument: argument.cloned() }) {
            Some(json) => convert(json, Field { id: field, argument: argument.cloned() }.value_type()),
            None if argument.is_none() => self.ancestors(field),
            None => None,
        }
    }
}

/// The value of a field from how alerts write it.
fn convert(json: &Json, kind: FieldType) -> Option<Value<'_>> {
    match (json, kind) {
        (Json::Array(items), FieldType::TextList) => {
            Some(Value::List(items.iter().filter_map(|item| convert(item, FieldType::Text)).collect()))
        }
        (Json::Array(items), _) => Some(Value::Any(items.iter().filter_map(|item| convert(item, kind)).collect())),
        (Json::Bool(truth), _) => Some(Value::Boolean(*truth)),
        (Json::Number(number), _) => {
            number.as_i64().map(Value::Number).or_else(|| number.as_u64().map(Value::Unsigned))
        }
        (Json::String(text), FieldType::Address) => both_ends(text),
        (Json::String(text), FieldType::Number | FieldType::Decimal) => text.parse().ok().map(Value::Number),
        (Json::String(text), FieldType::Boolean) => text.parse().ok().map(Value::Boolean),
        (Json::String(text), FieldType::TextList) => {
            let items = text.trim_start_matches('(').trim_end_matches(')');
            Some(Value::List(items.split(',').filter(|item| !item.is_empty()).map(Value::text).collect()))
        }
        (Json::String(text), FieldType::Text | FieldType::Path) => Some(Value::text(text)),
        (Json::Null | Json::Object(_), _) => None,
    }
}

/// An address, or the two of a connection joined by an arrow as outputs print them.
fn both_ends(text: &str) -> Option<Value<'_>> {
    let mut ends: Vec<_> = text.split("->").filter_map(|end| end.parse().ok().map(Value::Address)).collect();
    if ends.len() > 1 { Some(Value::Any(ends)) } else { ends.pop() }
}
