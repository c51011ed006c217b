//! The sensor without a platform: what it prints, and a recording of this machine played again.

use std::fs;
use std::process::Command;

use testkit::require;

use crate::{program, said};

#[test]
fn a_recording_is_played_as_text_or_objects() {
    let Some(biotope) = program("biotope") else { return };
    let recording = testkit::corpus::workspace_root().join("cli/assets/demo.recording");
    let replay = |arguments: &[&str]| {
        let output =
            Command::new(&biotope).args(["sensor", "replay"]).arg(&recording).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = replay(&["-o", "text"]);
    assert_eq!((text.lines().count(), replay(&[]).lines().count()), (3, 3), "{text}");
    assert!(text.lines().next().unwrap().contains(": Notice Shell spawned in container"), "{text}");
    let json = replay(&["-o", "json"]);
    for line in json.lines() {
        let alert: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(alert["source"], "syscall");
    }
}

#[test]
fn rules_are_listed_with_their_source() {
    let Some(biotope) = program("biotope") else { return };
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    fs::write(&rules, "- rule: r\n  desc: d\n  condition: evt.type = open\n  output: x\n  priority: INFO\n").unwrap();
    let output = Command::new(biotope).args(["rules", "list", "-o", "json"]).arg(&rules).output().unwrap();
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&list[0]["source"], &list[0]["line"]), (&"syscall".into(), &1.into()), "{}", said(&output));
}

#[test]
fn what_this_machine_does_is_recorded_and_judged_later() {
    let Some(biotope) = program("biotope") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (rules, file, marker) =
        (folder.path().join("rules.yaml"), folder.path().join("recording"), folder.path().join("marker"));
    let rule = format!(
        "- rule: marked\n  desc: d\n  condition: evt.type in (open, openat) and fd.name = {}\n  output: '%proc.name'\n  priority: INFO\n",
        marker.display()
    );
    fs::write(&rules, rule).unwrap();
    fs::write(&marker, "").unwrap();
    let mut recording = Command::new(&biotope);
    recording.args(["sensor", "record", "--seconds", "4", "--rules"]).arg(&rules).arg(&file);
    let mut recording = recording.stderr(std::process::Stdio::piped()).spawn().unwrap();
    while recording.try_wait().unwrap().is_none() {
        Command::new("/bin/cat").arg(&marker).output().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let output = recording.wait_with_output().unwrap();
    if !output.status.success() {
        require::skip("ebpf", &said(&output));
        return;
    }
    let mut replay = Command::new(&biotope);
    let output = replay.args(["sensor", "replay", "--rules"]).arg(&rules).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("Informational cat"), "{}", said(&output));
}

#[test]
fn a_reader_that_goes_away_ends_the_watch() {
    let Some(biotope) = program("biotope") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (rules, marker) = (folder.path().join("rules.yaml"), folder.path().join("marker"));
    let rule = format!(
        "- rule: marked\n  desc: d\n  condition: evt.type in (open, openat) and fd.name = {}\n  output: '%proc.name'\n  priority: INFO\n",
        marker.display()
    );
    fs::write(&rules, rule).unwrap();
    fs::write(&marker, "").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut watch = Command::new(&biotope);
    watch.args(["sensor", "run", "--seconds", "120", "--rules"]).arg(&rules).stdout(writer);
    let mut watch = watch.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let began = std::time::Instant::now();
    while watch.try_wait().unwrap().is_none() {
        Command::new("/bin/cat").arg(&marker).output().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let output = watch.wait_with_output().unwrap();
    if !output.status.success() {
        require::skip("ebpf", &said(&output));
        return;
    }
    assert!(began.elapsed().as_secs() < 100, "it went on without a reader: {}", said(&output));
}
