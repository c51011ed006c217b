//! Rules that change while events flow, and rules that are not there.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use testkit::parts::wait_until;

use crate::{alerts, rule, watch, watch_files};

/// A marker file is opened without pause, each time under a number of its own; the rule for that never goes away. Meanwhile rules
/// come, one for calls that nobody watched before, a broken file comes, and rules go.
#[test]
fn no_event_is_missed_while_rules_change() {
    let folder = tempfile::tempdir().unwrap();
    let all = rule("ready", "evt.type in (open, openat) and fd.name contains marker-ready", "%fd.name")
        + &rule("steady", "evt.type in (open, openat) and fd.name contains steady-", "%fd.name");
    let Some(mut sensor) = watch(folder.path(), &all) else { return };
    let (file, out) = (folder.path().join("rules.yaml"), folder.path().join("out"));
    let (ends, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let opener = {
        let (ends, made, folder) = (ends.clone(), made.clone(), folder.path().to_owned());
        std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let number = made.fetch_add(1, Ordering::Relaxed);
                // There is no such file: the attempt is what counts.
                let _ = fs::File::open(folder.join(format!("steady-{number}")));
                std::thread::sleep(Duration::from_millis(20));
            }
        })
    };
    let said = || fs::read_to_string(&out).unwrap_or_default();
    let count = |name: &str| alerts(&said()).iter().filter(|alert| alert["rule"] == name).count();
    let does = |name: &str, what: &dyn Fn()| {
        let seen = wait_until(Duration::from_secs(20), || {
            what();
            (count(name) > 0).then_some(())
        });
        assert!(seen.is_some(), "{name}: {}", said());
    };
    let scratch = folder.path().join("scratch");
    let make = || {
        fs::create_dir_all(&scratch).unwrap();
        fs::remove_dir(&scratch).unwrap();
    };
    let added = rule("made", "evt.type in (mkdir, mkdirat) and fs.path.name contains scratch", "%fs.path.name");
    make();
    fs::write(&file, format!("{all}{added}")).unwrap();
    does("made", &make);
    let broken = all.replace("evt.type in (open, openat) and fd.name contains steady-", "evt.type in (open, openat");
    fs::write(&file, broken).unwrap();
    let kept = wait_until(Duration::from_secs(20), || said().contains("the old rules stay in force").then_some(()));
    assert!(kept.is_some(), "{}", said());
    let before = count("made");
    let still = wait_until(Duration::from_secs(20), || {
        make();
        (count("made") > before).then_some(())
    });
    assert!(still.is_some(), "a broken file takes nothing away: {}", said());
    let removed = rule("gone", "evt.type in (rmdir, unlinkat) and fs.path.name contains scratch", "%fs.path.name");
    fs::write(&file, format!("{all}{removed}")).unwrap();
    does("gone", &make);
    ends.store(true, Ordering::Relaxed);
    opener.join().unwrap();
    let made = made.load(Ordering::Relaxed);
    let numbers = || -> Vec<u64> {
        let steady = alerts(&said()).into_iter().filter(|alert| alert["rule"] == "steady");
        let number = |alert: Value| -> Option<u64> {
            alert["output_fields"]["fd.name"].as_str()?.rsplit_once("steady-")?.1.parse().ok()
        };
        steady.filter_map(number).collect()
    };
    wait_until(Duration::from_secs(10), || (numbers().last() == Some(&(made - 1))).then_some(()));
    assert_eq!(numbers(), (0..made).collect::<Vec<_>>(), "each once, in order, whatever became of the rules");
    sensor.kill();
}

