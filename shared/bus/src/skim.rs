//! A reader of MessagePack for those who want a few fields of a message: what they do not ask for is stepped over by its length,
//! without looking at the text inside (MessagePack specification, "Formats").

use std::fmt;

use schemas::wire::MAX_DEPTH;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// The bytes that are not read yet, and how many arrays and maps are open.
#[derive(Debug)]
pub(crate) struct Skim<'de> {
    rest: &'de [u8],
    depth: usize,
}

impl<'de> Skim<'de> {
    pub(crate) fn new(bytes: &'de [u8]) -> Self {
        Self { rest: bytes, depth: 0 }
    }

    /// Whether everything was read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'de [u8], Wrong> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Wrong::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Wrong::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn length8(&mut self) -> Result<usize, Wrong> {
        Ok(usize::from(u8::from_be_bytes(self.array()?)))
    }

    fn length16(&mut self) -> Result<usize, Wrong> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    fn length32(&mut self) -> Result<usize, Wrong> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| Wrong::Truncated)
    }

    /// Reads what a value begins with.
    fn head(&mut self) -> Result<Head<'de>, Wrong> {
        let [format] = self.array()?;
        Ok(match format {
            0x00..=0x7f => Head::Unsigned(u64::from(format)),
            0xe0..=0xff => Head::Signed(i64::from(i8::from_be_bytes([format]))),
            0x80..=0x8f => Head::Map(usize::from(format & 0x0f)),
            0x90..=0x9f => Head::Array(usize::from(format & 0x0f)),
            0xa0..=0xbf => Head::Text(self.take(usize::from(format & 0x1f))?),
            0xc0 => Head::Nil,
            0xc1 => return Err(Wrong::Reserved),
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4 => self.length8().and_then(|length| self.take(length)).map(Head::Bytes)?,
            0xc5 => self.length16().and_then(|length| self.take(length)).map(Head::Bytes)?,
            0xc6 => self.length32().and_then(|length| self.take(length)).map(Head::Bytes)?,
            0xc7 => self.length8().and_then(|length| self.extension(length))?,
            0xc8 => self.length16().and_then(|length| self.extension(length))?,
            0xc9 => self.length32().and_then(|length| self.extension(length))?,
            0xca => Head::Float(f64::from(f32::from_be_bytes(self.array()?))),
            0xcb => Head::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Head::Unsigned(u64::from(u8::from_be_bytes(self.array()?))),
            0xcd => Head::Unsigned(u64::from(u16::from_be_bytes(self.array()?))),
            0xce => Head::Unsigned(u64::from(u32::from_be_bytes(self.array()?))),
            0xcf => Head::Unsigned(u64::from_be_bytes(self.array()?)),
            0xd0 => Head::Signed(i64::from(i8::from_be_bytes(self.array()?))),
            0xd1 => Head::Signed(i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => Head::Signed(i64::from(i32::from_be_bytes(self.array()?))),
            0xd3 => Head::Signed(i64::from_be_bytes(self.array()?)),
            0xd4 => self.extension(1)?,
            0xd5 => self.extension(2)?,
            0xd6 => self.extension(4)?,
            0xd7 => self.extension(8)?,
            0xd8 => self.extension(16)?,
            0xd9 => self.length8().and_then(|length| self.take(length)).map(Head::Text)?,
            0xda => self.length16().and_then(|length| self.take(length)).map(Head::Text)?,
            0xdb => self.length32().and_then(|length| self.take(length)).map(Head::Text)?,
            0xdc => Head::Array(self.length16()?),
            0xdd => Head::Array(self.length32()?),
            0xde => Head::Map(self.length16()?),
            0xdf => Head::Map(self.length32()?),
        })
    }

    /// An extension: a type of one byte and the payload.
    fn extension(&mut self, length: usize) -> Result<Head<'de>, Wrong> {
        self.take(1)?;
        self.take(length).map(Head::Bytes)
    }

    /// Steps over one value. The stack of open arrays and maps is never higher than [`MAX_DEPTH`].
    fn skip(&mut self) -> Result<(), Wrong> {
        let mut open = [0_usize; MAX_DEPTH];
        let mut depth = self.depth;
        let mut left = 1_usize;
        loop {
            while left == 0 {
                if depth == self.depth {
                    return Ok(());
                }
                depth = depth.saturating_sub(1);
                left = open.get(depth).copied().unwrap_or(0);
            }
            left = left.saturating_sub(1);
            let children = match self.head()? {
                Head::Array(length) => length,
                Head::Map(length) => length.saturating_mul(2),
                _ => 0,
            };
            if children > 0 {
                *open.get_mut(depth).ok_or(Wrong::TooDeep)? = left;
                depth = depth.saturating_add(1);
                left = children;
            }
        }
    }

    fn enter<T>(&mut self, length: usize, visit: impl FnOnce(Items<'_, 'de>) -> Result<T, Wrong>) -> Result<T, Wrong> {
        if length > 0 && self.depth >= MAX_DEPTH {
            return Err(Wrong::TooDeep);
        }
        self.depth = self.depth.saturating_add(1);
        let value = visit(Items { skim: self, left: length })?;
        self.depth = self.depth.saturating_sub(1);
        Ok(value)
    }
}

