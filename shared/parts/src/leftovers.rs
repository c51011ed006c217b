//! Removes what a cluster leaves behind: processes of its namespace, mounts, the namespace, empty control groups.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::wait_until;

/// Ends every process in the network namespace and removes it. Does nothing when it does not exist.
pub(crate) fn remove(namespace: &str) {
    if !Path::new("/run/netns").join(namespace).exists() {
        return;
    }
    wait_until(Duration::from_secs(10), || {
        let processes = processes(namespace);
        processes.iter().for_each(|id| {
            // It may be gone already.
            let _ = kill_process(*id, Signal::KILL);
        });
        processes.is_empty().then_some(())
    });
    // Without a namespace there is nothing to complain to.
    let _ = Command::new("ip").args(["netns", "del", namespace]).output();
    let _ = Command::new("ip").args(["link", "del", "biotope-c0"]).output();
    // The kernel keeps a group until its last process is reaped.
    wait_until(Duration::from_secs(3), || {
        let mut left = remove_groups(Path::new("/sys/fs/cgroup/kubepods"), 0);
        for root in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            left |= remove_groups(&root.path().join("kubepods"), 0);
        }
        (!left).then_some(())
    });
}

/// Unmounts everything below a folder, the deepest first.
pub(crate) fn unmount_under(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut points: Vec<&Path> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(Path::new)
        .filter(|point| point.starts_with(folder))
        .collect();
    points.sort_unstable();
    for point in points.into_iter().rev() {
        let _ = Command::new("umount").arg("-l").arg(point).output();
    }
}

fn processes(namespace: &str) -> Vec<Pid> {
    let output = Command::new("ip").args(["netns", "pids", namespace]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
}

/// Removes a tree of control groups that have no processes; whether something of it is left.
fn remove_groups(folder: &Path, depth: u8) -> bool {
    if depth > 5 || !folder.exists() {
        return false;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path(), depth + 1);
        }
    }
    fs::remove_dir(folder).is_err()
}
