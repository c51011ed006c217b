//! On the real kernel: each program loads both ways, each event arrives, and nothing is lost uncounted.

use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use testkit::require;

use super::*;
use crate::decode::{Kind, decode};
use crate::facts;
use crate::syscalls::Need;

/// The programs, or a loud skip where the kernel may not be watched.
pub(crate) fn kernel(ring_bytes: u32, directly: bool, calls: &[&str]) -> Option<Kernel> {
    if let Some(missing) = probe::examine().iter().find(|feature| feature.is_missing()) {
        require::skip("ebpf", &missing.to_string());
        return None;
    }
    let btf = Btf::from_sys_fs().unwrap();
    let mut kernel = Kernel::attached(ring_bytes, &btf, directly).unwrap();
    let need = Need { failures: true, streams: true, payload: true };
    kernel.want_calls(|syscall| if calls.contains(&syscall.name) { syscall.flags(need) } else { 0 }).unwrap();
    Some(kernel)
}

/// Another process that makes a known number of calls which nobody else makes: this very program, told to.
fn generator(calls: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kernel::tests::generate", "--ignored", "--nocapture"])
        .env("CHROOTS", calls.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "started by other tests as a process of its own"]
#[expect(clippy::disallowed_methods, reason = "how many calls to make")]
fn generate() {
    let Ok(calls) = std::env::var("CHROOTS") else { return };
    for _ in 0..calls.parse::<u32>().unwrap() {
        assert!(std::os::unix::fs::chroot("/nowhere-at-all").is_err());
    }
}

/// One test at a time makes such calls.
static ALONE: Mutex<()> = Mutex::new(());

fn other(kernel: &Kernel) -> (u64, u64, u64) {
    let counts = kernel.counted();
    let file = counts.classes[6];
    (file.sent, file.dropped, counts.missed)
}

#[test]
fn a_stalled_reader_loses_exactly_what_is_counted_at_every_rate() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut kernel) = kernel(262_144, true, &["chroot"]) else { return };
    let mut has_lost = false;
    for calls in [200, 1_000, 5_000, 50_000] {
        let (sent_before, dropped_before, missed_before) = other(&kernel);
        // Nobody reads while they are made.
        let mut child = generator(calls);
        assert!(child.wait().unwrap().success());
        let (sent, dropped, missed) = other(&kernel);
        let (sent, dropped, missed) = (sent - sent_before, dropped - dropped_before, missed - missed_before);
        has_lost |= dropped > 0;
        // Runs that were left out may have been of any call, so they can only explain what is missing.
        let made = sent + dropped;
        assert!(
            made <= u64::from(calls) && made + missed >= u64::from(calls),
            "{sent} + {dropped} (+ {missed}) of {calls}"
        );
        let mut received = 0;
        let is_ours =
            |bytes: &[u8]| decode(bytes).is_ok_and(|event| event.kind == Kind::Syscall && event.tgid == child.id());
        while kernel.poll(10_000, |bytes| received += u64::from(is_ours(bytes))) > 0 {}
        assert_eq!(received, sent, "all that was sent is there");
    }
    assert!(has_lost, "the ring is too small for the last of them");
    // Once it is read again, nothing more is lost.
    let before = other(&kernel).1;
    let mut child = generator(500);
    assert!(child.wait().unwrap().success());
    assert_eq!(other(&kernel).1, before);
}

