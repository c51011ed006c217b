//! Overlay patterns: compiled once, matched against a resource as `validate.pattern` and anchors in patches do.

pub(crate) mod anchor;
mod compile;
mod evaluate;
mod leaf;
#[cfg(test)]
mod tests;

pub(crate) use compile::{Pattern, compile};
pub(crate) use evaluate::{Mismatch, matches};
pub(crate) use leaf::{Operator, matches_text, operator_of};
