//! The story, and what a person sees who gives the programs bad input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use testkit::parts::{self, Process, wait_until};
use testkit::require;

/// A built program, beside this test; `None`, loudly, when it was not built.
fn program(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().unwrap();
    let path = own.ancestors().nth(2).unwrap().join(name);
    if !path.exists() {
        require::skip("binaries", &format!("{} is not built: run `make build`", path.display()));
        return None;
    }
    Some(path)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

fn is_alive(needle: &Path) -> bool {
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

fn story(arguments: &[&str]) -> Option<(String, tempfile::TempDir)> {
    let biotope = program("biotope")?;
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(biotope).arg("demo").args(arguments).arg("--folder").arg(folder.path()).output().unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("one incident, four phases, right ids: as planted"), "{text}");
    assert!(!is_alive(folder.path()), "everything that was started is ended");
    // Each version of the secret begins so; none may be seen outside its target and its vault.
    for place in ["logs", "nats", "state"] {
        for version in ["demo-1-", "demo-2-", "demo-3-"] {
            assert_eq!(holds(&folder.path().join(place), version.as_bytes()), None, "the secret's value is in {place}");
        }
    }
    Some((text, folder))
}

#[test]
fn the_demo_story_is_one_incident() {
    let Some((text, _folder)) = story(&[]) else { return };
    if require::is_required("ebpf") {
        assert!(!text.contains("played from a recording"), "{text}");
    }
}

#[test]
fn the_recorded_story_is_the_same_incident() {
    let Some((text, _folder)) = story(&["--replay"]) else { return };
    assert!(text.contains("played from a recording"), "{text}");
}

#[test]
fn a_running_platform_shows_faults_and_events() {
    let Some(biotope) = program("biotope") else { return };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut command = Command::new(&biotope);
    command.arg("up").arg("--folder").arg(&state);
    let mut up = Process::start("biotope", &mut command, &folder.path().join("up.log")).unwrap();
    let addresses = wait_until(Duration::from_secs(60), || fs::read_to_string(state.join("platform.json")).ok());
    let addresses: serde_json::Value =
        serde_json::from_str(&addresses.unwrap_or_else(|| panic!("{}", up.last_lines(10)))).unwrap();
    let heard = subscriber(addresses["nats"].as_str().unwrap(), folder.path());
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

/// The documented example in Python, where its packages are installed.
fn subscriber(nats: &str, folder: &Path) -> Option<Process> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"), PathBuf::from);
    let python = cache.join("biotope/tools/python/bin/python3");
    if !python.exists() {
        require::skip("python", "the example subscriber's packages are not installed: run `make tools`");
        return None;
    }
    let example = testkit::corpus::workspace_root().join("docs/examples/subscribe.py");
    let mut command = Command::new(python);
    command.arg(example).arg(nats);
    let process = Process::start("subscriber", &mut command, &folder.join("heard")).unwrap();
    wait_until(Duration::from_secs(20), || {
        fs::read_to_string(folder.join("heard")).ok().filter(|text| text.contains("subscribed"))
    })
    .expect("it subscribes");
    Some(process)
}

fn check(arguments: &[&str], code: i32, wanted: &str) {
    let Some(biotope) = program("biotope") else { return };
    let output = Command::new(biotope).args(arguments).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(text.contains(wanted), "{arguments:?}: {text}");
}

#[test]
fn bad_input_gets_a_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(
        path("rules.yaml"),
        "\n- rule: r\n  desc: d\n  condition: proc.nonsense=1\n  output: x\n  priority: INFO\n",
    )
    .unwrap();
    fs::create_dir(path("advisories")).unwrap();
    let port = parts::free_port().unwrap();
    let image = format!("127.0.0.1:{port}/no/such:1");
    check(&["rules", "check", &path("rules.yaml")], 1, "rules.yaml:2");
    check(&["incidents", "list", "--folder", &path("nowhere")], 1, "biotope up");
    check(&["scan", &image, "--advisories", &path("advisories")], 1, &image);
    check(&["scan", "x", "--advisories", &path("nowhere")], 1, "no folder of advisories");
    check(&["policy", "test", &path("nowhere")], 1, "does not exist");
    check(&["nonsense"], 2, "unrecognized subcommand");
}

#[test]
fn services_refuse_what_they_cannot_work_with() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, config: &str, arguments: &[&str]| {
        let path = folder.path().join("config.yaml");
        fs::write(&path, config).unwrap();
        let mut command = Command::new(program(name)?);
        Some(command.arg("--config").arg(path).args(arguments).current_dir(folder.path()).output().unwrap())
    };
    for service in ["correlator", "registry-scanner", "secret-broker", "runtime-sensor", "admission-gateway"] {
        let Some(output) = run(service, "cluster: local\nbus:\n  serverz: []\n", &[]) else { return };
        assert_eq!(output.status.code(), Some(64), "{service}: {}", said(&output));
        assert!(said(&output).contains("config.yaml:3:3: unknown field `serverz`"), "{service}: {}", said(&output));
    }
    let Some(good) = run("correlator", "cluster: local\n", &["--check-config"]) else { return };
    assert!(good.status.success(), "{}", said(&good));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let Some(output) = run("correlator", &format!("admin: {{ listen: \"{address}\" }}\n"), &[]) else { return };
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&format!("cannot listen on admin.listen {address}")), "{}", said(&output));
    let Some(nats) = parts::nats_without_jetstream() else { return };
    let Some(output) = run("correlator", &format!("bus: {{ servers: [\"{}\"] }}\n", nats.url()), &[]) else { return };
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("start it with `-js`"), "{}", said(&output));
}
