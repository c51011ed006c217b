//! On the real kernel: what a verdict is of is left out and counted, and everything that differs in anything is still sent.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use testkit::require;

use super::{Filter, PLACES};
use crate::decode::decode;
use crate::kernel::Kernel;
use crate::kernel::tests::kernel;

const CALLS: &[&str] = &["open", "openat", "openat2", "creat"];

/// How often an open of this path was sent by a shell that ran this script, and under which key the last time.
fn sent(kernel: &mut Kernel, folder: &Path, path: &str, script: &str) -> (usize, u64) {
    let output = Command::new("/bin/sh").current_dir(folder).args(["-c", script]).output().unwrap();
    assert!(output.stderr.is_empty() || script.contains("2>"), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    let (mut count, mut key) = (0, 0);
    while kernel.poll(10_000, |bytes| {
        let event = decode(bytes).unwrap();
        if event.path0 == Some(path.as_bytes()) {
            (count, key) = (count + 1, event.key);
        }
    }) > 0
    {}
    (count, key)
}

fn unwanted(kernel: &Kernel) -> u64 {
    kernel.counted().classes.iter().map(|class| class.unwanted).sum()
}

#[test]
fn only_the_like_of_what_was_judged_is_left_out() {
    let Some(mut kernel) = kernel(1 << 22, true, CALLS) else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for name in ["here", "elsewhere"] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(&format!("{name}/file")), name).unwrap();
    }
    symlink("here", at("link")).unwrap();
    let path = at("link/file");
    let read = format!("read x < {path}; :");
    // Nobody has asked for verdicts yet.
    assert_eq!(sent(&mut kernel, folder.path(), &path, &read), (1, 0));
    kernel.forget_verdicts().unwrap();
    let (count, key) = sent(&mut kernel, folder.path(), &path, &read);
    assert!(count == 1 && key != 0);
    assert_eq!(sent(&mut kernel, folder.path(), &path, &read), (1, key), "the like has the same key");
    kernel.leave_out(key).unwrap();
    let before = unwanted(&kernel);
    assert_eq!(sent(&mut kernel, folder.path(), &path, &format!("{read}; {read}; {read}")), (0, 0));
    assert!(unwanted(&kernel) - before == 3, "left out, and counted");

    // Each of these differs in one thing.
    let mut differs = |path: &str, script: &str| {
        let (count, key) = sent(&mut kernel, folder.path(), path, script);
        assert_eq!(count, 1, "{script}");
        // It gets a verdict of its own, which says nothing of the first.
        if key != 0 {
            kernel.leave_out(key).unwrap();
            assert_eq!(sent(&mut kernel, folder.path(), path, script).0, 0, "{script}");
        }
        key
    };
    differs(&path, &format!(": >> {path}"));
    differs(&path, &format!(": <> {path}"));
    differs(&at("here/file"), &format!("read x < {}; :", at("here/file")));
    differs("link/file", "read x < link/file; :");
    differs("file", "cd here; read x < file; :");
    differs("file", "cd elsewhere; read x < file; :");
    // Another program, which is called otherwise.
    differs(&path, &format!("cat {path} > /dev/null"));
    // What is not there, and where: no directory, or no file.
    assert!(differs(&at("missing"), &format!("read x 2>/dev/null < {}; :", at("missing"))) != 0);
    assert!(differs(&at("missing/file"), &format!("read x 2>/dev/null < {}; :", at("missing/file"))) != 0);
    let here = differs("missing", "cd here; read x 2>/dev/null < missing; :");
    let elsewhere = differs("missing", "cd elsewhere; read x 2>/dev/null < missing; :");
    assert!(here != 0 && elsewhere != 0 && here != elsewhere, "where it would be counts");
    // Other mounts.
    assert!(differs("/proc/version", "read x < /proc/version; :") != 0);
    assert!(differs("/dev/null", "read x < /dev/null; :") != 0);
    // The link leads to another file, the folder got another name, the file was exchanged.
    fs::remove_file(at("link")).unwrap();
    symlink("elsewhere", at("link")).unwrap();
    differs(&path, &read);
    fs::rename(at("elsewhere"), at("renamed")).unwrap();
    fs::remove_file(at("link")).unwrap();
    symlink("renamed", at("link")).unwrap();
    differs(&path, &read);
    fs::rename(at("here/file"), at("renamed/file")).unwrap();
    differs(&path, &read);
    fs::write(at("renamed/new"), "").unwrap();
    fs::rename(at("renamed/new"), at("renamed/file")).unwrap();
    differs(&path, &read);

    // A change of the rules makes all of it void.
    assert_eq!(sent(&mut kernel, folder.path(), &path, &read).0, 0);
    kernel.forget_verdicts().unwrap();
    assert_eq!(sent(&mut kernel, folder.path(), &path, &read).0, 1);
}

