//! Where the sides of a comparison come from: fields, constants, and transformers of them.

use std::borrow::Cow;

use crate::ast::{Argument, Operand};
use crate::catalogue::{FieldId, FieldType};
use crate::event::{Event, Value};
use crate::fields::Field;
use crate::time;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    Field(Field),
    Text(String),
    Transform(Transform, Vec<Source>),
    /// An option of a command line: the arguments, the options there are, the one that is wanted.
    Option {
        arguments: Box<Source>,
        known: String,
        wanted: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Transform {
    Lower,
    Upper,
    Base64,
    Basename,
    Length,
    Concat,
    Join,
}

impl Source {
    /// The value, when there is one.
    #[inline]
    pub(crate) fn value<'a, E: Event + ?Sized>(&'a self, event: &'a E) -> Option<Value<'a>> {
        match self {
            Self::Field(field) => field_value(field, event),
            other => other.made(event),
        }
    }

    fn made<'a, E: Event + ?Sized>(&'a self, event: &'a E) -> Option<Value<'a>> {
        match self {
            Self::Field(field) => field_value(field, event),
            Self::Text(text) => Some(Value::text(text)),
            Self::Transform(transform, sources) => transform.apply(sources, event),
            Self::Option { arguments, known, wanted } => {
                let line = arguments.value(event)?;
                option_of(&line.as_bytes(), known, wanted).map(|text| Value::Text(Cow::Owned(text)))
            }
        }
    }

    /// Whether there is a value.
    pub(crate) fn exists<E: Event + ?Sized>(&self, event: &E) -> bool {
        self.value(event).is_some_and(|value| !matches!(value, Value::Any(items) if items.is_empty()))
    }

    /// Every field that it asks for.
    pub(crate) fn fields<'a>(&'a self, found: &mut Vec<&'a Field>) {
        match self {
            Self::Field(field) => found.push(field),
            Self::Text(_) => {}
            Self::Transform(_, sources) => sources.iter().for_each(|source| source.fields(found)),
            Self::Option { arguments, .. } => arguments.fields(found),
        }
    }
}

/// A field's value: from the engine what it knows, the rest from the event.
#[inline]
pub(crate) fn field_value<'a, E: Event + ?Sized>(field: &'a Field, event: &'a E) -> Option<Value<'a>> {
    let ns = || event.timestamp_ns();
    let whole = |number: u64| Some(Value::Unsigned(number));
    match field.id {
        FieldId::EvtType | FieldId::SyscallType => Some(Value::text(event.event_type().name())),
        FieldId::EvtTypeIs => {
            let wanted = field.argument.as_ref()?.text();
            Some(Value::Number(i64::from(event.event_type().name() == wanted)))
        }
        FieldId::EvtTime => Some(Value::owned(time::clock(ns()))),
        FieldId::EvtTimeS => Some(Value::owned(time::clock_seconds(ns()))),
        FieldId::EvtTimeIso => Some(Value::owned(time::iso8601(ns()))),
        FieldId::EvtDatetime => Some(Value::owned(time::date_time(ns()))),
        FieldId::EvtDatetimeS => Some(Value::owned(time::date_time_seconds(ns()))),
        FieldId::EvtRawtime => whole(ns()),
        FieldId::EvtRawtimeS => whole(ns() / time::NS),
        FieldId::EvtRawtimeNs => whole(ns() % time::NS),
        FieldId::EvtSource => Some(Value::text("syscall")),
        FieldId::EvtDir => Some(Value::text("<")),
        FieldId::EvtCount => Some(Value::Number(1)),
        FieldId::EvtIsAsync => Some(Value::Boolean(false)),
        id => event.field(id, field.argument.as_ref()),
    }
}

/// Resolves one side of a comparison; returns it with the type of its values.
///
/// # Errors
/// What is wrong, in one line.
pub(crate) fn source(operand: &Operand) -> Result<(Source, FieldType), String> {
    match operand {
        Operand::Field(name) => {
            let field = Field::resolve(&name.name, name.argument.as_deref())?;
            let kind = field.value_type();
            Ok((Source::Field(field), kind))
        }
        Operand::Transform { name, arguments, index } => {
            let (transform, kind) = match name.as_str() {
                "tolower" => (Transform::Lower, FieldType::Text),
                "toupper" => (Transform::Upper, FieldType::Text),
                "b64" => (Transform::Base64, FieldType::Text),
                "basename" => (Transform::Basename, FieldType::Text),
                "len" => (Transform::Length, FieldType::Number),
                "concat" => (Transform::Concat, FieldType::Text),
                "join" => (Transform::Join, FieldType::Text),
                "getopt" => return getopt(arguments, index.as_deref()),
                other => return Err(format!("unknown transformer '{other}'")),
            };
            let mut sources = Vec::new();
            flatten(arguments, &mut sources)?;
            if sources.len() != 1 && !matches!(transform, Transform::Concat | Transform::Join) {
                return Err(format!("transformer '{name}' takes one argument"));
            }
            Ok((Source::Transform(transform, sources), kind))
        }
    }
}

