//! Policies: their manifests, and what they compile to.

pub(crate) mod advice;
pub(crate) mod autogen;
pub(crate) mod compile;
pub(crate) mod compiled;
pub(crate) mod current;
pub(crate) mod exception;
pub(crate) mod fields;
pub(crate) mod matching;
pub(crate) mod schema;
pub(crate) mod selector;
