//! Incident rules, entity state, watermark and incident lifecycle, without I/O and without a clock.
//!
//! ```text
//! YAML --rule::parse--> Rule --RuleSet::compile--> RuleSet        (once; faults name file and line)
//! Event --RuleSet::select--> hits --Machine--> Case (one per story and subject) --> Output::{Opened, Updated, Resolved}
//! ```
//!
//! What surprises, written down first:
//!
//! - **A story, not a rule, owns an incident.** Rules that name the same `story` tell one story about one subject, and share one
//!   incident. The incident bears the name of the worst of its satisfied rules. A burst rule and a rule over four phases thus
//!   never open two incidents for one attack, in whatever order their events come.
//! - **Ids do not depend on arrival.** An id is a hash of story, subject and window start, and a window starts where the last
//!   incident of that story and subject ended (at the epoch for the first). So a replay, a duplicate and a shuffle within the
//!   watermark lead to the same id.
//! - **Two tiers.** Evidence newer than the watermark is *pending*, sorted by event time and id. Behind the watermark it is
//!   folded, in that order, into the *settled* tier, where bounds apply. Rules look at both tiers at once, so an incident opens
//!   without waiting; only what needs completeness (absence, the end of an incident) waits for the watermark.
//! - **Late events** (behind the watermark, up to [`Limits::lateness`]) take full part. Later ones attach to the timeline and count,
//!   but never take part in a decision about order. An incident that ended isn't opened again by an event from its own time: the
//!   event is added to it as it stands.

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

mod case;
mod condition;
mod event;
mod evidence;
mod facts;
mod fields;
mod incident;
mod limits;
mod links;
mod machine;
mod record;
mod routing;
mod rule;
mod saved;
mod selection;
mod set;
mod spec;
mod subject;
mod yaml;

pub use case::Case;
pub use event::{Event, Phase};
pub use evidence::Evidence;
pub use facts::{ScanFacts, ScannedFinding};
pub use fields::{FieldValue, Fields, WantedFields};
pub use incident::{Factor, Incident, Output, Status, incident_id};
pub use limits::{Limits, Stats};
pub use links::{PodRecord, WaitingMark};
pub use machine::Machine;
pub use record::{Change, Record, Restored};
pub use rule::{Join, Presence, Rule};
pub use set::{Hits, RuleSet};
