//! The Falco language as a pure engine.
//!
//! ```text
//! (file, YAML) pairs --RuleSet::load--> RuleSet + Faults             once, when rules change
//! Event (fields on demand) --RuleSet::evaluate--> matches            per event; no clock, no I/O
//! match + Event --Rule::render--> the alert's line and fields
//! ```
//!
//! What surprises: a comparison with a missing value is false, also `!=`, so `not` makes it true; lists are substituted as text,
//! macros as trees; `proc.aname` without an index is any ancestor; a condition is indexed by the event types for which it can be
//! true, and only comparisons of `evt.type` narrow that set.

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

mod ast;
mod compile;
mod escape;
mod evaluate;
mod fields;
mod loader;
mod output;
mod parser;
mod set;
mod types;

pub use ast::Condition;
pub use evaluate::{Event, Value};
pub use fields::{Field, FieldId, FieldType};
pub use loader::Priority;
pub use output::Output;
pub use parser::{SyntaxError, parse};
pub use set::{Loaded, Matching, Rule, RuleSet};
pub use types::EventTypes;
