//! Points in time, durations, layouts and schedules as Go programs read and write them. Policies, secrets and templates are written
//! for such programs, so all of biotope reads them here. Pure: the clock and the database of time zones stay outside.
//!
//! ```
//! use go_time::{GoDuration, Moment, RFC3339};
//!
//! let (moment, zone) = Moment::parse_in_zone("Mon Jan _2 15:04:05 MST 2006", "Sat Feb  4 23:10:00 UTC 2023")?;
//! assert_eq!(moment.plus(GoDuration::parse("1h").unwrap_or_default()).format(RFC3339, &zone), "2023-02-05T00:10:00Z");
//! # Ok::<(), go_time::TimeError>(())
//! ```
//!
//! Sources: <https://pkg.go.dev/time> and, for [`Schedule`], <https://pkg.go.dev/github.com/robfig/cron/v3>.

#![warn(missing_docs)]
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

mod calendar;
mod duration;
mod layout;
mod moment;
mod reading;
mod schedule;

pub use calendar::days_from_civil;
pub use duration::{DurationError, GoDuration};
pub use moment::{Fields, Moment, RFC3339};
pub use reading::TimeError;
pub use schedule::{Schedule, ScheduleError};
