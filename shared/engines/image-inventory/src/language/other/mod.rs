//! Lock files and manifests of the other languages.

pub(crate) mod beside;
pub(crate) mod dotnet;
pub(crate) mod golang;
pub(crate) mod lines;
pub(crate) mod ruby;
pub(crate) mod trees;
