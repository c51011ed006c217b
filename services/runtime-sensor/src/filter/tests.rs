//! On the real kernel: what a verdict is of is left out and counted, and everything that differs in anything is still sent.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use testkit::require;

use super::{Filter, PLACES, Questions, Standing};
use crate::decode::{RawEvent, decode};
use crate::kernel::Kernel;
use crate::kernel::tests::kernel;

const CALLS: &[&str] = &["open", "openat", "openat2", "creat"];

/// How often an open of this path was sent by a shell that ran this script, and under which key the last time.
fn sent(kernel: &mut Kernel, folder: &Path, path: &str, script: &str) -> (usize, u64) {
    let (count, key, _) = seen(kernel, folder, path, script);
    (count, key)
}

/// The same, and under which key of the folder.
fn seen(kernel: &mut Kernel, folder: &Path, path: &str, script: &str) -> (usize, u64, u64) {
    let output = Command::new("/bin/sh").current_dir(folder).args(["-c", script]).output().unwrap();
    assert!(output.stderr.is_empty() || script.contains("2>"), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    let (mut count, mut keys) = (0, (0, 0));
    while kernel.poll(10_000, |bytes| {
        let event = decode(bytes).unwrap();
        if event.path0 == Some(path.as_bytes()) {
            (count, keys) = (count + 1, (event.key, event.folder));
        }
    }) > 0
    {}
    (count, keys.0, keys.1)
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

/// A verdict on a folder is one on every name in it, and on nothing else.
#[test]
fn a_folder_is_left_out_with_all_that_is_in_it() {
    let Some(mut kernel) = kernel(1 << 22, true, CALLS) else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir_all(at("one/inner")).unwrap();
    fs::create_dir(at("two")).unwrap();
    let long = format!("one/{}", "long".repeat(20));
    for name in ["one/file", "one/other", "one/.hidden", "one/inner/file", "two/file", long.as_str()] {
        fs::write(at(name), "").unwrap();
    }
    symlink("../two/file", at("one/link")).unwrap();
    symlink(".hidden", at("one/to-hidden")).unwrap();
    symlink("one", at("to-one")).unwrap();
    kernel.forget_verdicts().unwrap();
    let read = |path: &str| format!("read x 2>/dev/null < {path}; :");
    let mut look = |path: &str, script: &str| seen(&mut kernel, folder.path(), path, script);
    // A process with few files, and one that had so many that its table of them had to grow.
    for many in ["", "exec 300< /dev/null; "] {
        let as_bash = |name: &str| format!("exec bash -c '{many}{}'", read(&at(name)));
        let (_, key, of_one) = look(&at("one/file"), &as_bash("one/file"));
        let (_, other_key, of_other) = look(&at("one/other"), &as_bash("one/other"));
        assert!(key != 0 && key != other_key && of_one != 0 && of_one == of_other, "{many}");
        for name in ["one/.hidden", "one/to-hidden", "one/inner/"] {
            let (count, key, of_it) = look(&at(name), &as_bash(name));
            assert!(count == 1 && key != 0 && of_it == 0, "{many}{name}");
        }
        assert_ne!(look(&at("one/link"), &as_bash("one/link")).2, of_one, "{many}");
    }
    let (_, key, of_one) = look(&at("one/file"), &read(&at("one/file")));
    let (_, other_key, of_other) = look(&at("one/other"), &read(&at("one/other")));
    assert!(key != other_key && of_one != 0 && of_one != key && of_one == of_other, "one folder, two files");
    // Each of these is of another folder than the first, or of none.
    let mut others = std::collections::BTreeSet::from([of_one]);
    for (path, script) in [
        (at("two/file"), read(&at("two/file"))),
        (at("one/inner/file"), read(&at("one/inner/file"))),
        (at("one/link"), read(&at("one/link"))),
        (at("to-one/file"), read(&at("to-one/file"))),
        (at("one/missing"), read(&at("one/missing"))),
        (at("two/missing"), read(&at("two/missing"))),
        (at("one/file"), format!(": >> {}", at("one/file"))),
        (at("one/file"), format!("cat {} > /dev/null", at("one/file"))),
        ("file".to_owned(), "cd one; read x < file; :".to_owned()),
        ("file".to_owned(), "cd two; read x < file; :".to_owned()),
    ] {
        let (count, key, of_it) = look(&path, &script);
        assert!(count == 1 && key != 0 && of_it != 0 && others.insert(of_it), "{script}");
    }
    let hidden = ["one/.hidden", "one/to-hidden", "one/inner/", "one/.", "one/inner/..", "/", "/proc"];
    for path in hidden.map(|path| if path.starts_with('/') { path.to_owned() } else { at(path) }) {
        let (count, _, of_it) = look(&path, &read(&path));
        assert!(count == 1 && of_it == 0, "{path} {count} {of_it}");
    }
    let (count, _, of_long) = look(&at(&long), &read(&at(&long)));
    assert!(count == 1 && of_long == 0, "a very long name");

    kernel.leave_out(of_one).unwrap();
    let before = unwanted(&kernel);
    for name in ["one/file", "one/other"] {
        assert_eq!(sent(&mut kernel, folder.path(), &at(name), &read(&at(name))).0, 0, "{name}");
    }
    fs::write(at("one/new"), "").unwrap();
    assert_eq!(sent(&mut kernel, folder.path(), &at("one/new"), &read(&at("one/new"))).0, 0, "it is new");
    assert_eq!(unwanted(&kernel) - before, 3, "left out, and counted");
    for name in ["two/file", "one/inner/file", "one/link", "one/.hidden", "one/to-hidden", "one/missing", long.as_str()]
    {
        assert_eq!(sent(&mut kernel, folder.path(), &at(name), &read(&at(name))).0, 1, "{name}");
    }
    // The folder comes to lie elsewhere, and another one takes its name.
    fs::rename(at("one"), at("moved")).unwrap();
    assert_eq!(sent(&mut kernel, folder.path(), &at("moved/file"), &read(&at("moved/file"))).0, 1);
    fs::create_dir(at("one")).unwrap();
    fs::write(at("one/file"), "").unwrap();
    assert_eq!(sent(&mut kernel, folder.path(), &at("one/file"), &read(&at("one/file"))).0, 1);
}

/// Modes differ from open to open with the umask and the program; to rules they are all alike, but for whether one may execute the file.
#[test]
fn of_a_mode_only_that_counts_which_rules_ask_for() {
    let Some(mut kernel) = kernel(1 << 22, true, CALLS) else { return };
    if Command::new("perl").arg("-v").output().is_err() {
        require::skip("perl", "nothing opens files with a mode");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file").display().to_string();
    fs::write(&path, "").unwrap();
    kernel.forget_verdicts().unwrap();
    let mut key = |mode: &str| {
        // O_RDONLY | O_CREAT
        let open = format!("perl -e 'sysopen(F, \"{path}\", 0100, {mode}) or die'");
        sent(&mut kernel, folder.path(), &path, &open).1
    };
    let plain = key("0600");
    assert!(plain != 0 && plain == key("0644") && plain != key("0755") && key("0700") == key("0755"));
}

/// Without any kernel: what is asked, and what is left out of what the kernel had sent already.
#[test]
fn a_key_is_asked_about_once() {
    let mut filter = Filter::default();
    let event = |key: u64, folder: u64| RawEvent { key, folder, ..crate::decode::tests::sample() };
    let of_file = |key: u64| Questions { file: key, folder: 0 };
    let unwanted: &[u64] = &[7];
    assert_eq!(filter.questions(&event(7, 0)), of_file(0), "what comes but once is not worth it");
    assert!(filter.questions(&event(7, 0)) == of_file(7) && !filter.leaves_out(&event(7, 0)));
    filter.conclude(of_file(7));
    assert!(filter.leaves_out(&event(7, 0)) && filter.questions(&event(7, 0)) == of_file(0));
    assert_eq!(filter.take().as_slice(), unwanted);
    let other = 7 + PLACES as u64;
    assert_eq!(filter.questions(&event(other, 0)), of_file(0), "it takes the place of the other");
    assert_eq!(filter.questions(&event(other, 0)), of_file(other));
    filter.settle(other, Standing::Wanted);
    assert_eq!(filter.questions(&event(other, 0)), of_file(0));
    assert!(!filter.leaves_out(&event(other, 0)) && !filter.leaves_out(&event(7, 0)));
    filter.conclude(of_file(0));
    assert_eq!(filter.take().len(), 0);
    filter.conclude(of_file(7));
    filter.forget();
    assert!(!filter.leaves_out(&event(7, 0)) && !filter.leaves_out(&event(0, 0)) && filter.take().len() == 0);
    assert!(filter.questions(&event(7, 0)) == of_file(0) && filter.questions(&event(7, 0)) == of_file(7));
}

#[test]
fn a_folder_is_asked_about_once_several_of_its_files_came() {
    let mut filter = Filter::default();
    let event = |key: u64| RawEvent { key, folder: 9, ..crate::decode::tests::sample() };
    for key in 11..14 {
        assert_eq!(filter.questions(&event(key)), Questions::default());
    }
    assert_eq!(filter.questions(&event(11)), Questions { file: 11, folder: 9 });
    filter.conclude(Questions { file: 11, folder: 9 });
    assert!(filter.leaves_out(&event(11)) && filter.leaves_out(&event(99)));
    let told: &[u64] = &[9];
    assert_eq!(filter.take().as_slice(), told, "the file needs no verdict of its own");
    let mut spared = Questions { file: 11, folder: 9 };
    spared.spare_folder_if(|| true);
    assert_eq!(spared, Questions { file: 11, folder: 0 });
}
