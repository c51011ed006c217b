//! The fields of an event that rules ask for, read straight from any serde format.
//!
//! Rules name paths (`alert.rule`, `identity.namespace`); the compiled set knows which paths each event type needs. A reader then
//! walks the message once, takes those and skips the rest, so that an event costs no tree of values.

use std::fmt;

use model::{EventId, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// A text.
    Text(Box<str>),
    /// A number of any width.
    Number(f64),
    /// A truth value.
    Bool(bool),
    /// An explicit nothing.
    Null,
}

/// Values by field number; a field in a list has several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields {
    values: Vec<(u16, FieldValue)>,
}

impl Fields {
    /// Adds a value.
    pub fn push(&mut self, field: u16, value: FieldValue) {
        if self.values.len() < MAX_VALUES {
            self.values.push((field, value));
        }
    }

    /// Id and time of the event that the fields were read from.
    #[must_use]
    pub fn id_and_time(&self) -> Option<(EventId, Timestamp)> {
        let text = |field: u16| {
            self.of(field).find_map(|value| if let FieldValue::Text(text) = value { Some(text) } else { None })
        };
        Some((text(ID_FIELD)?.parse().ok()?, text(TIME_FIELD)?.parse().ok()?))
    }

    /// All values of `field`.
    pub fn of(&self, field: u16) -> impl Iterator<Item = &FieldValue> {
        self.values.iter().filter(move |(number, _)| *number == field).map(|(_, value)| value)
    }
}

/// The paths to read from one type of event, as a tree; a seed that reads them from a whole event (envelope included).
#[derive(Clone, Debug, Default)]
pub struct WantedFields {
    children: Vec<(Box<str>, WantedFields)>,
    field: Option<u16>,
}

impl WantedFields {
    /// What is read from every event.
    pub(crate) fn envelope() -> Self {
        let mut wanted = Self::default();
        wanted.want("id", ID_FIELD);
        wanted.want("time", TIME_FIELD);
        wanted
    }

    /// Asks for the field at `path`, whose segments are separated by dots.
    pub(crate) fn want(&mut self, path: &str, field: u16) {
        let mut at = self;
        for segment in path.split('.') {
            let place = match at.children.iter().position(|(name, _)| &**name == segment) {
                Some(place) => place,
                None => {
                    at.children.push((segment.into(), Self::default()));
                    at.children.len().saturating_sub(1)
                }
            };
            match at.children.get_mut(place) {
                Some((_, child)) => at = child,
                None => return,
            }
        }
        at.field = Some(field);
    }

    /// Reads the fields from an event that is already a tree of values.
    #[must_use]
    pub fn read(&self, event: &serde_json::Value) -> Fields {
        self.deserialize(event).unwrap_or_default()
    }

    /// The subtree under `key`; a key with dots of its own (`proc.name`) descends several levels.
    fn descend(&self, key: &str) -> Option<&Self> {
        let mut at = self;
        for segment in key.split('.') {
            at = at.children.iter().find(|(name, _)| &**name == segment).map(|(_, child)| child)?;
        }
        Some(at)
    }
}

impl<'de> DeserializeSeed<'de> for &WantedFields {
    type Value = Fields;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields, D::Error> {
        let mut fields = Fields::default();
        Walk { wanted: self, depth: 0, fields: &mut fields }.deserialize(deserializer)?;
        Ok(fields)
    }
}

/// One step of the walk; it descends only as deep as a rule's path or [`MAX_DEPTH`] says.
struct Walk<'w, 'f> {
    wanted: &'w WantedFields,
    depth: u8,
    fields: &'f mut Fields,
}

impl Walk<'_, '_> {
    fn take(self, value: FieldValue) {
        if let Some(field) = self.wanted.field {
            self.fields.push(field, value);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.take(FieldValue::Bool(value));
        Ok(())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "rules compare numbers as f64; above 2^53 the last digits do not matter"
    )]
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.take(FieldValue::Number(value as f64));
        Ok(())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "rules compare numbers as f64; above 2^53 the last digits do not matter"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.take(FieldValue::Number(value as f64));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.take(FieldValue::Number(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.take(FieldValue::Text(value.into()));
        Ok(())
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.take(FieldValue::Null);
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        self.take(FieldValue::Null);
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.depth >= MAX_DEPTH {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let depth = self.depth.saturating_add(1);
        while seq.next_element_seed(Walk { wanted: self.wanted, depth, fields: &mut *self.fields })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let depth = self.depth.saturating_add(1);
        while let Some(child) = map.next_key_seed(Key { wanted: self.wanted })? {
            match child.filter(|_| depth <= MAX_DEPTH) {
                Some(wanted) => map.next_value_seed(Walk { wanted, depth, fields: &mut *self.fields })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a key as the subtree it leads to, without keeping its text.
struct Key<'w> {
    wanted: &'w WantedFields,
}

impl<'de, 'w> DeserializeSeed<'de> for Key<'w> {
    type Value = Option<&'w WantedFields>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'w> Visitor<'_> for Key<'w> {
    type Value = Option<&'w WantedFields>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.wanted.descend(key))
    }
}

/// Field numbers of the envelope, which rules never get.
const ID_FIELD: u16 = u16::MAX;
const TIME_FIELD: u16 = u16::MAX - 1;
const MAX_VALUES: usize = 256;
const MAX_DEPTH: u8 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_paths_through_lists_and_dotted_keys() {
        let mut wanted = WantedFields::default();
        wanted.want("data.results.exception", 0);
        wanted.want("data.alert.output_fields.proc.name", 1);
        let event = serde_json::json!({
            "data": { "results": [{ "exception": "a/b" }, { "exception": null }, {}], "alert": { "output_fields": { "proc.name": "sh", "x": 1 } } },
        });
        let fields = wanted.read(&event);
        assert_eq!(fields.of(0).collect::<Vec<_>>(), [&FieldValue::Text("a/b".into()), &FieldValue::Null]);
        assert_eq!(fields.of(1).collect::<Vec<_>>(), [&FieldValue::Text("sh".into())]);
    }
}