#[test]
fn a_right_that_is_missing_is_named_with_its_remedy() {
    let mut command = std::process::Command::new("setpriv");
    command.arg("--bounding-set=-bpf,-perfmon,-sys_admin").arg(env!("CARGO_BIN_EXE_runtime-sensor"));
    let Ok(output) = command.args(["run", "--seconds", "1"]).output() else {
        testkit::require::skip("setpriv", "setpriv is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("lacks CAP_BPF and CAP_PERFMON: run it as root, or with these"), "{said}");
}

#[test]
fn rules_that_cannot_be_meant_are_told_of_and_nothing_runs_without_rules() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir_all(at("volume/..data")).unwrap();
    fs::write(at("volume/..data/rules.yaml"), rule("hidden", "evt.type = open", "x")).unwrap();
    fs::write(at("binary.yaml"), [0xff, 0xfe, 0, 1]).unwrap();
    fs::write(at("noyaml.yaml"), "- rule: [unclosed\n  }").unwrap();
    fs::write(at("scalar.yaml"), "just words").unwrap();
    fs::write(at("nothing.yaml"), "# later\n").unwrap();
    fs::write(
        at("huge.yaml"),
        rule("huge", &format!("evt.type = open and fd.name in ({})", "/a, ".repeat(5_000_000)), "x"),
    )
    .unwrap();
    let long = vec!["proc.name = a"; 700_000].join(" or ");
    fs::write(at("long.yaml"), rule("long", &format!("evt.type = open and ({long})"), "x")).unwrap();
    fs::write(
        at("regex.yaml"),
        rule("bomb", "evt.type = open and fd.name regex \"(((a{1000}){1000}){1000}){1000}\"", "x"),
    )
    .unwrap();
    fs::write(
        at("cycle.yaml"),
        "- macro: a\n  condition: b\n- macro: b\n  condition: a\n".to_owned() + &rule("cycle", "a", "x"),
    )
    .unwrap();
    for (name, wanted) in [
        ("empty", "the folder has no rules file"),
        ("volume", "the folder has no rules file"),
        ("binary.yaml", "the file is no UTF-8 text: byte 0xff at binary.yaml:1:1: save it as UTF-8"),
        ("noyaml.yaml", "noyaml.yaml"),
        ("scalar.yaml", "scalar.yaml"),
        ("huge.yaml", "bytes that a rules file may have"),
        ("long.yaml", "long.yaml"),
        ("regex.yaml", "regex.yaml"),
        ("cycle.yaml", "these macros name each other in a circle: a -> b -> a"),
        ("nothing.yaml", "the file defines nothing at nothing.yaml"),
        ("not-there.yaml", "cannot be read"),
    ] {
        let started = std::time::Instant::now();
        // Hard work, which is not to slow down those who watch the kernel at the same time.
        let mut command = std::process::Command::new("nice");
        command.args(["-n", "19", env!("CARGO_BIN_EXE_runtime-sensor")]).current_dir(folder.path());
        let output = command.args(["run", "--seconds", "1", "--rules", name]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(wanted) && said.contains("no rule could be loaded"), "{name}: {said}");
        assert!(said.len() < 4_000, "{name}: {} bytes are said in {:?}", said.len(), started.elapsed());
    }
}

/// A volume of Kubernetes is changed by exchanging a link to the folder that has the files; files are also emptied and taken away.
#[test]
fn a_volume_that_is_exchanged_is_taken_and_one_that_is_emptied_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (volume, out) = (folder.path().join("volume"), folder.path().join("out"));
    let put = |data: &str, text: &str| {
        fs::create_dir_all(volume.join(data)).unwrap();
        fs::write(volume.join(data).join("rules.yaml"), text).unwrap();
        std::os::unix::fs::symlink(data, volume.join("..new")).unwrap();
        fs::rename(volume.join("..new"), volume.join("..data")).unwrap();
    };
    let of = |name: &str| rule(name, &format!("evt.type in (open, openat) and fd.name contains {name}"), "%fd.name");
    let ready = of("marker-ready");
    put("..1", &(ready.clone() + &of("bt-first")));
    std::os::unix::fs::symlink("..data/rules.yaml", volume.join("rules.yaml")).unwrap();
    let Some(mut sensor) = watch_files(folder.path(), std::slice::from_ref(&volume), &[]) else { return };
    let said = || fs::read_to_string(&out).unwrap_or_default();
    let told = |name: &str| {
        wait_until(Duration::from_secs(20), || {
            let _ = fs::File::open(folder.path().join(name));
            alerts(&said()).iter().any(|alert| alert["rule"] == name).then_some(())
        })
    };
    let kept = |times: usize| {
        wait_until(Duration::from_secs(20), || {
            (said().matches("the old rules stay in force").count() >= times).then_some(())
        })
    };
    assert!(told("bt-first").is_some(), "{}", said());
    put("..2", &(ready.clone() + &of("bt-second")));
    assert!(told("bt-second").is_some(), "the exchanged volume is taken: {}", said());
    put("..3", "");
    assert!(kept(1).is_some(), "an empty file is no wish to have no rules: {}", said());
    fs::remove_file(volume.join("rules.yaml")).unwrap();
    assert!(kept(2).is_some(), "nor is a folder without files: {}", said());
    put("..4", &(ready + &of("bt-fourth")));
    std::os::unix::fs::symlink("..data/rules.yaml", volume.join("rules.yaml")).unwrap();
    assert!(told("bt-fourth").is_some(), "{}", said());
    sensor.kill();
}

