//! Processes that make it hard to follow them: names that terminals would obey, very many threads, numbers that come back.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::parts::wait_until;
use testkit::require;

use crate::{alerts, rule, watch};

/// The program, built from source; `None`, loudly, without a compiler.
fn program(folder: &Path) -> Option<PathBuf> {
    let (source, program) = (concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/hostile.c"), folder.join("bt-hostile"));
    let built = Command::new("cc").args(["-O1", "-pthread", "-o"]).arg(&program).arg(source).status();
    if !built.is_ok_and(|status| status.success()) {
        require::skip("cc", "no C compiler");
        return None;
    }
    Some(program)
}

fn rules(name: &str) -> String {
    let output = "%fd.name %proc.name %proc.cmdline %proc.pid %proc.pname %thread.tid";
    rule("ready", "evt.type in (open, openat) and fd.name contains marker-ready", "%fd.name")
        + &rule(
            "opened",
            &format!("evt.type in (open, openat) and evt.is_open_write = false and fd.filename startswith {name}"),
            output,
        )
}

/// The first alert about a file.
fn about(folder: &Path, name: &str) -> Value {
    let found = wait_until(Duration::from_secs(60), || {
        let text = fs::read_to_string(folder.join("out")).ok()?;
        let is_it = |alert: &Value| {
            alert["rule"] == "opened"
                && alert["output_fields"]["fd.name"].as_str().is_some_and(|file| file.ends_with(name))
        };
        alerts(&text).into_iter().find(is_it)
    });
    found.unwrap_or_else(|| panic!("{name} is not told of"))["output_fields"].clone()
}

#[test]
fn a_name_that_terminals_would_obey_is_told_in_one_harmless_line() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = program(folder.path()) else { return };
    let Some(_sensor) = watch(folder.path(), &rules("bt-named")) else { return };
    let file = folder.path().join("bt-named");
    fs::write(&file, "").unwrap();
    assert!(Command::new(&program).arg("name").arg(&file).status().unwrap().success());
    let fields = about(folder.path(), "bt-named");
    assert_eq!(fields["proc.name"], json!("\u{1b}[2J\nbt\u{7}\u{fffd}"));
    let printed = fs::read(folder.path().join("out")).unwrap();
    let line =
        printed.split(|byte| *byte == b'\n').find(|line| line.windows(8).any(|part| part == b"bt-named")).unwrap();
    assert!(line.iter().all(|byte| *byte >= b' '), "{}", String::from_utf8_lossy(line));
}

#[test]
fn very_many_threads_are_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = program(folder.path()) else { return };
    // A call that no other test asks for: else its sensor would have to judge all of these, too.
    let asked = rule("asked", "evt.type = kcmp and proc.name = bt-hostile", "%fd.name %proc.pid");
    let Some(_sensor) = watch(folder.path(), &(rules("bt-after") + &asked)) else { return };
    let after = folder.path().join("bt-after");
    fs::write(&after, "").unwrap();
    assert!(Command::new(&program).args(["threads", "100000"]).status().unwrap().success());
    // Who comes after them is known as well as before.
    assert!(Command::new(&program).arg("thread").arg(&after).status().unwrap().success());
    let fields = about(folder.path(), "bt-after");
    assert_eq!((&fields["proc.name"], fields["proc.pid"] == fields["thread.tid"]), (&json!("bt-hostile"), false));
    let text = fs::read_to_string(folder.path().join("out")).unwrap();
    let of: HashSet<String> = alerts(&text)
        .iter()
        .filter(|alert| alert["rule"] == "asked")
        .map(|alert| alert["output_fields"]["proc.pid"].to_string())
        .collect();
    assert_eq!(of.len(), 1, "all threads are of one process: {of:?}");
}

#[test]
fn a_number_that_comes_back_is_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = program(folder.path()) else { return };
    let Some(_sensor) = watch(folder.path(), &rules("bt-reused")) else { return };
    let (first, second) = (folder.path().join("bt-reused-1"), folder.path().join("bt-reused-2"));
    fs::write(&first, "").unwrap();
    fs::write(&second, "").unwrap();
    let status = Command::new(&program).arg("reuse").args([&first, &second]).status().unwrap();
    if status.code() == Some(3) {
        require::skip("ns_last_pid", "this kernel does not let the next process number be chosen");
        return;
    }
    assert!(status.success(), "no number came back in thousands of tries");
    let again = about(folder.path(), "bt-reused-2");
    assert_eq!((&again["proc.name"], &again["proc.pname"]), (&json!("bt-hostile"), &json!("bt-hostile")));
    assert!(about(folder.path(), "bt-reused-1")["proc.name"] == "bt-first");
}
