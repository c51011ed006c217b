//! Machines that lack something, and processes that give more, or other bytes, than expected.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::parts::{self, Tool, wait_until};
use testkit::require;

use crate::{alerts, container, remove_cgroups, rule, sensor, watch};

fn ready() -> String {
    rule("ready", "evt.type in (open, openat) and fd.name contains marker-ready", "%fd.name")
}

/// The fields of the first alert of a rule that is the one.
fn seen(folder: &Path, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let found = wait_until(Duration::from_secs(60), || {
        let text = fs::read_to_string(folder.join("out")).ok()?;
        alerts(&text).into_iter().find(|alert| alert["rule"] == name && is_it(&alert["output_fields"]))
    });
    found.unwrap_or_else(|| panic!("{name} is not told of"))["output_fields"].clone()
}

/// What a sensor says for which one folder of the machine is empty, and how it ends.
fn without(hidden: &str, rules: &Path) -> Option<(Option<i32>, String)> {
    let sensor = sensor();
    let script = format!(
        "mount -t tmpfs none {hidden} && exec {} run --seconds 1 --rules {}",
        sensor.get_program().display(),
        rules.display()
    );
    let output = Command::new("unshare").args(["-m", "/bin/sh", "-c", &script]).output();
    let Ok(output) = output else {
        require::skip("unshare", "unshare is not installed");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("ermission") || said.contains("not permitted") || said.contains("CAP_") {
        require::skip("ebpf", &said);
        return None;
    }
    Some((output.status.code(), said))
}

#[test]
fn what_the_machine_lacks_is_named_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    fs::write(&rules, ready()).unwrap();
    let Some((status, said)) = without("/sys/kernel/btf", &rules) else { return };
    assert_eq!(status, Some(1), "{said}");
    let wanted = "runtime-sensor: the kernel cannot be watched: BTF: missing, no /sys/kernel/btf/vmlinux: use a kernel built with";
    assert!(said.lines().any(|line| line.starts_with(wanted)), "{said}");
    // As on a machine with cgroup v1 only: it works, and says what it does not know.
    let Some((status, said)) = without("/sys/fs/cgroup", &rules) else { return };
    assert_eq!(status, Some(0), "{said}");
    let wanted = "cgroup2: absent, containers are not told from the host: mount the unified hierarchy";
    assert!(said.lines().any(|line| line == wanted), "{said}");
}

#[test]
fn bytes_that_are_no_text_and_very_long_command_lines_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let opened = "evt.type in (open, openat) and fd.name contains bt-odd and proc.name = cat";
    let ran = "evt.type = execve and proc.args contains bt-long";
    let rules = ready()
        + &rule("odd", opened, "%fd.name %proc.args %fd.nameraw")
        + &rule("long", ran, "%proc.cmdline %proc.name");
    let Some(_sensor) = watch(folder.path(), &rules) else { return };
    let odd = folder.path().join(OsStr::from_bytes(b"bt-odd\xff\xfe\n"));
    fs::write(&odd, "x").unwrap();
    assert!(Command::new("/bin/cat").arg(&odd).output().unwrap().status.success());
    let fields = seen(folder.path(), "odd", |_| true);
    let shown = json!(format!("{}/bt-odd\u{fffd}\u{fffd}\n", folder.path().display()));
    assert_eq!([&fields["fd.name"], &fields["proc.args"], &fields["fd.nameraw"]], [&shown; 3]);
    // Nearly all that the kernel takes with the usual limits: two million bytes.
    let long = "x".repeat(130_000);
    let mut command = Command::new("/bin/true");
    command.env_clear().arg("bt-long").args(std::iter::repeat_n(&long, 15));
    assert!(command.status().unwrap().success());
    let fields = seen(folder.path(), "long", |_| true);
    let line = fields["proc.cmdline"].as_str().unwrap();
    assert!(line.starts_with("true bt-long xxxx") && line.len() > 3_000 && line.len() < 5_000, "{} bytes", line.len());
    assert_eq!(fields["proc.name"], "true");
}

#[test]
fn fields_that_follow_from_others_have_values() {
    let folder = tempfile::tempdir().unwrap();
    let output = "%fd.uid/%fd.num/%thread.tid|%fd.containername|%fd.containerdirectory|%evt.is_io|%evt.count.error|%evt.count.exit|%evt.abspath.src|%evt.rawarg.name|%evt.rawarg.flags|%evt.info|%evt.args|%proc.loginshellid/%proc.apid[1]";
    let rules = ready()
        + &rule("derived", "evt.type in (open, openat) and fd.name contains bt-derived and proc.name = cat", output);
    let Some(_sensor) = watch(folder.path(), &rules) else { return };
    let script = "cat ./bt-derived; :";
    let status = Command::new("/bin/sh").args(["-c", script]).current_dir(folder.path()).output().unwrap().status;
    assert!(status.success(), "the shell goes on after a file that is not there");
    let fields = seen(folder.path(), "derived", |_| true);
    let path = format!("{}/bt-derived", folder.path().display());
    assert_eq!(fields["fd.uid"], json!(format!("{}{}", fields["thread.tid"], fields["fd.num"])));
    assert_eq!(fields["fd.containername"], json!(format!(":{path}")));
    assert_eq!(fields["fd.containerdirectory"], json!(format!(":{}", folder.path().display())));
    assert_eq!([&fields["evt.is_io"], &fields["evt.count.error"]], [&json!(false), &json!(1)]);
    assert_eq!([&fields["evt.abspath.src"], &fields["evt.rawarg.name"]], [&json!(path), &json!("./bt-derived")]);
    assert_eq!(fields["evt.info"], fields["evt.args"]);
    assert!(fields["proc.loginshellid"].as_u64().unwrap() > 0 && fields["evt.count.exit"] == 1, "{fields}");
}

#[test]
fn no_container_is_too_short_lived() {
    let folder = tempfile::tempdir().unwrap();
    let rules = ready()
        + &rule("ran", "evt.type = execve and container.id != host", "%proc.name %container.full_id %proc.pname");
    let (Ok(runc), Ok(busybox)) = (parts::find(Tool::Runc), parts::find(Tool::Busybox)) else {
        require::skip("runc", "runc or busybox is not installed");
        return;
    };
    let Some(_sensor) = watch(folder.path(), &rules) else { return };
    let id = format!("{:032x}{:032x}", std::process::id(), 5);
    // It lives for as long as it takes to start a program that does nothing: some milliseconds.
    let run = container(folder.path(), (&runc, &busybox), &id, "exec /bin/true");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let fields =
        seen(folder.path(), "ran", |fields| fields["container.full_id"] == json!(id) && fields["proc.name"] == "true");
    assert!(fields["proc.pname"] != "true", "{fields}");
    remove_cgroups();
}
