//! A platform that runs.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::parts::{Process, wait_until};

use crate::story::is_alive;
use crate::{program, said, subscriber};

#[test]
fn a_running_platform_shows_faults_and_events() {
    let Some(biotope) = program("biotope") else { return };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut up = start(&biotope, &state);
    let reader = fs::read_to_string(state.join("run/bus/reader.url")).unwrap();
    let heard = subscriber::start(&reader, folder.path(), &[]);
    fs::write(
        state.join("policies/broken.yaml"),
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata:\n  name: x\nspec:\n  rules:\n  - name: [\n",
    )
    .unwrap();
    fs::write(state.join("advisories/broken.json"), "{\n  nonsense").unwrap();
    let doctor = wait_until(Duration::from_secs(20), || {
        let output = Command::new(&biotope).args(["doctor", "--folder"]).arg(&state).output().unwrap();
        let text = said(&output);
        (text.contains("broken.yaml") && text.contains("broken.json:2")).then_some(text)
    });
    assert!(doctor.is_some(), "doctor names both broken files");
    if let Some(heard) = heard {
        let line = wait_until(Duration::from_secs(20), || {
            fs::read_to_string(folder.path().join("heard")).ok().filter(|text| text.contains("deploy.policy.changed"))
        });
        assert!(line.is_some(), "{}", heard.last_lines(5));
    }
    assert_eq!(up.stop(Duration::from_secs(30)).and_then(|status| status.code()), Some(0), "{}", up.last_lines(10));
    assert!(!is_alive(&state));
}

#[test]
fn a_platform_whose_server_ends_says_which() {
    let Some(biotope) = program("biotope") else { return };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut up = start(&biotope, &state);
    let nats = child(up.id(), "nats-server").expect("the platform's nats-server is its child");
    assert!(Command::new("kill").args(["-KILL", &nats.to_string()]).status().unwrap().success());
    assert_eq!(up.wait(Duration::from_secs(60)).and_then(|status| status.code()), Some(1), "{}", up.last_lines(10));
    let log = up.last_lines(20);
    assert!(log.contains("nats-server ended with signal: 9"), "{log}");
    assert!(!is_alive(&state));
}

/// `biotope up` in a folder, once it runs.
fn start(biotope: &Path, state: &Path) -> Process {
    let mut command = Command::new(biotope);
    command.arg("up").arg("--folder").arg(state);
    let up = Process::start("biotope", &mut command, &state.with_extension("log")).unwrap();
    let addresses = wait_until(Duration::from_secs(60), || fs::read_to_string(state.join("platform.json")).ok());
    assert!(addresses.is_some(), "{}", up.last_lines(10));
    up
}

/// The child of process `parent` whose name is `name`.
fn child(parent: u32, name: &str) -> Option<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).ok()?.filter_map(Result::ok);
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect::<String>();
    let mut ids = children.split_whitespace().filter_map(|id| id.parse::<u32>().ok());
    ids.find(|id| fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|comm| comm.trim_end() == name))
}
