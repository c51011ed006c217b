//! Changing objects: strategic merge with anchors, JSON patches, and the difference of two objects.

pub(crate) mod anchors;
pub(crate) mod difference;
mod journal;
pub(crate) mod json_patch;
pub(crate) mod layers;
pub(crate) mod merge_keys;
mod nodes;
pub(crate) mod strategic;
pub(crate) mod strict;
#[cfg(test)]
mod tests;
pub(crate) mod text;
pub(crate) mod view;
