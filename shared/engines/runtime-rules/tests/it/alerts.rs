//! Alerts in upstream's forms.

use std::collections::BTreeMap;

use runtime_rules::{Alert, AlertOptions, LoadOptions, LostEvents, RuleSet, SourceFile, Value};

use crate::engine::Sample;

const RULE: &str = "- rule: Read secret\n  desc: d\n  condition: evt.type=openat\n  output: \"Opened %fd.name by %proc.name (tty=%proc.tty user=%user.name at %evt.time) %container.info\"\n  priority: WARNING\n  tags: [t2, container, t2]\n";

fn alert(options: AlertOptions, suggested_outputs: bool) -> Alert {
    let load = LoadOptions { suggested_outputs, ..LoadOptions::default() };
    let loaded = RuleSet::load(&[SourceFile { name: "r", text: RULE }], &load);
    let event = Sample(
        "openat",
        BTreeMap::from([
            ("fd.name", Value::text("/etc/shadow")),
            ("proc.name", Value::text("c\"at\n")),
            ("proc.tty", Value::Number(0)),
            ("container.id", Value::text("host")),
        ]),
    );
    Alert::new(&loaded.rules.rules()[0], &event, "node1", options)
}

#[test]
fn the_json_is_upstreams() {
    assert_eq!(
        alert(AlertOptions::default(), false).to_json(),
        concat!(
            r#"{"hostname":"node1","output":"13:53:31.726060287: Warning Opened /etc/shadow by c\"at  (tty=0 user=<NA> at 13:53:31.726060287) ","#,
            r#""output_fields":{"evt.time":1767275611726060287,"fd.name":"/etc/shadow","proc.name":"c\"at\n","proc.tty":0,"user.name":null},"#,
            r#""priority":"Warning","rule":"Read secret","source":"syscall","tags":["container","t2"],"time":"2026-01-01T13:53:31.726060287Z"}"#
        )
    );
}

#[test]
fn suggested_fields_are_appended() {
    let alert = alert(AlertOptions::default(), true);
    assert!(alert.to_string().ends_with(" container_id=host container_name=<NA> container_image_repository=<NA> container_image_tag=<NA> k8s_pod_name=<NA> k8s_ns_name=<NA>"));
    assert_eq!(alert.output_fields["container.id"], "host");
}

#[test]
fn parts_can_be_left_out() {
    let none = AlertOptions { output: false, message: true, tags: false, output_fields: false, iso_time: true };
    let alert = alert(none, false);
    let keys: Vec<_> = alert.to_value().as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["hostname", "message", "priority", "rule", "source", "time"]);
    assert!(alert.to_string().starts_with("2026-01-01T13:53:31.726060287+0000: Warning Opened"));
}

#[test]
fn lost_events_are_an_alert() {
    let by_cause = BTreeMap::from([("open".to_owned(), 5), ("execve".to_owned(), 2)]);
    let lost = LostEvents { seen: 1000, dropped: 7, by_cause };
    let alert = Alert::events_lost(&lost, 1_767_275_611_726_060_287, "node1", AlertOptions::default());
    let value = alert.to_value();
    assert_eq!(value["rule"], "Falco internal: syscall event drop");
    assert_eq!((&value["priority"], &value["source"]), (&"Debug".into(), &"internal".into()));
    assert_eq!(value["output_fields"]["n_drops"], "7");
    assert_eq!(value["output_fields"]["n_drops_buffer_open"], "5");
    assert!(value["output"].as_str().unwrap().starts_with(
        "13:53:31.726060287: Debug Falco internal: syscall event drop. 7 system calls dropped in last second. (ebpf_enabled=1 n_drops=7"
    ));
}