/// A value that has no others inside, or the number of those.
enum Head<'de> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'de [u8]),
    Bytes(&'de [u8]),
    Array(usize),
    Map(usize),
}

impl<'de> Deserializer<'de> for &mut Skim<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.head()? {
            Head::Nil => visitor.visit_unit(),
            Head::Bool(value) => visitor.visit_bool(value),
            Head::Unsigned(value) => visitor.visit_u64(value),
            Head::Signed(value) => visitor.visit_i64(value),
            Head::Float(value) => visitor.visit_f64(value),
            Head::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => visitor.visit_borrowed_str(text),
                Err(_) => visitor.visit_borrowed_bytes(bytes),
            },
            Head::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Head::Array(length) => self.enter(length, |items| visitor.visit_seq(items)),
            Head::Map(length) => self.enter(length, |items| visitor.visit_map(items)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if let Some((0xc0, rest)) = self.rest.split_first() {
            self.rest = rest;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

/// The values of an array or the entries of a map that are still to come.
struct Items<'s, 'de> {
    skim: &'s mut Skim<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.skim).map(Some)
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.skim).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        seed.deserialize(&mut *self.skim)
    }
}

/// Why reading ended. [`schemas::wire::check`] names what is wrong with the bytes; this is for what it finds nothing wrong with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("it ends inside a value")]
    Truncated,
    #[error("it holds the reserved byte 0xc1")]
    Reserved,
    #[error("it is nested too deep")]
    TooDeep,
    #[error("{0}")]
    Value(String),
}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Value(message.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize as _;
    use serde::de::IgnoredAny;
    use serde_json::{Value, json};

    use super::*;

    fn read(bytes: &[u8]) -> Result<Value, Wrong> {
        Value::deserialize(&mut Skim::new(bytes))
    }

    #[test]
    fn every_format_is_read_and_skipped() {
        let long = "x".repeat(70_000);
        let many: Vec<i64> = (-40_000..40_000).collect();
        for value in [
            json!(null),
            json!([true, false, 0, 127, 128, 255, 256, 65_535, 65_536, 4_294_967_296_u64, u64::MAX]),
            json!([-1, -32, -33, -128, -129, -32_768, -32_769, i64::MIN, 0.5, 1e300]),
            json!(["", "short", "x".repeat(40), "x".repeat(300), long]),
            json!({ "many": many, "map": (0..70_000).map(|n| (n.to_string(), n)).collect::<std::collections::BTreeMap<_, _>>() }),
        ] {
            let bytes = rmp_serde::to_vec_named(&value).unwrap();
            assert_eq!(read(&bytes).unwrap(), value);
            let mut skim = Skim::new(&bytes);
            IgnoredAny::deserialize(&mut skim).unwrap();
            assert!(skim.is_at_end());
            for cut in [0, bytes.len() / 2, bytes.len() - 1] {
                assert!(IgnoredAny::deserialize(&mut Skim::new(&bytes[..cut])).is_err());
                assert!(read(&bytes[..cut]).is_err());
            }
        }
    }

    #[test]
    fn depth_is_the_same_read_or_skipped() {
        for (levels, is_right) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false)] {
            let bytes = [vec![0x91; levels], vec![0x01]].concat();
            assert_eq!(schemas::wire::check(&bytes).is_ok(), is_right);
            assert_eq!(read(&bytes).is_ok(), is_right);
            assert_eq!(IgnoredAny::deserialize(&mut Skim::new(&bytes)).is_ok(), is_right);
        }
    }

    proptest! {
        /// Stepping over a value ends well exactly where the check of the wire finds nothing wrong.
        #[test]
        fn skipping_agrees_with_the_check(bytes in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => 0x80_u8..0xa4], 0..64)) {
            let mut skim = Skim::new(&bytes);
            let is_whole = IgnoredAny::deserialize(&mut skim).is_ok() && skim.is_at_end();
            prop_assert_eq!(is_whole, schemas::wire::check(&bytes).is_ok());
        }
    }
}