#[test]
fn a_slow_reader_loses_exactly_what_is_counted_at_rising_rates() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut kernel) = kernel(262_144, true, &["chroot"]) else { return };
    let mut has_lost = false;
    // One generator after the other makes more calls at a time, while the reader takes a few, rests, and takes a few.
    for (generators, at_a_time, rest_us) in [(1, 4_096, 0), (1, 64, 200), (2, 64, 1_000), (3, 16, 2_000)] {
        const CALLS: u32 = 20_000;
        let before = other(&kernel);
        let mut children: Vec<Child> = (0..generators).map(|_| generator(CALLS)).collect();
        let (mut received, mut is_over) = (0_u64, false);
        loop {
            let ids: Vec<u32> = children.iter().map(Child::id).collect();
            let is_ours = |bytes: &[u8]| {
                decode(bytes).is_ok_and(|event| event.kind == Kind::Syscall && ids.contains(&event.tgid))
            };
            let taken = kernel.poll(at_a_time, |bytes| received += u64::from(is_ours(bytes)));
            if is_over && taken == 0 {
                break;
            }
            // What was under way when the last one ended is in the ring by now.
            is_over = children.iter_mut().all(|child| child.try_wait().unwrap().is_some());
            std::thread::sleep(Duration::from_micros(if is_over { 0 } else { rest_us }));
        }
        let after = other(&kernel);
        let (sent, dropped, missed) = (after.0 - before.0, after.1 - before.1, after.2 - before.2);
        let made = u64::from(CALLS) * generators;
        has_lost |= dropped > 0;
        assert_eq!(received, sent, "all that was sent is there");
        assert!(
            sent + dropped <= made && sent + dropped + missed >= made,
            "{sent} + {dropped} (+ {missed}) of {made} at {generators} x, {rest_us} us"
        );
    }
    assert!(has_lost, "the reader is too fast for the last of them");
}

