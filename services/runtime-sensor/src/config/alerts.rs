//! How alerts are written, and where they go beside the bus. The settings have the names and defaults that upstream gives them.

use std::path::PathBuf;

use runtime_rules::{AlertOptions, AppendOutput, ExtraField, Priority};
use serde::Deserialize;
use service::ConfigFault;

/// Where alerts go beside the bus, and how they are written there.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// Whether alerts are JSON objects, else lines of text. Default false.
    pub json_output: bool,
    /// Whether the objects have `output`. Default true.
    pub json_include_output_property: bool,
    /// Whether they have `message`: the output without time and priority. Default false.
    pub json_include_message_property: bool,
    /// Whether they have `output_fields`. Default true.
    pub json_include_output_fields_property: bool,
    /// Whether they have `tags`. Default true.
    pub json_include_tags_property: bool,
    /// Whether `output` begins with date and time in ISO 8601 instead of the time of the day (UTC). Default false.
    pub time_format_iso_8601: bool,
    /// Whether standard output, file and program may wait up to a second for more alerts before they write. Default false.
    pub buffered_outputs: bool,
    /// What waits for the channels.
    pub outputs_queue: OutputsQueue,
    /// Milliseconds that a channel has, at the end, to write what still waits. Default 2000.
    pub output_timeout: u64,
    /// Standard output.
    pub stdout_output: StdoutOutput,
    /// A file.
    pub file_output: FileOutput,
    /// A program.
    pub program_output: ProgramOutput,
    /// The system log.
    pub syslog_output: SyslogOutput,
    /// An HTTP server, such as falcosidekick.
    pub http_output: HttpOutput,
    /// NATS subjects and payloads as falcosidekick has them.
    pub nats_output: NatsOutput,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            json_output: false,
            json_include_output_property: true,
            json_include_message_property: false,
            json_include_output_fields_property: true,
            json_include_tags_property: true,
            time_format_iso_8601: false,
            buffered_outputs: false,
            outputs_queue: OutputsQueue::default(),
            output_timeout: 2_000,
            stdout_output: StdoutOutput::default(),
            file_output: FileOutput::default(),
            program_output: ProgramOutput::default(),
            syslog_output: SyslogOutput::default(),
            http_output: HttpOutput::default(),
            nats_output: NatsOutput::default(),
        }
    }
}

impl Alerts {
    /// The same for the engine.
    pub(crate) fn options(&self) -> AlertOptions {
        AlertOptions {
            output: self.json_include_output_property,
            message: self.json_include_message_property,
            tags: self.json_include_tags_property,
            output_fields: self.json_include_output_fields_property,
            iso_time: self.time_format_iso_8601,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigFault> {
        let fault = |field, what: &str| Err(ConfigFault { field, what: what.to_owned() });
        if self.file_output.enabled && self.file_output.filename.as_os_str().is_empty() {
            return fault("service.alerts.file_output.filename", "names the file that alerts are written to");
        }
        if self.program_output.enabled && self.program_output.program.is_empty() {
            return fault("service.alerts.program_output.program", "names the command that alerts are written to");
        }
        let url = self.http_output.url.as_str();
        if self.http_output.enabled && !(url.starts_with("http://") || url.starts_with("https://")) {
            return fault("service.alerts.http_output.url", "must begin with http:// or https://");
        }
        if self.http_output.mtls && (self.http_output.client_cert.is_none() || self.http_output.client_key.is_none()) {
            return fault("service.alerts.http_output.mtls", "needs `client_cert` and `client_key`");
        }
        if !(1..=1_000_000).contains(&self.outputs_queue.capacity) {
            return fault("service.alerts.outputs_queue.capacity", "must be from 1 to 1000000");
        }
        if self.output_timeout > 600_000 {
            return fault("service.alerts.output_timeout", "must be at most 600000 milliseconds");
        }
        Ok(())
    }
}

/// What waits for the channels.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputsQueue {
    /// Alerts that may wait for each channel; more are dropped and counted. Default 10000.
    pub capacity: usize,
}

impl Default for OutputsQueue {
    fn default() -> Self {
        Self { capacity: 10_000 }
    }
}

/// Alerts on standard output.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StdoutOutput {
    /// Whether this channel is used. Default false.
    pub enabled: bool,
}

/// Alerts in a file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileOutput {
    /// Whether this channel is used. Default false.
    pub enabled: bool,
    /// Whether the file stays open. Default false: it is opened for each alert, so that it can be moved away at any time.
    pub keep_alive: bool,
    /// The file; alerts are added at its end.
    pub filename: PathBuf,
}

