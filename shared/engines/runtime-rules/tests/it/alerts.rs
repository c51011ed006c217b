//! Alerts in upstream's forms.

use std::collections::BTreeMap;

use runtime_rules::{
    Alert, AlertOptions, AppendOutput, ExtraField, LoadOptions, LostEvents, RuleSet, SourceFile, Value,
};

use crate::engine::Sample;

const RULE: &str = "- rule: Read secret\n  desc: d\n  condition: evt.type=openat\n  output: \"Opened %fd.name by %proc.name (tty=%proc.tty user=%user.name at %evt.time) %container.info\"\n  priority: WARNING\n  tags: [t2, container, t2]\n";

fn alert(options: AlertOptions, suggested_output: bool) -> Alert {
    appended(options, AppendOutput { suggested_output, ..AppendOutput::default() })
}

fn appended(options: AlertOptions, append: AppendOutput) -> Alert {
    let load = LoadOptions { append_output: vec![append], ..LoadOptions::default() };
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
            r#"{"hostname":"node1","output":"13:53:31.726060287: Warning Opened /etc/shadow by c\"at\n (tty=0 user=<NA> at 13:53:31.726060287) ","#,
            r#""output_fields":{"evt.time":1767275611726060287,"fd.name":"/etc/shadow","proc.name":"c\"at\n","proc.tty":0,"user.name":null},"#,
            r#""priority":"Warning","rule":"Read secret","source":"syscall","tags":["container","t2"],"time":"2026-01-01T13:53:31.726060287Z"}"#
        )
    );
}

/// The text line is for logs and terminals, which obey control characters; JSON has escapes of its own.
#[test]
fn the_text_line_is_one_line_that_no_terminal_obeys() {
    let rule = "- rule: r\n  desc: d\n  condition: evt.type=openat\n  output: \"by %proc.name\"\n  priority: INFO\n";
    let options = LoadOptions { append_output: Vec::new(), ..LoadOptions::default() };
    let loaded = RuleSet::load(&[SourceFile { name: "r", text: rule }], &options);
    let name = "a\nb\rc\td\u{1b}[2J\0\u{7f}\u{9b}\u{e9}";
    let event = Sample("openat", BTreeMap::from([("proc.name", Value::text(name))]));
    let alert = Alert::new(&loaded.rules.rules()[0], &event, "node1", AlertOptions::default());
    assert!(
        alert.to_string().ends_with(
            r"Informational by a\nb\rc\td\u001b[2J\u0000\u007f\u009b\u{e9}".replace(r"\u{e9}", "\u{e9}").as_str()
        ),
        "{alert}"
    );
    let value = alert.to_value();
    assert_eq!(value["output"], format!("13:53:31.726060287: Informational by {name}"));
    assert_eq!(value["output_fields"]["proc.name"], name);
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
    assert_eq!(value["output_fields"]["n_drops_buffer_open_exit"], "5");
    assert_eq!(value["output_fields"]["n_drops_buffer_proc_exit"], "0");
    let message = "Falco internal: syscall event drop. 7 system calls dropped in last second.";
    assert_eq!(value["output"], message);
    let keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["hostname", "output", "output_fields", "priority", "rule", "source", "time"]);
    let line = alert.to_string();
    let start = format!(
        r#"13:53:31.726060287: Debug {message} (ebpf_enabled="1" n_drops="7" n_drops_buffer_clone_fork_exit="0""#
    );
    assert!(line.starts_with(&start), "{line}");
}

#[test]
fn outputs_are_appended_to_where_they_match() {
    let add = AppendOutput {
        extra_output: Some("on %evt.hostname".to_owned()),
        extra_fields: vec![
            ExtraField::Raw("proc.tty".to_owned()),
            ExtraField::Formatted { name: "who".to_owned(), format: "%proc.name/%user.name".to_owned() },
        ],
        ..AppendOutput::default()
    };
    let to = |source: Option<&str>, tags: &[&str], rule: Option<&str>| AppendOutput {
        source: source.map(str::to_owned),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        rule: rule.map(str::to_owned),
        ..add.clone()
    };
    for (append, is_for) in [
        (add.clone(), true),
        (to(Some("syscall"), &["t2", "container"], Some("Read secret")), true),
        (to(Some("k8s_audit"), &[], None), false),
        (to(None, &["t2", "other"], None), false),
        (to(None, &[], Some("Another")), false),
    ] {
        let alert = appended(AlertOptions::default(), append);
        assert_eq!(alert.message.ends_with(" on <NA>"), is_for, "{alert}");
        assert_eq!(alert.output_fields.contains_key("who"), is_for);
        if is_for {
            assert_eq!(
                (&alert.output_fields["who"], &alert.output_fields["proc.tty"]),
                (&"c\"at\n/<NA>".into(), &0.into())
            );
        }
    }
}
