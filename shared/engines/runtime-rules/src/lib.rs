//! The Falco language as a pure engine.
//!
//! ```text
//! SourceFiles --RuleSet::load--> RuleSet + Faults                       once, when rules change
//! Event (fields on demand) --RuleSet::evaluate--> the rules that match  per event; no clock, no I/O
//! Rule + Event --Alert::new--> the alert's line and JSON
//! RuleSet::event_types, RuleSet::fields --> what the kernel has to deliver
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

mod alert;
mod append;
mod ast;
mod catalogue;
mod collect;
mod comparison;
mod cost;
mod escape;
mod event;
mod event_type;
mod exceptions;
mod explain;
mod fields;
mod folder;
mod groups;
mod guards;
mod items;
mod limit;
mod lists;
mod literals;
mod lower;
mod macros;
mod output;
mod overrides;
mod parser;
mod possible;
mod priority;
mod program;
mod recorded;
mod requirements;
mod resolve;
mod set;
mod source;
mod time;
mod typed;
mod types;
mod yaml;

pub use alert::{Alert, AlertOptions, LostEvents};
pub use append::{AppendOutput, ExtraField, ExtraOutput};
pub use ast::{Condition, FieldName, Operand, Operator, Right};
pub use catalogue::{Bracket, FieldId, FieldType};
pub use event::{Event, Value};
pub use event_type::EventType;
pub use explain::{FieldEntry, Meaning, Step, catalogue};
pub use fields::{Field, FieldArgument};
pub use limit::{RateLimit, Verdict};
pub use output::Output;
pub use parser::{SyntaxError, parse};
pub use possible::Known;
pub use priority::Priority;
pub use program::Scratch;
pub use recorded::RecordedEvent;
pub use set::{LoadOptions, Loaded, Matching, Rule, RuleSet, SourceFile};
pub use types::EventTypes;
