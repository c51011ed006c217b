//! Rules judged again on what alerts recorded.

use runtime_rules::{Field, RecordedEvent};

use crate::engine::load;

const ALERT: &str = r#"{"rule": "r", "output": "o", "output_fields": {
    "evt.type": "connect", "evt.time": 1767275611726060287, "proc.name": "curl", "proc.tty": 0, "user.name": null,
    "proc.aname[1]": "sh", "proc.aname[2]": "containerd-shim", "fd.ip": "10.1.2.3->192.0.2.7", "fd.sport": 443,
    "fd.types": "(file,ipv4)", "container.privileged": true, "evt.arg.flags": "A|B", "proc.pid": "42"}}"#;

#[test]
fn what_was_recorded_is_judged_as_the_event_was() {
    let event = RecordedEvent::read(ALERT).unwrap();
    for (condition, holds) in [
        ("evt.type = connect and proc.name = curl", true),
        ("evt.type = openat and proc.name = curl", false),
        ("evt.time.s = 13:53:31", true),
        ("proc.aname in (containerd-shim)", true),
        ("proc.aname[1] = sh", true),
        ("proc.aname[3] exists", false),
        ("fd.ip = 192.0.2.7", true),
        ("fd.net = 10.1.0.0/16", true),
        ("fd.sport >= 443 and proc.tty = 0 and proc.pid = 42", true),
        ("fd.types intersects (ipv4, unix)", true),
        ("container.privileged = true", true),
        ("evt.arg.flags contains B", true),
        ("user.name exists", false),
        ("fd.name exists", false),
    ] {
        let yaml = format!("- rule: r\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n");
        let loaded = load(&yaml);
        assert_eq!(loaded.rules.rule("r").unwrap().holds(&event), holds, "{condition}");
    }
}

#[test]
fn missing_is_not_the_same_as_not_recorded() {
    let event = RecordedEvent::read(ALERT).unwrap();
    for (field, known) in
        [("user.name", true), ("evt.datetime", true), ("fd.name", false), ("proc.aname", true), ("proc.aexe", false)]
    {
        assert_eq!(event.knows(&Field::resolve(field, None).unwrap()), known, "{field}");
    }
}

#[test]
fn what_is_no_event_is_refused() {
    for (json, said) in [
        ("{", "no JSON"),
        ("[]", "neither an alert"),
        (r#"{"output_fields": 1}"#, "neither an alert"),
        (r#"{"proc.name": "sh"}"#, "`evt.type` is missing"),
        (r#"{"evt.type": "dance"}"#, "`dance` is no type"),
    ] {
        let error = RecordedEvent::read(json).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}
