//! The demo's story: one incident, heard by an external reader, told by traces, and no secret anywhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use testkit::parts::{Process, wait_until};
use testkit::require;

use crate::traces::Collector;
use crate::{program, subscriber};

pub(crate) fn is_alive(needle: &Path) -> bool {
    let needle = needle.display().to_string();
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        entry.file_name() != std::process::id().to_string().as_str()
            && String::from_utf8_lossy(&command).contains(&needle)
    })
}

fn holds(folder: &Path, needle: &[u8]) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let found = if path.is_dir() { holds(&path, needle) } else { None };
        let is_here =
            path.is_file() && fs::read(&path).unwrap_or_default().windows(needle.len()).any(|window| window == needle);
        if found.is_some() || is_here {
            return found.or(Some(path));
        }
    }
    None
}

/// Plays the story. Returns what was printed, and the types of the events that the external readers heard.
fn story(arguments: &[&str], collector: Option<&Collector>) -> Option<(String, [BTreeSet<String>; 2])> {
    let biotope = program("biotope")?;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("platform");
    let go = subscriber::build_go(folder.path());
    let mut command = Command::new(biotope);
    command.arg("demo").args(arguments).arg("--folder").arg(&state);
    if let Some(collector) = collector {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    }
    let mut demo = Process::start("biotope", &mut command, &folder.path().join("demo.log")).unwrap();
    let addresses = wait_until(Duration::from_secs(60), || fs::read_to_string(state.join("platform.json")).ok());
    assert!(addresses.is_some(), "{}", demo.last_lines(20));
    let url = fs::read_to_string(state.join("run/bus/reader.url")).unwrap();
    let reader = subscriber::start(&url, folder.path(), &["--stored", "--json"]);
    let other = go.map(|go| subscriber::start_go(&go, &url, folder.path()));
    let status = demo.wait(Duration::from_secs(120));
    let text = fs::read_to_string(folder.path().join("demo.log")).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{text}");
    assert!(text.contains("one incident, four phases, right ids: as planted"), "{text}");
    drop((reader, other));
    assert!(!is_alive(&state), "everything that was started is ended");
    // Each version of the secret begins so; none may be seen outside its target and its vault.
    for place in ["platform/logs", "platform/nats", "platform/state", "heard", "heard-go", "demo.log"] {
        for version in ["demo-1-", "demo-2-", "demo-3-"] {
            assert_eq!(holds(&folder.path().join(place), version.as_bytes()), None, "the secret's value is in {place}");
        }
    }
    Some((text, ["heard", "heard-go"].map(|name| heard(&folder.path().join(name)))))
}

fn heard(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter_map(|event| Some(event["type"].as_str()?.to_owned())).collect()
}

/// External readers hear of every phase, and of the incident.
fn heard_everything([python, go]: &[BTreeSet<String>; 2]) {
    for (heard, part) in [(python, "python"), (go, "go")] {
        if heard.is_empty() && !require::is_required(part) {
            continue;
        }
        for path in [
            "build.image.scanned",
            "deploy.admission.reviewed",
            "deploy.pod.created",
            "start.secret.synced",
            "start.secret.delivered",
            "run.container.started",
            "run.rule.matched",
            "incident.case.opened",
        ] {
            assert!(heard.contains(&format!("dev.biotope.{path}.v1")), "{path} was not heard by {part}: {heard:?}");
        }
    }
}

#[test]
fn the_demo_story_is_one_incident() {
    let Some((text, heard)) = story(&[], None) else { return };
    heard_everything(&heard);
    if require::is_required("ebpf") {
        assert!(!text.contains("played from a recording"), "{text}");
    }
}

#[test]
fn the_recorded_story_is_the_same_incident_and_traced() {
    let collector = Collector::start();
    let Some((text, heard)) = story(&["--replay"], Some(&collector)) else { return };
    heard_everything(&heard);
    assert!(text.contains("played from a recording"), "{text}");
    let spans = collector.spans();
    let of = |service: &str, name: &str| {
        spans.iter().filter(|span| span.service == service && span.name == name).collect::<Vec<_>>()
    };
    assert_eq!(of("registry-scanner", "command").len(), 1, "{spans:?}");
    let pods = of("admission-gateway", "pod");
    assert_eq!(pods.len(), 1, "{spans:?}");
    let reviews = of("admission-gateway", "review");
    let admitted = reviews.iter().filter(|review| review.trace == pods[0].trace).count();
    assert_eq!(admitted, 2, "mutation, validation and the pod are one trace: {spans:?}");
}