/// What no rule wants is left out by the kernel, once it came twice. That ends when a rule wants it, and when the path leads elsewhere.
#[test]
fn what_was_unwanted_is_told_of_when_it_matters() {
    let folder = tempfile::tempdir().unwrap();
    let ready = rule("ready", "evt.type in (open, openat) and fd.name contains marker-ready", "%fd.name");
    let secret =
        rule("secret", "evt.type in (open, openat) and fd.name endswith bt-secret and proc.name = cat", "%fd.name");
    let at = |name: &str| folder.path().join(name);
    let Some(mut sensor) = watch(folder.path(), &format!("{ready}{secret}")) else { return };
    for name in ["bt-plain", "bt-other", "bt-secret"] {
        fs::write(at(name), "").unwrap();
    }
    std::os::unix::fs::symlink("bt-plain", at("bt-link")).unwrap();
    let read = |name: &str| {
        assert!(std::process::Command::new("/bin/cat").arg(at(name)).status().unwrap().success());
        std::thread::sleep(Duration::from_millis(30));
    };
    // Long enough that verdicts of these are in force.
    for _ in 0..10 {
        ["bt-plain", "bt-link", "bt-other"].into_iter().for_each(read);
    }
    fs::remove_file(at("bt-link")).unwrap();
    std::os::unix::fs::symlink("bt-secret", at("bt-link")).unwrap();
    read("bt-link");
    fs::rename(at("bt-secret"), at("bt-plain")).unwrap();
    fs::hard_link(at("bt-plain"), at("bt-secret")).unwrap();
    read("bt-secret");
    let told = |name: &str| {
        alerts(&fs::read_to_string(at("out")).unwrap_or_default())
            .iter()
            .filter(|alert| alert["rule"] == name)
            .map(|alert| alert["output_fields"]["fd.name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let both = wait_until(Duration::from_secs(10), || (told("secret").len() == 2).then_some(()));
    assert!(both.is_some(), "{:?}", told("secret"));
    assert_eq!(told("secret"), ["bt-secret", "bt-secret"], "by the file that it is, whatever led there");
    let other = rule("other", "evt.type in (open, openat) and fd.name endswith bt-other", "%fd.name");
    fs::write(at("rules.yaml"), format!("{ready}{secret}{other}")).unwrap();
    let wanted = wait_until(Duration::from_secs(20), || {
        read("bt-other");
        (!told("other").is_empty()).then_some(())
    });
    assert!(wanted.is_some(), "a new rule wants what was unwanted");
    sensor.kill();
}