/// The program that makes calls, built from source; `None`, loudly, without a compiler.
fn calls(folder: &std::path::Path) -> Option<std::path::PathBuf> {
    let (source, program) = (concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/calls.c"), folder.join("calls"));
    let built = Command::new("cc").arg("-o").arg(&program).arg(source).status();
    if !built.is_ok_and(|status| status.success()) {
        require::skip("cc", "no C compiler");
        return None;
    }
    Some(program)
}

#[test]
fn calls_by_the_32_bit_table_are_counted() {
    let Some(kernel) = kernel(262_144, true, &["getpid", "mkdir"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = calls(folder.path()) else { return };
    let before = kernel.counted().foreign;
    assert!(Command::new(&program).args(["32-bit", "1000"]).status().unwrap().success());
    let calls = kernel.counted().foreign - before;
    assert!(calls >= 1_000, "{calls}");
}

#[test]
fn files_opened_through_io_uring_are_counted() {
    let Some(kernel) = kernel(262_144, true, &[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = calls(folder.path()) else { return };
    let before = kernel.counted().uring;
    let status = Command::new(&program).arg("io-uring").arg(&program).status().unwrap();
    if !status.success() {
        require::skip("io_uring", "this kernel does not let io_uring be used");
        return;
    }
    let files = kernel.counted().uring[1] - before[1];
    assert!(files >= 1, "{:?}", kernel.features);
}

#[test]
fn both_ways_to_read_a_task_give_the_same() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for directly in [true, false] {
        let Some(mut kernel) = kernel(1 << 20, directly, &["chroot"]) else { return };
        let mut child = generator(3);
        assert!(child.wait().unwrap().success());
        let (mut calls, mut kinds) = (0, Vec::new());
        let mut look = |bytes: &[u8]| {
            let event = decode(bytes).unwrap();
            if event.tgid != child.id() {
                return;
            }
            kinds.push(event.kind);
            assert_eq!(event.ppid, std::process::id());
            assert_eq!(event.vpid, event.tgid, "{directly}");
            assert!(event.start_ns > 0 && event.start_ns <= event.time_ns && event.mnt_ns != 0 && event.pid_ns != 0);
            assert!(event.cap_effective != 0 && event.cgroup != 0);
            match event.kind {
                Kind::Syscall => {
                    calls += 1;
                    assert_eq!((event.path0, event.ret), (Some(b"/nowhere-at-all".as_slice()), -2));
                }
                Kind::Exec => look_at_exec(&event),
                Kind::Fork => assert_eq!(event.args[0], u64::from(std::process::id())),
                Kind::Exit => assert_eq!(event.ret, 0),
            }
        };
        let until = Instant::now() + Duration::from_secs(5);
        while kernel.poll(10_000, &mut look) > 0 || (Instant::now() < until && calls_of(&kernel) == 0) {}
        assert_eq!(calls, 3, "{directly}");
        for kind in [Kind::Fork, Kind::Exec, Kind::Exit] {
            assert_eq!(kinds.iter().filter(|seen| **seen == kind).count(), 1, "{kind:?} {directly}");
        }
    }
}

/// Files are found in tables of both sizes, by loads and by calls, on the root's mount and on others.
#[test]
fn every_way_to_a_file_gives_the_same() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join(format!("a-name-that-does-not-stand-in-its-entry-{}", "x".repeat(60)));
    std::fs::create_dir(&long).unwrap();
    let files = [folder.path().join("short"), long.join("below"), "/dev/null".into(), "/proc/version".into()];
    for file in &files[..2] {
        std::fs::write(file, "").unwrap();
    }
    for directly in [true, false] {
        let Some(mut kernel) = kernel(1 << 22, directly, &["openat", "open"]) else { return };
        // The second one has so many descriptors that its table had to grow.
        for before in ["", "exec 9</dev/null; ulimit -n 512; "] {
            let list: Vec<String> = files.iter().map(|file| format!("exec 3<{}", file.display())).collect();
            let grow = if before.is_empty() { "" } else { "exec bash -c 'exec 300</dev/null; " };
            let end = if grow.is_empty() { "" } else { "'" };
            let script = format!("{before}{grow}{}{end}", list.join("; "));
            let Ok(mut child) = Command::new("bash").args(["-c", &script]).spawn() else {
                require::skip("bash", "bash is not installed");
                return;
            };
            assert!(child.wait().unwrap().success());
            let mut seen = std::collections::BTreeMap::new();
            let mut look = |bytes: &[u8]| {
                let event = decode(bytes).unwrap();
                if event.tgid == child.id() && event.kind == Kind::Syscall && event.ret >= 0 {
                    let asked = String::from_utf8_lossy(event.path0.unwrap()).into_owned();
                    seen.insert(
                        asked,
                        (event.file_path.and_then(facts::path), event.file.and_then(facts::OpenedFacts::parse)),
                    );
                }
            };
            while kernel.poll(10_000, &mut look) > 0 {}
            for file in &files {
                let name = file.display().to_string();
                let (path, opened) = seen.get(&name).unwrap_or_else(|| panic!("{name} {directly} {before}"));
                assert_eq!(
                    path.as_deref(),
                    Some(file.canonicalize().unwrap().to_str().unwrap()),
                    "{directly} {before}"
                );
                let meta = file.metadata().unwrap();
                assert_eq!(opened.map(|opened| (opened.inode, opened.mode)), Some((meta.ino(), meta.mode())), "{name}");
            }
        }
    }
}

fn calls_of(kernel: &Kernel) -> u64 {
    kernel.counted().classes.iter().map(|class| class.sent).sum()
}

/// What is told of this very program, compared with what /proc says of it.
fn look_at_exec(event: &crate::decode::RawEvent<'_>) {
    let exe = std::env::current_exe().unwrap().canonicalize().unwrap();
    assert_eq!(event.exe.and_then(facts::path).unwrap(), exe.display().to_string());
    assert_eq!(event.cwd.and_then(facts::path).unwrap(), std::env::current_dir().unwrap().display().to_string());
    let facts = facts::ExecFacts::parse(event.exec.unwrap()).unwrap();
    use std::os::unix::fs::MetadataExt as _;
    let meta = exe.metadata().unwrap();
    let file = facts.file;
    assert_eq!((file.inode, file.mode, file.uid, file.gid), (meta.ino(), meta.mode(), meta.uid(), meta.gid()));
    let nanoseconds = |seconds: i64, rest: i64| (seconds * 1_000_000_000 + rest).cast_unsigned();
    assert_eq!(file.mtime_ns, nanoseconds(meta.mtime(), meta.mtime_nsec()));
    assert_eq!(file.ctime_ns, nanoseconds(meta.ctime(), meta.ctime_nsec()));
    assert!(!file.is_from_memory());
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let own: Vec<u32> =
        stat.rsplit(')').next().unwrap().split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    assert_eq!((facts.group, facts.session, facts.tty), (own[2], own[3], own[4]));
    let argv = String::from_utf8_lossy(event.argv.unwrap()).into_owned();
    assert!(argv.contains("kernel::tests::generate\0--ignored"), "{argv}");
    assert!(String::from_utf8_lossy(event.environment.unwrap()).contains("CHROOTS=3\0"));
    let unified = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let unified = unified.lines().find_map(|line| line.strip_prefix("0::"));
    assert_eq!(event.cgroup_path.and_then(facts::path).as_deref(), unified);
}
