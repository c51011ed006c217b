//! Recordings: what is played, what is said of broken ones, and of what is missing from them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::parts::wait_until;
use testkit::require;

use crate::{alerts, rule, sensor};

fn demo() -> PathBuf {
    testkit::corpus::workspace_root().join("cli/assets/demo.recording")
}

#[test]
fn a_recording_is_played_through_the_same_path() {
    let output = sensor().args(["run", "--replay"]).arg(demo()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let alerts = alerts(&String::from_utf8_lossy(&output.stdout));
    let rules: Vec<&str> = alerts.iter().map(|alert| alert["rule"].as_str().unwrap()).collect();
    assert_eq!(
        rules,
        [
            "Shell spawned in container",
            "Sensitive file opened in container",
            "Outbound connection by shell tool in container"
        ]
    );
}

#[test]
fn broken_recordings_are_told_of_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(demo()).unwrap();
    let head = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let frame = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat();
    let other = String::from_utf8_lossy(&whole[..head]).replace("recording-1", "recording-9").into_bytes();
    for (name, content, is_played, wanted) in [
        ("empty", Vec::new(), false, "is no recording"),
        ("nonsense", b"nonsense".to_vec(), false, "is no recording"),
        ("other", [&other, &whole[head..]].concat(), false, "is no recording: format `biotope-recording-9`"),
        ("cut", whole[..whole.len() - 5].to_vec(), false, "it ends within an event; what came before was played"),
        ("huge", [&whole[..head], &[0xff; 8]].concat(), false, "over the limit"),
        ("strange", [&whole[..head], &frame(b"no event"), &whole[head..]].concat(), true, "undecodable=1"),
        ("lossy", [&whole, &frame(b"\xfe\xff\x07\0\0\0\0\0\0\0")[..]].concat(), true, "missing=7"),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        let output = sensor().args(["run", "--replay"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(i32::from(!is_played)), "{name}: {said}");
        assert!(said.contains(wanted), "{name}: {said}");
        let told = alerts(&String::from_utf8_lossy(&output.stdout)).len();
        assert!(!is_played || told == 3, "{name}: {told} alerts");
    }
}

/// The recorder stands still while more comes than the ring holds, of calls that no other sensor asks for.
#[test]
fn what_is_missing_from_a_recording_is_said_in_numbers() {
    const CALLS: u64 = 150_000;
    let folder = tempfile::tempdir().unwrap();
    let (rules, file) = (folder.path().join("rules.yaml"), folder.path().join("recording"));
    fs::write(&rules, rule("r", "evt.type = umask", "%proc.name")).unwrap();
    let mut command = sensor();
    command.args(["record", "--seconds", "300", "--rules"]).arg(&rules).arg(&file);
    let mut recorder = command.stderr(Stdio::piped()).spawn().unwrap();
    let has_begun = wait_until(Duration::from_secs(60), || {
        let is_over = recorder.try_wait().unwrap().is_some();
        (is_over || file.exists()).then_some(!is_over)
    });
    if has_begun != Some(true) {
        let _ = recorder.kill();
        let output = recorder.wait_with_output().unwrap();
        require::skip("ebpf", &String::from_utf8_lossy(&output.stderr));
        return;
    }
    let signal = |name: &str, pid: u32| {
        assert!(Command::new("kill").args(["-s", name]).arg(pid.to_string()).status().unwrap().success())
    };
    signal("STOP", recorder.id());
    let script = format!("i=0; while [ $i -lt {CALLS} ]; do umask 022; i=$((i+1)); done");
    let mut generator = Command::new("/bin/sh").arg("-c").arg(script).spawn().unwrap();
    let made = generator.wait().unwrap();
    signal("CONT", recorder.id());
    signal("TERM", recorder.id());
    let output = recorder.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(made.success() && output.status.success(), "{said}");
    let missing =
        said.lines().find_map(|line| line.strip_prefix("runtime-sensor: ")?.strip_suffix(REMEDY)?.parse::<u64>().ok());
    let missing = missing.unwrap_or_else(|| panic!("nothing is said to be missing: {said}"));
    let recorded = recorded(&fs::read(&file).unwrap(), generator.id());
    // Of others something may be missing, too.
    assert!(recorded > 0 && recorded < CALLS && recorded + missing >= CALLS, "{recorded} + {missing} of {CALLS}");
    let played = sensor().args(["run", "--replay"]).arg(&file).arg("--rules").arg(&rules).output().unwrap();
    let said = String::from_utf8_lossy(&played.stderr).into_owned();
    assert!(played.status.success() && said.contains(&format!("missing={missing}")), "{said}");
}

const REMEDY: &str = " events are missing: they came faster than they could be written; ask for less by --rules";

/// How many calls of a process a recording has (see `struct header` in ebpf/event.h).
fn recorded(recording: &[u8], pid: u32) -> u64 {
    let mut rest = &recording[recording.iter().position(|byte| *byte == b'\n').unwrap() + 1..];
    let mut count = 0;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (frame, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        count += u64::from(frame.starts_with(&[1, 0, 0, 0]) && frame[24..28] == pid.to_le_bytes());
        rest = after;
    }
    count
}
