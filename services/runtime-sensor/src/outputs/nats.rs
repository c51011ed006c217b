//! Alerts on NATS as falcosidekick sends them: its subjects, its payload, plain messages that nothing acknowledges.

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
        let payload = serde_json::to_vec(&Payload::of(&notice.alert, &uuid::Uuid::new_v4().to_string()))?;
        self.runtime.block_on(self.bus.send_plain(subject(&self.template, &notice.alert), payload))?;
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
            time: alert.utc_time(),
            output_fields: &alert.output_fields,
            source: alert.source,
            tags: alert.tags.as_deref().filter(|tags| !tags.is_empty()),
            hostname: &alert.hostname,
        }
    }
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
    fn the_payload_has_the_keys_in_order() {
        let alert = Alert::events_lost(&LostEvents::default(), 1_500_000_000, "node1", AlertOptions::default());
        assert_eq!(subject("falco.<priority>.<rule>", &alert), "falco.debug.falco_internal_syscall_event_drop");
        let json = serde_json::to_string(&Payload::of(&alert, "u")).unwrap();
        let start = r#"{"uuid":"u","output":"Falco internal: syscall event drop. 0 system calls dropped in last second.","priority":"Debug","rule":"#;
        assert!(json.starts_with(start), "{json}");
        assert!(
            json.contains(r#""time":"1970-01-01T00:00:01.500000000Z","output_fields":{"ebpf_enabled":"1","#),
            "{json}"
        );
        assert!(json.ends_with(r#""source":"internal","hostname":"node1"}"#), "{json}");
    }
}
