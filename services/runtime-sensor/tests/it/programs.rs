//! What is told of programs that start: where their file lies, who started them, and that none is too short-lived to be seen.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::parts::wait_until;

use crate::{alerts, rule, watch};

fn seen(folder: &Path, rule: &str, count: usize) -> Vec<Value> {
    let of_rule = || -> Vec<Value> {
        let text = fs::read_to_string(folder.join("out")).unwrap_or_default();
        alerts(&text)
            .into_iter()
            .filter(|alert| alert["rule"] == rule)
            .map(|alert| alert["output_fields"].clone())
            .collect()
    };
    wait_until(Duration::from_secs(10), || Some(of_rule()).filter(|seen| seen.len() >= count)).unwrap_or_else(of_rule)
}

fn shell(folder: &Path, script: &str) {
    let output = Command::new("unshare").args(["-m", "/bin/sh", "-ec", script]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn ready() -> String {
    rule("ready", "evt.type in (open, openat) and fd.name contains marker-ready", "%fd.name")
}

#[test]
fn a_program_that_came_after_its_image_is_told_from_one_of_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let rules = ready()
        + &rule(
            "ran",
            "evt.type = execve and evt.res = SUCCESS and proc.name startswith bt-layer",
            "%proc.name %proc.is_exe_upper_layer %proc.is_exe_lower_layer %proc.exepath %proc.is_exe_writable",
        )
        + &rule(
            "read",
            "evt.type in (open, openat) and fd.filename startswith bt-layer and proc.name = cat",
            "%fd.filename %fd.is_upper_layer %fd.is_lower_layer",
        );
    let Some(_sensor) = watch(folder.path(), &rules) else { return };
    shell(
        folder.path(),
        "mkdir lower upper work merged
         cp /bin/true lower/bt-layer-low
         mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
         merged/bt-layer-low
         cp /bin/true merged/bt-layer-up
         merged/bt-layer-up
         cat merged/bt-layer-low merged/bt-layer-up > /dev/null",
    );
    let ran = seen(folder.path(), "ran", 2);
    let base = folder.path().canonicalize().unwrap().join("merged");
    for (alert, (name, is_upper)) in ran.iter().zip([("bt-layer-low", false), ("bt-layer-up", true)]) {
        let expected = json!({
            "proc.name": name, "proc.is_exe_upper_layer": is_upper, "proc.is_exe_lower_layer": !is_upper,
            "proc.exepath": base.join(name).display().to_string(), "proc.is_exe_writable": true,
        });
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&alert[field], value, "{field} of {alert}");
        }
    }
    assert_eq!(ran.len(), 2);
    let read = seen(folder.path(), "read", 2);
    let layers: Vec<_> = read.iter().map(|alert| (&alert["fd.is_upper_layer"], &alert["fd.is_lower_layer"])).collect();
    assert_eq!(layers, [(&json!(false), &json!(true)), (&json!(true), &json!(false))]);
}

#[test]
fn no_program_is_too_short_lived() {
    let folder = tempfile::tempdir().unwrap();
    let condition = "evt.type = execve and evt.res = SUCCESS and proc.name = bt-short";
    let rules = ready() + &rule("ran", condition, "%proc.pname %proc.exepath %proc.aname[2] %proc.cmdline %proc.cwd");
    let Some(_sensor) = watch(folder.path(), &rules) else { return };
    shell(folder.path(), "cp /bin/true bt-short; i=0; while [ $i -lt 80 ]; do ./bt-short $i; i=$((i+1)); done");
    let ran = seen(folder.path(), "ran", 80);
    let exe = folder.path().canonicalize().unwrap().join("bt-short").display().to_string();
    for (number, alert) in ran.iter().enumerate() {
        assert_eq!((&alert["proc.pname"], &alert["proc.exepath"]), (&json!("sh"), &json!(exe)));
        assert_eq!(alert["proc.cmdline"], json!(format!("bt-short {number}")));
    }
    assert_eq!(ran.len(), 80);
}

#[test]
fn files_are_followed_through_changes_of_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let condition = "evt.type in (open, openat) and proc.name = busybox and fd.filename startswith bt-file";
    let rules = ready() + &rule("opened", condition, "%fd.name %fd.nameraw %proc.cwd");
    let Ok(busybox) = testkit::parts::find(testkit::parts::Tool::Busybox) else {
        testkit::require::skip("busybox", "busybox is not installed");
        return;
    };
    let Some(_sensor) = watch(folder.path(), &rules) else { return };
    fs::create_dir_all(folder.path().join("new/old")).unwrap();
    fs::copy(busybox, folder.path().join("busybox")).unwrap();
    // A shell of its own, which changes folder and root in one process and opens files by relative paths between.
    let script = "cd new
         : > bt-file-1
         cd ..
         : > ./new/../bt-file-2
         mount --bind new new
         cd new
         /bin/sh -c 'exec \"$0\" sh -c \": > old/bt-file-3\"' ../busybox
         cp ../busybox .
         pivot_root . old
         exec /busybox sh -c 'cd /old; : > ../bt-file-4; : > /old/bt-file-5'";
    let script = format!("exec ./busybox sh -ec '{}'", script.replace('\'', "'\\''"));
    shell(folder.path(), &script);
    let opened = seen(folder.path(), "opened", 5);
    let base = folder.path().canonicalize().unwrap().display().to_string();
    let names: Vec<_> = opened.iter().map(|alert| alert["fd.name"].as_str().unwrap_or_default().to_owned()).collect();
    let expected = [
        format!("{base}/new/bt-file-1"),
        format!("{base}/bt-file-2"),
        format!("{base}/new/old/bt-file-3"),
        "/bt-file-4".to_owned(),
        "/old/bt-file-5".to_owned(),
    ];
    assert_eq!(names, expected);
}

#[test]
fn terminals_sessions_and_groups_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let output = "%proc.name %proc.tty %proc.is_sid_leader %proc.sname %proc.is_pgid_leader %proc.sid %proc.pid";
    let rules = ready()
        + &rule(
            "at-terminal",
            "evt.type = execve and evt.res = SUCCESS and proc.name = bt-tty and proc.tty != 0",
            output,
        )
        + &rule("without", "evt.type = execve and evt.res = SUCCESS and proc.name = bt-tty and proc.tty = 0", output);
    if Command::new("script").arg("--version").output().is_err() {
        testkit::require::skip("script", "util-linux is not installed");
        return;
    }
    let Some(_sensor) = watch(folder.path(), &rules) else { return };
    shell(
        folder.path(),
        "cp /bin/true bt-tty; script -qec ./bt-tty /dev/null > /dev/null < /dev/null; setsid -w ./bt-tty",
    );
    let at = seen(folder.path(), "at-terminal", 1);
    assert_eq!(at.len(), 1);
    // Device 136 holds the terminals of /dev/pts.
    assert_eq!(at[0]["proc.tty"].as_u64().unwrap() >> 8 & 0xfff, 136, "{at:?}");
    let without = seen(folder.path(), "without", 1);
    assert_eq!(without.len(), 1);
    assert_eq!((&without[0]["proc.is_sid_leader"], &without[0]["proc.sname"]), (&json!(true), &json!("bt-tty")));
    assert_eq!(without[0]["proc.sid"], without[0]["proc.pid"]);
}
