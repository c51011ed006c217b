//! What External Secrets manifests mean: what to fetch, how to convert it, what to write, when to look again.
//!
//! ```text
//! (file, YAML) -> Documents -> ManifestSet (stores resolved, faults beside it)
//! ManifestSet, readings, time -> Machine -> check this version, read that path, write this target, report
//! ```
//!
//! The crate has no I/O, no clock and no randomness: the caller performs every [`Output`] and hands back what came of it. Values of
//! secrets stand only in [`SecretBytes`] and [`SecretJson`], which wipe their memory, show nothing, and cannot be serialized. The
//! machine forgets values as soon as they are handed out for writing; it remembers keyed hashes.

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

pub mod api;
mod assemble;
mod decode;
pub mod generator;
mod jsonpath;
mod keys;
mod machine;
mod manifest;
mod property;
pub mod provider;
pub mod reconcile;
mod rewrite;
mod schedule;
mod set;
mod value;
mod window;

pub use assemble::{AssembleError, Assembled, assemble};
pub use decode::{DecodeError, DecodingStrategy, decode};
pub use keys::{
    ConversionStrategy, KeyError, check_keys, convert_keys, data_hash, owner_hash, reverse_key, secret_hash,
};
pub use machine::{
    Event, FetchKey, FetchProblem, Loss, Machine, Output, RenderProblem, Renderer, Report, ReportKind, Settings,
    TargetContent, WriteOrder,
};
pub use manifest::{
    CONFIG_MAP, CaProvider, ClientCertificate, CreationPolicy, DataItem, DeletionPolicy, Documents, ExternalSecret,
    Extract, FakeValue, KvVersion, Literal, NamespaceRule, Place, Provider, RefreshPolicy, RemoteRef, RoleId,
    SecretKeySelector, SecretPart, Store, StoreKind, StoreRef, TargetRef, TargetTemplate, TokenSource, VaultAuth,
    VaultStore, parse,
};
pub use property::find as find_property;
pub use rewrite::{Merge, Rewrite, RewriteError, Transformer, rewrite};
pub use schedule::parse_duration;
pub use set::{Credentials, ManifestSet, Resolved};
pub use value::{Reading, SecretBytes, SecretJson};
pub use window::{SyncWindows, is_within};
