//! The wire contract and nothing else: event types, subject grammar and stream definitions as data.
//!
//! Every message is one MessagePack named map, an [`Event`], that names itself with CloudEvents attributes and carries every
//! identity that its sender knew. Within `v1` writers only add optional fields; readers ignore keys and enum values that they do
//! not know. How to add a type or a version is told in `schemas/README.md`.
//!
//! ```text
//! typed data --Event::new--> Event<D> --bus codec--> bytes --wire::check--> bus codec --> Event<D>
//!                               \--> subject: biotope.v1.<cluster>.<phase>.<noun>.<participle>.<key>
//! ```

#![warn(missing_docs)]
#![deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        reason = "tests fail by panicking"
    )
)]

pub mod access;
pub mod ask;
pub mod build;
pub mod deploy;
pub mod document;
pub mod incident;
pub mod run;
pub mod start;
pub mod wire;

mod envelope;
mod event_type;
mod stream;
mod subject;

pub use envelope::{AnyEvent, Event, EventData, Header};
pub use event_type::{EventType, Phase};
pub use stream::{BUCKETS, Bucket, Discard, STREAMS, Stream, SubjectTransform};
pub use subject::{EventSubject, PARTITIONS, Subject, SubjectError, Token, partition};