/// The walk of find(1) opens each folder relative to a descriptor of the one above.
#[test]
fn what_is_opened_relative_to_a_descriptor_is_left_out_by_where_that_leads() {
    let Some(mut kernel) = kernel(1 << 22, true, CALLS) else { return };
    let folder = tempfile::tempdir().unwrap();
    for name in ["one/inner", "two/inner"] {
        fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    kernel.forget_verdicts().unwrap();
    let mut keys = Vec::new();
    for top in ["one", "two"] {
        let walk = format!("find {top} > /dev/null");
        let (count, key) = sent(&mut kernel, folder.path(), "inner", &walk);
        if count == 0 {
            require::skip("find", "this find opens no folders by descriptors");
            return;
        }
        assert!(count == 1 && key != 0, "{top}: {count} {key}");
        assert_eq!(sent(&mut kernel, folder.path(), "inner", &walk), (1, key));
        keys.push(key);
    }
    assert_ne!(keys[0], keys[1], "the same name below another folder");
    kernel.leave_out(keys[0]).unwrap();
    assert_eq!(sent(&mut kernel, folder.path(), "inner", "find one > /dev/null").0, 0);
    assert_eq!(sent(&mut kernel, folder.path(), "inner", "find two > /dev/null").0, 1);
    fs::rename(folder.path().join("one"), folder.path().join("three")).unwrap();
    assert_eq!(sent(&mut kernel, folder.path(), "inner", "find three > /dev/null").0, 1, "the folder got another name");
}

#[test]
fn a_mount_over_a_file_makes_it_another() {
    let Some(mut kernel) = kernel(1 << 22, true, CALLS) else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("one"), "1").unwrap();
    fs::write(at("two"), "2").unwrap();
    kernel.forget_verdicts().unwrap();
    let read = format!("read x < {}; :", at("one"));
    let (_, key) = sent(&mut kernel, folder.path(), &at("one"), &read);
    kernel.leave_out(key).unwrap();
    assert_eq!(sent(&mut kernel, folder.path(), &at("one"), &read).0, 0);
    let script = format!("mount --bind {} {} && {read}", at("two"), at("one"));
    let Ok(status) = Command::new("unshare").args(["-m", "true"]).status() else {
        require::skip("unshare", "unshare is not installed");
        return;
    };
    assert!(status.success());
    assert_eq!(sent(&mut kernel, folder.path(), &at("one"), &format!("unshare -m /bin/sh -c '{script}'")).0, 1);
}

/// Without any kernel: what is asked, and what is left out of what the kernel had sent already.
#[test]
fn a_key_is_asked_about_once() {
    let mut filter = Filter::default();
    let unwanted: &[u64] = &[7];
    assert!(!filter.is_to_ask(7), "what comes but once is not worth it");
    assert!(filter.is_to_ask(7) && !filter.leaves_out(7));
    filter.settle(7, true);
    assert!(filter.leaves_out(7) && !filter.is_to_ask(7));
    assert_eq!(filter.take().as_slice(), unwanted);
    let other = 7 + PLACES as u64;
    assert!(!filter.is_to_ask(other) && filter.is_to_ask(other), "it takes the place of the other");
    filter.settle(other, false);
    assert!(!filter.is_to_ask(other) && !filter.leaves_out(other) && !filter.leaves_out(7));
    assert_eq!(filter.take().len(), 0);
    filter.settle(7, true);
    filter.forget();
    assert!(!filter.leaves_out(7) && !filter.leaves_out(0) && filter.take().len() == 0);
    assert!(!filter.is_to_ask(7) && filter.is_to_ask(7));
}
