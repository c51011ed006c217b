//! Alerts on NATS as falcosidekick sends them: its subjects, its payload to the byte, plain messages that nothing acknowledges.

use std::collections::BTreeMap;

use runtime_rules::{Alert, Priority};
use serde::Serialize;

use super::{Channel, Notice};
use crate::config::NatsOutput;

/// The connection.
pub(super) struct Nats {
    bus: bus::Bus,
    runtime: tokio::runtime::Handle,
    template: String,
    least: Priority,
}

impl Nats {
    pub(super) fn over(bus: bus::Bus, runtime: tokio::runtime::Handle, config: &NatsOutput) -> Self {
        Self { bus, runtime, template: config.subject_template.clone(), least: config.minimum_priority.0 }
    }
}

impl Channel for Nats {
    fn write(&mut self, notice: &Notice) -> anyhow::Result<()> {
        if notice.priority() > self.least {
            return Ok(());
        }
        let payload = Payload::of(&notice.alert, &uuid::Uuid::new_v4().to_string()).to_json()?;
        self.runtime.block_on(self.bus.send_plain(subject(&self.template, &notice.alert), payload.into_bytes()))?;
        Ok(())
    }
}

/// The subject for an alert.
fn subject(template: &str, alert: &Alert) -> String {
    let priority = alert.priority.as_str().to_lowercase();
    template.replace("<priority>", &priority).replace("<rule>", &token(&alert.rule))
}

/// A rule's name as a token of a subject: small letters and digits, what is between them one `_`.
fn token(rule: &str) -> String {
    let lower = rule.to_lowercase();
    let words = lower.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit()));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
}

/// The payload, its keys in falcosidekick's order.
#[derive(Serialize)]
struct Payload<'a> {
    uuid: &'a str,
    output: String,
    priority: &'a str,
    rule: &'a str,
    time: String,
    output_fields: &'a BTreeMap<String, serde_json::Value>,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a [String]>,
    hostname: &'a str,
}

impl<'a> Payload<'a> {
    fn of(alert: &'a Alert, uuid: &'a str) -> Self {
        Self {
            uuid,
            output: if alert.source == "internal" { alert.message.clone() } else { alert.line() },
            priority: alert.priority.as_str(),
            rule: &alert.rule,
            time: short_time(&alert.utc_time()),
            output_fields: &alert.output_fields,
            source: alert.source,
            tags: alert.tags.as_deref().filter(|tags| !tags.is_empty()),
            hostname: &alert.hostname,
        }
    }

    /// As Go's encoding/json writes it: what HTML and JavaScript give a meaning of their own is escaped.
    fn to_json(&self) -> serde_json::Result<String> {
        let json = serde_json::to_string(self)?;
        let mut out = String::with_capacity(json.len());
        for c in json.chars() {
            match c {
                // None of these stands outside the texts.
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => out.push(c),
            }
        }
        Ok(out)
    }
}

/// As Go's RFC3339Nano writes a time: without the zeros that end its fraction.
fn short_time(time: &str) -> String {
    let digits = time.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    let is_fraction = time.contains('.');
    if is_fraction { format!("{digits}Z") } else { time.to_owned() }
}

#[cfg(test)]
mod tests {
    use runtime_rules::{AlertOptions, LostEvents};

    use super::*;

    #[test]
    fn rules_become_tokens() {
        for (rule, expected) in [
            ("Read sensitive file untrusted", "read_sensitive_file_untrusted"),
            ("(Un)expected -- K8s NodePort!", "un_expected_k8s_nodeport"),
            ("Détection", "d_tection"),
            ("", ""),
        ] {
            assert_eq!(token(rule), expected);
        }
    }

    #[test]
    fn times_and_texts_are_written_as_go_writes_them() {
        for (time, expected) in [
            ("2026-01-01T13:53:31.726060287Z", "2026-01-01T13:53:31.726060287Z"),
            ("2026-01-01T13:53:30.100000000Z", "2026-01-01T13:53:30.1Z"),
            ("2026-01-01T13:53:30.000000000Z", "2026-01-01T13:53:30Z"),
            ("2026-01-01T13:53:30Z", "2026-01-01T13:53:30Z"),
        ] {
            assert_eq!(short_time(time), expected);
        }
        let fields = BTreeMap::from([("proc.name".to_owned(), "<a&b>\u{2028}\"\\\n\u{1}é".into())]);
        let payload = Payload {
            uuid: "u",
            output: "user=<NA>".to_owned(),
            priority: "Notice",
            rule: "r",
            time: "t".to_owned(),
            output_fields: &fields,
            source: "syscall",
            tags: None,
            hostname: "h",
        };
        let expected = concat!(
            r#"{"uuid":"u","output":"user=\u003cNA\u003e","priority":"Notice","rule":"r","time":"t","#,
            r#""output_fields":{"proc.name":"\u003ca\u0026b\u003e\u2028\"\\\n\u0001é"},"source":"syscall","hostname":"h"}"#
        );
        assert_eq!(payload.to_json().unwrap(), expected);
    }

    #[test]
    fn the_payload_has_the_keys_in_order() {
        let alert = Alert::events_lost(&LostEvents::default(), 1_500_000_000, "node1", AlertOptions::default());
        assert_eq!(subject("falco.<priority>.<rule>", &alert), "falco.debug.falco_internal_syscall_event_drop");
        let json = Payload::of(&alert, "u").to_json().unwrap();
        let start = r#"{"uuid":"u","output":"Falco internal: syscall event drop. 0 system calls dropped in last second.","priority":"Debug","rule":"#;
        assert!(json.starts_with(start), "{json}");
        assert!(json.contains(r#""time":"1970-01-01T00:00:01.5Z","output_fields":{"ebpf_enabled":"1","#), "{json}");
        assert!(json.ends_with(r#""source":"internal","hostname":"node1"}"#), "{json}");
    }
}
