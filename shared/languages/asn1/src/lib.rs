//! DER (ITU-T X.690), as far as keys, certificates and key stores need it: elements with a tag and a length. Reading copies nothing
//! and does not recurse; every length is checked against the bytes that are there.
//!
//! ```
//! use asn1::{INTEGER, Reader, SEQUENCE, integer, sequence};
//!
//! let pair = sequence(&[&integer(&[1]), &integer(&[0x80])]);
//! let mut numbers = Reader::single(&pair, SEQUENCE).into_iter().flatten();
//! assert_eq!(numbers.next().map(|number| (number.tag, number.content)), Some((INTEGER, &[1][..])));
//! assert_eq!(numbers.next().map(|number| number.content), Some(&[0, 0x80][..]));
//! ```

#![warn(missing_docs)]
#![deny(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]
#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::panic,
        reason = "tests fail by panicking"
    )
)]

mod reader;
mod writer;

pub use reader::{Element, Reader, decimal};
pub use writer::{NULL, bits, integer, oid, sequence, tlv};

/// The tag of a truth value.
pub const BOOLEAN: u8 = 0x01;
/// The tag of a whole number.
pub const INTEGER: u8 = 0x02;
/// The tag of a bit string; its first byte counts the bits of the last that do not count.
pub const BIT_STRING: u8 = 0x03;
/// The tag of bytes.
pub const OCTET_STRING: u8 = 0x04;
/// The tag of an object identifier.
pub const OID: u8 = 0x06;
/// The tag of a text in UTF-8.
pub const UTF8_STRING: u8 = 0x0c;
/// The tag of a time with two digits of its year.
pub const UTC_TIME: u8 = 0x17;
/// The tag of a sequence.
pub const SEQUENCE: u8 = 0x30;
/// The tag of a set.
pub const SET: u8 = 0x31;
