//! Layer entries to packages: what is in an image, and which layer brought it.
//!
//! ```text
//! tar entries of one layer -> LayerReader::offer -> analyzers -> LayerInventory   (kept by diff id)
//! LayerInventory of each layer, lowest first -> merge (whiteouts, opaque folders) -> ImageInventory
//! files of a folder -> FolderReader::offer -> the same analyzers -> ImageInventory
//! bill of material  -> sbom::read
//! ```
//!
//! A folder of sources is read with [`Scope::Sources`]: its lock files and manifests count. Walk the folder without following links, give
//! each regular file to [`FolderReader::offer`] (or all of them to [`read_folder`]) and finish with an [`Outside`] that reads the caches
//! of package managers, or [`Nothing`].
//!
//! The crate reads what it is handed and nothing else. An analyzer decides by path, mode and size whether it wants the bytes of an
//! entry, so a walk skips what nobody wants; what is read is bounded by [`Limits`]. Input that breaks its format is set aside as a
//! [`model::Fault`] that names the file, and the rest goes on.

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
#![warn(missing_docs)]

mod analyzer;
mod entry;
mod folder;
mod found;
mod hash;
mod image;
pub mod jars;
mod language;
mod layer;
mod license;
mod limits;
mod os;
mod outside;
mod package;
mod places;
pub mod purl;
pub mod rules;
pub mod sbom;
mod sqlite;
mod system;
mod text;
mod tree;
mod xml;

pub use analyzer::{Hashes, Scope, analyze, analyze_with, analyzers, wants};
pub use entry::{Entry, EntryKind, PathFault, normal_path};
pub use folder::{FolderReader, read_folder};
pub use found::{Application, FileDigests, Found, LicenseFile, PackageList, UnidentifiedArchive};
pub use image::{ImageInventory, merge};
pub use language::parse;
pub use layer::{LayerInventory, LayerReader, ReadError};
pub use limits::Limits;
pub use os::{OperatingSystem, Repository};
pub use outside::{Cache, Fetched, Maven, Nothing, Outside};
pub use package::{ApplicationKind, LineRange, Package, Reference, Relationship};
pub use places::{Environment, newest_python_first};
pub use text::ParseError;

/// How Maven finds the projects that others need.
pub mod maven {
    pub use crate::language::java::mirrors::{Mirrors, stands_for};
    pub use crate::language::java::pom::RemoteRepository;
    pub use crate::language::java::settings::{Mirror, Profile, Proxy, Server, Settings, SettingsRepository};
}

/// What a visit of an archive does with each member: its name, and its content or why it cannot be read.
pub type EachMember<'v> = dyn FnMut(&str, Result<Vec<u8>, ParseError>) + 'v;

/// Gives the members of a zip archive in memory one by one to `visit`: name, and content or why it cannot be read. Members over `limit`
/// bytes, and those that `wants` does not name, are not unpacked.
///
/// # Errors
/// When the bytes are no zip archive.
pub fn each_member(
    archive: &[u8],
    (limit, wants): (usize, fn(&str) -> bool),
    visit: &mut EachMember<'_>,
) -> Result<(), ParseError> {
    let archive = language::zip::Zip::open(archive)?;
    for member in archive.members.iter().filter(|member| wants(&member.name)) {
        visit(&member.name, archive.read(member, limit));
    }
    Ok(())
}