fn getopt(arguments: &[Argument], index: Option<&str>) -> Result<(Source, FieldType), String> {
    let (Some(Argument::Operand(line)), Some(Argument::Text(known)), Some(wanted)) =
        (arguments.first(), arguments.get(1), index)
    else {
        return Err("transformer 'getopt' takes a field, a text of options and an option in brackets".to_owned());
    };
    let arguments = Box::new(source(line)?.0);
    Ok((Source::Option { arguments, known: known.clone(), wanted: wanted.to_owned() }, FieldType::Text))
}

fn flatten(arguments: &[Argument], sources: &mut Vec<Source>) -> Result<(), String> {
    for argument in arguments {
        match argument {
            Argument::Operand(operand) => sources.push(source(operand)?.0),
            Argument::Text(text) => sources.push(Source::Text(text.clone())),
            Argument::List(items) => flatten(items, sources)?,
        }
    }
    Ok(())
}

impl Transform {
    fn apply<'a, E: Event + ?Sized>(self, sources: &'a [Source], event: &'a E) -> Option<Value<'a>> {
        if matches!(self, Self::Concat | Self::Join) {
            return self.assemble(sources, event);
        }
        let value = sources.first()?.value(event)?;
        match value {
            Value::Any(items) => Some(Value::Any(items.iter().filter_map(|item| self.one(item)).collect())),
            value => self.one(&value),
        }
    }

    fn assemble<'a, E: Event + ?Sized>(self, sources: &'a [Source], event: &'a E) -> Option<Value<'a>> {
        let part = |source: &Source| source.value(event).map(|value| value.as_bytes().into_owned());
        let parts: Option<Vec<Vec<u8>>> = sources.iter().map(part).collect();
        let parts = parts?;
        let text = match (self, parts.split_first()) {
            (Self::Join, Some((separator, rest))) => rest.join(separator.as_slice()),
            _ => parts.concat(),
        };
        Some(Value::Text(Cow::Owned(text)))
    }

    fn one<'a>(self, value: &Value<'_>) -> Option<Value<'a>> {
        if let (Self::Length, Value::List(items)) = (self, value) {
            return i64::try_from(items.len()).ok().map(Value::Number);
        }
        let text = value.as_bytes();
        let changed = match self {
            Self::Length => return i64::try_from(text.len()).ok().map(Value::Number),
            Self::Lower => text.to_ascii_lowercase(),
            Self::Upper => text.to_ascii_uppercase(),
            Self::Basename => text.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec(),
            Self::Base64 => base64(&text)?,
            Self::Concat | Self::Join => return None,
        };
        Some(Value::Text(Cow::Owned(changed)))
    }
}

/// The argument of an option in a command line, by the rules of getopt(3); an option without argument gives an empty text.
fn option_of(line: &[u8], known: &str, wanted: &str) -> Option<Vec<u8>> {
    let takes_argument = |letter: u8| {
        let at = known.bytes().position(|byte| byte == letter)?;
        Some(known.as_bytes().get(at + 1) == Some(&b':'))
    };
    let wanted = wanted.bytes().next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if word == b"--" {
            return None;
        }
        let Some(mut letters) = word.strip_prefix(b"-") else { continue };
        while let Some((letter, rest)) = letters.split_first() {
            letters = rest;
            let argument = match takes_argument(*letter) {
                Some(true) if rest.is_empty() => words.next().unwrap_or_default().to_vec(),
                Some(true) => std::mem::take(&mut letters).to_vec(),
                Some(false) => Vec::new(),
                None => continue,
            };
            if *letter == wanted {
                return Some(argument);
            }
        }
    }
    None
}

/// Decodes base64 (RFC 4648, section 4), padding optional.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in text.iter().filter(|byte| **byte != b'=') {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    Some(out)
}
