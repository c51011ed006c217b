//! The sensor on a real kernel, with a real container; and the recording that stands for them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod actions;
mod calls;
mod hostile;
mod outputs;
mod pods;
mod programs;
mod recording;
mod reload;
mod surroundings;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::parts::{self, Process, Tool, wait_until};
use testkit::require;

const POD: &str = "0b1f9c6e-2d8f-4a5e-9d27-0c7a3c1f2b3a";

/// Where the cgroups of pods begin: a kubelet that runs on this machine ends what it finds below `/kubepods` and does not know.
fn own_cgroup() -> String {
    format!("/biotope-test-{}", std::process::id())
}

/// Takes the cgroups away that are empty by now.
fn remove_cgroups() {
    let pod = format!("{}/kubepods/burstable/pod{POD}", own_cgroup());
    for folder in Path::new(&pod).ancestors().filter(|folder| folder.starts_with(own_cgroup())) {
        // Another test may still be at work there.
        let _ = fs::remove_dir(Path::new("/sys/fs/cgroup").join(folder.strip_prefix("/").unwrap()));
    }
}

fn sensor() -> Command {
    Command::new(env!("CARGO_BIN_EXE_runtime-sensor"))
}

fn alerts(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|alert| alert["rule"].is_string())
        .collect()
}

/// A sensor that prints alerts to a file; `None`, loudly, where the kernel may not be watched.
fn watch(folder: &Path, rules: &str) -> Option<Process> {
    fs::write(folder.join("rules.yaml"), rules).unwrap();
    watch_files(folder, &[folder.join("rules.yaml")], &[])
}

/// The same with several files, one of which has a rule for opens of files named `marker-`.
fn watch_files(folder: &Path, rules: &[PathBuf], options: &[&str]) -> Option<Process> {
    let mut command = sensor();
    command.args(["run", "--seconds", "120"]).args(options);
    for file in rules {
        command.arg("--rules").arg(file);
    }
    let mut process = Process::start("runtime-sensor", &mut command, &folder.join("out")).unwrap();
    // The marker is opened until the first alert shows that events flow.
    let marker = folder.join("marker-ready");
    fs::write(&marker, "").unwrap();
    let flows = wait_until(Duration::from_secs(20), || {
        if process.ended().is_some() {
            return Some(false);
        }
        fs::read(&marker).unwrap();
        let _ = Command::new("/bin/cat").arg(&marker).output();
        fs::read_to_string(folder.join("out")).ok().filter(|text| text.contains("marker-ready")).map(|_| true)
    });
    if flows == Some(true) {
        return Some(process);
    }
    require::skip("ebpf", &process.last_lines(3));
    None
}

fn rule(name: &str, condition: &str, output: &str) -> String {
    format!("- rule: {name}\n  desc: d\n  condition: {condition}\n  output: '{output}'\n  priority: WARNING\n")
}

#[test]
fn each_call_is_seen_once_with_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let rules = rule(
        "opened",
        "evt.type in (open, openat) and fd.name contains marker-",
        "%fd.name %proc.name %proc.pid %proc.pname",
    ) + &rule(
        "removed",
        "evt.type in (unlink, unlinkat) and fs.path.name contains marker-",
        "%fs.path.name %proc.cmdline",
    ) + &rule("ran", "evt.type = execve and proc.args contains marker-", "%proc.cmdline %proc.exepath");
    let Some(_sensor) = watch(folder.path(), &rules) else { return };
    let file = folder.path().join("marker-one");
    fs::write(&file, "x").unwrap();
    let output = Command::new("/bin/sh").arg("-c").arg(format!("cat {0}; rm {0}", file.display())).output().unwrap();
    assert!(output.status.success());
    let neighbour = folder.path().join("innocent");
    fs::write(&neighbour, "x").unwrap();
    let removed = wait_until(Duration::from_secs(10), || {
        let text = fs::read_to_string(folder.path().join("out")).ok()?;
        let is_ours =
            |alert: &Value| alert["rule"] == "removed" && alert["output"].as_str().unwrap().contains("marker-one");
        alerts(&text).iter().any(is_ours).then_some(text)
    });
    let text = removed.expect("the removal is seen");
    let about = |rule: &str| -> Vec<Value> {
        alerts(&text)
            .into_iter()
            .filter(|alert| alert["rule"] == rule && alert["output"].as_str().unwrap().contains("marker-one"))
            .collect()
    };
    let opened: Vec<Value> =
        about("opened").into_iter().filter(|alert| alert["output_fields"]["proc.name"] == "cat").collect();
    assert_eq!(opened.len(), 1, "{opened:?}");
    assert_eq!(opened[0]["output_fields"]["proc.pname"], "sh");
    assert_eq!(opened[0]["output_fields"]["fd.name"], json!(file.display().to_string()));
    assert_eq!(about("removed").len(), 1);
    assert!(about("ran").iter().any(|alert| alert["output"].as_str().unwrap().contains("/cat")), "{text}");
    assert!(!text.contains("innocent"));
}