/// Alerts as input of a program.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProgramOutput {
    /// Whether this channel is used. Default false.
    pub enabled: bool,
    /// Whether one program takes all alerts. Default false: it is started for each.
    pub keep_alive: bool,
    /// The command, for `/bin/sh -c`.
    pub program: String,
}

/// Alerts in the system log.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyslogOutput {
    /// Whether this channel is used. Default false.
    pub enabled: bool,
    /// Socket of the log. Default `/dev/log`.
    pub socket: PathBuf,
}

impl Default for SyslogOutput {
    fn default() -> Self {
        Self { enabled: false, socket: PathBuf::from("/dev/log") }
    }
}

/// Alerts to an HTTP server: a POST for each.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpOutput {
    /// Whether this channel is used. Default false.
    pub enabled: bool,
    /// Where to.
    pub url: String,
    /// `User-Agent`. Default: this program and its version.
    pub user_agent: String,
    /// Whether any certificate is good enough. Default false.
    pub insecure: bool,
    /// PEM file of an authority that the server's certificate may come from, beside those of the system.
    pub ca_cert: Option<PathBuf>,
    /// Whether the server is shown a certificate. Default false.
    pub mtls: bool,
    /// PEM file of that certificate.
    pub client_cert: Option<PathBuf>,
    /// PEM file of its key.
    pub client_key: Option<PathBuf>,
    /// Whether the server's answers are logged. Default false.
    pub echo: bool,
}

/// Alerts on NATS, over the sensor's own connection, as falcosidekick sends them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatsOutput {
    /// Whether this channel is used. Default false.
    pub enabled: bool,
    /// Subject, with `<priority>` and `<rule>`. Default `falco.<priority>.<rule>`.
    pub subject_template: String,
    /// Less urgent alerts are not sent. Default `debug`.
    pub minimum_priority: Level,
}

impl Default for NatsOutput {
    fn default() -> Self {
        Self {
            enabled: false,
            subject_template: "falco.<priority>.<rule>".to_owned(),
            minimum_priority: Level::default(),
        }
    }
}

/// When lost events are an alert: `Falco internal: syscall event drop`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drops {
    /// Share of the events of a second, 0 to 1, over which their loss is an alert. Default 0.1.
    pub threshold: f64,
    /// Such alerts a second in the long run. Default 0.03333.
    pub rate: f64,
    /// Such alerts at once. Default 1.
    pub max_burst: u32,
    /// Whether there are such alerts. That events were lost is always counted, logged and said on the bus. Default true.
    pub alert: bool,
}

impl Default for Drops {
    fn default() -> Self {
        Self { threshold: 0.1, rate: 0.033_33, max_burst: 1, alert: true }
    }
}

/// What is added to the outputs of rules.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Append {
    /// To which rules; default: to all.
    #[serde(rename = "match")]
    pub to: AppendMatch,
    /// Text with `%field` items, put behind the output.
    pub extra_output: Option<String>,
    /// Entries of `output_fields`: a field, or a name with a text.
    pub extra_fields: Vec<AppendField>,
    /// Whether the container's and the pod's fields are put behind the output. Default false.
    pub suggested_output: bool,
}

/// Which rules something is added to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppendMatch {
    /// Rules for this source.
    pub source: Option<String>,
    /// Rules with all of these tags.
    pub tags: Vec<String>,
    /// The rule of this name.
    pub rule: Option<String>,
}

/// An entry that is added to `output_fields`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum AppendField {
    /// A field, under its own name.
    Field(String),
    /// Texts with `%field` items, by name.
    Text(std::collections::BTreeMap<String, String>),
}

impl Append {
    pub(super) fn to_engine(&self) -> AppendOutput {
        let fields = self.extra_fields.iter().flat_map(|field| match field {
            AppendField::Field(field) => vec![ExtraField::Raw(field.clone())],
            AppendField::Text(texts) => texts
                .iter()
                .map(|(name, format)| ExtraField::Formatted { name: name.clone(), format: format.clone() })
                .collect(),
        });
        AppendOutput {
            source: self.to.source.clone(),
            tags: self.to.tags.clone(),
            rule: self.to.rule.clone(),
            extra_output: self.extra_output.clone(),
            extra_fields: fields.collect(),
            suggested_output: self.suggested_output,
        }
    }
}

/// A priority, as settings name it: in any case, `info` for `informational`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(pub Priority);

impl Default for Level {
    fn default() -> Self {
        Self(Priority::Debug)
    }
}

impl std::str::FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Priority::ALL.map(|priority| priority.as_str().to_lowercase()).join(", ");
        Priority::parse(text).map(Self).ok_or_else(|| format!("`{text}` is no priority; there are {}", known()))
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
