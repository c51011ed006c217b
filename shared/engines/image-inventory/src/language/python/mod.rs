//! Python: installed distributions and lock files.

pub(crate) mod metadata;
