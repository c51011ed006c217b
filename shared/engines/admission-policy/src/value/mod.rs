//! Values as the language compares them: wildcards, quantities, durations, versions, Go's text form of a value.

mod object;
pub(crate) mod path;
mod trail;

pub(crate) use go_time::GoDuration as Duration;
pub(crate) use jmespath::go_text;
pub(crate) use jmespath::quantity::Quantity;
pub(crate) use jmespath::semver_range::Version;
pub(crate) use jmespath::wildcard;
pub(crate) use object::Object;
pub(crate) use trail::Trail;
