//! Alerts in Falco's forms: the text line and the JSON object.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::escape::visible;
use crate::event::Event;
use crate::priority::Priority;
use crate::set::Rule;
use crate::time;

/// What an alert says; upstream's `json_include_*` and `time_format_iso_8601` settings with their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertOptions {
    /// `output`: the line.
    pub output: bool,
    /// `message`: the line without time and priority.
    pub message: bool,
    /// `tags`.
    pub tags: bool,
    /// `output_fields`.
    pub output_fields: bool,
    /// The line begins with an ISO 8601 time.
    pub iso_time: bool,
}

impl Default for AlertOptions {
    fn default() -> Self {
        Self { output: true, message: false, tags: true, output_fields: true, iso_time: false }
    }
}

/// One alert. Its `Display` is the text line, [`Alert::to_json`] the JSON object.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// When the event happened, nanoseconds since 1970.
    pub time_ns: u64,
    /// Rule that matched.
    pub rule: String,
    /// Its priority.
    pub priority: Priority,
    /// `syscall`, or `internal`.
    pub source: &'static str,
    /// Name of the machine.
    pub hostname: String,
    /// Tags of the rule, in order; none for internal alerts.
    pub tags: Option<Vec<String>>,
    /// The output without time and priority.
    pub message: String,
    /// Values of the output's fields.
    pub output_fields: BTreeMap<String, Value>,
    options: AlertOptions,
}

impl Alert {
    /// The alert of a rule that matched an event.
    #[must_use]
    pub fn new<E: Event + ?Sized>(rule: &Rule, event: &E, hostname: &str, options: AlertOptions) -> Self {
        let mut tags = rule.tags.clone();
        tags.sort();
        tags.dedup();
        let mut output_fields = if options.output_fields { rule.output.values(event) } else { BTreeMap::new() };
        for extra in rule.extra_outputs.iter().filter(|_| options.output_fields) {
            let raw = || extra.format.values(event).remove(&extra.name).unwrap_or_default();
            let value = if extra.is_raw { raw() } else { extra.format.render(event).into() };
            output_fields.insert(extra.name.clone(), value);
        }
        let time_field = if options.iso_time { "evt.time.iso8601" } else { "evt.time" };
        output_fields.insert(time_field.to_owned(), event.timestamp_ns().into());
        Self {
            time_ns: event.timestamp_ns(),
            rule: rule.name.clone(),
            priority: rule.priority,
            source: "syscall",
            hostname: hostname.to_owned(),
            tags: Some(tags),
            message: rule.output.render(event),
            output_fields,
            options,
        }
    }

    /// The alert that tells of events which were lost: upstream's `Falco internal: syscall event drop`.
    #[must_use]
    pub fn events_lost(lost: &LostEvents, time_ns: u64, hostname: &str, options: AlertOptions) -> Self {
        let rule = "Falco internal: syscall event drop";
        let mut output_fields = BTreeMap::new();
        let mut put = |key: String, count: u64| drop(output_fields.insert(key, Value::from(count.to_string())));
        for key in ["n_drops_bug", "n_drops_page_faults", "n_drops_scratch_map"] {
            put(key.to_owned(), 0);
        }
        put("ebpf_enabled".to_owned(), 1);
        put("n_drops".to_owned(), lost.dropped);
        put("n_drops_buffer_total".to_owned(), lost.by_cause.values().sum());
        put("n_evts".to_owned(), lost.seen);
        for cause in LostEvents::CAUSES {
            put(format!("n_drops_buffer_{cause}_exit"), lost.by_cause.get(*cause).copied().unwrap_or_default());
        }
        Self {
            time_ns,
            rule: rule.to_owned(),
            priority: Priority::Debug,
            source: "internal",
            hostname: hostname.to_owned(),
            tags: None,
            message: format!("{rule}. {} system calls dropped in last second.", lost.dropped),
            output_fields,
            options,
        }
    }

    /// When the event happened, RFC 3339 with nanoseconds.
    #[must_use]
    pub fn utc_time(&self) -> String {
        time::utc(self.time_ns)
    }

    /// `13:53:31.726060287: Warning Sensitive file opened ...`, with what processes wrote as they wrote it.
    #[must_use]
    pub fn line(&self) -> String {
        let is_internal = self.source == "internal";
        let is_iso = self.options.iso_time && !is_internal;
        let time = if is_iso { time::iso8601(self.time_ns) } else { time::clock(self.time_ns) };
        let line = format!("{time}: {} {}", self.priority, self.message);
        if !is_internal {
            return line;
        }
        let pairs: Vec<_> = self.output_fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{line} ({})", pairs.join(" "))
    }

    /// One line of JSON, keys in order.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    /// The JSON object, keys in order.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
        put("hostname", self.hostname.as_str().into());
        if self.options.message && self.source != "internal" {
            put("message", self.message.as_str().into());
        }
        // What the sensor says of itself comes whole, whatever the options; its output has no time and no priority.
        let is_internal = self.source == "internal";
        if is_internal {
            put("output", self.message.as_str().into());
        } else if self.options.output {
            put("output", self.line().into());
        }
        if self.options.output_fields || is_internal {
            put("output_fields", Value::Object(self.output_fields.clone().into_iter().collect()));
        }
        put("priority", self.priority.as_str().into());
        put("rule", self.rule.as_str().into());
        put("source", self.source.into());
        if let Some(tags) = self.tags.as_ref().filter(|_| self.options.tags) {
            put("tags", tags.clone().into());
        }
        put("time", time::utc(self.time_ns).into());
        Value::Object(object)
    }
}

impl fmt::Display for Alert {
    /// [`Self::line`] with control characters made visible, for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.line()))
    }
}

/// How many events were lost in one interval, for [`Alert::events_lost`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostEvents {
    /// Events that were seen.
    pub seen: u64,
    /// Events that were lost.
    pub dropped: u64,
    /// Lost ones by cause, of [`Self::CAUSES`].
    pub by_cause: BTreeMap<String, u64>,
}

impl LostEvents {
    /// What upstream distinguishes.
    pub const CAUSES: &'static [&'static str] =
        &["clone_fork", "close", "connect", "dir_file", "execve", "open", "other_interest", "proc"];
}
