//! JavaScript: lock files and installed packages.

pub(crate) mod bun;
pub(crate) mod licenses;
pub(crate) mod npm;
pub(crate) mod package_json;
pub(crate) mod pnpm;
pub(crate) mod project;
pub(crate) mod range;
pub(crate) mod yarn;
