//! The only door to NATS and to MessagePack.
//!
//! ```text
//! publish:  typed data -> Event -> bytes -> queue (memory, or a spool on disk) -> JetStream -> ack -> kept 3 min -> dropped
//! consume:  JetStream -> bytes -> limits -> Event -> handler -> Result -> ack | retry after | park (dead letter)
//! ```
//!
//! Nothing is dropped silently: what a bounded queue could not hold is counted by class and published as `run.events.lost`.

#![warn(missing_docs)]

mod ask;
mod codec;
mod config;
mod connection;
mod consume;
mod cursor;
mod lease;
mod publish;
mod queue;
mod skim;
mod spool;
mod streams;
mod trace;

pub use trace::{adopt as adopt_traceparent, current as current_traceparent};

pub use ask::{AskFailure, Asked, Request};
pub use codec::{StoredError, decode, decode_any, decode_seed, encode, from_stored, to_stored};
pub use config::{Auth, Config, Spool as SpoolConfig, Tls};
pub use connection::{Bus, ConnectError, Origin, ParkError, PlainError};
pub use consume::{ConsumeError, Delivery, Disposed, Disposition, Subscription};
pub use cursor::{Cursor, CursorError, From, Stored};
pub use lease::{Lease, LeaseError};
pub use publish::{Class, Losses, Outgoing, PublishError, Publisher, derived_id, named_id};
pub use streams::StreamError;
