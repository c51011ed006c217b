//! What the engine asks of an event.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::catalogue::FieldId;
use crate::event_type::EventType;
use crate::fields::FieldArgument;

/// An event, from which fields are computed only when a rule or an output asks for them.
///
/// The engine itself answers the fields of [`FieldId::is_answered_by_engine`]; an event is never asked for them.
pub trait Event {
    /// Its type.
    fn event_type(&self) -> EventType;

    /// When it happened, in nanoseconds since 1970 (UTC).
    fn timestamp_ns(&self) -> u64;

    /// The value of a field; `None` when it has none.
    fn field(&self, field: FieldId, argument: Option<&FieldArgument>) -> Option<Value<'_>>;
}

/// What an event gives for a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text: any bytes. For text and path fields.
    Text(Cow<'a, [u8]>),
    /// Whole number.
    Number(i64),
    /// Whole number that may be too large for `Number`: inode numbers, capability masks.
    Unsigned(u64),
    /// `true` or `false`.
    Boolean(bool),
    /// Address.
    Address(IpAddr),
    /// Any of several: all ancestors of `proc.aname` (nearest first), both ends of `fd.ip`. A comparison holds when it holds for
    /// one of them (`!=` on both ends of a connection: for both). An empty one is a missing value.
    Any(Vec<Value<'a>>),
    /// The value of a list field: `in` asks for all of its items, `intersects` for one.
    List(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    /// A text.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text.as_bytes()))
    }

    /// A text of any bytes.
    #[must_use]
    pub fn bytes(text: &'a [u8]) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// A text that was made for this call.
    #[must_use]
    pub fn owned(text: String) -> Self {
        Self::Text(Cow::Owned(text.into_bytes()))
    }

    /// A number wide enough for both kinds.
    pub(crate) fn number(&self) -> Option<i128> {
        match self {
            Self::Number(number) => Some(i128::from(*number)),
            Self::Unsigned(number) => Some(i128::from(*number)),
            Self::Text(_) | Self::Boolean(_) | Self::Address(_) | Self::Any(_) | Self::List(_) => None,
        }
    }

    /// As text, as outputs print it.
    #[inline]
    pub(crate) fn as_bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Text(text) => Cow::Borrowed(text.as_ref()),
            other => other.rendered(),
        }
    }

    fn rendered(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Text(text) => Cow::Borrowed(text.as_ref()),
            Self::Number(number) => Cow::Owned(number.to_string().into_bytes()),
            Self::Unsigned(number) => Cow::Owned(number.to_string().into_bytes()),
            Self::Boolean(true) => Cow::Borrowed(b"true"),
            Self::Boolean(false) => Cow::Borrowed(b"false"),
            Self::Address(address) => Cow::Owned(address.to_string().into_bytes()),
            Self::Any(items) => {
                let parts: Vec<_> = items.iter().map(Self::as_bytes).collect();
                Cow::Owned(parts.join(b"->".as_slice()))
            }
            Self::List(items) => {
                let parts: Vec<_> = items.iter().map(Self::as_bytes).collect();
                Cow::Owned([b"(".as_slice(), &parts.join(b",".as_slice()), b")"].concat())
            }
        }
    }
}