#[test]
fn a_container_is_known_by_its_cgroup_and_its_set_up_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    let rules = rule("ready", "evt.type in (open, openat) and fd.name contains marker-ready", "%fd.name")
        + &rule("mounted", "container.id != host and evt.type = mount", "%proc.name")
        + &rule(
            "shadow",
            "container.id != host and evt.type in (open, openat) and fd.name = /etc/shadow",
            "%proc.name %proc.pname %proc.vpid %container.full_id %k8s.pod.uid %user.name",
        );
    let (Ok(runc), Ok(busybox)) = (parts::find(Tool::Runc), parts::find(Tool::Busybox)) else {
        require::skip("runc", "runc or busybox is not installed");
        return;
    };
    let Some(_sensor) = watch(folder.path(), &rules) else { return };
    let id = format!("{:032x}{:032x}", std::process::id(), 7);
    let run = container(folder.path(), (&runc, &busybox), &id, "cat /etc/shadow; sleep 1");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = wait_until(Duration::from_secs(10), || {
        let text = fs::read_to_string(folder.path().join("out")).ok()?;
        text.lines().any(|line| line.contains("shadow") && line.contains(&id)).then_some(text)
    });
    let text = text.expect("the file is seen");
    // Containers of other tests may run beside this one.
    let is_ours = |alert: &Value| alert["rule"] == "shadow" && alert["output_fields"]["container.full_id"] == json!(id);
    let seen: Vec<Value> = alerts(&text).into_iter().filter(is_ours).collect();
    assert_eq!(seen.len(), 1, "{text}");
    let fields = &seen[0]["output_fields"];
    assert_eq!((&fields["proc.name"], &fields["proc.pname"]), (&json!("cat"), &json!("sh")));
    assert_eq!((&fields["container.full_id"], &fields["k8s.pod.uid"]), (&json!(id), &json!(POD)));
    assert_eq!(fields["user.name"], json!("keeper"), "as the container names its users");
    remove_cgroups();
    assert!(!text.contains("mounted"), "the runtime's set-up of the container is no event of the container: {text}");
}

/// Runs a container that does what this script says.
fn container(folder: &Path, (runc, busybox): (&Path, &Path), id: &str, script: &str) -> Output {
    let root = folder.join("rootfs");
    for name in ["bin", "etc", "proc"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    for applet in ["sh", "cat", "sleep", "true"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/shadow"), "").unwrap();
    fs::write(root.join("etc/passwd"), "keeper:x:0:0::/:/bin/sh\n").unwrap();
    let config = json!({
        "ociVersion": "1.0.2",
        "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", "env": ["PATH=/bin"], "args": ["/bin/sh", "-c", script] },
        "root": { "path": "rootfs" },
        "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
        "linux": { "cgroupsPath": format!("{}/kubepods/burstable/pod{POD}/{id}", own_cgroup()), "namespaces": [{ "type": "pid" }, { "type": "mount" }] },
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    Command::new(runc)
        .arg("--root")
        .arg(folder.join("runc"))
        .args(["run", "--bundle"])
        .arg(folder)
        .arg(id)
        .output()
        .unwrap()
}

#[test]
fn broken_input_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.yaml"), rule("r", "proc.nonsense = 1", "x")).unwrap();
    for (arguments, wanted) in
        [(["--rules", "bad.yaml"], "nonexistent field proc.nonsense"), (["--rules", "missing.yaml"], "missing.yaml")]
    {
        let output = sensor().current_dir(folder.path()).arg("run").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(wanted), "{said}");
    }
}
